"""Rows given in Python, tokenized in memory as a prepared task, so that prediction reads what training read.

The result is a TaskStore whose arrays never were on disk: same segments, truncation and batches. Labels are zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.inference.inputs import ROW_OF, ChoiceRow, TextRow, WordsRow
from taskloom.modeling.head_table import Head

Array = NDArray[Any]
SPLIT = "given"


def prepare_rows(given: Sequence[Any], head: Head, tokenizer: Tokenizer, *, max_length: int) -> TaskStore:
    """Return rows of a trained task ready to be answered, as its split `SPLIT`.

    Raises DataError, with the row's number, for a row that does not fit the kind.
    """
    rows = [ROW_OF[head.kind](row, number) for number, row in enumerate(given)]
    split = SplitStore(head.kind, Path(), max_length)
    # The arrays of a SplitStore are cached properties; what stands in the instance's dict is never read from a file.
    vars(split).update(_arrays(rows, head, tokenizer, max_length))
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
    segments = [_segments(row) for row in rows]
    counts = np.array([len(texts) for texts in segments], dtype=np.int64)
    starts, words = np.zeros(0, np.int64), np.zeros(1, np.int64)
    if head.kind == "token_classification":
        tokens, offsets, starts, words = tokenizer.words([row.tokens for row in rows])
    else:
        tokens, offsets = tokenizer.segments([text for texts in segments for text in texts])
    first_segment = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return {
        "rows": np.arange(len(rows)),
        "tokens": tokens,
        "offsets": offsets,
        "first_segment": first_segment,
        "lengths": _lengths(np.diff(offsets), first_segment, tokenizer, max_length),
        "labels": _no_labels(head, len(rows), len(starts)),
        "word_offsets": words,
        "word_starts": starts,
        "weight": None,
    }


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
    return np.asarray(np.minimum(sizes[firsts] + longest_other + specials, max_length))


def _no_labels(head: Head, rows: int, words: int) -> Array:
    if head.kind == "multilabel":
        return np.zeros((rows, len(head.labels)), np.uint8)
    if head.kind == "regression":
        return np.zeros(rows, np.float32)
    return np.zeros(words if head.kind == "token_classification" else rows, np.int32)
