"""`classify`: the numbers of the Hugging Face pipeline on the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_models import MAX_LENGTH, made_model
from taskloom.errors import DataError, ModelError
from taskloom.inference import zero_shot
from taskloom.inference.predictor import Model, load_model

TEXTS = [
    "a bee sang all day",
    "the big red car",
    "go by the car and the bee and all of it " * 6,
    "bee",
]
CANDIDATES = ["car", "the long day", "big bees", "it"]


def saved(encoder: Path, folder: Path, nli_labels: tuple[str, ...], names: tuple[str, ...] = ("topics", "nli")) -> Path:
    """Save a model whose NLI task has these labels."""
    model = made_model(encoder, names=names, nli_labels=nli_labels)
    model.save(folder, tokenizer_folder=encoder, max_length=MAX_LENGTH, encoder_name="tiny")
    return folder


@pytest.fixture(scope="module", params=["three-way", "two-way"])
def folder(request: pytest.FixtureRequest, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with a three-way or a two-way head, labels not in the order of the export."""
    labels = {
        "three-way": ("contradiction", "entailment", "neutral"),
        "two-way": ("not entailment", "entailment"),
    }[request.param]
    return saved(tiny_bert, tmp_path_factory.mktemp("zero-shot") / "model", labels)


@pytest.fixture(scope="module")
def opened(folder: Path) -> Model:
    """The model, opened on the CPU."""
    return load_model(folder, device="cpu")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    """The Hugging Face pipeline on the same folder."""
    from transformers import pipeline

    return pipeline("zero-shot-classification", str(folder), device="cpu")


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare two answers: the sequence, and each label's score to 1e-4, best first."""
    assert found.keys() == expected.keys() == {"sequence", "labels", "scores"}
    assert found["sequence"] == expected["sequence"]
    scores = dict(zip(found["labels"], found["scores"], strict=True))
    others = dict(zip(expected["labels"], expected["scores"], strict=True))
    assert scores == pytest.approx(others, abs=1e-4)
    assert found["scores"] == sorted(found["scores"], reverse=True)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("template", ["This example is {}.", "{}", "all of it: {}"])
def test_numbers_are_those_of_the_pipeline(opened: Model, pipeline: Any, multi_label: bool, template: str) -> None:
    """For short and cut texts, one label or several, any template, the scores agree to 1e-4."""
    found = opened.classify(TEXTS, CANDIDATES, multi_label=multi_label, hypothesis_template=template)
    expected = pipeline(TEXTS, CANDIDATES, multi_label=multi_label, hypothesis_template=template)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    assert len({round(score, 3) for answer in found for score in answer["scores"]}) > 4


def test_one_string_in_one_dict_out(opened: Model, pipeline: Any) -> None:
    """A string gives a dict, a list of one a list; labels may be one string with commas, as in the pipeline."""
    found = opened.classify(TEXTS[0], "car, the long day")
    assert_same(found, pipeline(TEXTS[0], "car, the long day"))
    assert opened.classify([TEXTS[0]], ["car", "the long day"]) == [found]


def test_single_label_is_judged_by_itself(opened: Model, pipeline: Any) -> None:
    """A softmax over one label would always be 1; as in the pipeline it is compared with its negation."""
    found = opened.classify(TEXTS[0], ["car"])
    assert_same(found, pipeline(TEXTS[0], ["car"]))
    assert found["scores"][0] < 1


def test_pieces_do_not_change_answers(opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pairs are held at once, the answers are the same and in order."""
    whole = opened.classify(TEXTS * 3, CANDIDATES)
    monkeypatch.setattr(zero_shot, "PAIRS_AT_ONCE", 9)
    for one, other in zip(opened.classify(TEXTS * 3, CANDIDATES), whole, strict=True):
        assert_same(one, other)


def test_only_the_text_is_cut(opened: Model) -> None:
    """Words beyond the length change nothing; a label that leaves no room for a text is an error."""
    label = "car and day"
    long = "bee sang all day by it go " * 10
    same = [opened.classify(text, [label])["scores"][0] for text in (long, long + "red car")]
    assert same[0] == pytest.approx(same[1], abs=1e-6)
    with pytest.raises(DataError, match="no room"):
        opened.classify("bee", ["car", "day " * MAX_LENGTH])


def test_task_embedding_is_left_out_unless_asked_for(opened: Model) -> None:
    """The default is the export's answer; with the task embedding it is another."""
    plain, used = (opened.classify(TEXTS[0], CANDIDATES, use_task_embedding=use) for use in (False, True))
    assert plain == opened.classify(TEXTS[0], CANDIDATES)
    assert not np.allclose(plain["scores"], used["scores"], atol=1e-4)


def test_no_texts_and_an_empty_text(opened: Model) -> None:
    """No texts have no answers; an empty text has one."""
    assert opened.classify([], CANDIDATES) == []
    assert sum(opened.classify("", CANDIDATES)["scores"]) == pytest.approx(1.0)


def test_mistakes_are_named(opened: Model) -> None:
    """No labels, a template without its gap or with two, and a text that is none."""
    with pytest.raises(DataError, match="no labels"):
        opened.classify("bee", [])
    for template in ("This is it.", "{} or {}", "{label}"):
        with pytest.raises(DataError, match=r"one \{\}"):
            opened.classify("bee", ["car"], hypothesis_template=template)
    with pytest.raises(DataError, match="Text 1 is 3"):
        opened.classify(["bee", 3], ["car"])


def test_model_without_entailment_says_so(tiny_bert: Path, tmp_path: Path) -> None:
    """Without an entailment head there is no zero-shot, and the message names the cure."""
    opened = load_model(saved(tiny_bert, tmp_path / "model", (), names=("topics",)), device="cpu")
    assert opened.zero_shot_task is None
    with pytest.raises(ModelError, match="family:nli"):
        opened.classify("bee", ["car"])


def test_numbers_are_those_of_the_pipeline_for_deberta(tiny_deberta: Path, tmp_path: Path) -> None:
    """The same holds for an architecture without absolute positions and with a pooler of its own."""
    from transformers import pipeline

    folder = saved(tiny_deberta, tmp_path / "model", ("entailment", "neutral", "contradiction"))
    found = load_model(folder, device="cpu").classify(TEXTS, CANDIDATES)
    expected = pipeline("zero-shot-classification", str(folder), device="cpu")(TEXTS, CANDIDATES)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
