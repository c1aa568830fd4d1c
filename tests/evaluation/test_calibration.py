"""Temperatures against a known truth, the calibration error against golden cases and a plain loop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from taskloom.errors import DataError, ModelError
from taskloom.evaluation.calibration import (
    Evidence,
    calibrate_head,
    calibration_error,
    confidence,
    evidence,
    fit_temperature,
    read_temperatures,
    scaled,
)
from taskloom.evaluation.predictions import Predictions

CASES = json.loads(Path(__file__).with_name("calibration_cases.json").read_text(encoding="utf-8"))


def too_sure(kind: str, rows: int = 3000, factor: float = 2.0, task: str = "a@1") -> Predictions:
    """Return answers whose logits are `factor` times what the labels were drawn from."""
    generator = np.random.default_rng(0)
    offsets = None
    labels: tuple[str, ...] = ("x", "y", "z")
    if kind == "multilabel":
        logits = generator.normal(size=(rows, 3))
        gold = (generator.random((rows, 3)) < expit(logits)).astype(np.uint8)
        scores = expit(logits * factor)
    elif kind == "classification":
        logits = generator.normal(size=(rows, 3)) * 1.5
        gold = np.array([generator.choice(3, p=one) for one in softmax(logits, axis=1)])
        scores = softmax(logits * factor, axis=1)
    else:
        sizes = np.arange(rows) % 4 + 2
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        parts = [generator.normal(size=size) * 1.5 for size in sizes]
        gold = np.array([generator.choice(len(part), p=softmax(part)) for part in parts])
        scores, labels = np.concatenate([softmax(part * factor) for part in parts]), ()
    return Predictions(task, kind, labels, "validation", np.arange(rows), gold, scores.astype(np.float32), offsets)


KINDS = ("classification", "multilabel", "multiple_choice")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_cases(case: dict) -> None:
    """The error of small tables worked out by hand."""
    found = calibration_error(np.array(case["confidence"]), np.array(case["right"]), bins=case["bins"])
    assert found == pytest.approx(case["error"], abs=1e-12)


def test_error_equals_a_plain_loop() -> None:
    """15 bins of equal mass, each weighted by its answers."""
    generator = np.random.default_rng(1)
    sure, right = generator.random(500), generator.random(500) < 0.6
    order = np.argsort(sure)
    expected = 0.0
    for part in np.array_split(order, 15):
        expected += len(part) / 500 * abs(sure[part].mean() - right[part].mean())
    assert calibration_error(sure, right) == pytest.approx(expected)
    with pytest.raises(DataError, match="no answers"):
        calibration_error(np.zeros(0), np.zeros(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_temperature_is_the_factor_that_was_put_in(kind: str, factor: float) -> None:
    """Logits twice (or half) as large as they should be get a temperature of 2 (or 0.5), to a tenth."""
    assert fit_temperature(evidence(too_sure(kind, factor=factor))) == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_calibrating_lowers_the_error_and_changes_no_answer(kind: str) -> None:
    """Error and likelihood get better on rows that were not fitted on; every decision stays."""
    found = calibrate_head([too_sure(kind)])
    assert found.ece_after < found.ece_before / 2
    assert found.nll_after < found.nll_before
    before = too_sure(kind)
    after = scaled(before.scores, found.temperature, kind=kind, offsets=before.offsets)
    assert after.shape == before.scores.shape
    again = Predictions(before.task, kind, before.labels, "validation", before.row, before.gold, after, before.offsets)
    np.testing.assert_array_equal(again.answers(), before.answers())


def test_well_calibrated_answers_stay() -> None:
    """Where nothing is wrong the temperature is 1 to a tenth, and the error after is no larger by more than noise."""
    found = calibrate_head([too_sure("classification", factor=1.0)])
    assert found.temperature == pytest.approx(1.0, abs=0.1)
    assert found.ece_after < found.ece_before + 0.01


def test_the_error_after_is_cross_fitted() -> None:
    """Labels that have nothing to do with the answers: no part is judged by a temperature that saw its own labels."""
    generator = np.random.default_rng(0)
    scores = softmax(generator.normal(size=(60, 3)) * 4, axis=1).astype(np.float32)
    noise = Predictions(
        "a@1", "classification", ("x", "y", "z"), "validation", np.arange(60), np.arange(60) % 3, scores
    )
    found = calibrate_head([noise])
    fitted = evidence(noise)
    own = fit_temperature(fitted)
    mine = dataclasses.replace(fitted, logits=fitted.logits / own)
    in_sample = -np.log(confidence_of_right(mine)).mean()
    assert found.nll_after > in_sample
    assert found.temperature == pytest.approx(own)


def confidence_of_right(found: Evidence) -> np.ndarray:
    """Return the probability of what is right in each group of three."""
    return softmax(found.logits.reshape(-1, 3), axis=1)[np.arange(len(found)), found.right]


def test_tasks_of_one_head_are_fitted_together() -> None:
    """A temperature over two tasks lies between those of each."""
    each = [fit_temperature(evidence(too_sure("classification", factor=factor))) for factor in (1.0, 3.0)]
    both = calibrate_head([too_sure("classification", factor=1.0), too_sure("classification", factor=3.0, task="b@1")])
    assert each[0] < both.temperature < each[1]
    assert both.tasks == ("a@1", "b@1")
    assert both.rows == 6000


def test_confidence_is_of_the_answer_that_is_given() -> None:
    """The best class and whether it is right; of a label, the likelier of there and not there."""
    sure, right = confidence(evidence(too_sure("classification", rows=20)))
    given = too_sure("classification", rows=20)
    np.testing.assert_allclose(sure, given.scores.max(1), atol=1e-6)
    np.testing.assert_array_equal(right, given.answers() == given.gold)
    sure, right = confidence(evidence(too_sure("multilabel", rows=20)))
    labels = too_sure("multilabel", rows=20)
    np.testing.assert_allclose(sure, np.maximum(labels.scores, 1 - labels.scores).ravel(), atol=1e-6)
    np.testing.assert_array_equal(right, (labels.answers() == labels.gold).ravel())
    low = dataclasses.replace(labels, threshold=0.1)  # a yes from 0.1 on is right as often as its probability says
    sure, right = confidence(evidence(low))
    np.testing.assert_allclose(
        sure, np.where(labels.scores >= 0.1, labels.scores, 1 - labels.scores).ravel(), atol=1e-6
    )
    np.testing.assert_array_equal(right, (low.answers() == low.gold).ravel())


def test_what_cannot_be_calibrated_says_so() -> None:
    """Too few rows, kinds without probabilities and damaged files are user errors."""
    with pytest.raises(DataError, match="49 rows are too few"):
        calibrate_head([too_sure("classification", rows=49)])
    scores = Predictions("r@1", "regression", (), "test", np.arange(60), np.arange(60.0), np.arange(60.0))
    with pytest.raises(DataError, match="no probabilities"):
        calibrate_head([scores])
    with pytest.raises(ModelError, match="temperature 0"):
        read_temperatures({"temperatures": {"a": 0}})
