"""Comparisons over tasks and seeds, held against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from taskloom.errors import DataError
from taskloom.evaluation.across import compare, mean_interval

FAMILIES = {"a": "nli", "b": "nli", "c": "topic"}


def made(gain: dict[str, float], *, seeds: int = 5, noise: float = 0.01) -> dict[tuple[str, int], tuple[float, float]]:
    """Return scores of two models in which the first is better by `gain` of each task, plus noise."""
    draw = np.random.default_rng(0)
    found = {}
    for task, more in gain.items():
        for seed in range(seeds):
            base = 0.5 + draw.normal() * 0.1
            found[task, seed] = (base + more + draw.normal() * noise, base)
    return found


def test_interval_is_students() -> None:
    """Mean and interval are those of scipy; a single value has no interval, and no value is an error."""
    values = [0.5, 0.61, 0.58, 0.49, 0.7]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx((np.mean(values), low, high))
    assert mean_interval([0.5]) == (0.5, None, None)
    with pytest.raises(DataError):
        mean_interval([])


def test_tests_are_over_tasks() -> None:
    """The p-values are scipy's on the mean of each task in both models, not on single seeds."""
    pairs = made({"a": 0.1, "b": 0.02, "c": 0.04})
    found = compare(pairs, FAMILIES)
    firsts, seconds = ([np.mean([pairs[task, seed][at] for seed in range(5)]) for task in "abc"] for at in (0, 1))
    assert found.t_test == pytest.approx(stats.ttest_rel(firsts, seconds).pvalue)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(np.subtract(firsts, seconds)).pvalue)
    assert found.overall.difference == pytest.approx(np.mean(firsts) - np.mean(seconds))


def test_wins_losses_and_levels() -> None:
    """A task is won or lost where its interval over seeds leaves zero out, and level otherwise."""
    found = compare(made({"a": 0.1, "b": 0.0, "c": -0.1}), FAMILIES)
    assert [one.outcome for one in found.by_task] == ["win", "level", "loss"]
    assert (found.count("win"), found.count("level"), found.count("loss")) == (1, 1, 1)


def test_families_average_their_tasks_within_each_seed() -> None:
    """The interval of a family is over seeds of its tasks' mean."""
    pairs = made({"a": 0.1, "b": -0.1, "c": 0.0}, noise=0.05)
    (nli, topic) = compare(pairs, FAMILIES).by_family
    means = [np.mean([pairs[task, seed][0] - pairs[task, seed][1] for task in "ab"]) for seed in range(5)]
    assert (nli.name, nli.tasks, nli.seeds) == ("nli", 2, 5)
    assert (nli.difference, nli.low, nli.high) == pytest.approx(mean_interval(means))
    assert topic.tasks == 1


def test_one_seed_gives_no_interval_and_no_outcome() -> None:
    """Zero-shot answers have one value a task: differences are told, and nothing is called a win."""
    found = compare(made({"a": 0.1, "b": 0.2, "c": 0.3}, seeds=1), FAMILIES)
    assert {(one.low, one.outcome) for one in found.by_task} == {(None, "level")}
    assert found.task_low is not None and found.t_test is not None


def test_equal_figures_of_all_seeds_are_no_evidence() -> None:
    """A probe of all rows gives every seed the same: that is one measurement, not a difference without an interval."""
    found = compare({(task, seed): (0.7033, 0.7) for task in "abc" for seed in range(5)}, FAMILIES)
    assert {(one.low, one.high, one.outcome) for one in (found.overall, *found.by_task)} == {(None, None, "level")}


def test_equal_models_have_no_p_value() -> None:
    """Where nothing differs there is nothing to test."""
    pairs = {(task, seed): (0.5, 0.5) for task in "abc" for seed in range(3)}
    found = compare(pairs, FAMILIES)
    assert (found.t_test, found.wilcoxon, found.overall.difference) == (None, None, 0.0)
    with pytest.raises(DataError):
        compare({}, {})


def test_models_that_do_not_differ_are_told_apart_at_the_level_of_the_test() -> None:
    """With tasks exchanged at random between two models, 3 to 7 in 100 comparisons are significant at 5 %."""
    draw = np.random.default_rng(1)
    names = [f"task{number}" for number in range(12)]
    gaps = draw.normal(size=12) * 0.05
    hits = 0
    for _ in range(400):
        signs = draw.choice([-1, 1], 12)
        pairs = {(name, 0): (0.5 + sign * gap, 0.5) for name, sign, gap in zip(names, signs, gaps, strict=True)}
        hits += (compare(pairs, dict.fromkeys(names, "nli")).t_test or 1) < 0.05
    assert 0.03 <= hits / 400 <= 0.07
