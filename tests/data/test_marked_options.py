"""One-pass rows as tokens: each option behind a mark, the text as the second of a pair, and only the text cut."""

from __future__ import annotations

from pathlib import Path

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


def one_by_one(options: list[str], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return tokens and marks of a row's options, the slow way."""
    tokens: list[int] = []
    marks = []
    for option in options:
        marks.append(len(tokens))
        tokens += [tokenizer.mark, *plain(option, tokenizer)]
    return tokens, marks


def plain(text: str, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens of a text by themselves."""
    return list(tokenizer.backend.encode(text, add_special_tokens=False).ids)


@settings(deadline=None, max_examples=60)
@given(given_rows=rows)
def test_a_mark_stands_before_each_option(tokenizer: Tokenizer, given_rows: list) -> None:
    """The whole-array way gives what going through rows and options one by one gives: options first, then the text."""
    found = marked_options([text for text, _ in given_rows], [options for _, options in given_rows], tokenizer)
    segments, marks = [], []
    for text, options in given_rows:
        tokens, places = one_by_one(options, tokenizer)
        segments += [tokens, plain(text, tokenizer)]
        marks += places
    assert found.tokens.tolist() == [token for tokens in segments for token in tokens]
    assert found.sizes.tolist() == [len(tokens) for tokens in segments]
    assert found.counts.tolist() == [2] * len(given_rows)
    assert found.word_starts.tolist() == marks
    assert found.word_counts.tolist() == [len(options) for _, options in given_rows]


def test_only_the_text_gives_way(tokenizer: Tokenizer) -> None:
    """A long text is cut at its end and every option keeps its mark; options beyond the length push the text out."""
    found: Segments = marked_options(["bee " * 50, "car"], [["car", "zoo"], ["the long day"] * 9], tokenizer)
    cut = trimmed(found, "token_classification", tokenizer, 20)
    room = 20 - tokenizer.pair.specials
    first, marks = one_by_one(["car", "zoo"], tokenizer)
    assert cut.sizes.tolist() == [len(first), room - len(first), room, 0]
    assert cut.tokens[:room].tolist() == (first + plain("bee " * 50, tokenizer))[:room]
    assert cut.word_starts[:2].tolist() == marks
    assert (cut.word_starts[2:] >= 0).sum() < 9
