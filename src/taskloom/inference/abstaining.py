"""Answers withheld where the model is not sure enough, so that a person can look at these rows.

Worth the more the better probabilities are calibrated: with `taskloom evaluate --calibrate`, of the answers given at
0.9 and above about nine in ten are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import ModelError, UserError
from taskloom.evaluation.calibration import KINDS
from taskloom.evaluation.predictions import Predictions
from taskloom.modeling.head_table import Head

Array = NDArray[Any]


def check_abstaining(head: Head, below: float) -> None:
    """Raise UserError for what is no probability, and ModelError for a kind of answers without probabilities."""
    if not 0 <= below <= 1:
        raise UserError(f"--abstain-below {below} is no probability. Give a number from 0 to 1, for example 0.8.")
    if head.kind not in KINDS:
        raise ModelError(
            f"{head.task} is {head.kind}, whose answers have no probability to abstain by. Allowed: {', '.join(KINDS)}."
        )


def sureness(answers: Predictions) -> Array:
    """Return how probable each row's answer is (rows,); for several labels, how probable its least sure decision is.

    A label that is answered from a threshold below one half on is a yes that may well be improbable.
    """
    if answers.kind == "multilabel":
        return np.asarray(np.where(answers.answers(), answers.scores, 1 - answers.scores).min(1))
    if answers.kind == "multiple_choice":
        return np.asarray(np.maximum.reduceat(answers.scores, answers.word_offsets[:-1]))
    return np.asarray(answers.scores.max(1))


def abstained(results: Sequence[dict[str, Any]], answers: Predictions, below: float) -> list[dict[str, Any]]:
    """Return the results with "abstained" told of each, and no label where it is true; scores stay."""
    told = []
    for result, sure in zip(results, sureness(answers), strict=True):
        withheld = bool(sure < below)
        label = "labels" if "labels" in result else "label"
        told.append({**result, label: None if withheld else result[label], "abstained": withheld})
    return told
