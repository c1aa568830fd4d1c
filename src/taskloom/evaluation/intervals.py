"""95 % intervals: Wilson for a share of right rows, a seeded bootstrap over rows for everything else.

The bootstrap resamples rows, never words or spans, since words of one text are not independent. It works on the counts
of how often each row was drawn, shape (resamples, rows), in pieces of at most 2 million numbers: 1,000 resamples of
30,000 rows take about half a second and 20 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import DataError
from taskloom.evaluation.metrics import f1

Array = NDArray[Any]
Interval = tuple[float, float]
RESAMPLES = 1000
PIECE = 2_000_000
Z_95 = 1.959963984540054


def wilson(right: int, rows: int) -> Interval:
    """Return the 95 % score interval of a share (Wilson 1927), also for 0 and 1. DataError for no rows."""
    if rows <= 0:
        raise DataError("There are no rows to give an interval for.")
    share, spread = right / rows, Z_95**2 / rows
    center = (share + spread / 2) / (1 + spread)
    half = Z_95 * np.sqrt(share * (1 - share) / rows + spread / (4 * rows)) / (1 + spread)
    # At 0 and 1 a bound is the share itself, which rounding must not exclude.
    return max(0.0, min(share, float(center - half))), min(1.0, max(share, float(center + half)))


def bootstrap(
    statistic: Callable[[Array], Array], rows: int, *, seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """Return the 2.5 and 97.5 percentiles of a statistic over resampled rows, or None if it is mostly undefined.

    `statistic` takes draw counts, shape (resamples, rows), and gives one value a resample, NaN where it is undefined.
    """
    if rows <= 0:
        raise DataError("There are no rows to give an interval for.")
    values = np.concatenate([statistic(counts) for counts in _draws(rows, seed, resamples)])
    defined = values[np.isfinite(values)]
    if rows < 2 or len(defined) < resamples / 2:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def f1_statistic(counts: Array) -> Callable[[Array], Array]:
    """Return the bootstrap statistic of pooled F1 from (rows, 3): correct, predicted, gold of each row."""

    def statistic(draws: Array) -> Array:
        correct, predicted, gold = (draws @ counts.astype(np.float64)).T
        return np.asarray(f1(correct, predicted, gold))

    return statistic


def share_statistic(right: Array, total: Array) -> Callable[[Array], Array]:
    """Return the bootstrap statistic of a share pooled over rows: right words over all words, shape (rows,) each."""
    sums = np.stack([right, total], axis=1).astype(np.float64)

    def statistic(draws: Array) -> Array:
        hits, words = (draws @ sums).T
        return np.asarray(np.divide(hits, words, out=np.full(len(words), np.nan), where=words > 0))

    return statistic


def pearson_statistic(first: Array, second: Array) -> Callable[[Array], Array]:
    """Return the bootstrap statistic of Pearson's correlation; columns are standardized first to keep the digits."""
    x, y = (_standardized(np.asarray(side, dtype=np.float64)) for side in (first, second))
    sums = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def statistic(draws: Array) -> Array:
        mean_x, mean_y, square_x, square_y, product = (draws @ sums).T / len(x)
        return _correlation(square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y)

    return statistic


def spearman_statistic(first: Array, second: Array) -> Callable[[Array], Array]:
    """Return the bootstrap statistic of Spearman's correlation; each resample is ranked anew, ties in the mean rank."""
    groups = [np.unique(side, return_inverse=True)[1] for side in (first, second)]

    def statistic(draws: Array) -> Array:
        x, y = (_ranks(draws, group) - draws.shape[1] / 2 for group in groups)
        weighted_x, weighted_y = draws * x, draws * y
        variance_x, variance_y = (weighted_x * x).mean(1), (weighted_y * y).mean(1)
        mean_x, mean_y = weighted_x.mean(1), weighted_y.mean(1)
        return _correlation(variance_x - mean_x**2, variance_y - mean_y**2, (weighted_x * y).mean(1) - mean_x * mean_y)

    return statistic


def _standardized(column: Array) -> Array:
    centered = column - column.mean()
    return np.asarray(centered / (centered.std() or 1.0))


def _ranks(draws: Array, group: Array) -> Array:
    """Return the mean rank of each row's value within each resample, shape (resamples, rows)."""
    order = np.argsort(group, kind="stable")
    first_of_group = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.add.reduceat(draws[:, order], first_of_group, axis=1)
    ranks = np.cumsum(sizes, axis=1) - (sizes - 1) / 2
    return np.asarray(ranks[:, group])


def _correlation(variance_x: Array, variance_y: Array, covariance: Array) -> Array:
    spread = np.sqrt(np.clip(variance_x, 0, None) * np.clip(variance_y, 0, None))
    return np.asarray(np.divide(covariance, spread, out=np.full(spread.shape, np.nan), where=spread > 1e-12))


def _draws(rows: int, seed: int, resamples: int) -> Iterator[Array]:
    """Yield draw counts, float64 (some resamples, rows); all in all `resamples` of them."""
    generator = np.random.default_rng(seed)
    step = max(1, min(resamples, PIECE // rows))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.integers(0, rows, size=(size, rows))
        flat = (drawn + np.arange(size)[:, None] * rows).ravel()
        yield np.bincount(flat, minlength=size * rows).reshape(size, rows).astype(np.float64)
