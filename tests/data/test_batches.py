"""Tokenizer, store and batches: what goes into the encoder equals what the tokenizer itself would make."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from taskloom.data.batches import Batcher, Drawn, cut
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import MANIFEST, SplitStore, TaskStore, build, kept_rows, open_store
from taskloom.data.tokenizer import Tokenizer
from taskloom.data.truncation import first_only, longest_first
from taskloom.errors import StoreError
from taskloom.recipes.recipe import (
    Classification,
    Hub,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)

WORDS = "the cat dog runs happily blue bird 12 o'clock unbelievable, ever? yes! zyx".split()
KINDS: dict[str, Kind] = {
    "classification": Classification(text="text", pair="pair", label="label"),
    "multilabel": Multilabel(text="text", labels="labels"),
    "regression": Regression(text="text", pair="pair", score="score", low=1, high=5),
    "multiple_choice": MultipleChoice(prompt="prompt", choices="choices", label="label"),
    "token_classification": TokenClassification(tokens="tokens", labels="labels"),
}


USABLE = st.text(max_size=60).filter(lambda text: text.strip())
"""Texts as standardizing leaves them: never blank."""


def _text(draw: random.Random, most: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, most)))


def _row(kind: str, draw: random.Random, row: int) -> dict[str, object]:
    pair = _text(draw, 12) if draw.random() < 0.7 else None
    if kind == "multiple_choice":
        choices = [_text(draw, 6) for _ in range(draw.randint(2, 12))]
        prompt = _text(draw, 30) if draw.random() < 0.8 else ""
        return {"prompt": prompt, "choices": choices, "label": draw.randrange(len(choices)), "row": row}
    if kind == "token_classification":
        tokens = _text(draw, 25).split()
        return {"tokens": tokens, "labels": [draw.randrange(3) for _ in tokens], "row": row}
    answer = {
        "classification": {"label": draw.randrange(3)},
        "multilabel": {"labels": sorted(draw.sample(range(3), draw.randint(0, 3)))},
        "regression": {"score": draw.uniform(1, 5)},
    }[kind]
    return {"text": _text(draw, 20), "pair": pair if kind != "multilabel" else None, **answer, "row": row}


def _canonical(kind: str, *, rows: int = 40, seed: int = 0) -> CanonicalTask:
    draw = random.Random(seed)
    made = [_row(kind, draw, row * 3) for row in range(rows)]
    schema = {
        "text": pa.string(), "pair": pa.string(), "prompt": pa.string(), "choices": pa.list_(pa.string()),
        "tokens": pa.list_(pa.string()), "label": pa.int32(), "labels": pa.list_(pa.int32()), "score": pa.float32(),
        "row": pa.int64(),
    }  # fmt: skip
    table = pa.table({name: pa.array([row[name] for row in made], schema[name]) for name in made[0]})
    task = Task(id=f"made/{kind}", source=Hub("o/n"), kind=KINDS[kind], splits=Splits(train="train"), family="topic")
    labels = () if kind in ("regression", "multiple_choice") else ("O", "B-x", "I-x")
    return CanonicalTask(task, labels, {"train": table}, fingerprint=f"{kind}/{rows}/{seed}")


def _store(kind: str, folder: Path, cache: Path, **options: int) -> tuple[TaskStore, CanonicalTask, Tokenizer]:
    canonical = _canonical(kind, **options)
    tokenizer = Tokenizer.open(folder)
    return build(canonical, tokenizer, cache=cache, max_length=24, max_rows=1000), canonical, tokenizer


def _all(store: TaskStore) -> Drawn:
    count = len(store.splits["train"])
    return Drawn(np.zeros(count, np.int64), np.arange(count), np.zeros(count, np.int64))


def _batcher(store: TaskStore, tokenizer: Tokenizer, **options: int | None) -> Batcher:
    return Batcher([store], "train", tokenizer, max_length=24, **({"tokens_per_micro_batch": 512} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("encoder", ["tiny_bert", "minilm"])
@given(texts=st.lists(st.tuples(USABLE, st.none() | USABLE), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_sequences_equal_the_tokenizers_own(
    encoder: str, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str | None]]
) -> None:
    """Any text and pair, cut or not: ids, types and length are those of tokenizer(text, pair, truncation=True)."""
    from taskloom.modeling.encoder import resolve_encoder

    folder = tiny_bert if encoder == "tiny_bert" else resolve_encoder("minilm")
    table = pa.table({
        "text": pa.array([text for text, _ in texts], pa.string()),
        "pair": pa.array([pair for _, pair in texts], pa.string()),
        "label": pa.array([0] * len(texts), pa.int32()), "row": pa.array(range(len(texts)), pa.int64()),
    })  # fmt: skip
    task = Task(
        id="made/any", source=Hub("o/n"), kind=KINDS["classification"], splits=Splits(train="t"), family="topic"
    )
    canonical = CanonicalTask(task, ("a", "b"), {"train": table}, fingerprint=repr(texts))
    tokenizer = Tokenizer.open(folder)
    cache = tmp_path_factory.mktemp("cache")
    store = build(canonical, tokenizer, cache=cache, max_length=24, max_rows=1000)
    batch = _batcher(store, tokenizer).assemble(_all(store))
    reference = AutoTokenizer.from_pretrained(folder)
    for row, (text, pair) in enumerate(texts):
        expected = reference(text, pair, truncation=True, max_length=24, padding=False)
        length = len(expected["input_ids"])
        assert batch.input_ids[row, :length].tolist() == expected["input_ids"]
        assert (batch.token_type_ids is not None) == ("token_type_ids" in expected) == (encoder == "minilm")
        if batch.token_type_ids is not None:
            assert batch.token_type_ids[row, :length].tolist() == expected["token_type_ids"]
        assert store.splits["train"].lengths[row] == length
        assert (batch.input_ids[row, length:] == tokenizer.pad_id).all()


@given(first=st.integers(0, 300), second=st.integers(0, 300), room=st.integers(2, 200))
def test_truncation_keeps_what_fits(first: int, second: int, room: int) -> None:
    """Nothing is cut that fits, no room is wasted, and a cut first segment leaves the second alone while it can."""
    one, two = longest_first(np.array([first]), np.array([second]), room)
    assert one[0] + two[0] == min(first + second, room)
    assert one[0] <= first and two[0] <= second
    one, two = first_only(np.array([first]), np.array([second]), room)
    assert one[0] + two[0] == min(first + second, room)
    assert two[0] == min(second, room)


def test_choices_lose_only_the_beginning_of_their_prompt(tiny_bert: Path, tmp_path: Path) -> None:
    """A row too long keeps its whole choice and the end of its prompt; without a prompt the choice stands alone."""
    store, canonical, tokenizer = _store("multiple_choice", tiny_bert, tmp_path)
    batch = _batcher(store, tokenizer).assemble(_all(store))
    reference = AutoTokenizer.from_pretrained(tiny_bert)
    place = 0
    for row in canonical.splits["train"].to_pylist():
        prompt = reference(row["prompt"], add_special_tokens=False)["input_ids"]
        for choice in row["choices"]:
            whole = 24 - (3 if prompt else 2)
            ids = reference(choice, add_special_tokens=False)["input_ids"][:whole]
            kept = prompt[len(prompt) - min(len(prompt), whole - len(ids)) :]
            given_ids = [token for token in batch.input_ids[place].tolist() if token not in (0, 2, 3)]
            assert given_ids == kept + ids
            place += 1
    assert place == len(batch.input_ids)


def test_words_point_at_their_first_token(tiny_bert: Path, tmp_path: Path) -> None:
    """Each labelled word's position holds its first sub-word; words cut off are not there."""
    store, canonical, tokenizer = _store("token_classification", tiny_bert, tmp_path)
    batch = _batcher(store, tokenizer).assemble(_all(store))
    reference = AutoTokenizer.from_pretrained(tiny_bert)
    found = 0
    for place, row in enumerate(canonical.splits["train"].to_pylist()):
        expected = reference(row["tokens"], is_split_into_words=True, truncation=True, max_length=24)
        words = expected.word_ids()
        mine = batch.word_sequence == place
        starts = [words.index(word) for word in dict.fromkeys(word for word in words if word is not None)]
        assert batch.word_position[mine].tolist() == starts
        assert batch.word_label[mine].tolist() == row["labels"][: len(starts)]
        found += len(starts)
    assert found == len(batch.word_position)


