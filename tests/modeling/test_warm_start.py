"""A model trained before as the start: its heads by sharing key and label name, its embeddings by task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model
from taskloom.modeling.warm_start import is_model_folder, warm_start

NLI = {"kind": "classification", "key": "nli", "low": None, "high": None}
OLD = [
    {"task": "a@1", "id": "a", "labels": ("entailment", "neutral", "contradiction"), **NLI},
    {"task": "b@1", "id": "b", "labels": ("x", "y"), **NLI, "key": "b"},
]
NEW = [
    {"task": "c@1", "id": "c", "labels": ("Contradiction", "entailment", "neutral"), **NLI},
    {"task": "b@2", "id": "b", "labels": ("y", "z"), **NLI, "key": "b"},
    {"task": "d@1", "id": "d", "labels": ("p", "q"), **NLI, "key": "d"},
]


@pytest.fixture
def before(tiny_bert: Path, tmp_path: Path) -> tuple[Model, Path]:
    """A saved model of two tasks, and its folder."""
    model = Model(Encoder.open(tiny_bert), HeadTable.make(OLD), seed=1)
    torch.nn.init.normal_(model.head_bias)
    torch.nn.init.normal_(model.task_embedding)
    model.save(tmp_path / "model", tokenizer_folder=tiny_bert, max_length=32, encoder_name="tiny")
    return model, tmp_path / "model"


def test_rows_go_where_their_labels_are(before: tuple[Model, Path]) -> None:
    """A new task starts with the rows of those it shares a head with, in its own order; others stay as they were."""
    old, folder = before
    model = Model(Encoder.open(folder), HeadTable.make(NEW), seed=2)
    fresh = model.head_weight.detach().clone()
    told = warm_start(model, folder)
    rows = {name: model.table.heads[0].rows[place] for place, name in enumerate(("contradiction", "entailment"))}
    for place, name in enumerate(("entailment", "neutral", "contradiction")):
        if name in rows:
            assert torch.equal(model.head_weight[rows[name]], old.head_weight[place])
            assert torch.equal(model.head_bias[rows[name]], old.head_bias[place])
    y, z = model.table.heads[1].rows
    assert torch.equal(model.head_weight[y], old.head_weight[4])
    assert torch.equal(model.head_weight[z], fresh[z])
    assert torch.equal(model.task_embedding[1], old.task_embedding[1])
    assert not model.task_embedding[0].any()
    assert "the heads of 1 and the embeddings of 1 of 3 tasks; new heads: b@2, d@1" in told


def test_the_same_tasks_take_everything_over(before: tuple[Model, Path]) -> None:
    """With the same tasks in another order nothing is new."""
    old, folder = before
    model = Model(Encoder.open(folder), HeadTable.make(OLD[::-1]), seed=2)
    assert "new heads" not in warm_start(model, folder)
    assert torch.equal(model.task_embedding, old.task_embedding.flip(0))
    assert torch.equal(model.encoder.word_embeddings.weight, old.encoder.word_embeddings.weight)


def test_an_ordinary_encoder_is_no_model_folder(before: tuple[Model, Path], tiny_bert: Path) -> None:
    """Heads are looked for only where there are some."""
    assert is_model_folder(before[1])
    assert not is_model_folder(tiny_bert)
