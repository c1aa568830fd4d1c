"""Paired tests: of the right size, and equal to plain counting and to scipy."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr, spearmanr
from sklearn.metrics import f1_score

from taskloom.errors import DataError
from taskloom.evaluation.paired import (
    holm,
    p_value,
    paired_test,
    statistics_of,
    swapped_differences,
)
from taskloom.evaluation.predictions import Predictions, rows_at


def classes(rows: int, right: float, *, seed: int, labels: int = 3) -> Predictions:
    """Return answers of which about a share is right; gold is the same for every seed."""
    gold = np.random.default_rng(99).integers(0, labels, rows)
    generator = np.random.default_rng(seed)
    wrong = (gold + generator.integers(1, labels, rows)) % labels
    answers = np.where(generator.random(rows) < right, gold, wrong)
    scores = np.eye(labels, dtype=np.float32)[answers]
    return Predictions("a/b@1", "classification", tuple("xyzuvw"[:labels]), "test", np.arange(rows), gold, scores)


def numbers(rows: int, noise: float, *, seed: int) -> Predictions:
    """Return scores that follow gold with some noise."""
    gold = np.random.default_rng(99).integers(0, 6, rows).astype(np.float32)
    scores = gold + noise * np.random.default_rng(seed).normal(size=rows).astype(np.float32)
    return Predictions("r@1", "regression", (), "test", np.arange(rows), gold, scores)


def words(rows: int, right: float, *, seed: int) -> Predictions:
    """Return tags of rows of 1 to 9 words of which about a share is right."""
    sizes = np.random.default_rng(98).integers(1, 10, rows)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    gold = np.random.default_rng(99).integers(0, 3, offsets[-1])
    generator = np.random.default_rng(seed)
    answers = np.where(generator.random(len(gold)) < right, gold, generator.integers(0, 3, len(gold)))
    return Predictions(
        "t@1", "token_classification", ("O", "B-x", "I-x"), "test", np.arange(rows), gold, answers, offsets
    )


def label_sets(rows: int, right: float, *, seed: int) -> Predictions:
    """Return four labels a row of which about a share is decided right."""
    gold = np.random.default_rng(99).integers(0, 2, (rows, 4)).astype(np.uint8)
    flip = np.random.default_rng(seed).random((rows, 4)) > right
    scores = np.where(flip, 1 - gold, gold).astype(np.float32)
    return Predictions("m@1", "multilabel", ("a", "b", "c", "d"), "test", np.arange(rows), gold, scores)


CASES = json.loads(Path(__file__).with_name("paired_cases.json").read_text(encoding="utf-8"))
SIDES = {
    "accuracy": (classes(300, 0.7, seed=1), classes(300, 0.72, seed=2)),
    "macro_f1": (classes(300, 0.7, seed=1), classes(300, 0.72, seed=2)),
    "micro_f1": (label_sets(200, 0.7, seed=1), label_sets(200, 0.72, seed=2)),
    "pearson": (numbers(150, 1.5, seed=1), numbers(150, 1.6, seed=2)),
    "spearman": (numbers(40, 1.5, seed=1), numbers(40, 1.6, seed=2)),
    "span_f1": (words(200, 0.7, seed=1), words(200, 0.72, seed=2)),
}


def swapped(first: Predictions, second: Predictions, places: np.ndarray) -> tuple[Predictions, Predictions]:
    """Return both sides with the answers to some rows exchanged."""
    places = np.asarray(places, dtype=bool)
    if first.offsets is not None:
        places = np.repeat(places, np.diff(first.offsets))
    mask = places[:, None] if first.scores.ndim == 2 else places
    return (
        dataclasses.replace(first, scores=np.where(mask, second.scores, first.scores)),
        dataclasses.replace(second, scores=np.where(mask, first.scores, second.scores)),
    )


@pytest.mark.parametrize("metric", SIDES)
def test_random_swaps_are_rejected_about_5_times_in_100(metric: str) -> None:
    """Under 1,000 random swaps of two models' answers, the test at the 5 % level rejects 3 to 7 % of the time."""
    first, second = SIDES[metric]
    generator = np.random.default_rng(7)
    rejected = 0
    for trial in range(1000):
        sides = swapped(first, second, generator.random(len(first)) < 0.5)
        ours, theirs = statistics_of(*sides, metric)
        everything = np.ones((1, len(first)))
        difference = float(theirs(everything)[0] - ours(everything)[0])
        rejected += p_value(difference, swapped_differences(ours, theirs, rounds=100, seed=trial)) <= 0.05
    assert 30 <= rejected <= 70


