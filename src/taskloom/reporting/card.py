"""README.md of a run and its model: what it was trained on, how well it does, how to use it, what it cannot do.

The header is `hub_metadata`, its license the rule of `licenses`; the card says what that rests on, counts the uses and
names the non-commercial tasks. Whether and how the model may be used stays the decision of a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from taskloom.errors import some_of_names
from taskloom.evaluation.report import RunReport
from taskloom.evaluation.table import markdown, number
from taskloom.recipes.facts import bibliography
from taskloom.reporting.hub_metadata import header, license_of
from taskloom.reporting.licenses import OTHER
from taskloom.reporting.task_list import TrainedTask

TABLE_ROWS = 40
"""More tasks than this and the card shows the aggregate alone; the table is in tasks.md."""
NAMED = 10


def model_card(
    trained: Sequence[TrainedTask],
    report: RunReport,
    *,
    zero_shot: str | None,
    max_length: int,
    left_out_rows: Mapping[str, int] | None = None,
    held_out: Sequence[str] = (),
    before: Sequence[str] = (),
    folder: str = "",
) -> str:
    """Return the model card in Markdown with a YAML header.

    `zero_shot` is the task whose head `classify` uses (id@version), or None; `max_length` counts tokens of an input.
    `left_out_rows` are the train rows by task that were left out since they stand in evaluated rows; None: not looked.
    `held_out` are tasks that were kept out of training with all that overlaps with them; `before` are tasks that the
    model it started from was trained on. `folder` is the model's, where it is not that of the run.
    """
    parts = [
        header(trained, report, zero_shot, before=before),
        f"# {report.run}",
        _intro(trained, report),
        "## Scores",
        _scores(report),
        "## Use",
        _use(trained, folder or f"runs/{report.run}/model", zero_shot),
        "## Training",
        _training(report),
        "## Training data and licenses",
        _licenses(trained, before),
        "## Overlap of training and evaluation",
        _overlap(left_out_rows, held_out),
        "## Limits",
        _limits(report, zero_shot, max_length),
        "## Citation",
        _citation(trained),
    ]
    return "\n\n".join(parts) + "\n"


def _intro(trained: Sequence[TrainedTask], report: RunReport) -> str:
    rows = sum(one.rows.get("train", 0) for one in trained)
    kinds = Counter(one.task.kind.name.replace("_", " ") for one in trained)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return (
        f"One text encoder ({report.encoder}) trained on {len(trained)} tasks at once with taskloom: {by_kind}; "
        f"{rows:,} training rows, {report.step:,} steps, seed {report.seed}. `tasks.md` lists the tasks with source, "
        f"license and score, `citations.bib` has what to cite, and the run's `results.json` every number."
    )


def _scores(report: RunReport) -> str:
    summary = report.aggregate
    told = (
        f"Mean score {number(summary.mean_score)} over {summary.scored} tasks, each by its main metric; the trivial "
        f"answer has {number(summary.mean_majority)} over {summary.with_majority}; where both are defined the mean "
        f"gain is {number(summary.mean_gain)}. {summary.above_majority} of {summary.tasks} tasks are above the trivial "
        "answer by more than their 95 % interval. The trivial answer is the most frequent label, the mean score, or a "
        "blind guess among the choices."
    )
    few = 0 < len(report.tasks) <= TABLE_ROWS
    return f"{told}\n\n{markdown(report.tasks)}" if few else f"{told} The table is in `tasks.md`."


def _use(trained: Sequence[TrainedTask], folder: str, zero_shot: str | None) -> str:
    lines = ["import taskloom", "", f'model = taskloom.load_model("{folder}")']
    lines += [_predict_line(trained[0])] if trained else []
    if not zero_shot:
        return _code(lines)
    call = '(["The team won the cup."], ["sports", "politics"])'
    lines.append(f"model.classify{call}")
    pipeline = [
        "from transformers import pipeline",
        "",
        f'classifier = pipeline("zero-shot-classification", "{folder}")',
        f"classifier{call}",
    ]
    return f"{_code(lines)}\n\nWithout taskloom, zero-shot (the head of {zero_shot}):\n\n{_code(pipeline)}"


def _predict_line(one: TrainedTask) -> str:
    rows = {
        "multiple_choice": '[("prompt", ["first choice", "second choice"])]',
        "token_classification": '[["some", "words"]]',
    }
    plain = '["a text"]' if getattr(one.task.kind, "pair", None) is None else '[("a text", "its pair")]'
    return f'model.predict("{one.task.id}", {rows.get(one.task.kind.name, plain)})'


def _code(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _training(report: RunReport) -> str:
    """Return the figures of training as a list; what a run does not have is left out."""
    figures = report.training
    seconds, memory = figures.get("seconds"), figures.get("peak_memory_bytes")
    examples = f", {figures['examples']:,} examples" if "examples" in figures else ""
    told = [
        f"{report.step:,} steps{examples}",
        f"{seconds:,.0f} seconds, {figures.get('examples_per_second', 0):,} examples a second" if seconds else "",
        f"{figures['precision']} on {figures['device']}" if {"precision", "device"} <= figures.keys() else "",
        f"at most {memory / 1e9:.1f} GB of memory" if memory else "",
        ", ".join(f"{name} {version}" for name, version in report.libraries.items()),
        f"fingerprint of the rows {report.data_fingerprint}" if report.data_fingerprint else "",
    ]
    return "\n".join(f"- {line}" for line in told if line)


def _rule(trained: Sequence[TrainedTask], before: Sequence[str]) -> str:
    """Say which license the header names and why."""
    found = license_of(trained, before)
    if found.header != OTHER:
        return f"The header names the strictest license of the data, `{found.header}`: it has every condition of all."
    stated = f"the strictest license that is stated is `{found.stated}`" if found.stated else "no one license has all"
    unknown = (
        f"{found.unknown} of {len(trained) + len(before)} tasks state no license, or terms of their own; "
        if found.unknown
        else ""
    )
    return f"The header says `other`: {unknown}{stated}."


def _overlap(left_out_rows: Mapping[str, int] | None, held_out: Sequence[str]) -> str:
    if left_out_rows is None:
        return (
            "Training rows were not held against evaluation rows. `taskloom overlap` does that, and a run with "
            "`data.drop_overlap` leaves out what it finds."
        )
    found = {task: rows for task, rows in left_out_rows.items() if rows}
    told = (
        "Training rows that stand in a validation or test row of this run, word for word or nearly so (Jaccard "
        "similarity of 0.8 over words and pairs of words), were looked for. Paraphrases and translations are not "
        "found, nor what the encoder itself was trained on before."
    )
    if held_out:
        told += (
            f" Held out of training, with whatever else reads their data sets and with the rows of other tasks that "
            f"stand in theirs: {_named(sorted(held_out))}."
        )
    if not found:
        return f"{told} None was found."
    most = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    named = _named([f"{task} {rows:,}" for task, rows in most])
    tasks = "1 task" if len(found) == 1 else f"{len(found)} tasks"
    return f"{told} Left out of training: {sum(found.values()):,} rows of {tasks}: {named}."


def _named(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return some_of_names(names, NAMED)


def _citation(trained: Sequence[TrainedTask]) -> str:
    """Return what to cite: the entries themselves where they are few."""
    keys = sorted({one.task.citation for one in trained if one.task.citation})
    known = bibliography()
    told = f"The data sets ask for {len(keys)} works to be cited; `citations.bib` has them, with the tasks of each."
    entries = "\n\n".join(known[key] for key in keys if key in known)
    return f"{told}\n\n```bibtex\n{entries}\n```" if entries and len(keys) <= NAMED else told


def _licenses(trained: Sequence[TrainedTask], before: Sequence[str]) -> str:
    uses = Counter(one.task.license_use for one in trained)
    counted = ", ".join(f"{count} {use}" for use, count in sorted(uses.items()))
    told = [
        _rule(trained, before),
        f"Use of the tasks' data by license: {counted or 'no tasks'}. The model's weights come from all of them; "
        "whether and how the model may be used is for its publisher to decide, per task, from `tasks.md`.",
    ]
    if before:
        told.append(
            f"The model that this one started from was trained on {len(before)} further tasks, whose licenses are "
            f"counted in the header as well: {_named(sorted(before))}."
        )
    for use in ("non-commercial", "unspecified"):
        names = sorted(one.task.id for one in trained if one.task.license_use == use)
        if names:
            told.append(f"{use.capitalize()}: {_named(names)}.")
    return "\n\n".join(told)


def _limits(report: RunReport, zero_shot: str | None, max_length: int) -> str:
    limits = [
        f"Inputs beyond {max_length} tokens are cut: pairs longest first, a choice row's prompt at its beginning, "
        "zero-shot premises at their end.",
        "Scores are of held-out rows of the same data sets; other texts may be harder, and some labels are wrong.",
        "Probabilities are the model's own; `results.json` has the temperatures fitted afterwards."
        if report.calibration
        else "Probabilities are the model's own and are not calibrated.",
        "The model repeats biases of its training texts; do not let it decide about people.",
    ]
    if zero_shot:
        limits.append(
            f"Zero-shot answers read a label as a hypothesis for the head of {zero_shot}; its wording matters."
        )
    else:
        limits.append("No entailment task was trained, so there is no zero-shot classification.")
    return "\n".join(f"- {limit}" for limit in limits)
