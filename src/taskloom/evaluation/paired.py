"""Are two models' answers to the same rows different by more than chance?

Approximate randomization (Noreen 1989): under the hypothesis that it does not matter which of the two gave an answer,
the answers to each row may be swapped; the p value is how often random swaps give a difference as large as the one
found. Outcomes exactly as large count half ("mid-p"): few rows allow few different outcomes, and counting them whole
makes the test reject far less than 5 % of true hypotheses (2.7 % with 60 rows on which the two differ). For accuracy
the exact test of McNemar 1947 stands beside it, which keeps that caution. The interval of the difference is a paired
bootstrap over rows (Efron and Tibshirani 1993).

What is tested is two trained models, not two ways of training: those differ by their seeds, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

from taskloom.errors import DataError
from taskloom.evaluation.intervals import PIECE, Interval, draws, percentiles
from taskloom.evaluation.metrics import main_metric
from taskloom.evaluation.predictions import Predictions, rows_at
from taskloom.evaluation.report import Frozen
from taskloom.evaluation.statistics import RowSums, Spearman, statistic_of

Array = NDArray[Any]
ROUNDS = 10_000
RESAMPLES = 1000
SAME = 1e-12
"""Differences closer than this are the same: sums of the same numbers in another order."""


class McNemar(Frozen):
    """Rows that only the first, or only the second, got right, and the exact two-sided p value of that split."""

    only_first: int
    only_second: int
    p_value: float


class PairedTest(Frozen):
    """Two models on the same rows of one task and split; `difference` is the second's metric less the first's.

    `rows` are those that both answered. None, with `reason`, where a side's metric is undefined. `mcnemar` is there for
    the accuracy of rows.
    """

    task: str
    split: str
    metric: str
    rows: int
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None
    mcnemar: McNemar | None = None
    reason: str = ""


def paired_test(
    first: Predictions, second: Predictions, *, metric: str | None = None, rounds: int = ROUNDS, seed: int = 0
) -> PairedTest:
    """Return the comparison of two models' answers to the same rows, by the task's main metric or another.

    Rows that only one of them has are left out. Raises DataError for other tasks, labels or gold answers, for no rows
    in common, and for a metric that is not one of the kind's: accuracy and macro_f1, micro_f1, pearson and spearman,
    span_f1.
    """
    first, second = common_rows(first, second)
    metric = metric or main_metric(first.kind, first.labels)
    ours, theirs = statistics_of(first, second, metric)
    everything = np.ones((1, len(first)))
    before, after = (float(side(everything)[0]) for side in (ours, theirs))
    found: dict[str, Any] = {
        "task": first.task, "split": first.split, "metric": metric, "rows": len(first),
        "first": before if np.isfinite(before) else None, "second": after if np.isfinite(after) else None,
        "mcnemar": _mcnemar(first, second) if metric == "accuracy" and first.kind != "token_classification" else None,
    }  # fmt: skip
    if not np.isfinite(after - before):
        why = f"{metric} of {'the first' if not np.isfinite(before) else 'the second'} model is undefined"
        return PairedTest(**found, difference=None, interval=None, p_value=None, reason=why)
    return PairedTest(
        **found,
        difference=after - before,
        interval=difference_interval(ours, theirs, len(first), seed=seed),
        p_value=p_value(after - before, swapped_differences(ours, theirs, rounds=rounds, seed=seed)),
    )


def common_rows(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Return both models' answers to the rows that both have, in the order of rows; DataError when they do not fit."""
    for name in ("task", "split", "labels"):
        if getattr(first, name) != getattr(second, name):
            raise DataError(
                f"These are not answers to the same rows: {name} is {getattr(first, name)} and {getattr(second, name)}."
            )
    _, at_first, at_second = np.intersect1d(_told_apart(first.row), _told_apart(second.row), return_indices=True)
    if len(at_first) == 0:
        raise DataError(f"The two models have no row of {first.task}, {first.split}, in common. Evaluate both again.")
    first, second = rows_at(first, at_first), rows_at(second, at_second)
    if not np.array_equal(first.gold, second.gold):
        raise DataError(f"The right answers to {first.task}, {first.split}, differ: the data changed. Evaluate again.")
    return first, second


