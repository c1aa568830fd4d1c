"use strict";
/* The page of `taskloom serve`: no framework, nothing from elsewhere. Texts go to this server and nowhere else. */

const TEXTS_AT_ONCE = 16; // answers of many texts come in pieces, so that the first are seen early
const OPTIONS_SHOWN = 60;
const BARS_SHOWN = 8;
const KEY = "taskloom-key";
const KINDS = { // what is answered, and how many tasks do it
  classification: ["one of", "choose one label"], multilabel: ["any of", "choose several labels"],
  regression: ["a score", "give a score"], multiple_choice: ["best of the choices", "choose among given choices"],
  token_classification: ["a tag for each word, of", "tag words"],
};

const $ = (id) => document.getElementById(id);
const state = { tasks: [], task: null, labels: [], running: null };

/** Make an element; a function among the properties is a listener, null children are left out. */
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.001 ? 2 : 1)} %`;

/** Wait so many seconds, or throw at once when `signal` is aborted. */
const pause = (seconds, signal) => new Promise((resume, stop) => {
  const timer = setTimeout(resume, 1000 * seconds);
  signal?.addEventListener("abort", () => { clearTimeout(timer); stop(signal.reason); }, { once: true });
});

/* ---- the server ---- */

/** Ask the server; waits and asks again when it is busy; throws an Error with the server's own words. */
async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  const how = body === undefined ? { headers, signal } : { method: "POST", headers, signal, body: JSON.stringify(body) };
  const answer = await fetch(path, how);
  if (answer.status === 429) {
    signal?.throwIfAborted();
    say("The server is busy; waiting for a turn …");
    await pause(Number(answer.headers.get("Retry-After")) || 1, signal);
    return ask(path, body, signal);
  }
  const found = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (answer.status === 401) needKey();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

const taskPath = (task) => `predict/${task.id.split("/").map(encodeURIComponent).join("/")}`;
const say = (text) => { $("status").textContent = text; };
const complain = (text) => { $("alert").textContent = text; };

function needKey() {
  sessionStorage.removeItem(KEY);
  $("key-form").hidden = false;
  $("key").focus();
}

/** Run one piece of work at a time; a new one stops the one before. */
async function run(form, work) {
  state.running?.abort();
  const control = (state.running = new AbortController());
  const stop = form.querySelector(".stop");
  stop.hidden = false;
  complain("");
  say("Working …");
  $("results").replaceChildren();
  const started = performance.now();
  try {
    const count = await work(control.signal);
    if (state.running === control) say(`${count} in ${((performance.now() - started) / 1000).toFixed(2)} s`);
  } catch (error) {
    if (state.running !== control) return; // the lines belong to the run that took its place
    say(error.name === "AbortError" ? "Stopped." : "");
    if (error.name !== "AbortError") complain(error.message === "Failed to fetch" ? "The server cannot be reached." : error.message);
  } finally {
    if (state.running === control) {
      stop.hidden = true;
      state.running = null;
    }
  }
}

/* ---- results ---- */

/** A list of bars from [name, share, best] rows, the rest folded away. */
function bars(rows) {
  const item = ([name, share, best]) => {
    const bar = make("span", { className: "bar" });
    bar.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
    return make("li", { className: best ? "best" : "" },
      make("span", { className: "name" }, name),
      make("span", { className: "track", "aria-hidden": "true" }, bar),
      make("span", { className: "value" }, percent(share)));
  };
  const shown = make("ul", { className: "bars" }, ...rows.slice(0, BARS_SHOWN).map(item));
  if (rows.length <= BARS_SHOWN) return [shown];
  const rest = make("ul", { className: "bars" }, ...rows.slice(BARS_SHOWN).map(item));
  return [shown, make("details", { className: "more" }, make("summary", {}, `${rows.length - BARS_SHOWN} more`), rest)];
}

function show(text, children) {
  const shown = text === null ? null : make("p", { className: text.length > 400 ? "long" : "" }, text);
  if (text !== null && text.length > 400) shown.tabIndex = 0; // it scrolls, so a keyboard has to reach it
  $("results").append(make("article", { className: "result" }, shown, ...children));
}

const sorted = (scores) => Object.entries(scores).sort((one, other) => other[1] - one[1]);
const SHOW = {
  classification: (found) => bars(sorted(found.scores).map(([name, share]) => [name, share, name === found.label])),
  multilabel: (found) => bars(sorted(found.scores).map(([name, share]) => [name, share, found.labels.includes(name)])),
  multiple_choice: (found, row) => bars(found.scores.map((share, at) => [row.choices[at], share, at === found.label])),
  regression: (found, row, task) => {
    const track = make("span", { className: "track", "aria-hidden": "true" }, make("span", { className: "bar" }));
    const scaled = task.low !== null && task.high !== null; // without a scale there is no bar to fill
    if (scaled) track.firstChild.style.width = `${(100 * (found.score - task.low)) / (task.high - task.low)}%`;
    return [make("ul", { className: "bars" }, make("li", { className: "best" },
      make("span", { className: "name" }, scaled ? `${task.low} to ${task.high}` : "score"), scaled ? track : null,
      make("span", { className: "value" }, found.score.toFixed(2))))];
  },
  token_classification: (found, row) => [make("ul", { className: "tags" }, ...row.tokens.map((word, at) =>
    make("li", { className: found.labels[at] === "O" ? "" : "named" }, word, make("small", {}, found.labels[at]))))],
};

/* ---- labels given on the spot ---- */

function addLabels(text) {
  const names = text.split(/[,\n]/).map((name) => name.trim()).filter(Boolean);
  state.labels.push(...names.filter((name, at) => !state.labels.includes(name) && names.indexOf(name) === at));
  drawChips();
}

function drawChips() {
  const chip = (name) => make("li", {}, name, make("button", {
    type: "button", ariaLabel: `Remove ${name}`,
    click: () => { state.labels.splice(state.labels.indexOf(name), 1); drawChips(); $("label-input").focus(); },
  }, "×"));
  $("chip-list").replaceChildren(...state.labels.map(chip));
  $("label-input").placeholder = state.labels.length ? "" : "kitchen, garden";
}

function onLabelKey(event) {
  const input = $("label-input");
  if ((event.key === "Enter" && !event.ctrlKey && !event.metaKey && input.value.trim()) || event.key === ",") {
    event.preventDefault();
    takeLabels();
  } else if (event.key === "Backspace" && !input.value && state.labels.length) {
    state.labels.pop();
    drawChips();
  }
}

function takeLabels() {
  addLabels($("label-input").value);
  $("label-input").value = "";
}

function textsGiven() {
  const all = $("texts").value;
  return ($("by-line").checked ? all.split("\n") : [all]).map((text) => text.trim()).filter(Boolean);
}

function missing(field, text) {
  complain(text);
  say("");
  $(field).focus();
}

async function classify(event) {
  event.preventDefault();
  takeLabels();
  const texts = textsGiven();
  if (!texts.length) return missing("texts", "There is no text yet.");
  if (!state.labels.length) return missing("label-input", "There is no label yet.");
  const asked = { labels: state.labels, multi_label: $("multi-label").checked, template: $("template").value, way: $("way").value };
  await run($("classify-form"), async (signal) => {
    for (let start = 0; start < texts.length; start += TEXTS_AT_ONCE) {
      const found = await ask("classify", { texts: texts.slice(start, start + TEXTS_AT_ONCE), ...asked }, signal);
      for (const { sequence, labels, scores } of found.results) {
        const best = (at) => (asked.multi_label ? scores[at] >= 0.5 : at === 0);
        show(sequence, bars(labels.map((name, at) => [name, scores[at], best(at)])));
      }
      say(`${Math.min(start + TEXTS_AT_ONCE, texts.length)} of ${texts.length} texts …`);
    }
    return `${plural(texts.length, "text")}, ${plural(asked.labels.length, "label")}`;
  });
}

/* ---- trained tasks ---- */

/** Tasks whose id, kind, family, question or labels hold every word; those with it in the id come first. */
function search(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const found = state.tasks.filter((task) => wanted.every((word) => task.words.includes(word)));
  const named = (task) => wanted.length && wanted.every((word) => task.id.toLowerCase().includes(word));
  return [...found.filter(named), ...found.filter((task) => !named(task))];
}

const combo = { options: [], at: -1 };

function openList() {
  const words = $("task-input").value === state.task?.id ? "" : $("task-input").value;
  const found = search(words).filter((task) => !task.id.endsWith("+one-pass")); // their rows are made for training alone
  combo.options = found.slice(0, OPTIONS_SHOWN);
  combo.at = -1;
  $("task-list").replaceChildren(...combo.options.map((task, at) => make("li", {
    id: `option-${at}`, role: "option", "aria-selected": "false",
    mousedown: (event) => { event.preventDefault(); choose(task); },
  }, task.id, make("small", {}, short(task)))));
  $("task-count").textContent = found.length > OPTIONS_SHOWN
    ? `${found.length} tasks; the first ${OPTIONS_SHOWN} are shown` : plural(found.length, "task");
  expand(found.length > 0);
}

function expand(open) {
  $("task-list").hidden = !open;
  $("task-input").setAttribute("aria-expanded", String(open));
  if (!open) $("task-input").removeAttribute("aria-activedescendant");
}

function mark(at) {
  const options = $("task-list").children;
  options[combo.at]?.setAttribute("aria-selected", "false");
  combo.at = (at + options.length) % options.length;
  options[combo.at].setAttribute("aria-selected", "true");
  options[combo.at].scrollIntoView({ block: "nearest" });
  $("task-input").setAttribute("aria-activedescendant", `option-${combo.at}`);
}

function onTaskKey(event) {
  const closed = $("task-list").hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (closed) openList();
    if (combo.options.length) mark(combo.at + (event.key === "ArrowDown" ? 1 : combo.at < 0 ? 0 : -1));
  } else if (event.key === "Enter" && !closed) {
    event.preventDefault();
    const task = combo.options[Math.max(0, combo.at)];
    if (task) choose(task);
  } else if (event.key === "Escape") {
    expand(false);
  }
}

const short = (task) => [[KINDS[task.kind][0], task.labels.length ? plural(task.labels.length, "label") : null].filter(Boolean).join(" "), task.family]
  .filter(Boolean).join(" · ");

function facts(task) {
  const names = task.labels.slice(0, 12).join(", ") + (task.labels.length > 12 ? `, and ${task.labels.length - 12} more` : "");
  const from = [task.source && `from ${task.source}`, task.license && `license ${task.license}`].filter(Boolean).join(", ");
  return [
    task.question ? make("p", {}, task.question) : null,
    make("p", { className: "facts" }, [short(task), from].filter(Boolean).join(" · ")),
    names ? make("p", { className: "facts" }, `Labels: ${names}`) : null,
  ];
}

/** The fields that a kind asks for: [id, label, rows, whether it must be filled]. */
function fieldsOf(task) {
  if (task.kind === "multiple_choice") return [["prompt", "Prompt", 3, false], ["choices", "Choices, one a line", 4, true]];
  if (task.kind === "token_classification") return [["tokens", "Text; words are split at blanks", 3, true]];
  const pair = task.pair === false ? [] : [["pair", task.pair ? "Second text" : "Second text, if the task has one", 3, !!task.pair]];
  return [["text", task.pair ? "First text" : "Text", 3, true], ...pair];
}

function choose(task) {
  state.task = task;
  $("task-input").value = task.id;
  $("task-count").textContent = "";
  expand(false);
  $("task-about").replaceChildren(...facts(task).filter(Boolean));
  $("task-fields").replaceChildren(...fieldsOf(task).map(([name, label, rows, required]) => make("div", { className: "field" },
    make("label", { htmlFor: `field-${name}` }, label), make("textarea", { id: `field-${name}`, rows, required }))));
  $("predict-form").hidden = false;
  $("results").replaceChildren();
  say("");
  complain("");
  history.replaceState(null, "", `#tasks/${task.id}`);
}

