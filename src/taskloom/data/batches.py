"""Drawn rows -> micro-batches: sorted by length, cut under a token budget, assembled almost without padding.

All of a step is assembled at once, by numpy, in one flat buffer of which each micro-batch is a part; torch only holds
the result. The cut depends on lengths and settings alone, never on the number of processes, and all choices of a row
stay in one micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.cuts import cut, cut_evenly
from taskloom.data.hashing import key_of
from taskloom.data.matrices import Matrix, matrices
from taskloom.data.ragged import ragged
from taskloom.data.rows import CHOICE, CLASSES, SCORE, Drawn, Rows, Sequences, choose, read_rows, sequences_of
from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Tokenizer

__all__ = ["Batcher", "Drawn", "MicroBatch", "cut", "padding_share", "ragged"]

Array = NDArray[Any]


@dataclass(frozen=True)
class MicroBatch:
    """Sequences of a few examples, of any tasks and kinds.

    Shapes: input_ids, token_type_ids, attention_mask (sequences, length), the last two None where not needed;
    sequence_example and anchor (sequences,); task, kind, label, score, weight, row, place (examples,); positives (n, 2)
    pairs of (example, label id); word_sequence, word_position, word_label, word_index (words,). `label` is a class id
    or the place of the right choice, -1 elsewhere; `anchor` is the sequence that a sequence is compared with where a
    row's prompt and choices stand apart (the prompt's own is itself), -1 elsewhere; `score` is scaled to 0..1; words
    without a token or cut off are not here.
    """

    input_ids: Tensor
    token_type_ids: Tensor | None
    attention_mask: Tensor | None
    sequence_example: Tensor
    anchor: Tensor
    task: Tensor
    kind: Tensor
    label: Tensor
    score: Tensor
    weight: Tensor
    row: Tensor
    place: Tensor
    positives: Tensor
    word_sequence: Tensor
    word_position: Tensor
    word_label: Tensor
    word_index: Tensor

    @property
    def real_tokens(self) -> int:
        """How many tokens are not padding."""
        return self.input_ids.numel() if self.attention_mask is None else int(self.attention_mask.sum())


def padding_share(batches: Iterable[MicroBatch]) -> float:
    """Return which part of the tokens of micro-batches is padding."""
    sizes = [(batch.real_tokens, batch.input_ids.numel()) for batch in batches]
    return 1 - sum(real for real, _ in sizes) / max(1, sum(padded for _, padded in sizes))


@dataclass(frozen=True)
class Batcher:
    """Cuts drawn examples into micro-batches; `stores` are the tasks in the order that `Drawn.task` counts.

    `max_choices` is for training: wrong choices beyond it are left out, others each epoch. In evaluation it is None and
    all are there; a row whose choices exceed the budget is then a micro-batch of its own. With `packed`, for a model
    that computes no padding, only real tokens count, and micro-batches are of about equal size.
    """

    stores: Sequence[TaskStore]
    split: str
    tokenizer: Tokenizer
    max_length: int
    tokens_per_micro_batch: int
    min_micro_batches: int = 1
    max_choices: int | None = None
    seed: int = 0
    packed: bool = False

    def micro_batches(self, drawn: Drawn) -> list[MicroBatch]:
        """Return the micro-batches of a step, shortest sequences first."""
        lengths, sequences = self._sizes(drawn)
        order = _by_length(drawn, lengths, sequences)
        if self.packed:
            tokens = self._tokens(drawn, lengths, sequences)[order]
            cuts = cut_evenly(tokens, budget=self.tokens_per_micro_batch, at_least=self.min_micro_batches)
        else:
            cuts = self._cut(lengths[order], sequences[order], at_least=self.min_micro_batches)
        return self._assembled(drawn.take(order), cuts)

    def by_length(self, drawn: Drawn) -> Array:
        """Return the order of drawn examples by length, ties by their number of sequences, task and row."""
        return _by_length(drawn, *self._sizes(drawn))

    def _sizes(self, drawn: Drawn) -> tuple[Array, Array]:
        """Return the longest sequence and the number of sequences of each example."""
        places = self._places(drawn)
        lengths = np.array([split.lengths[at] for split, at in places], np.int64)
        sequences = np.array([split.sequences[at] for split, at in places], np.int64)
        if self.max_choices is None:
            return lengths, sequences
        apart = np.array([split.apart for split, _ in places], np.int64)
        return lengths, np.minimum(sequences, self.max_choices + apart)

    def _places(self, drawn: Drawn) -> list[tuple[SplitStore, int]]:
        """Return where each example stands: its split, looked up once a task, and its place there."""
        splits = {task: self._split(task) for task in np.unique(drawn.task).tolist()}
        return [*zip([splits[task] for task in drawn.task.tolist()], drawn.place.tolist(), strict=True)]

    def _tokens(self, drawn: Drawn, lengths: Array, sequences: Array) -> Array:
        """Return about how many tokens each example has without padding: choices are of about one length, but for
        prompts that stand apart from short ones, all of which are counted."""
        apart = np.array(
            [split.segment_tokens[at] if split.apart else 0 for split, at in self._places(drawn)], np.int64
        )
        return np.where(apart > 0, apart + sequences * self.tokenizer.single.specials, lengths * sequences)

    def whole_split(self, task: int, places: Array | None = None) -> Iterator[MicroBatch]:
        """Yield all rows of one task's split (or those at `places`), length-sorted; `place` restores the order."""
        split = self._split(task)
        places = np.arange(len(split)) if places is None else places
        lengths, sequences = split.lengths[places], split.sequences[places]
        order = np.lexsort((sequences, lengths))
        cuts = self._cut(lengths[order], sequences[order], at_least=1)
        for part in np.split(order, cuts) if len(order) else ():
            yield self.assemble(Drawn(np.full(len(part), task), places[part], np.zeros(len(part), np.int64)))

    def assemble(self, drawn: Drawn) -> MicroBatch:
        """Return one micro-batch of exactly these examples, in this order."""
        return self._assembled(drawn, [])[0]

    def _split(self, task: int) -> SplitStore:
        split = self.stores[task].splits[self.split]
        if split.max_length < self.max_length:
            raise ValueError(
                f"{self.stores[task].task} has sequences of {split.max_length}, not {self.max_length} tokens"
            )
        return split

    def _cut(self, lengths: Array, sequences: Array, *, at_least: int) -> list[int]:
        if self.packed:
            return cut_evenly(lengths * sequences, budget=self.tokens_per_micro_batch, at_least=at_least)
        return cut(lengths, sequences, budget=self.tokens_per_micro_batch, at_least=at_least)

    @cached_property
    def _key(self) -> np.uint64:
        return key_of("choices", self.seed)

    def _assembled(self, drawn: Drawn, cuts: list[int]) -> list[MicroBatch]:
        """Return examples in this order as micro-batches that end at `cuts`."""
        rows = read_rows(self.stores, self.split, drawn)
        chosen = choose(rows, drawn, max_choices=self.max_choices, key=self._key)
        sequences = sequences_of(rows, self.tokenizer, max_length=self.max_length, chosen=chosen)
        ends = np.array([0, *cuts, len(drawn)])
        first_sequence = np.searchsorted(sequences.row, np.arange(len(drawn) + 1))
        padded = matrices(rows.tokens, sequences, first_sequence[ends], self.tokenizer)
        columns = self._columns(drawn, rows, sequences) | _words(rows, sequences, first_sequence, self.tokenizer)
        return [
            _part(columns, matrix, (start, end), (first_sequence[start], first_sequence[end]))
            for matrix, start, end in zip(padded, ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]

    def _columns(self, drawn: Drawn, rows: Rows, sequences: Sequences) -> dict[str, Array]:
        """Return what is known of each example of a step."""
        label = np.where(rows.kind == CLASSES, rows.answer, -1).astype(np.int64)
        right = np.flatnonzero((rows.kind[sequences.row] == CHOICE) & (sequences.choice == rows.answer[sequences.row]))
        first = np.searchsorted(sequences.row, sequences.row)
        label[sequences.row[right]] = (right - first[right]) - rows.apart[sequences.row[right]]
        scale = [(store.low, store.high) for store in (self.stores[task] for task in drawn.task.tolist())]
        low, high = np.array([(0.0, 1.0) if None in ends else ends for ends in scale]).reshape(-1, 2).T
        score = np.where(rows.kind == SCORE, (rows.answer - low) / (high - low), 0)
        return {
            "task": drawn.task, "kind": rows.kind, "label": label, "score": score.astype(np.float32),
            "weight": rows.weight, "row": rows.row, "place": drawn.place,
            "sequence_example": sequences.row, "anchor": np.where(rows.apart[sequences.row], first, -1),
            "positives": rows.positives,
        }  # fmt: skip


def _by_length(drawn: Drawn, lengths: Array, sequences: Array) -> Array:
    return np.lexsort((drawn.place, drawn.task, sequences, lengths))


def _words(rows: Rows, sequences: Sequences, first_sequence: Array, tokenizer: Tokenizer) -> dict[str, Array]:
    """Return the labelled words that have a token within their sequence."""
    row = np.repeat(np.arange(len(rows.kind)), rows.word_counts)
    index = ragged(np.zeros_like(rows.word_counts), rows.word_counts)
    sequence = first_sequence[row]
    seen = (rows.word_starts >= 0) & (rows.word_starts < sequences.first_size[sequence])
    return {
        "word_sequence": sequence[seen],
        "word_position": rows.word_starts[seen].astype(np.int64) + len(tokenizer.single.prefix),
        "word_label": rows.word_labels[seen].astype(np.int64),
        "word_index": index[seen],
    }


def _part(
    columns: dict[str, Array], matrix: Matrix, examples: tuple[int, int], sequences: tuple[int, int]
) -> MicroBatch:
    """Return the micro-batch of some neighboring examples of a step and their sequences."""
    (start, end), (first, last) = examples, sequences
    words = slice(*np.searchsorted(columns["word_sequence"], sequences))
    positives = slice(*np.searchsorted(columns["positives"][:, 0], examples))
    ids, types, mask = matrix
    values = {
        **{name: columns[name][start:end] for name in PER_EXAMPLE},
        **{name: columns[name][words] for name in PER_WORD},
        "input_ids": ids,
        "sequence_example": columns["sequence_example"][first:last] - start,
        "anchor": np.maximum(columns["anchor"][first:last] - first, -1),
        "positives": columns["positives"][positives] - (start, 0),
        "word_sequence": columns["word_sequence"][words] - first,
    }
    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    return MicroBatch(
        **tensors,
        token_type_ids=None if types is None else torch.from_numpy(types),
        attention_mask=None if mask is None else torch.from_numpy(mask),
    )


PER_EXAMPLE = ("task", "kind", "label", "score", "weight", "row", "place")
PER_WORD = ("word_position", "word_label", "word_index")
