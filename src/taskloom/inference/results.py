"""Answers as users get them: plain values, one for each row, by kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.evaluator import NO_ANSWER
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]


def _class_results(answers: Predictions, _threshold: float) -> list[dict[str, Any]]:
    best = answers.answers()
    return [
        {"label": answers.labels[place], "scores": _named(answers.labels, row)}
        for place, row in zip(best, answers.scores, strict=True)
    ]


def _label_list_results(answers: Predictions, threshold: float) -> list[dict[str, Any]]:
    return [
        {
            "labels": [label for label, score in zip(answers.labels, row, strict=True) if score >= threshold],
            "scores": _named(answers.labels, row),
        }
        for row in answers.scores
    ]


def _score_results(answers: Predictions, _threshold: float) -> list[dict[str, Any]]:
    return [{"score": float(score)} for score in answers.scores]


def _choice_results(answers: Predictions, _threshold: float) -> list[dict[str, Any]]:
    rows = np.split(answers.scores, answers.word_offsets[1:-1])
    return [
        {"label": int(best), "scores": [float(score) for score in row]}
        for best, row in zip(answers.answers(), rows, strict=True)
    ]


def _tag_results(answers: Predictions, _threshold: float) -> list[dict[str, Any]]:
    rows = np.split(answers.scores, answers.word_offsets[1:-1])
    return [{"labels": [answers.labels[tag] for tag in _filled(row)]} for row in rows]


def _filled(tags: Array) -> Array:
    """Give words that the model never saw the row's most frequent tag, where the task has no O."""
    seen = tags[tags != NO_ANSWER]
    return np.where(tags == NO_ANSWER, np.bincount(seen).argmax() if len(seen) else 0, tags)


def _named(labels: Sequence[str], row: Array) -> dict[str, float]:
    return {label: float(score) for label, score in zip(labels, row, strict=True)}


RESULTS: dict[str, Callable[[Predictions, float], list[dict[str, Any]]]] = {
    "classification": _class_results,
    "multilabel": _label_list_results,
    "regression": _score_results,
    "multiple_choice": _choice_results,
    "token_classification": _tag_results,
}
