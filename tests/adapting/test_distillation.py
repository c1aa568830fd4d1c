"""A teacher's answers as rows, how agreement is counted, and a student from texts to a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_models import MAX_LENGTH, made_model
from taskloom.adapting.distillation import agreement, canonical_rows
from taskloom.errors import DataError, ModelError
from taskloom.inference.classifying import Question
from taskloom.inference.label_sets import label_set
from taskloom.inference.predictor import load_model
from taskloom.recipes.recipe import Classification, Files, Splits, Task
from taskloom.workflows.distilling import Request, distil, lines, settings_of

TASK = Task(
    id="distilled/x", source=Files((("train", ("texts",)),)), family="own",
    kind=Classification(text="text", label="label"), splits=Splits(train="train", test="test"),
)  # fmt: skip


def test_soft_labels_are_rows_with_weights() -> None:
    """Likely labels stand once each, weights of a text sum to one, a text without a likely label keeps its best."""
    scores = np.array([[0.7, 0.25, 0.05], [0.09, 0.08, 0.07], [0.1, 0.2, 0.7]])
    places = {"train": np.array([1, 0]), "test": np.array([2])}
    made = canonical_rows(TASK, ["a", "b", "c"], ["t0", "t1", "t2"], scores, places)
    train = made.splits["train"].to_pylist()
    assert [(row["text"], row["label"], row["row"]) for row in train] == [("t1", 0, 1), ("t0", 0, 0), ("t0", 1, 0)]
    assert [row["weight"] for row in train] == pytest.approx([1.0, 0.7 / 0.95, 0.25 / 0.95])
    assert [(row["text"], row["label"]) for row in made.splits["test"].to_pylist()] == [("t2", 2)]
    assert made.fingerprint != canonical_rows(TASK, ["a", "b", "c"], ["t0", "t1", "t2"], scores / 2, places).fingerprint


def test_agreement_is_counted_by_confidence() -> None:
    """Share, interval, most frequent label, and every text in one band."""
    teacher = np.array([[0.95, 0.05], [0.9, 0.1], [0.45, 0.55], [0.3, 0.7], [1.0, 0.0]])
    found = agreement(teacher, np.array([0, 1, 0, 1, 0]))
    assert (found.rows, found.agreed, found.most_frequent) == (5, 3, 3)
    assert found.interval[0] < 0.6 < found.interval[1]
    assert [(band.low, band.rows, band.disagreed) for band in found.bands] == [
        (0.0, 0, 0), (0.4, 1, 1), (0.6, 1, 0), (0.8, 0, 0), (0.9, 3, 1),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with an entailment head, weights random."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    made_model(tiny_bert, names=("nli",)).save(
        folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    return folder


def request(teacher: Path) -> Request:
    """Return a short training on the CPU."""
    settings = replace(settings_of(), epochs=4.0, learning_rate=1e-3)
    return Request(
        model=str(teacher), labels=label_set({"cars": "big red car", "bees": "bee"}), question=Question(),
        settings=settings, device="cpu", name="things",
    )  # fmt: skip


def test_from_texts_to_a_folder(teacher: Path, tmp_path: Path) -> None:
    """The student's folder opens and predicts, tells agreement in card and results, and holds no text put aside."""
    words = "a bee saw the big red car go by and sang of it all day long".split()
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, size)) for size in random.integers(1, 12, 240)] * 2
    done = distil(request(teacher), texts, output=tmp_path / "student")
    opened = load_model(done.folder, device="cpu")
    assert opened.tasks == ("distilled/things@1",)
    (answer,) = opened.predict(done.task, ["the big red car"])
    assert set(answer["scores"]) == {"cars", "bees"}
    results = json.loads((done.folder / "results.json").read_text(encoding="utf-8"))
    told = results["training"]["agreement"]
    different = len(dict.fromkeys(texts))
    assert told["rows"] == round(different / 10) == sum(band["rows"] for band in told["bands"])
    assert results["training"]["texts"] == different
    assert told["agreed"] / told["rows"] == pytest.approx(
        results["tasks"]["distilled/things@1"]["test"]["metrics"]["accuracy"]
    )
    assert told["agreed"] > told["rows"] / 3
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert "agreement with the teacher, not accuracy" in card.replace("\n", " ")
    assert lines(done)[0].startswith(f"student and teacher agree on {told['agreed']} of {told['rows']}")
    with pytest.raises(ModelError, match="not empty"):
        distil(request(teacher), texts, output=tmp_path / "student")


def test_what_cannot_be_distilled(teacher: Path, tmp_path: Path) -> None:
    """One label, or too few different texts, is named with what to give."""
    one = replace(request(teacher), labels=label_set("car"))
    with pytest.raises(DataError, match="two different labels"):
        distil(one, ["bee"] * 100, output=tmp_path / "a")
    with pytest.raises(DataError, match="1 different texts"):
        distil(request(teacher), ["bee"] * 100, output=tmp_path / "b")
