"""Are probabilities what they say? Of answers given with 0.8, about 80 % should be right. Pure functions over arrays.

The expected calibration error is that of Guo et al. (2017), "On Calibration of Modern Neural Networks": ten bins of
equal width, the distance of confidence and accuracy in each, weighed by the rows in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import DataError
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose probability lies in one range: their weight (1 a row unless weighed), mean probability and share
    that came true."""

    weight: float
    probability: float
    came_true: float


@dataclass(frozen=True)
class Reliability:
    """The bins that hold answers, by rising probability, and the expected calibration error over all of them."""

    bins: tuple[Bin, ...]
    error: float


def stated(predictions: Predictions) -> tuple[Array, Array] | None:
    """Return the probabilities that were stated, float64 (answers,), and whether each came true, bool (answers,).

    For classes and choices that is the best answer's, one a row; for several labels every label's, rows x labels; for
    scores and tags None, since their answers carry no probability.
    """
    gold, scores = predictions.gold, np.asarray(predictions.scores, np.float64)
    if predictions.kind == "classification":
        answers = predictions.answers()
        return scores[np.arange(len(answers)), answers], answers == gold
    if predictions.kind == "multiple_choice":
        answers = predictions.answers()
        return scores[predictions.word_offsets[:-1] + answers], answers == gold
    if predictions.kind == "multilabel":
        return scores.ravel(), np.asarray(gold, bool).ravel()
    return None


def reliability(probabilities: Array, came_true: Array, weights: Array | None = None) -> Reliability:
    """Return bins and error of answers, shape (answers,) each; raises DataError when there are none."""
    if len(probabilities) == 0:
        raise DataError("There are no answers whose probabilities could be held against what came true.")
    weights = np.ones(len(probabilities)) if weights is None else weights
    at = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)  # 1.0 belongs to the last bin
    total, stated_sum, true_sum = (
        np.bincount(at, weights * values, minlength=BINS) for values in (1.0, probabilities, came_true)
    )
    filled = np.flatnonzero(total)
    bins = tuple(Bin(float(total[n]), float(stated_sum[n] / total[n]), float(true_sum[n] / total[n])) for n in filled)
    return Reliability(bins, float(np.abs(stated_sum - true_sum).sum() / total.sum()))