@pytest.mark.parametrize("kind", list(KINDS))
def test_micro_batches_hold_each_row_once(kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    """Cut under the budget, every drawn row is in exactly one micro-batch, with its own answer and little padding."""
    store, canonical, tokenizer = _store(kind, tiny_bert, tmp_path, rows=120)
    micro = _batcher(store, tokenizer, tokens_per_micro_batch=256, min_micro_batches=4).micro_batches(_all(store))
    places = np.concatenate([batch.place.numpy() for batch in micro])
    assert sorted(places) == list(range(120))
    rows = canonical.splits["train"].to_pylist()
    for batch in micro:
        assert batch.input_ids.numel() <= 256 or len(batch.task) == 1
        for example, place in enumerate(batch.place.tolist()):
            assert int(batch.row[example]) == rows[place]["row"]
            if kind in ("classification", "multiple_choice"):
                assert int(batch.label[example]) == rows[place]["label"]
            if kind == "regression":
                assert float(batch.score[example]) == pytest.approx((rows[place]["score"] - 1) / 4, abs=1e-6)
            if kind == "multilabel":
                mine = batch.positives[batch.positives[:, 0] == example, 1].tolist()
                assert sorted(mine) == rows[place]["labels"]


def test_mask_is_there_only_with_padding(tiny_bert: Path, tmp_path: Path) -> None:
    """A micro-batch of equal lengths has no mask; one of several lengths masks exactly the padding."""
    store, _, tokenizer = _store("classification", tiny_bert, tmp_path, rows=100)
    lengths = store.splits["train"].lengths
    same = np.flatnonzero(lengths == np.bincount(lengths).argmax())
    drawn = _all(store)
    batcher = _batcher(store, tokenizer)
    assert batcher.assemble(drawn.take(same)).attention_mask is None
    mixed = batcher.assemble(drawn)
    assert mixed.attention_mask is not None
    assert mixed.attention_mask.sum(1).tolist() == lengths.tolist()


def test_training_samples_wrong_choices(tiny_bert: Path, tmp_path: Path) -> None:
    """At most max_choices are kept, the right one always, by (seed, row, epoch); evaluation keeps all."""
    store, canonical, tokenizer = _store("multiple_choice", tiny_bert, tmp_path, rows=60)
    rows = canonical.splits["train"].to_pylist()
    batcher = _batcher(store, tokenizer, max_choices=3)
    drawn = _all(store)
    batch = batcher.assemble(drawn)
    counts = np.bincount(batch.sequence_example.numpy())
    assert counts.tolist() == [min(3, len(row["choices"])) for row in rows]
    whole = _batcher(store, tokenizer).assemble(drawn)
    assert np.bincount(whole.sequence_example.numpy()).tolist() == [len(row["choices"]) for row in rows]
    first = np.concatenate([[0], np.cumsum(counts)])
    all_first = np.concatenate([[0], np.cumsum([len(row["choices"]) for row in rows])])
    for place, row in enumerate(rows):
        right = batch.input_ids[first[place] + int(batch.label[place])]
        expected = whole.input_ids[all_first[place] + row["label"]]
        width = min(len(right), len(expected))
        assert right[:width].tolist() == expected[:width].tolist()
    again = batcher.assemble(drawn)
    later = batcher.assemble(Drawn(drawn.task, drawn.place, drawn.epoch + 1))
    assert again.input_ids.tolist() == batch.input_ids.tolist()
    assert later.input_ids.tolist() != batch.input_ids.tolist()


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200).map(sorted),
    budget=st.integers(60, 600),
    at_least=st.integers(1, 9),
)
@settings(max_examples=100, deadline=None)
def test_cuts_respect_budget_and_count(lengths: list[int], budget: int, at_least: int) -> None:
    """No part exceeds the budget, and there are enough parts where there are enough rows."""
    sizes = np.array(lengths)
    cuts = cut(sizes, np.ones(len(sizes), np.int64), budget=budget, at_least=at_least)
    parts = np.split(sizes, cuts)
    assert all(len(part) * part.max() <= budget or len(part) == 1 for part in parts)
    assert len(parts) >= min(at_least, len(sizes))


