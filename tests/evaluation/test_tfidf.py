"""The TF-IDF baseline: what it reads, what it may see, and how well it does where words tell the answer."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from made_rows import KINDS
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.tfidf import counted, segments_at, tfidf_answers, train_places
from taskloom.recipes.recipe import Builtin, Kind, Splits, Task

TELLING = ("cat", "dog", "bird")
FILLER = "the a of and to in is was it for on with as by at".split()


def columns(kind: str, rows: int, seed: int) -> dict[str, object]:
    """Return rows in which one word tells the answer."""
    generator = np.random.default_rng(seed)
    answer = generator.integers(0, 3, rows)
    filler = [" ".join(generator.choice(FILLER, 6)) for _ in range(rows)]
    texts = [f"{words} {TELLING[place]}" for words, place in zip(filler, answer, strict=True)]
    if kind == "multiple_choice":
        right = answer % 2
        pairs = [["no", "yes"] if place else ["yes", "no"] for place in right]
        return {"prompt": filler, "choices": pairs, "label": pa.array(right, pa.int32())}
    if kind == "token_classification":
        tokens = [text.split() for text in texts]
        tags = [[1 + TELLING.index(word) % 2 if word in TELLING else 0 for word in words] for words in tokens]
        return {"tokens": tokens, "labels": pa.array(tags, pa.list_(pa.int32()))}
    found = {"text": texts, "pair": pa.array([None] * rows, pa.string())}
    if kind == "classification":  # the pair tells it, the text does not
        return {"text": filler, "pair": texts, "label": pa.array(answer, pa.int32())}
    if kind == "multilabel":
        return found | {"labels": pa.array([[int(place)] for place in answer], pa.list_(pa.int32()))}
    return found | {"score": pa.array(1.0 + 2 * answer, pa.float32())}


def store_of(kind: str, folder: Path, cache: Path, *, rows: int = 200) -> TaskStore:
    """Return a prepared task of a kind with 200 train and 60 validation rows."""
    made: Kind = KINDS[kind]
    task = Task(id=f"told/{kind}", source=Builtin(kind), kind=made, splits=Splits(train="train"), family="topic")
    splits = {
        name: pa.table(columns(kind, size, seed) | {"row": pa.array(np.arange(size) * 2)})
        for name, size, seed in (("train", rows, 1), ("validation", 60, 2))
    }
    labels = {"token_classification": ("O", "B-x", "I-x")}.get(kind, ("x", "y", "z"))
    labels = () if kind in ("regression", "multiple_choice") else labels
    canonical = CanonicalTask(task, labels, splits, fingerprint=f"{kind}/{rows}")
    return build(canonical, Tokenizer.open(folder), cache=cache, max_length=24, max_rows=1000)


def blank(store: TaskStore) -> Predictions:
    """Return predictions with the gold answers of a store's validation rows and no answers."""
    rows = store.splits["validation"]
    offsets = None
    if store.kind == "multiple_choice":
        offsets = np.concatenate([[0], np.cumsum(rows.sequences)])
    if store.kind == "token_classification":
        offsets = np.asarray(rows.word_offsets)
    gold, empty = np.asarray(rows.labels), np.zeros(0)
    return Predictions(store.task, store.kind, store.labels, "validation", np.asarray(rows.rows), gold, empty, offsets)


def answered(store: TaskStore, **more) -> Predictions:
    """Return the baseline's answers."""
    given = blank(store)
    return dataclasses.replace(given, scores=tfidf_answers(store, "validation", given, **more))


@pytest.mark.parametrize("kind", KINDS)
def test_a_telling_word_is_found(kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    """Where a word decides, every kind's baseline is right on at least 95 % of new rows; scores follow it closely."""
    found = answered(store_of(kind, tiny_bert, tmp_path))
    if kind == "regression":
        assert np.corrcoef(found.scores, found.gold)[0, 1] > 0.9
        assert found.scores.min() >= 1.0 and found.scores.max() <= 5.0
    else:
        assert np.mean(found.answers() == found.gold) >= 0.95


def test_counts_are_those_of_the_tokens(tiny_bert: Path, tmp_path: Path) -> None:
    """Each row has its tokens and its pairs of neighbors; neighbors of two segments do not meet."""
    split = store_of("classification", tiny_bert, tmp_path).splits["train"]
    places = np.array([3, 0, 7])
    for number in (0, 1):
        segments = segments_at(split, places, number)
        counts = counted(split, segments)
        for at, segment in enumerate(segments):
            tokens = split.tokens[split.offsets[segment] : split.offsets[segment + 1]].tolist()
            single, pairs = Counter(tokens), Counter(itertools.pairwise(tokens))
            expected = sorted([*single.values(), *pairs.values()])
            assert sorted(counts[at].data.tolist()) == expected
    assert counted(split, np.array([-1])).nnz == 0


def test_rows_that_the_model_did_not_see_are_not_seen(tiny_bert: Path, tmp_path: Path) -> None:
    """Left-out train rows are not fitted on: without the rows of one class it is never answered."""
    store = store_of("classification", tiny_bert, tmp_path)
    left_out = np.flatnonzero(np.asarray(store.splits["train"].labels) == 2)
    assert not set(train_places(store, left_out)) & set(left_out)
    assert 2 not in answered(store, left_out=left_out).answers()
    assert 2 in answered(store).answers()


def test_fitting_is_bounded(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the cap a fixed random part of the rows is taken, fewer where there are many labels."""
    store = store_of("classification", tiny_bert, tmp_path)
    monkeypatch.setattr("taskloom.evaluation.tfidf.MOST_ROWS", 50)
    chosen = train_places(store, None)
    assert len(chosen) == 50 and chosen.tolist() != list(range(50))
    monkeypatch.setattr("taskloom.evaluation.tfidf.MOST_CELLS", 60)
    assert len(train_places(store, None)) == 20


def test_one_answer_among_the_train_rows_is_the_answer(tiny_bert: Path, tmp_path: Path) -> None:
    """A constant cannot be fitted; it is answered."""
    store = store_of("classification", tiny_bert, tmp_path)
    others = np.flatnonzero(np.asarray(store.splits["train"].labels) != 1)
    assert set(answered(store, left_out=others).answers()) == {1}


def test_without_train_rows_there_is_no_baseline(tiny_bert: Path, tmp_path: Path) -> None:
    """No train split, or none of it left, is told as the reason."""
    store = store_of("classification", tiny_bert, tmp_path)
    alone = dataclasses.replace(store, splits={"validation": store.splits["validation"]})
    with pytest.raises(DataError, match="no train rows"):
        answered(alone)
    with pytest.raises(DataError, match="no train rows"):
        answered(store, left_out=np.arange(200))
