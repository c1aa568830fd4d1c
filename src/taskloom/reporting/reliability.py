"""Are probabilities what they say? Of answers given with 0.8, about 80 % should be right: the points of that curve.

The curve is cut as the calibration error of `calibration` is, into bins of equal mass by rising confidence; of few
answers it has fewer, since a dot of four rows says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.calibration import BINS, KINDS, calibration_error, confidence, evidence
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]
ROWS_A_BIN = 25
"""A dot of the curve stands for so many answers at least, where there are enough for three dots."""


@dataclass(frozen=True)
class Stated:
    """How sure a task's answers are, float64 (answers,), and whether each is right, bool (answers,).

    An answer is a row's class or choice, or with several labels the verdict on one label of a row.
    """

    confident: Array
    right: Array


@dataclass(frozen=True)
class Reliability:
    """Bins as (mean confidence, share that is right), and the expected calibration error."""

    bins: tuple[tuple[float, float], ...]
    error: float


def stated(predictions: Predictions) -> Stated | None:
    """Return what answers say of themselves, or None for scores and tags, whose answers carry no probability."""
    if predictions.kind not in KINDS or len(predictions) == 0:
        return None
    return Stated(*confidence(evidence(predictions)))


def reliability(found: Stated) -> Reliability:
    """Return the curve and error of one task."""
    count = min(BINS, max(3, len(found.right) // ROWS_A_BIN))
    return Reliability(_bins(found, np.ones(len(found.right)), count), calibration_error(found.confident, found.right))


def pooled(tasks: Sequence[Stated]) -> Reliability:
    """Return the curve of several tasks together, each task weighing the same, and the mean of their errors."""
    weights = np.concatenate([np.full(len(one.right), 1 / len(one.right)) for one in tasks])
    whole = Stated(*(np.concatenate([getattr(one, name) for one in tasks]) for name in ("confident", "right")))
    errors = [calibration_error(one.confident, one.right) for one in tasks]
    return Reliability(_bins(whole, weights, BINS), float(np.mean(errors)))


def _bins(found: Stated, weights: Array, count: int) -> tuple[tuple[float, float], ...]:
    order = np.argsort(found.confident, kind="stable")
    passed = np.cumsum(weights[order]) - weights[order] / 2
    at = np.minimum((passed / weights.sum() * count).astype(np.int64), count - 1)
    mass, confident, right = (
        np.bincount(at, weights[order] * values, minlength=count)
        for values in (1.0, found.confident[order], found.right[order])
    )
    filled = mass > 0
    means = np.stack([confident[filled], right[filled]], axis=1) / mass[filled, None]
    return tuple((float(x), float(y)) for x, y in means)
