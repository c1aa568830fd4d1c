"""Rows given in Python, tokenized in memory in the form of a prepared task, so that prediction reads what training read.

The evaluator cannot tell it from a store on disk: same segments, same truncation, same batches. Labels are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.tokenizer import Tokenizer
from taskloom.inference.inputs import ROW_OF, ChoiceRow, TextRow, WordsRow

Array = NDArray[Any]
SPLIT = "given"


@dataclass(frozen=True, kw_only=True)
class GivenSplit:
    """A split held in memory; the attributes are those of a SplitStore."""

    kind: str
    max_length: int
    rows: Array
    tokens: Array
    offsets: Array
    first_segment: Array
    lengths: Array
    sequences: Array
    labels: Array
    word_offsets: Array
    word_starts: Array
    weight: None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class GivenTask:
    """A trained task with the rows to answer as its only split; the attributes are those of a TaskStore."""

    task: str
    kind: str
    labels: tuple[str, ...]
    low: float | None
    high: float | None
    splits: dict[str, GivenSplit]


def prepare_rows(
    given: Sequence[Any],
    *,
    task: str,
    kind: str,
    labels: tuple[str, ...],
    low: float | None,
    high: float | None,
    tokenizer: Tokenizer,
    max_length: int,
) -> GivenTask:
    """Return rows of one task ready to be answered; raises DataError for a row that does not fit the kind."""
    rows = [ROW_OF[kind](row, number) for number, row in enumerate(given)]
    split = _tokenized(rows, kind, len(labels), tokenizer, max_length)
    return GivenTask(task=task, kind=kind, labels=labels, low=low, high=high, splits={SPLIT: split})


def _tokenized(rows: list[Any], kind: str, labels: int, tokenizer: Tokenizer, max_length: int) -> GivenSplit:
    counts = np.array([len(_segments(row)) for row in rows], dtype=np.int64)
    starts, words = np.zeros(0, np.int64), np.zeros(1, np.int64)
    if kind == "token_classification":
        tokens, offsets, starts, words = tokenizer.words([row.tokens for row in rows])
    else:
        tokens, offsets = tokenizer.segments([text for row in rows for text in _segments(row)])
    first_segment = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sequences = counts - 1 if kind == "multiple_choice" else np.ones(len(rows), np.int64)
    return GivenSplit(
        kind=kind,
        max_length=max_length,
        rows=np.arange(len(rows)),
        tokens=tokens,
        offsets=offsets,
        first_segment=first_segment,
        lengths=_lengths(np.diff(offsets), first_segment, tokenizer, max_length),
        sequences=sequences,
        labels=_no_labels(kind, len(rows), len(starts), labels),
        word_offsets=words,
        word_starts=starts,
    )


def _segments(row: TextRow | ChoiceRow | WordsRow) -> tuple[Any, ...]:
    if isinstance(row, ChoiceRow):
        return (row.prompt, *row.choices)
    if isinstance(row, TextRow):
        return (row.text,) if row.pair is None else (row.text, row.pair)
    return (row.tokens,)


def _lengths(sizes: Array, first_segment: Array, tokenizer: Tokenizer, max_length: int) -> Array:
    """Return tokens of each row's longest sequence: its first segment with the longest of the others."""
    firsts = first_segment[:-1]
    others = sizes.copy()
    others[firsts] = 0
    specials = np.where(np.diff(first_segment) > 1, tokenizer.pair.specials, tokenizer.single.specials)
    longest_other = np.maximum.reduceat(others, firsts) if len(firsts) else others
    return np.minimum(sizes[firsts] + longest_other + specials, max_length)


def _no_labels(kind: str, rows: int, words: int, labels: int) -> Array:
    if kind == "multilabel":
        return np.zeros((rows, labels), np.uint8)
    if kind == "regression":
        return np.zeros(rows, np.float32)
    return np.zeros(words if kind == "token_classification" else rows, np.int32)
