"""`predict`: rows given in Python get the answers that the same rows get from a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from made_models import KINDS, LABELS, MAX_LENGTH, made_model, made_rows, made_store, made_task
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError, UnknownTaskError
from taskloom.evaluation.evaluator import evaluate_task
from taskloom.inference.predictor import Model, load_model


@pytest.fixture(scope="module")
def opened(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A saved and opened model, on the CPU in fp32."""
    folder = tmp_path_factory.mktemp("run")
    made_model(tiny_bert).save(folder / "model", tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny")
    return load_model(folder, device="cpu", precision="fp32")


def given(name: str, rows: int) -> list:
    """Return the made rows as a user would give them, in Python."""
    kind = KINDS[name].name
    if kind == "multiple_choice":
        return [(row["prompt"], row["choices"]) for row in made_rows(name, rows).to_pylist()]
    if kind == "token_classification":
        return [row["tokens"] for row in made_rows(name, rows).to_pylist()]
    return [
        row["text"] if row["pair"] is None else (row["text"], row["pair"]) for row in made_rows(name, rows).to_pylist()
    ]


@pytest.mark.parametrize("name", KINDS)
def test_predict_answers_as_evaluation_does(name: str, opened: Model, tmp_path: Path) -> None:
    """For every kind the answers to Python rows are those of the stored rows, in order."""
    tokenizer = Tokenizer.open(opened.folder)
    store = made_store(name, tokenizer, tmp_path)
    _, stored = evaluate_task(
        opened.network, store, "validation", task=made_task(name), tokenizer=tokenizer, device=torch.device("cpu")
    )
    answers = opened.predict(f"made/{name}", given(name, 30))
    assert len(answers) == 30
    for at, found in enumerate(answers):
        if name in ("nli", "topics"):
            assert list(found["scores"]) == list(LABELS[name])
            np.testing.assert_allclose(list(found["scores"].values()), stored.scores[at], atol=1e-5)
        elif name == "similarity":
            assert found["score"] == pytest.approx(stored.scores[at], abs=1e-4)
        else:
            part = stored.scores[stored.word_offsets[at] : stored.word_offsets[at + 1]]
            if name == "choices":
                np.testing.assert_allclose(found["scores"], part, atol=1e-5)
                assert found["label"] == int(np.argmax(part))
            elif name == "entities":
                assert found["labels"] == [LABELS[name][tag] for tag in part]
            else:
                assert len(found["labels"]) == len(part)


def test_answers_have_the_documented_keys(opened: Model) -> None:
    """Each kind answers in its own shape."""
    assert opened.predict("made/nli", [("a bee", "it sang")])[0].keys() == {"label", "scores"}
    labels = opened.predict("made/topics@1", ["a big car"])[0]
    assert labels["labels"] == [label for label, score in labels["scores"].items() if score >= 0.5]
    (score,) = opened.predict("made/similarity", [{"text": "a", "pair": "b"}])
    assert score.keys() == {"score"}
    assert 1.0 <= score["score"] <= 5.0
    choice = opened.predict("made/choices", [("saw", ["a", "the bee"])])[0]
    assert sum(choice["scores"]) == pytest.approx(1.0)
    assert choice["label"] in (0, 1)
    assert len(opened.predict("made/entities", [["a", "bee", "sang"]])[0]["labels"]) == 3


def test_threshold_of_labels(opened: Model) -> None:
    """Labels are those at or above the threshold; scores do not change."""
    low, high = (opened.predict("made/topics", ["a big car"], threshold=at)[0] for at in (0.0, 1.1))
    assert low["labels"] == list(LABELS["topics"])
    assert high["labels"] == []
    assert low["scores"] == high["scores"]


def test_words_without_an_answer_get_the_rows_own_tag(opened: Model) -> None:
    """Where a task has no O, words that the model never saw take the most frequent tag of their row."""
    (found,) = opened.predict("made/parts", [["bee"] * 100])
    seen = found["labels"][: MAX_LENGTH // 4]
    assert len(found["labels"]) == 100
    assert set(found["labels"][MAX_LENGTH:]) == {max(set(seen), key=seen.count)}
    assert opened.predict("made/parts", [[]]) == [{"labels": []}]


def test_task_embedding_is_an_option(opened: Model) -> None:
    """Without it the answers are others, the same every time."""
    row = [("a bee", "it sang")]
    used, left_out, again = (opened.predict("made/nli", row, use_task_embedding=use) for use in (True, False, False))
    assert used != left_out == again


def test_no_rows_have_no_answers(opened: Model) -> None:
    """An empty list gives an empty list."""
    assert opened.predict("made/nli", []) == []


def test_mistakes_are_named(opened: Model) -> None:
    """An unknown task, a single string, and a row of another kind each say what to type."""
    with pytest.raises(UnknownTaskError, match=r"Did you mean 'made/choices'.*6 trained tasks"):
        opened.predict("made/choice", ["a"])
    with pytest.raises(DataError, match="list of rows"):
        opened.predict("made/nli", "a bee")
    with pytest.raises(DataError, match="Row 1"):
        opened.predict("made/choices", [("p", ["a"]), "p"])


def test_model_says_what_it_knows(opened: Model) -> None:
    """Tasks, the zero-shot task, device and precision can be asked."""
    assert opened.tasks == tuple(f"made/{name}@1" for name in KINDS)
    assert opened.zero_shot_task == "made/nli@1"
    assert (opened.device.type, opened.precision) == ("cpu", "fp32")


def test_run_folder_and_model_folder_open_alike(opened: Model) -> None:
    """Both paths give the same model; a folder without one, a device or precision that is none, are user errors."""
    again = load_model(opened.folder, device="cpu")
    rows = [("a bee", "it sang")]
    assert again.precision == "fp32"
    assert again.predict("made/nli", rows) == opened.predict("made/nli", rows)
    with pytest.raises(ModelError, match="Precision 'fp8'"):
        load_model(opened.folder, precision="fp8")
    with pytest.raises(ModelError, match="holds no model"):
        load_model(opened.folder / "nothing")


def test_bf16_stays_near_fp32(opened: Model) -> None:
    """On request the CPU computes in bf16, and probabilities move by less than 0.1."""
    half = load_model(opened.folder, device="cpu", precision="bf16")
    assert half.precision == "bf16"
    rows = given("nli", 10)
    for one, other in zip(half.predict("made/nli", rows), opened.predict("made/nli", rows), strict=True):
        np.testing.assert_allclose(list(one["scores"].values()), list(other["scores"].values()), atol=0.1)
