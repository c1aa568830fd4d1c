"""tasks.md and citations.bib: every trained task with its source, license, rows and score, and what to cite.

Pure text from values; BibTeX comes from the package. The list shows the trivial answer beside each score, since 0.9
means little where 0.9 of the rows have one label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskloom.errors import some_of_names
from taskloom.evaluation.report import RunReport, representative
from taskloom.evaluation.table import number, summary_lines
from taskloom.recipes.facts import bibliography
from taskloom.recipes.recipe import Builtin, Hub, Source, Task

SHOWN_LABELS = 8
COLUMNS = (
    "task", "kind", "source", "license", "use", "train rows", "labels", "metric", "score", "95 % interval", "majority",
    "TF-IDF",
)  # fmt: skip


@dataclass(frozen=True)
class TrainedTask:
    """A task of a run: its recipe, its labels (none for regression and choices), and its rows by split."""

    task: Task
    labels: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


def task_list(trained: Sequence[TrainedTask], report: RunReport, *, left_out: Mapping[str, str] | None = None) -> str:
    """Return tasks.md, a table a family; `left_out` maps tasks that were asked for and not trained to the reason."""
    families: dict[str, list[TrainedTask]] = {}
    for one in sorted(trained, key=lambda one: (one.task.family, one.task.id)):
        families.setdefault(one.task.family, []).append(one)
    uses = Counter(one.task.license_use for one in trained)
    rows = sum(one.rows.get("train", 0) for one in trained)
    parts = [
        f"# Tasks of {report.run}",
        f"{len(trained)} tasks, {rows:,} train rows, seed {report.seed}, step {report.step}, encoder {report.encoder}. "
        f"By what the licenses of their data allow: {', '.join(f'{uses[use]} {use}' for use in sorted(uses))}. "
        "`taskloom show ID` says who states a license; `citations.bib` has what to cite.",
        "\n".join(f"- {line}" for line in summary_lines(report.aggregate)),
    ]
    for family, members in families.items():
        parts += [f"## {family}", _table(members, report)]
    if left_out:
        parts += ["## Not trained", "\n".join(f"- {task}: {reason}" for task, reason in sorted(left_out.items()))]
    return "\n\n".join(parts) + "\n"


def _table(members: Sequence[TrainedTask], report: RunReport) -> str:
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(_cells(one, report) for one in members)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def citations(tasks: Sequence[Task]) -> str:
    """Return citations.bib: the entry of every data set used, under a comment that names its tasks.

    BibTeX skips comments, so tasks whose entry or whose citation is not known stand in the file too, and say so.
    """
    by_key: dict[str, list[str]] = {}
    for task in sorted(tasks, key=lambda task: task.id):
        by_key.setdefault(task.citation or "", []).append(task.versioned)
    known = bibliography()
    parts = ["% What this model was trained on: the tasks, and what their authors ask to be cited."]
    if "" in by_key:
        parts.append(f"% No citation is known of: {', '.join(by_key.pop(''))}")
    for key in sorted(by_key):
        entry = known.get(key, f"% No BibTeX entry is recorded for {key}.")
        parts.append(f"% {', '.join(by_key[key])}\n{entry}")
    return "\n\n".join(parts) + "\n"


def source_name(source: Source) -> str:
    """Return where rows come from in a few words."""
    if isinstance(source, Hub):
        return f"{source.repo} ({source.config})" if source.config else str(source.repo)
    if isinstance(source, Builtin):
        return f"built in ({source.name})"
    return "own files"


def label_names(labels: Sequence[str]) -> str:
    """Return the first labels and how many more there are."""
    return some_of_names(labels, SHOWN_LABELS) or "-"


def _cells(one: TrainedTask, report: RunReport) -> tuple[str, ...]:
    task = one.task
    train_rows = f"{one.rows['train']:,}" if "train" in one.rows else "-"
    license_name = task.license or "-"
    about = (task.versioned, task.kind.name, source_name(task.source), license_name, task.license_use, train_rows)
    return tuple(_escaped(cell) for cell in (*about, label_names(one.labels), *_scores(task.versioned, report)))


def _scores(task: str, report: RunReport) -> tuple[str, ...]:
    splits = report.tasks.get(task)
    if not splits:
        return ("not evaluated", "-", "-", "-", "-")
    found = representative(splits)
    interval = found.interval.get(found.main)
    bounds = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
    baselines = (number(found.baseline(name)) for name in ("majority", "tfidf"))
    return (found.main, number(found.score), bounds, *baselines)


def _escaped(cell: str) -> str:
    """Keep a cell in its column: Markdown ends cells at bars and rows at line ends."""
    return " ".join(cell.split()).replace("|", "\\|")
