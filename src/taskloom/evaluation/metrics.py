"""Metrics as pure functions over numpy arrays: gold and predicted in, named values out.

A value that is not defined (the correlation of a constant, F1 with no positive in gold or predicted) is None with a
reason, never 0: a zero is a score that somebody could have reached. No rows at all is an error.
Classes that occur neither in gold nor in predicted do not enter a macro average, as in scikit-learn's own default for
class ids; a declared label that a small split lacks would otherwise pull every model down alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef

from taskloom.errors import DataError
from taskloom.evaluation.spans import is_bio, span_counts

Array = NDArray[Any]


@dataclass(frozen=True)
class Metrics:
    """Named values, best known first, and for each None the reason why it has no value."""

    values: dict[str, float | None]
    reasons: dict[str, str] = field(default_factory=dict)


def f1(correct: Array, predicted: Array, gold: Array) -> Array:
    """Return 2 x correct / (predicted + gold) elementwise; NaN where there is neither a predicted nor a gold one."""
    total = np.asarray(predicted + gold, dtype=np.float64)
    return np.asarray(np.divide(2.0 * np.asarray(correct), total, out=np.full(total.shape, np.nan), where=total > 0))


def classification_metrics(gold: Array, predicted: Array) -> Metrics:
    """Return accuracy, macro-F1 and Matthews correlation of class ids, shape (rows,) each."""
    _check_rows(gold, predicted)
    reason = _constant(gold, predicted, "class")
    values: dict[str, float | None] = {
        "accuracy": float(np.mean(gold == predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0.0)),
        "matthews": None if reason else float(matthews_corrcoef(gold, predicted)),
    }
    return Metrics(values, {"matthews": reason} if reason else {})


def choice_metrics(gold: Array, predicted: Array) -> Metrics:
    """Return the accuracy of chosen positions, shape (rows,)."""
    _check_rows(gold, predicted)
    return Metrics({"accuracy": float(np.mean(gold == predicted))})


def multilabel_counts(gold: Array, predicted: Array) -> Array:
    """Return (rows, 3): correct, predicted and gold positives of each row."""
    gold, predicted = np.asarray(gold, dtype=bool), np.asarray(predicted, dtype=bool)
    return np.stack([(gold & predicted).sum(1), predicted.sum(1), gold.sum(1)], axis=1)


def multilabel_metrics(gold: Array, predicted: Array) -> Metrics:
    """Return micro-F1 and macro-F1 of label matrices, shape (rows, labels) of 0 and 1."""
    _check_rows(gold, predicted)
    gold, predicted = np.asarray(gold, dtype=bool), np.asarray(predicted, dtype=bool)
    correct, said, true = (gold & predicted).sum(0), predicted.sum(0), gold.sum(0)
    if not (said.sum() or true.sum()):
        reason = "no row has a label and none was predicted"
        return Metrics({"micro_f1": None, "macro_f1": None}, {"micro_f1": reason, "macro_f1": reason})
    micro = float(f1(correct.sum(), said.sum(), true.sum()))
    return Metrics({"micro_f1": micro, "macro_f1": float(np.nanmean(f1(correct, said, true)))})


def regression_metrics(gold: Array, predicted: Array) -> Metrics:
    """Return Pearson and Spearman correlation, mean absolute and mean squared error of scores, shape (rows,)."""
    _check_rows(gold, predicted)
    gold, predicted = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    errors = predicted - gold
    reason = "a single row" if len(gold) == 1 else _constant(gold, predicted, "score")
    values: dict[str, float | None] = {
        "pearson": None if reason else pearson(gold, predicted),
        "spearman": None if reason else pearson(ranks(gold), ranks(predicted)),
        "mae": float(np.abs(errors).mean()),
        "mse": float(np.square(errors).mean()),
    }
    return Metrics(values, {"pearson": reason, "spearman": reason} if reason else {})


def ranks(values: Array) -> Array:
    """Return the rank of each value from 1 up, shape (rows,); equal values take the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group])


def pearson(first: Array, second: Array) -> float:
    """Return the correlation of two columns that are not constant, shape (rows,) each."""
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1.0, 1.0))


def tag_metrics(gold: Array, predicted: Array, word_offsets: Array, labels: tuple[str, ...]) -> Metrics:
    """Return span F1, precision, recall and word accuracy; for tags not in BIO form word accuracy and macro-F1.

    `gold` and `predicted` are label ids of all words, shape (words,); row r's are word_offsets[r]:word_offsets[r+1].
    """
    _check_rows(gold, predicted)
    accuracy = float(np.mean(gold == predicted))
    if not is_bio(labels):
        return Metrics({"accuracy": accuracy, "macro_f1": classification_metrics(gold, predicted).values["macro_f1"]})
    correct, said, true = map(int, span_counts(gold, predicted, word_offsets, labels).sum(0))
    values = {
        "span_f1": 2 * correct / (said + true) if said + true else None,
        "span_precision": correct / said if said else None,
        "span_recall": correct / true if true else None,
        "accuracy": accuracy,
    }
    none_said, none_true = "no span was predicted", "no row has a span"
    why = {"span_f1": f"{none_true} and none was predicted", "span_precision": none_said, "span_recall": none_true}
    return Metrics(values, {name: reason for name, reason in why.items() if values[name] is None})


def main_metric(kind: str, labels: tuple[str, ...] = ()) -> str:
    """Return the metric that a task of this kind is compared by; tags need their labels to tell."""
    if kind == "token_classification":
        return "span_f1" if is_bio(labels) else "accuracy"
    mains = {
        "classification": "accuracy",
        "multilabel": "micro_f1",
        "regression": "pearson",
        "multiple_choice": "accuracy",
    }
    return mains[kind]


def _check_rows(gold: Array, predicted: Array) -> None:
    if np.shape(gold) != np.shape(predicted):
        raise ValueError(f"gold has shape {np.shape(gold)} and predicted {np.shape(predicted)}; they must be equal.")
    if len(gold) == 0:
        raise DataError("There are no rows to score. Choose a split with rows (`taskloom show TASK` counts them).")


def _constant(gold: Array, predicted: Array, what: str) -> str:
    """Return why a correlation is undefined, or an empty string."""
    for name, values in (("gold", gold), ("predicted", predicted)):
        if np.all(values == values[0]):
            return f"every {name} {what} is the same"
    return ""