def test_the_whole_test_has_its_size_with_few_differing_rows() -> None:
    """With 60 rows, 24 of them answered differently, paired_test itself keeps to 3 to 7 %."""
    first = classes(60, 0.8, seed=1)
    scores = first.scores.copy()
    scores[:24] = np.roll(scores[:24], 1, axis=1)
    second = dataclasses.replace(first, scores=scores)
    generator = np.random.default_rng(3)
    found = [
        paired_test(*swapped(first, second, generator.random(60) < 0.5), rounds=400, seed=trial)
        for trial in range(1000)
    ]
    assert 30 <= sum(one.p_value <= 0.05 for one in found) <= 70
    assert sum(one.mcnemar.p_value <= 0.05 for one in found) <= 50


def test_a_real_difference_is_found() -> None:
    """80 against 65 % of 500 rows: a small p value, an interval above 0, and counts that add up."""
    first, second = classes(500, 0.65, seed=1), classes(500, 0.8, seed=2)
    found = paired_test(first, second, seed=0)
    assert found.p_value < 0.001
    assert found.interval[0] > 0.05
    right = [np.mean(side.answers() == side.gold) for side in (first, second)]
    assert (found.first, found.second) == pytest.approx(right)
    assert found.difference == pytest.approx(right[1] - right[0])
    assert (found.mcnemar.only_second - found.mcnemar.only_first) / 500 == pytest.approx(found.difference)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_cases_of_mcnemar(case: dict) -> None:
    """Rows that one of two models got right, and the exact p value counted by hand."""
    gold = np.zeros(30, dtype=int)
    wrong = [np.zeros(30, dtype=int), np.zeros(30, dtype=int)]
    wrong[1][: case["only_first"]] = 1
    wrong[0][case["only_first"] : case["only_first"] + case["only_second"]] = 1
    sides = [
        Predictions("a@1", "classification", ("x", "y"), "test", np.arange(30), gold, np.eye(2, dtype=np.float32)[one])
        for one in wrong
    ]
    found = paired_test(*sides, rounds=4000)
    assert (found.mcnemar.only_first, found.mcnemar.only_second) == (case["only_first"], case["only_second"])
    assert found.mcnemar.p_value == pytest.approx(case["p_value"], abs=1e-12)
    assert found.p_value <= case["p_value"] + 0.02, "ties counted half reject no less than the exact test"


def test_mcnemar_is_the_exact_binomial_test() -> None:
    """The p value of McNemar's test is scipy's two-sided binomial test of the rows that only one got right."""
    first, second = classes(200, 0.7, seed=1), classes(200, 0.75, seed=2)
    ours, theirs = (side.answers() == side.gold for side in (first, second))
    only = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    found = paired_test(first, second, rounds=200).mcnemar
    assert (found.only_first, found.only_second) == only
    assert found.p_value == pytest.approx(binomtest(only[0], sum(only)).pvalue)


def test_p_value_equals_counting_all_swaps() -> None:
    """With 9 rows, 20,000 random swaps come within 0.02 of all 512, ties counted half."""
    first, second = classes(9, 0.4, seed=5), classes(9, 0.8, seed=6)
    difference = paired_test(first, second).difference
    every = []
    for places in itertools.product((False, True), repeat=9):
        sides = swapped(first, second, np.array(places))
        every.append(np.mean(sides[1].answers() == first.gold) - np.mean(sides[0].answers() == first.gold))
    sizes = np.abs(every)
    exact = np.mean(sizes > abs(difference) + 1e-9) + np.mean(np.isclose(sizes, abs(difference))) / 2
    assert paired_test(first, second, rounds=20_000).p_value == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("metric", SIDES)
