"""The trivial answer of each kind, as predictions, so that it is scored by the same functions as a model.

classification and tags: the most frequent label of the training rows. multilabel: the constant label set with the best
micro-F1 on the training rows (always the most frequent labels; answering "nothing" would score 0 and flatter every
model). regression: the training mean, whose correlation is undefined. multiple choice: the expected accuracy of a blind
guess. Without a train split the evaluated rows themselves decide, which only makes the trivial answer stronger.

Beside it stands chance, an answer drawn at random without a look at any row: it says what a metric gives for nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.metrics import Metrics, f1
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]


def chance_of_choice(offsets: Array) -> Metrics:
    """Return the expected accuracy of a blind guess: the mean of one over the number of choices, shape (rows + 1,)."""
    return Metrics({"accuracy": float(np.mean(1.0 / np.diff(offsets)))})


GUESSED = 20_000
"""Rows or words guessed in all for the mean of a metric that has no simple expectation; its error is below 0.005."""


def random_answer(predictions: Predictions, generator: np.random.Generator) -> Predictions:
    """Return `predictions` with every answer drawn evenly: a class, a tag, each label or not, a score of the range."""
    rows, labels = len(predictions), len(predictions.labels)
    scores: Array
    if predictions.kind == "classification":
        scores = np.eye(labels, dtype=np.float32)[generator.integers(0, labels, rows)]
    elif predictions.kind == "multilabel":
        scores = generator.integers(0, 2, (rows, labels)).astype(np.float32)
    elif predictions.kind == "token_classification":
        scores = generator.integers(0, labels, len(predictions.gold))
    elif predictions.kind == "regression":
        scores = generator.uniform(np.min(predictions.gold), np.max(predictions.gold), rows)
    else:
        scores = generator.random(len(predictions.scores), dtype=np.float32)
    return dataclasses.replace(predictions, scores=scores)


def guesses(predictions: Predictions, seed: int) -> Iterator[Predictions]:
    """Yield random answers, about `GUESSED` rows or words in all, 50 times the rows at most."""
    generator = np.random.default_rng(seed)
    for _ in range(max(1, min(50, GUESSED // len(predictions.gold)))):
        yield random_answer(predictions, generator)


def expected_by_chance(predictions: Predictions) -> Metrics:
    """Return the metrics of a random answer whose expectation is exact."""
    if predictions.kind == "multiple_choice":
        return chance_of_choice(predictions.word_offsets)
    if predictions.kind == "regression":
        return Metrics({"pearson": 0.0, "spearman": 0.0})
    if predictions.kind == "multilabel":
        return Metrics({})
    return Metrics({"accuracy": 1 / len(predictions.labels)})


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