def test_cap_is_a_random_subset_by_row() -> None:
    """The cap never takes the first rows, and a row that is kept stays kept when rows are added."""
    kept = kept_rows("glue/rte", np.arange(1000), 100)
    assert len(kept) == 100 and kept.tolist() == sorted(kept)
    assert kept.max() > 800 and not np.array_equal(kept, np.arange(100))
    assert np.array_equal(kept, kept_rows("glue/rte", np.arange(1000), 100))
    assert not np.array_equal(kept, kept_rows("glue/mnli", np.arange(1000), 100))


def test_store_is_reused_and_damage_is_found(tiny_bert: Path, tmp_path: Path) -> None:
    """A second build reads the first; a cut file is an error that says what to type; other settings, another folder."""
    store, canonical, tokenizer = _store("classification", tiny_bert, tmp_path)
    stamp = (store.folder / MANIFEST).stat().st_mtime_ns
    again = build(canonical, tokenizer, cache=tmp_path, max_length=24, max_rows=1000)
    assert again.folder == store.folder and (again.folder / MANIFEST).stat().st_mtime_ns == stamp
    assert build(canonical, tokenizer, cache=tmp_path, max_length=16, max_rows=1000).folder != store.folder
    tokens = store.folder / "train" / "tokens.npy"
    tokens.write_bytes(tokens.read_bytes()[:-10])
    with pytest.raises(StoreError, match="cache --clear"):
        open_store(store.folder)


def test_a_store_without_manifest_does_not_exist(tiny_bert: Path, tmp_path: Path) -> None:
    """What an interrupted build left behind is built anew."""
    store, canonical, tokenizer = _store("regression", tiny_bert, tmp_path)
    (store.folder / MANIFEST).unlink()
    (store.folder / "train" / "tokens.npy").write_bytes(b"half")
    again = build(canonical, tokenizer, cache=tmp_path, max_length=24, max_rows=1000)
    assert isinstance(again.splits["train"], SplitStore) and len(again.splits["train"].tokens) > 0
    assert json.loads((again.folder / MANIFEST).read_text(encoding="utf-8"))["id"] == "made/regression"


def test_truncated_rows_are_counted(tiny_bert: Path, tmp_path: Path) -> None:
    """The count equals the rows whose sequence is longer than max_length."""
    store, canonical, _ = _store("classification", tiny_bert, tmp_path)
    reference = AutoTokenizer.from_pretrained(tiny_bert)
    rows = canonical.splits["train"].to_pylist()
    longer = sum(len(reference(row["text"], row["pair"])["input_ids"]) > 24 for row in rows)
    assert store.truncated["train"] == longer > 0
