"""Metrics as functions of sums over rows, so that resampling and swapping rows is one matrix product.

A share, an F1 or a correlation of some rows follows from a few numbers of each row, added up: the bootstrap draws rows
by weighting these numbers, a paired test swaps them between two runs. Spearman's correlation is the exception: ranks
depend on all rows, so each resample is ranked anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import DataError
from taskloom.evaluation import metrics
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.spans import span_counts

Array = NDArray[Any]
Statistic = Callable[[Array], Array]
"""Takes how often each row was drawn, (resamples, rows); gives a value a resample, NaN where it is undefined."""


@dataclass(frozen=True)
class RowSums:
    """A metric as a function of sums: `sums` (rows, k) are what each row adds, `value` maps (..., k) to (...,)."""

    sums: Array
    value: Callable[[Array], Array]

    def __call__(self, draws: Array) -> Array:
        """Return the metric of each resample from draw counts (resamples, rows)."""
        return self.value(draws @ self.sums)


@dataclass(frozen=True)
class Spearman:
    """Spearman's correlation of `gold` and `answers`, (rows,) each."""

    gold: Array
    answers: Array

    def __call__(self, draws: Array) -> Array:
        """Return the correlation of each resample from draw counts (resamples, rows); ties take the mean rank."""
        groups = [np.unique(side, return_inverse=True)[1] for side in (self.gold, self.answers)]
        x, y = (_ranks(draws, group) - draws.shape[1] / 2 for group in groups)
        weighted_x, weighted_y = draws * x, draws * y
        variance_x, variance_y = (weighted_x * x).mean(1), (weighted_y * y).mean(1)
        mean_x, mean_y = weighted_x.mean(1), weighted_y.mean(1)
        return _correlation(variance_x - mean_x**2, variance_y - mean_y**2, (weighted_x * y).mean(1) - mean_x * mean_y)


def statistic_of(
    predictions: Predictions, metric: str, *, threshold: float | None = None, scale: Array | None = None
) -> RowSums | Spearman:
    """Return one metric of a task's answers as a statistic; raises DataError for a metric that the kind does not have.

    `scale` are numbers whose mean and deviation stand for those of regression answers: two sides that are to be swapped
    need the same.
    """
    gold, answers = predictions.gold, predictions.answers(threshold)
    kind = predictions.kind
    if kind == "regression" and metric in ("pearson", "spearman"):
        return Spearman(gold, answers) if metric == "spearman" else pearson_statistic(gold, answers, scale=scale)
    if metric == "accuracy" and kind in ("classification", "multiple_choice"):
        return share_statistic(gold == answers, np.ones(len(gold)))
    if metric == "accuracy" and kind == "token_classification":
        return share_statistic(*right_words(predictions))
    if metric == "span_f1" and kind == "token_classification":
        return f1_statistic(span_counts(gold, answers, predictions.word_offsets, predictions.labels))
    if metric == "micro_f1" and kind == "multilabel":
        return f1_statistic(metrics.multilabel_counts(gold, answers))
    if metric == "macro_f1" and kind == "classification":
        return macro_f1_statistic(gold, answers, len(predictions.labels))
    allowed = {
        "classification": "accuracy, macro_f1",
        "multilabel": "micro_f1",
        "regression": "pearson, spearman",
        "multiple_choice": "accuracy",
        "token_classification": "span_f1 (of B- and I- tags), accuracy",
    }[kind]
    raise DataError(f"Metric {metric!r} is none that rows of kind {kind} are resampled by. Allowed: {allowed}.")


def f1_statistic(counts: Array) -> RowSums:
    """Return pooled F1 from (rows, 3): correct, predicted, gold of each row."""
    return RowSums(counts.astype(np.float64), lambda sums: metrics.f1(sums[..., 0], sums[..., 1], sums[..., 2]))


def macro_f1_statistic(gold: Array, answers: Array, labels: int) -> RowSums:
    """Return the mean of the classes' F1 from class ids, (rows,) each; classes in neither side do not count."""
    each = np.eye(labels)
    sums = np.concatenate([each[gold] * (gold == answers)[:, None], each[answers], each[gold]], axis=1)

    def value(sums: Array) -> Array:
        found = metrics.f1(*np.moveaxis(sums.reshape(*sums.shape[:-1], 3, labels), -2, 0))
        counted = np.isfinite(found)
        return np.asarray(np.where(counted, found, 0).sum(-1) / np.maximum(counted.sum(-1), 1))

    return RowSums(sums, value)


def share_statistic(right: Array, total: Array) -> RowSums:
    """Return a share pooled over rows: right words over all words, (rows,) each."""

    def value(sums: Array) -> Array:
        hits, words = sums[..., 0], sums[..., 1]
        return np.asarray(np.divide(hits, words, out=np.full(np.shape(words), np.nan), where=words > 0))

    return RowSums(np.stack([right, total], axis=1).astype(np.float64), value)


def right_words(predictions: Predictions) -> tuple[Array, Array]:
    """Return how many words of each row are right, and how many there are, (rows,) each."""
    gold, offsets = predictions.gold, predictions.word_offsets
    right = np.add.reduceat(np.append(gold == predictions.answers(), 0), offsets[:-1])
    sizes = np.diff(offsets)
    return np.where(sizes > 0, right, 0), sizes


def pearson_statistic(first: Array, second: Array, *, scale: Array | None = None) -> RowSums:
    """Return Pearson's correlation; columns are standardized first (the second by `scale`) to keep the digits."""
    x = _standardized(first, first)
    y = _standardized(second, second if scale is None else scale)
    sums = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)

    def value(sums: Array) -> Array:
        count, *totals = np.moveaxis(sums, -1, 0)
        mean_x, mean_y, square_x, square_y, product = (total / count for total in totals)
        return _correlation(square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y)

    return RowSums(sums, value)


def _standardized(column: Array, scale: Array) -> Array:
    column, scale = np.asarray(column, dtype=np.float64), np.asarray(scale, dtype=np.float64)
    return np.asarray((column - scale.mean()) / (scale.std() or 1.0))


def _ranks(draws: Array, group: Array) -> Array:
    """Return the mean rank of each row's value within each resample, shape (resamples, rows)."""
    order = np.argsort(group, kind="stable")
    first_of_group = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(draws[:, order], first_of_group, axis=1)
    ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    return np.asarray(ranks[:, group])


def _correlation(variance_x: Array, variance_y: Array, covariance: Array) -> Array:
    spread = np.sqrt(np.clip(variance_x, 0, None) * np.clip(variance_y, 0, None))
    return np.asarray(np.divide(covariance, spread, out=np.full(np.shape(spread), np.nan), where=spread > 1e-12))
