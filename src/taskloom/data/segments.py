"""Canonical rows of one kind -> token segments and labels as flat arrays; a pure function of a table.

A row's segments are its text (and pair), its prompt and choices, its words, or for a one-pass row its options and its
text; they hold no special tokens, but for the mark before each option. What
`max_length` never lets into a sequence is not kept: pairs are cut longest first, a prompt keeps its end, and words
beyond the end have no token. On long documents that is most of the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.tokenizer import Tokenizer
from taskloom.data.truncation import longest_first, second_only

Array = NDArray[Any]
APART = "apart"
"""Stands for the kind of a choice row whose prompt and choices are sequences of their own."""


@dataclass(frozen=True)
class Segments:
    """Flat tokens of all segments; `sizes` (segments,), `counts` of segments a row (rows,).

    For words: `word_starts` (words,) is the place of each word's first token in its row, -1 for a word without one, and
    `word_counts` (rows,) how many words a row has; both are empty for other kinds.
    """

    tokens: Array
    sizes: Array
    counts: Array
    word_starts: Array
    word_counts: Array

    @property
    def firsts(self) -> Array:
        """The first segment of each row (rows,)."""
        return np.cumsum(self.counts) - self.counts


def tokenized(table: pa.Table, kind: str, tokenizer: Tokenizer) -> Segments:
    """Return the whole segments of canonical rows."""
    none = np.zeros(0, np.int64)
    if kind == "token_classification" and "text" in table.column_names:
        return marked_options(table["text"].to_pylist(), table["tokens"].to_pylist(), tokenizer)
    if kind == "token_classification":
        tokens, offsets, starts, word_offsets = tokenizer.words(table["tokens"].to_pylist())
        return Segments(tokens, np.diff(offsets), np.ones(len(table), np.int64), starts, np.diff(word_offsets))
    texts, counts = _texts(table, kind)
    tokens, offsets = tokenizer.segments(texts)
    return Segments(tokens, np.diff(offsets), counts, none, none)


def marked_options(texts: Sequence[str], options: Sequence[Sequence[str]], tokenizer: Tokenizer) -> Segments:
    """Return two segments a row: its options, each behind a mark, and its text.

    The options stand for words, whose first token is the mark and whose other tokens are the option's own.
    """
    places: dict[str, int] = {}
    option = np.array([places.setdefault(name, len(places)) for row in options for name in row], np.int64)
    counts = np.array([*map(len, options)], np.int64)
    names, name_ends = tokenizer.segments(list(places))
    tokens, text_ends = tokenizer.segments(texts)
    size = np.diff(name_ends)[option] + 1
    begin = offsets_of(size)
    first = offsets_of(counts)
    marked = np.full(begin[-1], tokenizer.mark, np.int64)
    marked[ragged(begin[:-1] + 1, size - 1)] = names[ragged(name_ends[option], size - 1)]
    sizes = np.stack([np.diff(begin[first]), np.diff(text_ends)], axis=1)
    both = np.concatenate([marked, tokens])
    starts = np.stack([begin[first[:-1]], len(marked) + text_ends[:-1]], axis=1)
    return Segments(
        tokens=both[ragged(starts.ravel(), sizes.ravel())],
        sizes=sizes.ravel(),
        counts=np.full(len(texts), 2, np.int64),
        word_starts=begin[:-1] - np.repeat(begin[first[:-1]], counts),
        word_counts=counts,
    )


def _texts(table: pa.Table, kind: str) -> tuple[list[str], Array]:
    """Return the texts of all segments in row order, and how many each row has."""
    if kind in ("multiple_choice", APART):
        rows = zip(table["prompt"].to_pylist(), table["choices"].to_pylist(), strict=True)
        segments = [(prompt, *choices) for prompt, choices in rows]
    else:
        rows = zip(table["text"].to_pylist(), table["pair"].to_pylist(), strict=True)
        segments = [(text,) if pair is None else (text, pair) for text, pair in rows]
    return [text for several in segments for text in several], np.array([*map(len, segments)], np.int64)


def full_lengths(segments: Segments, kind: str, tokenizer: Tokenizer) -> Array:
    """Return the tokens of each row's longest sequence, special ones included, before any cut (rows,)."""
    first, other = _first_and_longest_other(segments)
    if kind == APART:
        return np.maximum(first, other) + tokenizer.single.specials
    paired = (segments.counts > 1) & ((first > 0) | (kind != "multiple_choice"))  # without a prompt, a choice is alone
    return first + other + np.where(paired, tokenizer.pair.specials, tokenizer.single.specials)


def trimmed(segments: Segments, kind: str, tokenizer: Tokenizer, max_length: int) -> Segments:
    """Return the segments without the tokens that no sequence of `max_length` has; cutting these gives the same."""
    alone = max_length - tokenizer.single.specials
    kept = np.minimum(segments.sizes, alone)
    starts = np.cumsum(segments.sizes) - segments.sizes
    firsts = segments.firsts
    if kind == "multiple_choice":
        starts[firsts] += segments.sizes[firsts] - kept[firsts]
    elif kind != APART:
        paired = firsts[segments.counts == 2]
        both = segments.sizes[paired], segments.sizes[paired + 1]
        cut = second_only if kind == "token_classification" else longest_first
        kept[paired], kept[paired + 1] = cut(*both, max_length - tokenizer.pair.specials)
    tokens = segments.tokens[ragged(starts, kept)]
    word_starts = np.where(segments.word_starts < alone, segments.word_starts, -1)
    return Segments(tokens, kept, segments.counts, word_starts, segments.word_counts)


def _first_and_longest_other(segments: Segments) -> tuple[Array, Array]:
    firsts, others = segments.firsts, segments.sizes.copy()
    others[firsts] = 0
    longest = np.maximum.reduceat(others, firsts) if len(firsts) else others
    return segments.sizes[firsts], longest


def answers(table: pa.Table, kind: str, labels: int) -> Array:
    """Return the labels of canonical rows.

    Class ids or right choices (rows,) int32; 0 and 1 (rows, labels) uint8; scores (rows,) float32; or the tags of all
    words (words,) int32.
    """
    if kind == "regression":
        return np.asarray(table["score"].to_numpy(), np.float32)
    if kind == "multilabel":
        column = table["labels"].combine_chunks()
        marks = np.zeros((len(table), labels), np.uint8)
        marks[column.value_parent_indices().to_numpy(), column.flatten().to_numpy()] = 1
        return marks
    if kind == "token_classification":
        return np.asarray(table["labels"].combine_chunks().flatten().to_numpy(), np.int32)
    return np.asarray(table["label"].to_numpy(), np.int32)
