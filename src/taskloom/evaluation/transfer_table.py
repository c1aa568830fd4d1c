"""The transfer report for people: means by model, wins and losses by family and task, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskloom.evaluation.across import Difference
from taskloom.evaluation.transfer_report import Compared, Mean, TransferReport


def report_lines(report: TransferReport, *, tasks: bool = True) -> Iterator[str]:
    """Yield the report as plain aligned lines; without `tasks`, families and sums alone."""
    yield from _models(report)
    main = [one for one in report.comparisons if "/" not in one.method]
    for method, shots in dict.fromkeys((one.method, one.shots) for one in report.means if "/" not in one.method):
        found = [one for one in report.means if (one.method, one.shots) == (method, shots)]
        yield ""
        yield f"{method}, {_shots(shots)}"
        if tasks:
            yield from _means(found)
        for one in main:
            if (one.method, one.shots) == (method, shots):
                yield from _comparison(one)
    yield from _notes(report)


def _models(report: TransferReport) -> Iterator[str]:
    for one in report.models:
        known = "no record of what it was trained on"
        if one.trained_tasks is not None:
            known = f"trained on {one.trained_tasks} tasks, {len(one.held_out)} held out"
        yield f"{one.model}: {known}"
    for choice in report.settings:
        tried = f"{choice.setting}, of {len(choice.tried)} tried"
        yield f"  {choice.model}, {choice.method}, {_shots(choice.shots)}: {tried}"


def _means(means: Sequence[Mean]) -> Iterator[str]:
    models = list(dict.fromkeys(one.model for one in means))
    cells = {(one.task, one.model): one for one in means}
    rows: list[tuple[str, ...]] = [("task", "metric", *models)]
    for task, metric in dict.fromkeys((one.task, one.metric) for one in means):
        rows.append((task, metric, *(_mean(cells.get((task, model))) for model in models)))
    yield from _aligned(rows)


def _mean(one: Mean | None) -> str:
    if one is None:
        return "-"
    return (
        f"{one.mean:.3f}" if one.low is None or one.high is None else f"{one.mean:.3f} ±{(one.high - one.low) / 2:.3f}"
    )


def _comparison(one: Compared) -> Iterator[str]:
    found = one.comparison
    yield (
        f"{one.first} against {one.second}: {_signed(found.overall.difference)} over {found.overall.tasks} tasks"
        f"{_interval(' over seeds', found.overall.low, found.overall.high)}"
        f"{_interval(' over tasks', found.task_low, found.task_high)}"
        f"{_p('paired t', found.t_test)}{_p('Wilcoxon', found.wilcoxon)}; wins {found.count('win')}, losses "
        f"{found.count('loss')}, level {found.count('level')}"
    )
    rows: list[tuple[str, ...]] = [("family", "tasks", one.first, one.second, "difference", "95 % over seeds", "")]
    rows += [_difference(family) for family in found.by_family]
    yield from _aligned(rows)


def _difference(one: Difference) -> tuple[str, ...]:
    interval = "-" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"
    outcome = one.outcome if one.low is not None else "one seed"
    return (
        one.name, str(one.tasks), f"{one.first:.3f}", f"{one.second:.3f}", _signed(one.difference), interval, outcome
    )  # fmt: skip


def _notes(report: TransferReport) -> Iterator[str]:
    if report.refused or report.skipped:
        yield ""
    for one in report.refused:
        state = "measured all the same" if one.measured else "not measured (--seen measures it)"
        yield f"{one.model}, {one.task}: {one.reason}; {state}"
    for task, reason in report.skipped.items():
        yield f"{task}: {reason}"


def _shots(shots: object) -> str:
    return {"0": "no shots", "all": "all rows"}.get(str(shots), f"{shots} shots")


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _interval(what: str, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f", {low:+.3f} to {high:+.3f}{what}"


def _p(what: str, value: float | None) -> str:
    return "" if value is None else f", {what} p {value:.3f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
