"""Drawn examples -> their rows, read from any number of tasks, as flat arrays in the order they were drawn.

The one loop over rows is here, and it only slices memory-mapped arrays (2 microseconds a row, however many tasks they
come from); everything after it is whole-array arithmetic over all rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.hashing import hashed
from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.data.truncation import first_only, longest_first, second_only
from taskloom.recipes.recipe import KINDS

Array = NDArray[Any]
CLASSES, MULTILABEL, SCORE, CHOICE, TAGS = range(len(KINDS))


@dataclass(frozen=True)
class Drawn:
    """Examples to assemble: task, place in the split, and epoch of each (int64, (examples,))."""

    task: Array
    place: Array
    epoch: Array

    def __len__(self) -> int:
        return len(self.task)

    def take(self, chosen: Array) -> Drawn:
        """Return some of the examples."""
        return Drawn(self.task[chosen], self.place[chosen], self.epoch[chosen])


@dataclass(frozen=True)
class Rows:
    """Rows of any tasks and kinds.

    kind, row (index in the source split), weight, counts (segments), apart (prompt and choices are sequences of their
    own) and answer are (rows,); `answer` is a class id, the
    right choice or a score in original units, and 0 for the other kinds. Segments of all rows: tokens, sizes
    (segments,). Words of all rows: word_counts (rows,), word_starts and word_labels (words,). positives is (n, 2) pairs
    of (row, label id).
    """

    kind: Array
    row: Array
    weight: Array
    answer: Array
    counts: Array
    apart: Array
    sizes: Array
    tokens: Array
    word_counts: Array
    word_starts: Array
    word_labels: Array
    positives: Array


def read_rows(stores: Sequence[TaskStore], split: str, drawn: Drawn) -> Rows:
    """Return the rows of drawn examples."""
    splits = {task: stores[task].splits[split] for task in np.unique(drawn.task).tolist()}
    owner = drawn.task.tolist()
    places = [*zip([splits[task] for task in owner], drawn.place.tolist(), strict=True)]
    edges = [rows.offsets[rows.first_segment[at] : rows.first_segment[at + 1] + 1] for rows, at in places]
    tokens = [rows.tokens[ends[0] : ends[-1]] for (rows, _), ends in zip(places, edges, strict=True)]
    kind = np.array([KINDS.index(rows.kind) for rows, _ in places], np.int64)
    words = [_words(*places[at]) for at in np.flatnonzero(kind == TAGS)]
    word_counts = np.zeros(len(places), np.int64)
    word_counts[kind == TAGS] = [len(labels) for _, labels in words]
    positives = [(at, label) for at in np.flatnonzero(kind == MULTILABEL) for label in _positives(*places[at])]
    return Rows(
        kind=kind,
        row=np.array([rows.rows[at] for rows, at in places], np.int64),
        weight=np.array([1.0 if rows.weight is None else rows.weight[at] for rows, at in places], np.float32),
        answer=_answers(kind, places),
        counts=np.array([len(ends) - 1 for ends in edges], np.int64),
        apart=np.array([rows.apart for rows, _ in places], bool),
        sizes=_concatenated([ends[1:] - ends[:-1] for ends in edges]),
        tokens=_concatenated(tokens),
        word_counts=word_counts,
        word_starts=_concatenated([starts for starts, _ in words]),
        word_labels=_concatenated([labels for _, labels in words]),
        positives=np.array(positives, np.int64).reshape(-1, 2),
    )


def _answers(kind: Array, places: Sequence[tuple[SplitStore, int]]) -> Array:
    single = np.isin(kind, (CLASSES, SCORE, CHOICE)).tolist()
    return np.array([rows.labels[at] if one else 0 for one, (rows, at) in zip(single, places, strict=True)], np.float64)


def _words(rows: SplitStore, at: int) -> tuple[Array, Array]:
    part = slice(rows.word_offsets[at], rows.word_offsets[at + 1])
    return rows.word_starts[part], rows.labels[part]


def _positives(rows: SplitStore, at: int) -> list[int]:
    found: list[int] = np.flatnonzero(rows.labels[at]).tolist()
    return found


def _concatenated(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class Sequences:
    """What each sequence is made of, all (sequences,), in the order of the rows.

    `row` is its row, `choice` the place of its choice among all of its row's, -1 for a prompt that stands apart. Its
    two segments are tokens from *_start on; `paired` says which template joins them, and a second segment is empty
    where there is none.
    """

    row: Array
    choice: Array
    paired: Array
    first_start: Array
    first_size: Array
    second_start: Array
    second_size: Array

    def take(self, chosen: Array) -> Sequences:
        """Return some of the sequences."""
        return Sequences(*(getattr(self, field.name)[chosen] for field in fields(self)))


def sequences_of(rows: Rows, tokenizer: Tokenizer, *, max_length: int, chosen: tuple[Array, Array]) -> Sequences:
    """Return the sequences of rows, cut to `max_length`; `chosen` is the row and the choice of each.

    A choice row loses only the beginning of its prompt; a choice without a prompt stands alone. A row of options loses
    only the end of its text.
    """
    row, choice = chosen
    starts, is_choice = offsets_of(rows.sizes)[:-1], rows.kind[row] == CHOICE
    first = (np.cumsum(rows.counts) - rows.counts)[row]
    second = np.where(rows.counts[row] > 1, first + 1 + choice, first)
    lone = is_choice & ((rows.sizes[first] == 0) | rows.apart[row])
    first = np.where(lone, second, first)
    paired = second > first
    room = max_length - np.where(paired, tokenizer.pair.specials, tokenizer.single.specials)
    sizes = rows.sizes[first], np.where(paired, rows.sizes[second], 0)
    first_size, second_size = np.where(is_choice & ~lone, first_only(*sizes, room), longest_first(*sizes, room))
    is_options = (rows.kind[row] == TAGS) & paired
    first_size, second_size = np.where(is_options, second_only(*sizes, room), (first_size, second_size))
    dropped = np.where(is_choice & ~lone, sizes[0] - first_size, 0)
    return Sequences(row, choice, paired, starts[first] + dropped, first_size, starts[second], second_size)


def choose(rows: Rows, drawn: Drawn, *, max_choices: int | None, key: np.uint64) -> tuple[Array, Array]:
    """Return the row and the choice of each sequence; rows of other kinds than choices have one sequence, choice 0.

    A prompt that stands apart is choice -1, before the others. With `max_choices`, the right choice and a sample of the
    wrong ones are kept, in their order, drawn by (key, row, epoch) alone.
    """
    counts = np.where(rows.kind == CHOICE, rows.counts - ~rows.apart, 1)
    row = np.repeat(np.arange(len(counts)), counts)
    choice = ragged(-rows.apart.astype(np.int64), counts)
    if max_choices is None or choice.max(initial=0) < max_choices:
        return row, choice
    wrong = choice != rows.answer[row]
    order = np.lexsort((hashed(key, rows.row[row], drawn.epoch[row], choice), wrong, choice >= 0, row))
    rank = np.empty_like(order)
    rank[order] = choice  # within a row, the k-th of the new order takes the number k
    kept = (rank < max_choices) | (rows.kind[row] != CHOICE)
    return row[kept], choice[kept]
