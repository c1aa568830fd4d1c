"""The trivial answer of each kind, as predictions, so that it is scored by the same functions as a model.

classification and tags: the most frequent label of the training rows. multilabel: the constant label set with the best
micro-F1 on the training rows (always the most frequent labels; answering "nothing" would score 0 and flatter every
model). regression: the training mean, whose correlation is undefined. multiple choice: the expected accuracy of a blind
guess. Without a train split the evaluated rows themselves decide, which only makes the trivial answer stronger.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.metrics import Metrics, f1
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]


def chance_of_choice(offsets: Array) -> Metrics:
    """Return the expected accuracy of a blind guess: the mean of one over the number of choices, shape (rows + 1,)."""
    return Metrics({"accuracy": float(np.mean(1.0 / np.diff(offsets)))})


def constant_answer(predictions: Predictions, train_gold: Array | None) -> Predictions:
    """Return `predictions` with every answer replaced by the trivial one; not for multiple choice.

    `train_gold` holds the training labels, shaped as `predictions.gold`; None or empty: the evaluated gold decides.
    """
    source = train_gold if train_gold is not None and len(train_gold) else predictions.gold
    rows, labels = len(predictions), len(predictions.labels)
    if predictions.kind == "classification":
        scores = np.eye(labels, dtype=np.float32)[np.full(rows, most_frequent(source, labels))]
    elif predictions.kind == "multilabel":
        scores = np.tile(best_label_set(source).astype(np.float32), (rows, 1))
    elif predictions.kind == "regression":
        scores = np.full(rows, np.mean(source, dtype=np.float64))
    else:
        scores = np.full(len(predictions.gold), most_frequent(source, labels))
    return dataclasses.replace(predictions, scores=scores)


def most_frequent(gold: Array, labels: int) -> int:
    """Return the most frequent label id of `gold`; ties take the lowest id."""
    return int(np.bincount(gold, minlength=labels).argmax())


def best_label_set(gold: Array) -> Array:
    """Return the constant label set with the highest micro-F1 on `gold`, uint8 (labels,), from (rows, labels).

    With k labels answered everywhere, micro-F1 = 2 x (rows that have them) / (k x rows + positives): for each k the k
    most frequent labels are best, so labels + 1 sets need to be compared and not two to the power of labels.
    """
    frequency = np.asarray(gold, dtype=np.int64).sum(0)
    order = np.argsort(-frequency, kind="stable")
    sizes = np.arange(1, len(order) + 1)
    scores = f1(np.cumsum(frequency[order]), sizes * len(gold), frequency.sum())
    chosen = np.zeros(len(order), dtype=np.uint8)
    chosen[order[: int(np.argmax(scores)) + 1]] = 1
    return chosen
