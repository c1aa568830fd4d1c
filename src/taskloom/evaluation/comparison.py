"""Two runs on the same rows of several tasks: a paired test for each, and one over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from taskloom.errors import DataError
from taskloom.evaluation.paired import (
    ROUNDS,
    PairedTest,
    common_rows,
    holm,
    p_value,
    paired_test,
    statistics_of,
    swapped_differences,
)
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.report import Frozen

LEVEL = 0.05


class ComparedTask(PairedTest):
    """One task's test with its p value adjusted for the number of tasks (Holm 1979)."""

    p_adjusted: float | None = None


class Comparison(Frozen):
    """Two models over tasks; `difference` is the mean over tasks of the second's metric less the first's.

    `p_value` is of that mean: rows are swapped within each task, all tasks at once. `better` and `worse` count the
    tasks on which the second differs at an adjusted p value of at most 0.05. It is about these two models: of two ways
    of training only runs with several seeds can tell.
    """

    first: str
    second: str
    tasks: list[ComparedTask]
    difference: float | None
    p_value: float | None
    better: int
    worse: int
    not_compared: dict[str, str] = {}


def compare(
    pairs: Iterable[tuple[Predictions, Predictions]],
    *,
    names: tuple[str, str],
    not_compared: dict[str, str] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Comparison:
    """Return the comparison of two models from their answers to the same tasks and splits.

    A pair that does not fit, since the rows changed between the two, goes to `not_compared`. DataError when none is
    left.
    """
    tests: list[PairedTest] = []
    failed = dict(not_compared or {})
    total = np.zeros(rounds)
    for number, (first, second) in enumerate(pairs):
        try:
            first, second = common_rows(first, second)
        except DataError as error:
            failed[f"{first.task} ({first.split})"] = str(error)
            continue
        test = paired_test(first, second, rounds=rounds, seed=seed)
        tests.append(test)
        if test.difference is not None:  # tasks are swapped independently, so each draws from a seed of its own
            sides = statistics_of(first, second, test.metric)
            total += np.nan_to_num(swapped_differences(*sides, rounds=rounds, seed=seed + number + 1))
    if not tests:
        told = "".join(f"\n  {task}: {reason}" for task, reason in failed.items())
        raise DataError(
            f"The two have no task and split in common. Evaluate both on the same --tasks and --split.{told}"
        )
    defined = [test for test in tests if test.difference is not None]
    adjusted = iter(holm([test.p_value for test in defined if test.p_value is not None]))
    compared = [
        ComparedTask(**test.model_dump(), p_adjusted=None if test.p_value is None else next(adjusted)) for test in tests
    ]
    mean = float(np.mean([test.difference for test in defined])) if defined else None
    certain = [one for one in compared if one.p_adjusted is not None and one.p_adjusted <= LEVEL]
    return Comparison(
        first=names[0],
        second=names[1],
        tasks=compared,
        difference=mean,
        p_value=None if mean is None else p_value(mean, total / len(defined)),
        better=sum((one.difference or 0) > 0 for one in certain),
        worse=sum((one.difference or 0) < 0 for one in certain),
        not_compared=failed,
    )


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield the comparison as aligned plain text."""
    header = (
        "task",
        "split",
        "rows",
        "metric",
        found.first,
        found.second,
        "difference",
        "95 % interval",
        "p",
        "p adj.",
    )
    rows = [header, *(_cells(one) for one in found.tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    yield (
        f"{found.second} less {found.first}: mean difference {_signed(found.difference)} over "
        f"{sum(one.difference is not None for one in found.tasks)} tasks and splits, p = {_short(found.p_value)}; "
        f"better on {found.better} and worse on {found.worse} at an adjusted p of {LEVEL}"
    )
    yield "These are tests between two trained models; two ways of training need several seeds of each."
    for task, reason in found.not_compared.items():
        yield f"not compared: {task}: {reason}"


def _cells(one: ComparedTask) -> tuple[str, ...]:
    bounds = f"{one.interval[0]:+.3f} to {one.interval[1]:+.3f}" if one.interval else "-"
    values = (_short(one.first), _short(one.second), _signed(one.difference), bounds)
    return (one.task, one.split, str(one.rows), one.metric, *values, _short(one.p_value), _short(one.p_adjusted))


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
