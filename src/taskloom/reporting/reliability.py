"""Are probabilities what they say? Of answers given with 0.8, about 80 % should be right: the points of that curve.

The curve has the bins of the calibration error in results.json: equal mass, by rising confidence (`calibration`).
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
    weights = np.ones(len(found.right))
    return Reliability(_bins(found, weights), calibration_error(found.confident, found.right))


def pooled(tasks: Sequence[Stated]) -> Reliability:
    """Return the curve of several tasks together, each task weighing the same, and the mean of their errors."""
    weights = np.concatenate([np.full(len(one.right), 1 / len(one.right)) for one in tasks])
    whole = Stated(*(np.concatenate([getattr(one, name) for one in tasks]) for name in ("confident", "right")))
    errors = [calibration_error(one.confident, one.right) for one in tasks]
    return Reliability(_bins(whole, weights), float(np.mean(errors)))


def _bins(found: Stated, weights: Array) -> tuple[tuple[float, float], ...]:
    order = np.argsort(found.confident, kind="stable")
    passed = np.cumsum(weights[order]) - weights[order] / 2
    at = np.minimum((passed / weights.sum() * BINS).astype(np.int64), BINS - 1)
    mass, confident, right = (
        np.bincount(at, weights[order] * values, minlength=BINS)
        for values in (1.0, found.confident[order], found.right[order])
    )
    filled = mass > 0
    return tuple(
        (float(x), float(y))
        for x, y in zip(confident[filled] / mass[filled], right[filled] / mass[filled], strict=True)
    )