function rowGiven(task) {
  const value = (name) => $(`field-${name}`)?.value.trim() ?? "";
  const split = (text, at) => text.split(at).map((part) => part.trim()).filter(Boolean);
  if (task.kind === "multiple_choice") return { prompt: value("prompt"), choices: split(value("choices"), "\n") };
  if (task.kind === "token_classification") return { tokens: split(value("tokens"), /\s+/) };
  return value("pair") ? { text: value("text"), pair: value("pair") } : { text: value("text") };
}

async function predict(event) {
  event.preventDefault();
  const task = state.task;
  const row = rowGiven(task);
  const empty = fieldsOf(task).find(([name, , , required]) => required && !$(`field-${name}`).value.trim());
  if (empty) return missing(`field-${empty[0]}`, `${empty[1].split(/[,;]/)[0]}: nothing is written yet.`);
  await run($("predict-form"), async (signal) => {
    const found = await ask(taskPath(task), { rows: [row] }, signal);
    show(null, SHOW[task.kind](found.results[0], row, task));
    return "Answered";
  });
}

/* ---- this model ---- */

function drawModel(found) {
  const kinds = {};
  for (const task of found.tasks) kinds[task.kind] = (kinds[task.kind] ?? 0) + 1;
  const counted = Object.entries(kinds).map(([kind, count]) => `${count} ${KINDS[kind][1]}`).join(", ");
  const heads = [found.zero_shot, found.one_pass, found.matching].filter(Boolean).join(" and ");
  const zero = heads ? `Labels given on the spot are answered by the head of ${heads}.` : "It takes no labels given on the spot.";
  $("model-line").textContent = `${found.model}: one encoder, ${plural(found.tasks.length, "task")}`;
  $("model-about").replaceChildren(make("h2", {}, found.model),
    make("p", {}, `Trained on ${plural(found.tasks.length, "task")} at once: ${counted}. ${zero}`));
}

