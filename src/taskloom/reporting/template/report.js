// Sorting and filtering of the table, opening of a task that a link leads to, names on the map. The page is whole without.
"use strict";
(() => {
  const table = document.querySelector("table.tasks");
  const rows = [...table.tBodies[0].rows];
  const tasks = new Map([...document.querySelectorAll("details.task")].map((part) => [part.id, part]));
  const partOf = (row) => tasks.get(row.querySelector("a").hash.slice(1));

  // A cell as something to compare: a number where it begins with one, nothing for a dash, else its text.
  const valueOf = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replaceAll(",", "").replace("−", "-"));
    return text === "–" || text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

  const sortBy = (head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [valueOf(row, column), row]);
    const known = keyed.filter(([value]) => value !== null).sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
    const unknown = keyed.filter(([value]) => value === null); // undefined scores stand last either way
    table.tBodies[0].append(...[...known, ...unknown].map(([, row]) => row));
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (head.classList.contains("plot")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${head.textContent}`);
    button.addEventListener("click", () => sortBy(head, column));
    head.classList.add("sorts");
    head.append(button);
  });

  const form = document.querySelector("form.filter");
  const filter = () => {
    const name = form.elements.name.value.trim().toLowerCase();
    const { family, kind, weak } = form.elements;
    let shown = 0;
    for (const row of rows) {
      const fits =
        row.cells[0].textContent.toLowerCase().includes(name) &&
        (!family.value || row.cells[1].textContent.trim() === family.value) &&
        (!kind.value || row.cells[2].textContent.trim() === kind.value) &&
        (!weak.checked || row.classList.contains("not-above"));
      row.hidden = !fits;
      partOf(row).hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} tasks`;
  };
  for (const event of ["input", "change"]) form.addEventListener(event, filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();

  const follow = () => {
    const part = tasks.get(decodeURIComponent(location.hash.slice(1)));
    if (!part) return;
    part.hidden = false;
    part.open = true;
    part.scrollIntoView();
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && (link.hash || link.getAttribute("href")) === location.hash) follow(); // the same link a second time
  });
  follow();

  const buttons = document.querySelector(".buttons");
  buttons.hidden = false;
  buttons.addEventListener("click", (event) => {
    if (event.target.dataset.open === undefined) return;
    for (const part of tasks.values()) part.open = Boolean(event.target.dataset.open) && !part.hidden;
  });

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const spot of document.querySelectorAll(".spot")) {
    const title = spot.querySelector("title");
    const name = title.textContent;
    spot.setAttribute("aria-label", name);
    title.remove(); // the browser's own would come a second late, over ours
    const show = () => {
      const box = spot.getBoundingClientRect();
      tip.textContent = name;
      tip.hidden = false;
      tip.style.left = `${Math.min(box.right + scrollX + 6, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 4)}px`;
      tip.style.top = `${box.top + scrollY - 28}px`;
    };
    const hide = () => (tip.hidden = true);
    for (const event of ["mouseenter", "focus"]) spot.addEventListener(event, show);
    for (const event of ["mouseleave", "blur"]) spot.addEventListener(event, hide);
  }
})();