def test_metrics_of_both_sides_are_those_of_the_libraries(metric: str) -> None:
    """The two values that are compared are scikit-learn's and scipy's, and the order of the sides turns the sign."""
    first, second = SIDES[metric]
    reference = {
        "accuracy": lambda side: np.mean(side.gold == side.answers()),
        "macro_f1": lambda side: f1_score(side.gold, side.answers(), average="macro"),
        "micro_f1": lambda side: f1_score(side.gold, side.answers(), average="micro"),
        "pearson": lambda side: pearsonr(side.gold, side.scores).statistic,
        "spearman": lambda side: spearmanr(side.gold, side.scores).statistic,
        "span_f1": None,
    }[metric]
    found = paired_test(first, second, metric=metric, rounds=50)
    if reference:
        assert (found.first, found.second) == pytest.approx((reference(first), reference(second)))
    back = paired_test(second, first, metric=metric, rounds=50)
    assert back.difference == pytest.approx(-found.difference)
    assert back.interval == pytest.approx((-found.interval[1], -found.interval[0]), abs=0.03)


def test_equal_answers_differ_by_nothing() -> None:
    """A model against itself: no difference, and nothing that speaks against the hypothesis."""
    side = classes(50, 0.7, seed=1)
    found = paired_test(side, side, rounds=100)
    assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert found.mcnemar.p_value == 1.0


def test_only_common_rows_are_compared() -> None:
    """Rows of one side alone are left out, whatever the order of both."""
    first, second = classes(100, 0.6, seed=1), classes(100, 0.8, seed=2)
    part = rows_at(second, np.arange(99, 19, -1))
    found = paired_test(first, part)
    assert found.rows == 80
    assert found == paired_test(rows_at(first, np.arange(20, 100)), rows_at(second, np.arange(20, 100)))


def test_all_rows_of_a_recast_are_compared() -> None:
    """Several rows that are made of one have its number: each is held against its own, and none is left out."""
    first, second = classes(100, 0.6, seed=1), classes(100, 0.8, seed=2)
    expected = paired_test(first, second)
    twice = np.arange(100) // 2
    same = [dataclasses.replace(side, row=twice) for side in (first, second)]
    found = paired_test(*same)
    assert (found.rows, found.first, found.second) == (100, expected.first, expected.second)
    part = paired_test(same[0], rows_at(same[1], np.arange(30, 90)))
    assert part.rows == 60
    assert part.second == float(np.mean(second.answers()[30:90] == second.gold[30:90]))


def test_answers_to_other_rows_are_refused() -> None:
    """Other tasks, other gold answers, no common rows and metrics that the kind lacks are user errors."""
    side = classes(30, 0.7, seed=1)
    with pytest.raises(DataError, match=r"task is a/b@1 and c@1"):
        paired_test(side, dataclasses.replace(side, task="c@1"))
    with pytest.raises(DataError, match="no row"):
        paired_test(side, dataclasses.replace(side, row=side.row + 100))
    with pytest.raises(DataError, match="the data changed"):
        paired_test(side, dataclasses.replace(side, gold=(side.gold + 1) % 3))
    with pytest.raises(DataError, match="Allowed: accuracy, macro_f1"):
        paired_test(side, side, metric="pearson")


def test_undefined_metrics_have_a_reason() -> None:
    """A constant answer has no correlation: no p value, and why."""
    side = numbers(20, 1.0, seed=1)
    found = paired_test(side, dataclasses.replace(side, scores=np.ones(20, np.float32)))
    assert (found.difference, found.p_value, found.second) == (None, None, None)
    assert "pearson of the second model is undefined" in found.reason


def test_holm_by_hand() -> None:
    """Four p values by hand: the smallest times 4, the next times 3, and none below the one before it."""
    assert holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm([]) == []
