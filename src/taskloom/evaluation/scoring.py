"""Predictions -> TaskReport: metrics, intervals and the trivial answer of a task's kind. Pure; no model in sight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation import metrics
from taskloom.evaluation.baselines import chance_of_choice, constant_answer, expected_by_chance, guesses
from taskloom.evaluation.intervals import Interval, bootstrap, wilson
from taskloom.evaluation.metrics import Metrics
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.report import TaskReport
from taskloom.evaluation.statistics import statistic_of

Array = NDArray[Any]


def score(
    predictions: Predictions,
    *,
    train_gold: Array | None = None,
    family: str = "other",
    rows_available: int | None = None,
    unused_rows: Mapping[str, int] | None = None,
    threshold: float | None = None,
    seed: int = 0,
) -> TaskReport:
    """Return the report of one task on one split; raises DataError without rows.

    `train_gold` holds the training labels, shaped as `predictions.gold`, for the trivial answer. `seed` draws the
    bootstrap. `rows_available` is the size of the split when only a part of it was predicted.
    """
    found = compute(predictions, threshold)
    trivial = (
        chance_of_choice(predictions.word_offsets)
        if predictions.kind == "multiple_choice"
        else compute(constant_answer(predictions, train_gold), threshold)
    )
    main = metrics.main_metric(predictions.kind, predictions.labels)
    interval = intervals_of(predictions, found, threshold=threshold, seed=seed)
    return TaskReport(
        kind=predictions.kind,
        family=family,
        main=main,
        rows=len(predictions),
        rows_available=len(predictions) if rows_available is None else rows_available,
        metrics=found.values,
        interval=interval,
        majority=trivial.values,
        beats_majority=_beats(interval.get(main), found.values[main], trivial.values[main]),
        unused_rows=dict(unused_rows or {}),
        reasons=found.reasons | {f"majority.{name}": reason for name, reason in trivial.reasons.items()},
    )


def chance(predictions: Predictions, *, threshold: float | None = None, seed: int = 0) -> Metrics:
    """Return what answers drawn at random get: the exact expectation where it is known, else the mean of many draws."""
    drawn = [compute(guess, threshold) for guess in guesses(predictions, seed)]
    reasons = {name: reason for one in drawn for name, reason in one.reasons.items()}
    values: dict[str, float | None] = {
        name: None if name in reasons else float(np.mean([one.values[name] for one in drawn]))
        for name in drawn[0].values
    }
    exact = {name: value for name, value in expected_by_chance(predictions).values.items() if name in values}
    return Metrics(values | exact, {name: reason for name, reason in reasons.items() if name not in exact})


def compute(predictions: Predictions, threshold: float | None = None) -> Metrics:
    """Return the metrics of the predictions' kind."""
    gold, answers = predictions.gold, predictions.answers(threshold)
    if predictions.kind == "classification":
        return metrics.classification_metrics(gold, answers)
    if predictions.kind == "multilabel":
        return metrics.multilabel_metrics(gold, answers)
    if predictions.kind == "regression":
        return metrics.regression_metrics(gold, answers)
    if predictions.kind == "multiple_choice":
        return metrics.choice_metrics(gold, answers)
    return metrics.tag_metrics(gold, answers, predictions.word_offsets, predictions.labels)


def intervals_of(
    predictions: Predictions, found: Metrics, *, threshold: float | None = None, seed: int = 0
) -> dict[str, Interval]:
    """Return the 95 % interval of the main metric, and of Spearman beside Pearson; those that exist."""
    if predictions.kind in ("classification", "multiple_choice"):
        return {"accuracy": wilson(int(np.sum(predictions.gold == predictions.answers())), len(predictions))}
    main = metrics.main_metric(predictions.kind, predictions.labels)
    drawn = {
        name: bootstrap(statistic_of(predictions, name, threshold=threshold), len(predictions), seed=seed)
        for name in ((main, "spearman") if predictions.kind == "regression" else (main,))
        if found.values[name] is not None
    }
    return {name: interval for name, interval in drawn.items() if interval is not None}


def _beats(interval: Interval | None, value: float | None, majority: float | None) -> bool | None:
    if value is None or interval is None:
        return None
    return bool(interval[0] > (0.0 if majority is None else majority))
