"""Two models over several tasks: one test a task, adjusted, and one over all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from taskloom.errors import DataError
from taskloom.evaluation.comparison import compare, comparison_lines
from taskloom.evaluation.predictions import Predictions

NAMES = ("old", "new")


def answers(task: str, right: float, *, seed: int, rows: int = 200) -> Predictions:
    """Return answers over two classes of which about a share is right."""
    gold = np.arange(rows) % 2
    given = np.where(np.random.default_rng(seed).random(rows) < right, gold, 1 - gold)
    scores = np.eye(2, dtype=np.float32)[given]
    return Predictions(task, "classification", ("x", "y"), "test", np.arange(rows), gold, scores)


def test_better_and_worse_tasks_are_counted() -> None:
    """One clear gain, one clear loss, one that says nothing: one each, adjusted p values no smaller than the plain."""
    pairs = [
        (answers("a@1", 0.6, seed=1), answers("a@1", 0.9, seed=2)),
        (answers("b@1", 0.9, seed=3), answers("b@1", 0.6, seed=4)),
        (answers("c@1", 0.8, seed=5), answers("c@1", 0.8, seed=6)),
    ]
    found = compare(pairs, names=NAMES, not_compared={"d@1": "why"}, rounds=1000)
    assert (found.better, found.worse) == (1, 1)
    assert all(one.p_adjusted >= one.p_value for one in found.tasks)
    assert found.difference == pytest.approx(np.mean([one.difference for one in found.tasks]))
    lines = list(comparison_lines(found))
    assert "better on 1 and worse on 1" in lines[-3]
    assert lines[-1] == "not compared: d@1: why"


def test_many_small_gains_are_one_large_one() -> None:
    """Twelve tasks of 60 rows, each 10 points better: hardly any by itself, all together without doubt."""
    pairs = [
        (answers(f"{at}@1", 0.65, seed=at, rows=60), answers(f"{at}@1", 0.75, seed=100 + at, rows=60))
        for at in range(12)
    ]
    found = compare(pairs, names=NAMES, rounds=2000)
    assert found.better <= 3
    assert found.p_value < 0.01
    assert found.difference > 0.05


def test_the_test_over_all_tasks_has_its_size() -> None:
    """Answers of both sides exchanged at random in every task: rejected 3 to 7 times in 100."""
    generator = np.random.default_rng(0)
    originals = [
        (answers(f"{at}@1", 0.7, seed=at, rows=60), answers(f"{at}@1", 0.7, seed=50 + at, rows=60)) for at in range(3)
    ]
    rejected = 0
    for trial in range(400):
        pairs = []
        for first, second in originals:
            swap = generator.random((len(first), 1)) < 0.5
            pairs.append((
                dataclasses.replace(first, scores=np.where(swap, second.scores, first.scores)),
                dataclasses.replace(second, scores=np.where(swap, first.scores, second.scores)),
            ))  # fmt: skip
        rejected += compare(pairs, names=NAMES, rounds=200, seed=trial).p_value <= 0.05
    assert 0.03 * 400 <= rejected <= 0.07 * 400


def test_nothing_in_common_is_an_error() -> None:
    """No task of both is told, not counted as a draw."""
    with pytest.raises(DataError, match="no task and split in common"):
        compare([], names=NAMES)


def test_rows_that_changed_are_told_apart() -> None:
    """A task whose gold answers differ between the two is listed with the reason, and the others are compared."""
    first, second = answers("a@1", 0.6, seed=1), answers("a@1", 0.9, seed=2)
    changed = dataclasses.replace(answers("b@1", 0.6, seed=1), gold=1 - first.gold)
    found = compare([(first, second), (answers("b@1", 0.6, seed=1), changed)], names=NAMES, rounds=200)
    assert [one.task for one in found.tasks] == ["a@1"]
    assert "the data changed" in found.not_compared["b@1 (test)"]