function drawCards() {
  const found = search($("filter").value);
  $("filter-count").textContent = plural(found.length, "task");
  $("task-cards").replaceChildren(...found.map((task) => make("li", {},
    make("button", { type: "button", className: "link", click: () => { open("tasks"); choose(task); $("task-input").focus(); } }, task.id),
    ...facts(task).filter(Boolean))));
}

/* ---- tabs and start ---- */

const TABS = ["labels", "tasks", "model"];

function open(name, focus = false) {
  for (const tab of TABS) {
    const on = tab === name;
    $(tab).hidden = !on;
    $(`tab-${tab}`).setAttribute("aria-selected", String(on));
    $(`tab-${tab}`).tabIndex = on ? 0 : -1;
  }
  if (focus) $(`tab-${name}`).focus();
  state.running?.abort();
  $("results").replaceChildren();
  say("");
  complain("");
  history.replaceState(null, "", name === "tasks" && state.task ? `#tasks/${state.task.id}` : `#${name}`);
}

function onTabKey(event) {
  const at = TABS.findIndex((tab) => $(`tab-${tab}`) === event.target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  open(TABS[(to + TABS.length) % TABS.length], true);
}

async function start() {
  try {
    const found = await ask("tasks");
    state.tasks = found.tasks.map((task) => ({ ...task,
      words: [task.id, task.kind, ...KINDS[task.kind], task.family, task.question, ...task.labels].join(" ").toLowerCase() }));
    drawModel(found);
    drawCards();
    $("task-count").textContent = `${plural(found.tasks.length, "task")} to choose from`;
    const ways = [found.zero_shot && "pairs", found.one_pass && "one-pass", found.matching && "matching"].filter(Boolean);
    $("no-zero-shot").hidden = ways.length > 0;
    $("way-field").hidden = ways.length < 2;
    for (const option of [...$("way").options]) if (!["auto", "all", ...ways].includes(option.value)) option.remove();
    for (const control of $("classify-form").elements) control.disabled = ways.length === 0;
    openFromAddress(ways.length ? "labels" : "tasks");
  } catch (error) {
    complain(error.message === "Failed to fetch" ? "The server cannot be reached." : error.message);
  }
}

function openFromAddress(otherwise) {
  const [name, ...rest] = decodeURIComponent(location.hash.slice(1)).split("/");
  const task = state.tasks.find((one) => one.id === rest.join("/"));
  open(TABS.includes(name) ? name : otherwise);
  if (name === "tasks" && task) choose(task);
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key").value);
  $("key-form").hidden = true;
  complain("");
  start();
});
for (const tab of TABS) {
  $(`tab-${tab}`).addEventListener("click", () => open(tab));
  $(`tab-${tab}`).addEventListener("keydown", onTabKey);
}
$("classify-form").addEventListener("submit", classify);
$("predict-form").addEventListener("submit", predict);
for (const form of [$("classify-form"), $("predict-form")]) {
  form.noValidate = true; // what is missing is told in words, at one place
  form.querySelector(".stop").addEventListener("click", () => state.running?.abort());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
}
$("label-input").addEventListener("keydown", onLabelKey);
$("label-input").addEventListener("blur", takeLabels);
$("label-input").addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text");
  if (/[,\n]/.test(text)) { event.preventDefault(); addLabels($("label-input").value + text); $("label-input").value = ""; }
});
$("chips").addEventListener("click", (event) => { if (event.target === $("chips")) $("label-input").focus(); });
$("task-input").addEventListener("input", openList);
$("task-input").addEventListener("click", () => { $("task-input").select(); openList(); });
$("task-input").addEventListener("keydown", onTaskKey);
$("task-input").addEventListener("blur", () => expand(false));
$("filter").addEventListener("input", drawCards);
start();
