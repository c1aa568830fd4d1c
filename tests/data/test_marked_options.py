"""One-pass rows as tokens: each option behind a mark, the text last, and only the text cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.segments import Segments, marked_options, trimmed
from taskloom.data.tokenizer import Tokenizer

words = st.lists(st.sampled_from(["bee", "car", "the long day", "zoo", "", "红"]), max_size=6).map(" ".join)
rows = st.lists(st.tuples(words, st.lists(words, min_size=1, max_size=5)), max_size=8)


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Tokenizer:
    """The tokenizer of a small BERT."""
    return Tokenizer.open(tiny_bert)


def one_by_one(text: str, options: list[str], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return tokens and marks of a row, the slow way."""
    tokens: list[int] = []
    marks = []
    for part in (*options, text):
        marks.append(len(tokens))
        tokens += [tokenizer.mark, *tokenizer.backend.encode(part, add_special_tokens=False).ids]
    return tokens, marks[:-1]


@settings(deadline=None, max_examples=60)
@given(given_rows=rows)
def test_a_mark_stands_before_each_option_and_the_text(tokenizer: Tokenizer, given_rows: list) -> None:
    """The whole-array way gives what going through rows and options one by one gives."""
    found = marked_options([text for text, _ in given_rows], [options for _, options in given_rows], tokenizer)
    expected = [one_by_one(text, options, tokenizer) for text, options in given_rows]
    assert found.tokens.tolist() == [token for tokens, _ in expected for token in tokens]
    assert found.sizes.tolist() == [len(tokens) for tokens, _ in expected]
    assert found.word_starts.tolist() == [mark for _, marks in expected for mark in marks]
    assert found.word_counts.tolist() == [len(options) for _, options in given_rows]


def test_only_the_text_gives_way(tokenizer: Tokenizer) -> None:
    """A long text is cut at its end and every option keeps its mark; options beyond the length lose theirs."""
    found: Segments = marked_options(["bee " * 50, "car"], [["car", "zoo"], ["the long day"] * 9], tokenizer)
    cut = trimmed(found, "token_classification", tokenizer, 20)
    assert cut.sizes.tolist() == [18, 18]
    first = one_by_one("bee " * 50, ["car", "zoo"], tokenizer)
    assert cut.tokens[:18].tolist() == first[0][:18]
    assert cut.word_starts[:2].tolist() == first[1]
    assert np.all(cut.word_starts[2:][found.word_starts[2:] >= 18] == -1)
    assert (cut.word_starts[2:] >= 0).sum() == (found.word_starts[2:] < 18).sum()
