"""How sure an answer is."""

from __future__ import annotations

import numpy as np
import pytest

from taskloom.evaluation.predictions import Predictions
from taskloom.inference.abstaining import abstained, sureness


def label_lists(scores: list[list[float]], threshold: float) -> Predictions:
    """Return answers of two labels a row."""
    values = np.array(scores, np.float32)
    gold = np.zeros(values.shape, np.uint8)
    rows = np.arange(len(values))
    return Predictions("m@1", "multilabel", ("a", "b"), "test", rows, gold, values, None, threshold)


def test_a_list_is_as_sure_as_its_least_sure_decision() -> None:
    """Decisions are those of the task's own threshold: a yes of 0.15 is right 15 times in 100, not 85."""
    scores = [[0.15, 0.9], [0.05, 0.9], [0.6, 0.4]]
    assert sureness(label_lists(scores, 0.5)).tolist() == pytest.approx([0.85, 0.9, 0.6])
    low = label_lists(scores, 0.12)
    assert sureness(low).tolist() == pytest.approx([0.15, 0.9, 0.4])
    told = abstained([{"labels": ["a", "b"]}, {"labels": ["b"]}, {"labels": ["a", "b"]}], low, 0.8)
    assert [one["labels"] for one in told] == [None, ["b"], None]
