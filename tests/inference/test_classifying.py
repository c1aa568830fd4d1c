"""How labels may be asked: descriptions, templates, sets by text, windows, none of these, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_models import MAX_LENGTH, made_model
from taskloom.errors import DataError, ModelError, SourceError
from taskloom.inference.classifying import Question
from taskloom.inference.label_sets import ask, label_set, label_sets, read_labels
from taskloom.inference.pieces import Texts, pieces_of
from taskloom.inference.predictor import Model, load_model

TEXTS = ["a bee sang all day", "the big red car", "go by the car and the bee and all of it " * 6, "bee"]
LABELS = ["car", "the long day", "big bees", "it"]


@pytest.fixture(scope="module")
def opened(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with an entailment head and a one-pass head, weights random, on the CPU."""
    folder = tmp_path_factory.mktemp("classifying") / "model"
    model = made_model(tiny_bert, names=("topics", "nli", "options"))
    model.save(folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny")
    return load_model(folder, device="cpu")


def scores(result: dict[str, Any]) -> dict[str, float]:
    """Return the score of each label."""
    return dict(zip(result["labels"], result["scores"], strict=True))


def near(one: dict[str, float], other: dict[str, float]) -> bool:
    """Tell whether the same labels have the same scores to 1e-5."""
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) < 1e-5 for name in one)


def test_a_description_is_asked_and_the_name_answered(opened: Model) -> None:
    """{name: description} gives what the descriptions alone give, under the names, in both ways."""
    described = {"one": "car", "two": "the long day"}
    for way in ("pairs", "one-pass"):
        found = scores(opened.classify(TEXTS[0], described, way=way))
        plain = scores(opened.classify(TEXTS[0], ["car", "the long day"], way=way))
        assert near(found, {name: plain[words] for name, words in described.items()})


def test_several_templates_are_averaged(opened: Model) -> None:
    """The scores are the mean of those of each template."""
    templates = ["This example is {}.", "all of it: {}", "{}"]
    each = [scores(opened.classify(TEXTS[1], LABELS, hypothesis_template=one)) for one in templates]
    found = scores(opened.classify(TEXTS[1], LABELS, hypothesis_template=templates))
    assert near(found, {name: float(np.mean([one[name] for one in each])) for name in LABELS})
    assert not near(each[0], each[1])


@pytest.mark.parametrize("way", ["pairs", "one-pass", "all"])
def test_each_text_may_have_its_own_labels(opened: Model, way: str) -> None:
    """Sets of any number, in any order, each answered as if it were asked alone."""
    sets = [LABELS, ["it"], {"c": "car", "b": "big bees"}, "it, car"]
    found = opened.classify(TEXTS, sets, way=way)
    for text, labels, one in zip(TEXTS, sets, found, strict=True):
        assert near(scores(one), scores(opened.classify(text, labels, way=way)))


def test_all_blends_the_ways(opened: Model) -> None:
    """`all` averages, in the log where one label is right; `auto` takes pairs, however many labels there are."""
    pairs, marks, blended = (opened.classify(TEXTS, LABELS, way=way) for way in ("pairs", "one-pass", "all"))
    for one, other, mean in zip(pairs, marks, blended, strict=True):
        products = {name: (scores(one)[name] * scores(other)[name]) ** 0.5 for name in LABELS}
        assert near(scores(mean), {name: value / sum(products.values()) for name, value in products.items()})
        assert not near(scores(one), scores(other))
    each = [opened.classify(TEXTS, LABELS, way=way, multi_label=True) for way in ("pairs", "one-pass", "all")]
    for one, other, mean in zip(*each, strict=True):
        assert near(scores(mean), {name: (scores(one)[name] + scores(other)[name]) / 2 for name in LABELS})
    assert opened.classify(TEXTS, LABELS, way="auto") == pairs
    many = [f"{label} {number}" for number in range(5) for label in LABELS]
    assert opened.classify(TEXTS, many, way="auto") == opened.classify(TEXTS, many, way="pairs")