def _told_apart(row: Array) -> Array:
    """Return row numbers with how often each has come before, (rows,): a recast may make several rows of one."""
    order = np.argsort(row, kind="stable")
    values, first, counts = np.unique(row[order], return_index=True, return_counts=True)
    found = np.zeros(len(row), dtype=[("row", values.dtype), ("turn", np.int64)])
    found["row"] = row
    found["turn"][order] = np.arange(len(row)) - np.repeat(first, counts)
    return found


def statistics_of(first: Predictions, second: Predictions, metric: str) -> tuple[RowSums | Spearman, ...]:
    """Return the metric of both sides as statistics whose rows can be swapped."""
    scale = np.concatenate([first.scores, second.scores]) if first.kind == "regression" else None
    return tuple(statistic_of(side, metric, scale=scale) for side in (first, second))


def swapped_differences(
    first: RowSums | Spearman, second: RowSums | Spearman, *, rounds: int = ROUNDS, seed: int = 0
) -> Array:
    """Return second less first after swapping each row's answers with a chance of one half, (rounds,).

    Swapping rows to which both answered alike changes nothing, so only the others are drawn.
    """
    if isinstance(first, Spearman) and isinstance(second, Spearman):
        return np.concatenate(
            [_rank_differences(first, second, swap) for swap in _swaps(len(first.gold), rounds, seed)]
        )
    assert isinstance(first, RowSums) and isinstance(second, RowSums)
    change = second.sums - first.sums
    moved = change[np.any(change != 0, axis=1)]
    ours, theirs = first.sums.sum(0), second.sums.sum(0)
    parts = [swap @ moved for swap in _swaps(len(moved), rounds, seed)]
    shifts = np.concatenate(parts) if len(moved) else np.zeros((rounds, change.shape[1]))
    return np.asarray(first.value(theirs - shifts) - first.value(ours + shifts))


def p_value(difference: float, swapped: Array) -> float:
    """Return the two-sided mid-p value of a difference among those of random swaps; undefined ones do not count.

    It is 1 where no swap changes anything.
    """
    sizes = np.abs(swapped[np.isfinite(swapped)])
    if abs(difference) <= SAME and np.all(sizes <= SAME):
        return 1.0
    larger = float(np.sum(sizes > abs(difference) + SAME))
    equal = float(np.sum(np.abs(sizes - abs(difference)) <= SAME))
    return (larger + (equal + 1) / 2) / (len(sizes) + 1)


def difference_interval(
    first: RowSums | Spearman, second: RowSums | Spearman, rows: int, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the 95 % interval of second less first over resampled rows; None if mostly undefined."""
    found = [second(counts) - first(counts) for counts in draws(rows, seed=seed, resamples=resamples)]
    return percentiles(np.concatenate(found)) if rows > 1 else None


def holm(p_values: list[float]) -> list[float]:
    """Return p values adjusted for their number (Holm 1979), in the same order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(np.maximum.accumulate(np.array(p_values)[order] * factors), 1.0)
    return [float(value) for value in adjusted[np.argsort(order, kind="stable")]]


def _mcnemar(first: Predictions, second: Predictions) -> McNemar:
    right = [side.answers() == side.gold for side in (first, second)]
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    differing = only_first + only_second
    exact = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first=only_first, only_second=only_second, p_value=min(1.0, exact))


def _swaps(rows: int, rounds: int, seed: int) -> Iterator[Array]:
    """Yield 0 or 1 for each row, float64 (some rounds, rows); all in all `rounds` of them."""
    generator = np.random.default_rng(seed)
    step = max(1, min(rounds, PIECE // max(1, rows)))
    for start in range(0, rounds, step):
        yield generator.integers(0, 2, size=(min(step, rounds - start), rows), dtype=np.int8).astype(np.float64)


def _rank_differences(first: Spearman, second: Spearman, swap: Array) -> Array:
    """Return the difference of Spearman's correlations after swaps (rounds, rows), (rounds,)."""
    gold = rankdata(first.gold)
    gold = gold - gold.mean()
    correlations = []
    for swapped in (swap > 0, swap == 0):
        ranks = rankdata(np.where(swapped, first.answers, second.answers), axis=1)
        ranks -= ranks.mean(1, keepdims=True)
        spread = np.sqrt((ranks**2).sum(1) * (gold**2).sum())
        correlations.append(np.divide(ranks @ gold, spread, out=np.full(len(ranks), np.nan), where=spread > 0))
    return np.asarray(correlations[0] - correlations[1])
