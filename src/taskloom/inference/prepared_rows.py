"""Rows given in Python, tokenized in memory as a prepared task, so that prediction reads what training read.

The result is a TaskStore whose arrays never were on disk: same segments, truncation and batches. Labels are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of
from taskloom.data.segments import APART, Segments, full_lengths
from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.inference.inputs import ROW_OF, ChoiceRow, TextRow
from taskloom.modeling.head_table import Head

Array = NDArray[Any]
SPLIT = "given"


def prepare_rows(given: Sequence[Any], head: Head, tokenizer: Tokenizer, *, max_length: int) -> TaskStore:
    """Return rows of a trained task ready to be answered, as its split `SPLIT`.

    Raises DataError, with the row's number, for a row that does not fit the kind.
    """
    rows = [ROW_OF[head.kind](row, number) for number, row in enumerate(given)]
    arrays = _arrays(rows, head, tokenizer, max_length)
    split = SplitStore.in_memory(head.kind, max_length, arrays, apart=head.apart)
    return TaskStore(
        id=head.id,
        task=head.task,
        kind=head.kind,
        labels=head.labels,
        low=head.low,
        high=head.high,
        splits={SPLIT: split},
        unused={},
        truncated={},
        fingerprint="",
        folder=Path(),
    )


def _arrays(rows: list[Any], head: Head, tokenizer: Tokenizer, max_length: int) -> dict[str, Array | None]:
    parts = _tokenized(rows, head, tokenizer)
    words = np.zeros(0, np.int64) if head.kind != "token_classification" else parts.word_counts
    return {
        "rows": np.arange(len(rows)),
        "tokens": parts.tokens,
        "offsets": offsets_of(parts.sizes),
        "first_segment": offsets_of(parts.counts),
        "lengths": np.minimum(full_lengths(parts, APART if head.apart else head.kind, tokenizer), max_length),
        "labels": _no_labels(head, len(rows), len(parts.word_starts)),
        "word_offsets": offsets_of(words),
        "word_starts": parts.word_starts,
    }


def _tokenized(rows: list[Any], head: Head, tokenizer: Tokenizer) -> Segments:
    none = np.zeros(0, np.int64)
    if head.kind == "token_classification":
        tokens, offsets, starts, words = tokenizer.words([row.tokens for row in rows])
        return Segments(tokens, np.diff(offsets), np.ones(len(rows), np.int64), starts, np.diff(words))
    segments = [_segments(row) for row in rows]
    tokens, offsets = tokenizer.segments([text for texts in segments for text in texts])
    return Segments(tokens, np.diff(offsets), np.array([*map(len, segments)], np.int64), none, none)


def _segments(row: TextRow | ChoiceRow) -> tuple[str, ...]:
    if isinstance(row, ChoiceRow):
        return (row.prompt, *row.choices)
    return (row.text,) if row.pair is None else (row.text, row.pair)


def _no_labels(head: Head, rows: int, words: int) -> Array:
    if head.kind == "multilabel":
        return np.zeros((rows, len(head.labels)), np.uint8)
    if head.kind == "regression":
        return np.zeros(rows, np.float32)
    return np.zeros(words if head.kind == "token_classification" else rows, np.int32)
