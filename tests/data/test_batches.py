"""Tokenizer and batches: what goes into the encoder equals what the tokenizer itself would make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from made_rows import KINDS, made_store
from taskloom.data.batches import Batcher, Drawn, cut
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.data.truncation import first_only, longest_first
from taskloom.recipes.recipe import (
    Hub,
    Splits,
    Task,
)

USABLE = st.text(max_size=60).filter(lambda text: text.strip())
"""Texts as standardizing leaves them: never blank."""


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
    store, canonical, tokenizer = made_store("multiple_choice", tiny_bert, tmp_path)
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
    store, canonical, tokenizer = made_store("token_classification", tiny_bert, tmp_path)
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
    store, canonical, tokenizer = made_store(kind, tiny_bert, tmp_path, rows=120)
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
    store, _, tokenizer = made_store("classification", tiny_bert, tmp_path, rows=100)
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
    store, canonical, tokenizer = made_store("multiple_choice", tiny_bert, tmp_path, rows=60)
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
