"""tasks.md and citations.bib: every trained task with its source, license, rows and score.

Pure text from values. The list shows the trivial answer beside each score, since 0.9 means little where 0.9 of the rows
have one label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskloom.evaluation.report import RunReport, representative
from taskloom.evaluation.table import number, summary_lines
from taskloom.recipes.recipe import Builtin, Hub, Source, Task

SHOWN_LABELS = 8
COLUMNS = ("task", "kind", "source", "license", "train rows", "labels", "metric", "score", "95 % interval", "majority")


@dataclass(frozen=True)
class TrainedTask:
    """A task of a run: its recipe, its labels (none for regression and choices), and its rows by split."""

    task: Task
    labels: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)


def task_list(trained: Sequence[TrainedTask], report: RunReport, *, left_out: Mapping[str, str] | None = None) -> str:
    """Return tasks.md; `left_out` maps tasks that were asked for and not trained to the reason."""
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    rows += [_cells(one, report) for one in sorted(trained, key=lambda one: one.task.id)]
    parts = [
        f"# Tasks of {report.run}",
        f"{len(trained)} tasks, seed {report.seed}, step {report.step}, encoder {report.encoder}.",
        "\n".join("| " + " | ".join(row) + " |" for row in rows),
        "\n".join(f"- {line}" for line in summary_lines(report.aggregate)),
    ]
    if left_out:
        parts += ["## Not trained", "\n".join(f"- {task}: {reason}" for task, reason in sorted(left_out.items()))]
    return "\n\n".join(parts) + "\n"


def citations(tasks: Sequence[Task]) -> str:
    """Return citations.bib: a comment line for each task with the key of what to cite, tasks of a key together.

    The catalog knows keys only; BibTeX skips comments, so the entries can be filled in between them.
    """
    lines = [f"% {task.citation}: {task.versioned}" for task in sorted(tasks, key=_by_key) if task.citation]
    unknown = [f"% no citation is known: {task.versioned}" for task in sorted(tasks, key=_by_key) if not task.citation]
    head = "% What this model was trained on: citation key, then task. Only the keys are known here, not the entries."
    return "\n".join([head, *lines, *unknown]) + "\n"


def source_name(source: Source) -> str:
    """Return where rows come from in a few words."""
    if isinstance(source, Hub):
        return f"{source.repo} ({source.config})" if source.config else str(source.repo)
    if isinstance(source, Builtin):
        return f"built in ({source.name})"
    return "own files"


def label_names(labels: Sequence[str]) -> str:
    """Return the first labels and how many more there are."""
    shown = ", ".join(labels[:SHOWN_LABELS])
    more = len(labels) - SHOWN_LABELS
    return shown + (f" and {more} more" if more > 0 else "") if labels else "-"


def _cells(one: TrainedTask, report: RunReport) -> tuple[str, ...]:
    task = one.task
    train_rows = str(one.rows["train"]) if "train" in one.rows else "-"
    about = (task.versioned, task.kind.name, source_name(task.source), task.license or "unknown", train_rows)
    return tuple(_escaped(cell) for cell in (*about, label_names(one.labels), *_scores(task.versioned, report)))


def _scores(task: str, report: RunReport) -> tuple[str, str, str, str]:
    splits = report.tasks.get(task)
    if not splits:
        return ("not evaluated", "-", "-", "-")
    found = representative(splits)
    interval = found.interval.get(found.main)
    bounds = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
    return (found.main, number(found.score), bounds, number(found.majority.get(found.main)))


def _by_key(task: Task) -> tuple[str, str]:
    return (task.citation or "", task.id)


def _escaped(cell: str) -> str:
    """Keep a cell in its column: Markdown ends cells at bars and rows at line ends."""
    return " ".join(cell.split()).replace("|", "\\|")
