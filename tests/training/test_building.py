"""What a model is built with for each of its tasks."""

from __future__ import annotations

import pytest

from taskloom.config import ModelConfig
from taskloom.recipes.select import get_task
from taskloom.training.building import embedding_drop

DROPS = {"glue/*": 0.2, "glue/rte": 0.9, "family:nli": 0.5, "role:train": 0.3}


@pytest.mark.parametrize(
    ("task", "drops", "expected"),
    [
        ("glue/rte", DROPS, 0.9),  # its own id, wherever it stands
        ("glue/mnli", DROPS, 0.3),  # the last pattern that matches
        ("glue/mnli", {"role:train": 0.3, "family:nli": 0.5}, 0.5),
        ("glue/sst2", {"family:nli": 0.5}, 0.1),  # none matches
        ("glue/rte", {}, 0.1),
        ("glue/rte", {"glue/rte": 0.0}, 0.0),
    ],
)
def test_share_of_dropped_embeddings(task: str, drops: dict[str, float], expected: float) -> None:
    """A task's own id counts alone, else the last pattern that matches, else the share of all tasks."""
    settings = ModelConfig(task_embedding_drop=0.1, task_embedding_drops=drops)
    assert embedding_drop(get_task(task), settings) == expected