def test_windows_are_averaged(opened: Model) -> None:
    """A long text gets the mean of its windows, short ones are as before, and long ones are counted either way."""
    tokenizer = opened.classifier().reading.tokenizer
    one_token = [word for word in "a bee the big red car go by and it".split() if tokenizer.segments([word])[1][1] == 1]
    words = [one_token[place * place % len(one_token)] for place in range(100)]
    texts = [TEXTS[0], " ".join(words), "bee"]
    cut, counted = opened.classifier().answers(texts, label_sets(LABELS, 3), Question())
    found, long = opened.classifier(long="windows").answers(texts, label_sets(LABELS, 3), Question())
    assert counted == long == 1
    same = [near(scores(one), scores(other)) for one, other in zip(found, cut, strict=True)]
    assert same == [True, False, True]
    label = max(np.diff(tokenizer.segments([f"This example is {label}." for label in LABELS])[1]))
    count = -(-len(words) // (MAX_LENGTH - tokenizer.pair.specials - label))
    windows = [" ".join(words[100 * part // count : 100 * (part + 1) // count]) for part in range(count)]
    parts = [scores(opened.classify(window, LABELS)) for window in windows]
    assert near(scores(found[1]), {name: float(np.mean([part[name] for part in parts])) for name in LABELS})


def test_pieces_cover_texts_once() -> None:
    """Windows are neighbors of about equal size that fit; an empty text is one piece."""
    texts = Texts(np.arange(30), np.array([0, 23, 23, 30]))
    pieces = pieces_of(texts, np.array([10, 10, 7]), "windows")
    assert pieces.text.tolist() == [0, 0, 0, 1, 2]
    assert pieces.start.tolist() == [0, 7, 15, 23, 23]
    assert pieces.size.tolist() == [7, 8, 8, 0, 7]
    assert pieces_of(texts, np.array([10, 10, 7]), "truncate").size.tolist() == [23, 0, 7]


def test_none_of_these(opened: Model) -> None:
    """Below the bound no label is the answer; "fits" is the best label's probability by itself; nothing else moves."""
    plain = opened.classify(TEXTS[0], LABELS)
    own = scores(opened.classify(TEXTS[0], LABELS, multi_label=True))
    low, high = (opened.classify(TEXTS[0], LABELS, none_below=bound) for bound in (0.0, 1.0))
    assert {name: low[name] for name in plain} == plain
    assert low["fits"] == pytest.approx(own[plain["labels"][0]], abs=1e-6)
    assert (low["label"], high["label"]) == (plain["labels"][0], None)


def test_labels_of_files(tmp_path: Path) -> None:
    """Names with commas, a JSON list or object, or a TOML table; what is none of these is named."""
    (tmp_path / "some.json").write_text(json.dumps({"a": "one thing", "b": "two"}), encoding="utf-8")
    (tmp_path / "list.json").write_text('["a", "b"]', encoding="utf-8")
    (tmp_path / "some.toml").write_text('a = "one thing"\n"b c" = "two"\n', encoding="utf-8")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert read_labels("a, b,") == ["a", "b"]
    assert read_labels(str(tmp_path / "some.json")) == {"a": "one thing", "b": "two"}
    assert read_labels(str(tmp_path / "list.json")) == ["a", "b"]
    assert read_labels(str(tmp_path / "some.toml")) == {"a": "one thing", "b c": "two"}
    with pytest.raises(SourceError, match="no file of labels"):
        read_labels(str(tmp_path / "missing.toml"))
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(str(tmp_path / "bad.json"))


def test_equal_words_are_asked_once() -> None:
    """What all sets ask stands once, and each text's labels are places in it."""
    asked = ask([label_set("a, b"), label_set({"x": "b"}), label_set("a, b")])
    assert asked.said == ("a", "b")
    assert asked.label.tolist() == [0, 1, 1, 0, 1]
    assert asked.offsets.tolist() == [0, 2, 3, 5]


def test_mistakes_are_named(opened: Model) -> None:
    """Sets for other texts, a way or a reading that is none, a bound that is no probability, a blank label."""
    with pytest.raises(DataError, match="2 sets of labels for 4 texts"):
        opened.classify(TEXTS, [["a"], ["b"]])
    with pytest.raises(DataError, match="Did you mean 'one-pass'"):
        opened.classify("bee", ["car"], way="one_pass")
    with pytest.raises(DataError, match="Did you mean 'windows'"):
        opened.classify("bee", ["car"], long="window")
    with pytest.raises(DataError, match="probability"):
        opened.classify("bee", ["car"], none_below=2)
    with pytest.raises(DataError, match="not a word"):
        opened.classify("bee", ["car", " "])


def test_a_way_that_the_model_lacks(tiny_bert: Path, tmp_path: Path) -> None:
    """Without the head for a way the message names the cure; `auto` takes the other way."""
    for name, way, cure in (("nli", "one-pass", 'recast = \\["one-pass"\\]'), ("options", "pairs", "family:nli")):
        folder = tmp_path / name
        made_model(tiny_bert, names=(name,)).save(
            folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
        )
        opened = load_model(folder, device="cpu")
        with pytest.raises(ModelError, match=cure):
            opened.classify("bee", LABELS * 3, way=way)
        assert len(opened.classify("bee", [f"{n} bees" for n in range(12)], way="auto")["labels"]) == 12
