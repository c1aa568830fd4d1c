"""A zero-shot teacher's answers as training rows, and how far its student agrees with it.

The soft labels of Hinton et al. 2015, by rows and weights: a text stands once for each label that the teacher thinks
likely, with the teacher's probability as weight, and weighted cross-entropy over these rows is cross-entropy with the
soft label. The price is a forward pass for each such row; labels below LEAST are left out and the rest scaled to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.standardize import CanonicalTask
from taskloom.evaluation.intervals import wilson
from taskloom.recipes.recipe import Task

Array = NDArray[Any]
LEAST = 0.1
"""The least probability of a label that is trained on."""
CONFIDENCE = (0.0, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Bounds of the bands of the teacher's confidence in which disagreement is told."""


@dataclass(frozen=True)
class Band:
    """Texts whose teacher's best score lies between two bounds, and on how many of them the student says otherwise."""

    low: float
    high: float
    rows: int
    disagreed: int


@dataclass(frozen=True)
class Agreement:
    """On how many texts that were not trained on the student gives the teacher's label, with the 95 % interval of that
    share, and how many the label that the teacher gives most often would get."""

    rows: int
    agreed: int
    interval: tuple[float, float]
    most_frequent: int
    bands: tuple[Band, ...]

    @property
    def share(self) -> float:
        """The part of the texts on which both agree."""
        return self.agreed / self.rows

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "share": round(self.share, 4)}


def agreement(teacher: Array, student: Array) -> Agreement:
    """Compare the teacher's scores (texts, labels) with the student's answers (texts,), places of labels."""
    best, confidence = teacher.argmax(1), teacher.max(1)
    same = best == student
    bands = []
    for low, high in pairwise(CONFIDENCE):
        mine = (confidence >= low) & ((confidence < high) | (high == CONFIDENCE[-1]))
        bands.append(Band(low, high, int(mine.sum()), int((mine & ~same).sum())))
    agreed = int(same.sum())
    frequent = int((best == np.bincount(best).argmax()).sum())
    return Agreement(len(best), agreed, wilson(agreed, len(best)), frequent, tuple(bands))


def canonical_rows(
    task: Task, labels: Sequence[str], texts: Sequence[str], scores: Array, splits: dict[str, Array]
) -> CanonicalTask:
    """Return the rows of a student's task: soft labels in train, the teacher's label in the other splits.

    `scores` (texts, labels) are the teacher's; `splits` are the places of texts.
    """
    tables = {
        name: _soft(texts, scores, places) if name == "train" else _hard(texts, scores, places)
        for name, places in splits.items()
    }
    content = hashlib.sha256("\0".join([*labels, *texts]).encode())
    content.update(np.round(scores, 4).astype(np.float32).tobytes())
    return CanonicalTask(task, tuple(labels), tables, content.hexdigest())


def _soft(texts: Sequence[str], scores: Array, places: Array) -> pa.Table:
    likely = (scores[places] >= LEAST) | (scores[places] == scores[places].max(1, keepdims=True))
    weights = np.where(likely, scores[places], 0)
    weights /= weights.sum(1, keepdims=True)
    owner, label = np.nonzero(likely)
    return _table(texts, places[owner], label).append_column("weight", pa.array(weights[owner, label], pa.float32()))


def _hard(texts: Sequence[str], scores: Array, places: Array) -> pa.Table:
    return _table(texts, places, scores[places].argmax(1))


def _table(texts: Sequence[str], places: Array, labels: Array) -> pa.Table:
    return pa.table({
        "text": pa.array([texts[place] for place in places], pa.string()),
        "pair": pa.nulls(len(places), pa.string()),
        "label": pa.array(labels.astype(np.int32)),
        "row": pa.array(places.astype(np.int64)),
    })  # fmt: skip
