"""Texts of rows, read back from prepared tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_rows import KINDS, made_store
from taskloom.reporting.texts import LONGEST, Texts, shortened


@pytest.mark.parametrize("kind", KINDS)
def test_texts_come_back_as_they_were_tokenized(kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    """Text and pair, prompt and choices, or words of a row are found by its number in the source split."""
    store, canonical, _ = made_store(kind, tiny_bert, tmp_path)
    texts = Texts(tmp_path, tiny_bert / "tokenizer.json")
    table = canonical.splits["train"]
    row = table["row"].to_pylist()[2]
    found = texts.of(store.id, store.fingerprint, "train", [row])[row]
    if kind == "token_classification":
        expected = [" ".join(table["tokens"].to_pylist()[2])]
    elif kind == "multiple_choice":
        expected = [table["prompt"].to_pylist()[2], *table["choices"].to_pylist()[2]]
    else:
        pair = table["pair"].to_pylist()[2]
        expected = [table["text"].to_pylist()[2], *([pair] if pair is not None else [])]
    assert len(found) == len(expected)
    for shown, text in zip(found, expected, strict=True):
        plain = text.lower().replace(" ", "")
        assert shown.replace(" ", "").replace("…", "") in plain or plain.endswith(shown.replace(" ", ""))
        assert shown


def test_what_is_not_prepared_has_no_texts(tiny_bert: Path, tmp_path: Path) -> None:
    """Another cache, other rows, an unknown split and a model without tokenizer give nothing, and no error."""
    store, _, _ = made_store("classification", tiny_bert, tmp_path)
    tokenizer = tiny_bert / "tokenizer.json"
    assert Texts(tmp_path / "empty", tokenizer).of(store.id, store.fingerprint, "train", [0]) == {}
    assert Texts(tmp_path, tokenizer).of(store.id, "f" * 64, "train", [0]) == {}
    assert Texts(tmp_path, tokenizer).of(store.id, store.fingerprint, "nowhere", [0]) == {}
    assert Texts(tmp_path, tokenizer).of(store.id, store.fingerprint, "train", [10**9]) == {}
    assert Texts(tmp_path, tmp_path / "no.json").of(store.id, store.fingerprint, "train", [0]) == {}


def test_long_texts_lose_their_middle_between_words() -> None:
    """Beginning and end of a long text stay, whole words each, on one line; a short one stays as it is."""
    assert shortened("a\n b") == "a b"
    long = shortened(" ".join(f"word{number}" for number in range(200)))
    assert len(long) <= LONGEST + 3
    assert long.startswith("word0 word1 ") and long.endswith(" word198 word199")
    begin, end = long.split(" … ")
    assert all(word.startswith("word") for word in (*begin.split(), *end.split()))
    assert "…" in shortened("x" * 1000)
