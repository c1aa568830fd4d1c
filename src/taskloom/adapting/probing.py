"""A linear head on fixed features: the probe that encoders are compared by, and the start of a fine-tuned head.

Logistic regression (for classes, label sets, tags, and a choice against its siblings) or ridge regression (for scores)
by scikit-learn. Features are centered and divided by one number, their mean spread, so that one penalty means the same
for every encoder; both are folded into weight and bias, so the result is plain head rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.adapting.features import WORDS, Features
from taskloom.data.ragged import offsets_of
from taskloom.data.store import TaskStore
from taskloom.evaluation.evaluator import softmax_by_row
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]
MOST_WORDS = 20_000
"""Words that a probe for tags is fitted on, the first ones: more change little and take minutes."""
ITERATIONS = 200
ABSENT = -4.0
"""The logit of a label that no training row has, where the others are around zero."""


@dataclass(frozen=True)
class LinearHead:
    """Head rows: weight (labels, width) and bias (labels,), fp32; one row for a score or a choice."""

    weight: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return features (units, width) -> logits (units, labels)."""
        return np.asarray(features @ self.weight.T + self.bias)


def pooling_of(kind: str, pooling: str) -> str:
    """Return the name of the features that a kind reads: tags have no pooling."""
    return WORDS if kind == "token_classification" else pooling


def fit_head(
    features: Features,
    store: TaskStore,
    split: str,
    *,
    pooling: str,
    penalty: float,
    names: Mapping[str, Array] | None = None,
) -> LinearHead:
    """Return the head that fits the labels of some rows best; `penalty` is the inverse strength C of scikit-learn.

    `names`, for classification, are features of the label names by pooling, (labels, width): each then counts as one
    more row of its label.
    """
    given = features.values[pooling_of(features.kind, pooling)][:MOST_WORDS]
    target = targets(features, store, split)[:MOST_WORDS]
    if names is not None:
        given = np.concatenate([given, names[pooling]])
        target = np.concatenate([target, np.arange(len(store.labels))])
    center = given.mean(0)
    spread = float(np.sqrt(np.square(given - center).mean())) or 1.0
    scaled = (given - center) / spread
    if features.kind == "regression":
        weight, bias = _ridge(scaled, target, penalty)
    elif features.kind == "multilabel":
        rows = [_two_way(scaled, column, penalty) for column in target.T]
        weight, bias = np.stack([row for row, _ in rows]), np.array([one for _, one in rows])
    elif features.kind == "multiple_choice":
        row, one = _two_way(scaled, target, penalty)
        weight, bias = row[None], np.array([one])
    else:
        weight, bias = _several(scaled, target, len(store.labels), penalty)
    folded = weight / spread
    return LinearHead(folded.astype(np.float32), (bias - folded @ center).astype(np.float32))


def targets(features: Features, store: TaskStore, split: str) -> Array:
    """Return what each unit should be answered: class ids, 0 and 1 (units, labels), scores in 0..1, 1 for the right
    choice, or tags."""
    rows = store.splits[split]
    if features.kind == "token_classification":
        return np.asarray(rows.labels[np.asarray(rows.word_offsets)[features.place] + features.index])
    labels = np.asarray(rows.labels)[features.place]
    if features.kind == "multiple_choice":
        return np.asarray(labels == features.index).astype(np.int64)
    if features.kind == "regression":
        assert store.low is not None and store.high is not None
        return np.asarray((labels - store.low) / (store.high - store.low))
    return np.asarray(labels)


def probe_predictions(
    head: LinearHead, features: Features, store: TaskStore, split: str, *, pooling: str, unseen: int
) -> Predictions:
    """Return the answers of a head to all rows that `features` are of; words without a vector get the tag `unseen`."""
    logits = head.logits(features.values[pooling_of(features.kind, pooling)])
    rows, kind = store.splits[split], store.kind
    places, first = np.unique(features.place, return_index=True)
    gold, offsets = np.asarray(rows.labels)[places] if kind != "token_classification" else np.zeros(0), None
    if kind == "classification":
        scores = softmax(logits)
    elif kind == "multilabel":
        scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    elif kind == "regression":
        assert store.low is not None and store.high is not None
        scores = np.clip(store.low + logits[:, 0] * (store.high - store.low), store.low, store.high)
    elif kind == "multiple_choice":
        offsets = np.append(first, len(logits)).astype(np.int64)
        scores = softmax_by_row(logits[:, 0], offsets)
    else:
        gold, scores, offsets = _tags(logits, features, store, split, unseen)
        places = np.arange(len(rows)) if len(offsets) - 1 != len(places) else places
    return Predictions(
        task=store.task, kind=kind, labels=store.labels, split=split, row=np.asarray(rows.rows)[places], gold=gold,
        scores=np.asarray(scores), offsets=offsets,
    )  # fmt: skip


def _tags(logits: Array, features: Features, store: TaskStore, split: str, unseen: int) -> tuple[Array, Array, Array]:
    rows = store.splits[split]
    places = np.unique(features.place)
    sizes = np.diff(rows.word_offsets)[places]
    offsets = offsets_of(sizes)
    start = offsets[np.searchsorted(places, features.place)]
    tags = np.full(offsets[-1], unseen, np.int64)
    tags[start + features.index] = logits.argmax(1)
    labels = [rows.labels[rows.word_offsets[place] : rows.word_offsets[place + 1]] for place in places]
    return np.concatenate(labels), tags, offsets


def softmax(logits: Array) -> Array:
    """Return probabilities over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _ridge(features: Array, target: Array, penalty: float) -> tuple[Array, Array]:
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=1 / penalty).fit(features, target)
    return np.asarray(fitted.coef_)[None], np.array([fitted.intercept_])


def _two_way(features: Array, target: Array, penalty: float) -> tuple[Array, float]:
    """Return one row whose logit is the log odds of 1; a target that is always the same gives a constant."""
    if len(np.unique(target)) < 2:
        return np.zeros(features.shape[1]), -ABSENT if target[0] else ABSENT
    fitted = _fitted(features, target, penalty)
    return np.asarray(fitted.coef_[0]), float(fitted.intercept_[0])


def _several(features: Array, target: Array, labels: int, penalty: float) -> tuple[Array, Array]:
    """Return a row for each label: of a two-way fit the halves of its one row, of an absent label ABSENT."""
    weight, bias = np.zeros((labels, features.shape[1])), np.full(labels, ABSENT)
    present = np.unique(target)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    fitted = _fitted(features, target, penalty)
    coefficients, intercept = np.asarray(fitted.coef_), np.asarray(fitted.intercept_)
    if len(present) == 2:
        coefficients, intercept = np.stack([-coefficients[0], coefficients[0]]) / 2, np.array([-1, 1]) * intercept / 2
    weight[present], bias[present] = coefficients, intercept
    return weight, bias


def _fitted(features: Array, target: Array, penalty: float) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a limit on iterations is a choice here, not a fault
        return LogisticRegression(C=penalty, max_iter=ITERATIONS).fit(features, target)
