"""A matching head as a sentence encoder: opened by sentence-transformers, it gives the scores of `classify`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_export import LENGTH, TEXTS

from taskloom.errors import ModelError
from taskloom.inference.predictor import load_model
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import SHARPNESS, Model
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recasts import recast_task
from taskloom.recipes.recipe import Builtin, Classification, Splits, Task
from taskloom.workflows.exporting import Wanted, export

LABELS = ["car", "the long day", "big bees"]
TASK = recast_task(
    Task(id="made/topics", source=Builtin("topics"), splits=Splits(train="train"), family="other",
         kind=Classification(text="text", label="label")),
    "matching",
)  # fmt: skip
FORM = "sentence-transformers"


def saved(encoder: Path, folder: Path, *, least: float) -> Path:
    """Save a model with a matching head whose smallest weight is `least`, and a plain head for choices."""
    matching = {"task": TASK.versioned, "id": TASK.id, "key": sharing_key(TASK, ())}
    plain = {"task": "made/choices@1", "id": "made/choices", "key": "multiple_choice"}
    more = {"kind": "multiple_choice", "labels": (), "low": None, "high": None}
    model = Model(Encoder.open(encoder), HeadTable.make([plain | more, matching | more]))
    with torch.no_grad():
        row = model.head_weight[model.table.heads[1].rows[0]]
        row.copy_(torch.linspace(least, 40.0, len(row)))
    model.save(folder, tokenizer_folder=encoder, max_length=LENGTH, encoder_name="tiny")
    return folder


@pytest.mark.parametrize("encoder", ["tiny_bert", "tiny_deberta"])
def test_the_scores_are_those_of_classify(encoder: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The softmax of SHARPNESS times the dot products, long texts cut at the same place."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = saved(request.getfixturevalue(encoder), tmp_path / "model", least=0.0)
    (told,) = export(folder, tmp_path / "out", Wanted(form=FORM))
    assert "differ by at most" in told
    texts = [*TEXTS, "the man sees a tree " * 30]
    opened = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    assert opened.max_seq_length == LENGTH
    products = opened.similarity(opened.encode(texts), opened.encode(LABELS))
    chances = (SHARPNESS * products).softmax(1).numpy()
    found = load_model(folder).classify(texts, LABELS, way="matching")
    wanted = np.array([[one["scores"][one["labels"].index(label)] for label in LABELS] for one in found])
    assert chances == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(wanted[:, 0]) > 1e-3, "all texts alike would show nothing"


def test_the_folder_is_whole(tiny_bert: Path, tmp_path: Path) -> None:
    """Weights in safetensors, a card with the package's name, a license, and nothing of taskloom's own heads."""
    export(saved(tiny_bert, tmp_path / "model", least=1.0), tmp_path / "out", Wanted(form=FORM, task=TASK.id))
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"modules.json", "model.safetensors", "3_Dense/model.safetensors", "LICENSE"} <= names
    assert not any(name.startswith("heads") or name.endswith((".bin", ".pt")) for name in names)
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'library_name: "sentence-transformers"' in page and 'SentenceTransformer("out")' in page
    modules = json.loads((tmp_path / "out" / "modules.json").read_text())
    assert [one["path"] for one in modules] == ["", "1_Pooling", "2_Normalize", "3_Dense"]


def test_what_has_no_vectors_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    """Another head, weights without a root, a task embedding; nothing is left behind."""
    folder = saved(tiny_bert, tmp_path / "model", least=-0.5)
    with pytest.raises(ModelError, match="below zero"):
        export(folder, tmp_path / "out", Wanted(form=FORM))
    with pytest.raises(ModelError, match="no matching head"):
        export(folder, tmp_path / "out", Wanted(form=FORM, task="made/choices"))
    with pytest.raises(ModelError, match="task embedding"):
        Wanted(form=FORM, with_task_embedding=True)
    with pytest.raises(ModelError, match="no int8"):
        Wanted(form=FORM, int8=True)
    assert not (tmp_path / "out").exists()
