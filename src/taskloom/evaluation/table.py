"""The results as a table: for a terminal with rich, and as plain lines or Markdown anywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from taskloom.evaluation.report import Aggregate, RunReport, Summary, TaskReport

HEADER = ("task", "split", "rows", "metric", "score", "95 % interval", "majority", "TF-IDF", "no embedding", "")
NUMBERS = (2, 4, 6, 7, 8)
"""Columns of HEADER that are aligned to the right."""
ABOVE = {True: "above", False: "not above", None: "undefined"}


def number(value: float | None) -> str:
    """Return three decimals, or a dash for an undefined value."""
    return "-" if value is None else f"{value:.3f}"


def cells(task: str, split: str, report: TaskReport) -> tuple[str, ...]:
    """Return the cells of one line, in the order of HEADER."""
    interval = report.interval.get(report.main)
    bounds = f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-"
    rows = str(report.rows) if report.rows == report.rows_available else f"{report.rows} of {report.rows_available}"
    others = (report.baseline("majority"), report.baseline("tfidf"), report.score_without_embedding)
    above = ABOVE[report.beats_majority] + (f", by the head of {report.head}" if report.head else "")
    return (task, split, rows, report.main, number(report.score), bounds, *map(number, others), above)


def lines(tasks: Mapping[str, Mapping[str, TaskReport]]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every task and split, tasks in alphabetical order."""
    for task in sorted(tasks):
        for split, report in tasks[task].items():
            yield cells(task, split, report)


def table(tasks: Mapping[str, Mapping[str, TaskReport]]) -> Table:
    """Return a table for `rich.print`."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for position, name in enumerate(HEADER):
        shown.add_column(name, justify="right" if position in NUMBERS else "left", no_wrap=position > 0)
    for line in lines(tasks):
        style = {"above": None, "undefined": "dim"}.get(line[-1].partition(",")[0], "yellow")
        shown.add_row(*line, style=style)
    return shown


def plain(tasks: Mapping[str, Mapping[str, TaskReport]]) -> str:
    """Return the table as aligned plain text."""
    rows = [HEADER, *lines(tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    aligned = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(aligned)


def markdown(tasks: Mapping[str, Mapping[str, TaskReport]]) -> str:
    """Return the table in Markdown."""
    rows = [HEADER, tuple("---" for _ in HEADER), *lines(tasks)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def report_lines(report: RunReport) -> Iterator[str]:
    """Yield what stands below the table: aggregates, how they weigh, calibration, and tasks that were skipped."""
    if report.tasks:
        yield from summary_lines(report.aggregate)
    if report.untrained_aggregate is not None:
        yield "not trained, answered by a head that fits:"
        yield from (f"  {line}" for line in summary_lines(report.untrained_aggregate))
    yield (report.aggregate if report.tasks else report.untrained_aggregate or report.aggregate).weighing
    for key, one in report.calibration.items():
        yield (
            f"calibrated {', '.join(one.tasks[:3])}{' ...' if len(one.tasks) > 3 else ''} ({key.partition(':')[0]}): "
            f"temperature {one.temperature:.2f}, error {one.ece_before:.3f} before and {one.ece_after:.3f} after, on "
            f"{one.rows} rows"
        )
    for task, reason in report.skipped.items():
        yield f"skipped: {task}: {reason}"


def summary_lines(summary: Summary) -> list[str]:
    """Return the aggregate in sentences: all tasks first, then each kind if there are several."""
    shown = [_sentence("all tasks", summary)]
    if len(summary.by_kind) > 1:
        shown += [_sentence(kind, aggregate) for kind, aggregate in summary.by_kind.items()]
    return shown


def _sentence(name: str, aggregate: Aggregate) -> str:
    return (
        f"{name}: mean score {number(aggregate.mean_score)} over {aggregate.scored}, "
        f"mean majority {number(aggregate.mean_majority)} over {aggregate.with_majority}, "
        f"mean gain {number(aggregate.mean_gain)} where both are defined; "
        f"{aggregate.above_majority} of {aggregate.tasks} above the trivial answer by more than their interval"
        + _extras(aggregate)
    )


def _extras(aggregate: Aggregate) -> str:
    told = ""
    if aggregate.with_tfidf:
        told += f"; mean gain over TF-IDF {number(aggregate.mean_gain_over_tfidf)} over {aggregate.with_tfidf}"
    if aggregate.with_both:
        loss = number(aggregate.mean_loss_without_embedding)
        told += f"; mean loss without task embedding {loss} over {aggregate.with_both}"
    return told
