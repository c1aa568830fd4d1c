"""Drawn rows -> micro-batches: assembled, sorted by length, cut under a token budget, almost without padding.

All of it is numpy over whole batches; torch only holds the result. The cut depends on lengths and settings alone, never
on the number of processes, and all choices of a row stay in one micro-batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.mixture import mixed
from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Template, Tokenizer
from taskloom.data.truncation import first_only, longest_first
from taskloom.recipes.recipe import KINDS

Array = NDArray[Any]


@dataclass(frozen=True)
class MicroBatch:
    """Sequences of a few examples, of any tasks and kinds.

    Shapes: input_ids, token_type_ids, attention_mask (sequences, length), the last two None where not needed;
    sequence_example (sequences,); task, kind, label, score, weight, row, place (examples,); positives (n, 2) pairs of
    (example, label id); word_sequence, word_position, word_label, word_index (words,). `label` is a class id or the
    place of the right choice, -1 elsewhere; `score` is scaled to 0..1; words without a token or cut off are not here.
    """

    input_ids: Tensor
    token_type_ids: Tensor | None
    attention_mask: Tensor | None
    sequence_example: Tensor
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

    def to(self, device: torch.device) -> MicroBatch:
        """Return the same micro-batch on `device`."""
        if device.type == "cpu":
            return self
        moved: dict[str, Any] = {
            field.name: None if (value := getattr(self, field.name)) is None else value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
        }
        return MicroBatch(**moved)


@dataclass(frozen=True)
class Drawn:
    """Examples to assemble: task, place in the split, and epoch of each (int64, (examples,))."""

    task: Array
    place: Array
    epoch: Array

    def take(self, chosen: Array) -> Drawn:
        """Return some of the examples."""
        return Drawn(self.task[chosen], self.place[chosen], self.epoch[chosen])


@dataclass(frozen=True)
class Batcher:
    """Cuts drawn examples into micro-batches; `stores` are the tasks in the order that `Drawn.task` counts."""

    stores: Sequence[TaskStore]
    split: str
    tokenizer: Tokenizer
    max_length: int
    tokens_per_micro_batch: int
    min_micro_batches: int = 1
    max_choices: int | None = None
    seed: int = 0

    def micro_batches(self, drawn: Drawn) -> list[MicroBatch]:
        """Return the micro-batches of a step, shortest sequences first."""
        lengths, sequences = self._sizes(drawn)
        order = np.lexsort((drawn.place, drawn.task, sequences, lengths))
        cuts = cut(
            lengths[order], sequences[order], budget=self.tokens_per_micro_batch, at_least=self.min_micro_batches
        )
        return [self.assemble(drawn.take(part)) for part in np.split(order, cuts)]

    def whole_split(self, task: int, places: Array | None = None) -> Iterator[MicroBatch]:
        """Yield all rows of one task's split (or those at `places`), length-sorted; `place` restores the order."""
        places = np.arange(len(self._split(task))) if places is None else places
        drawn = Drawn(np.full(len(places), task), places, np.zeros(len(places), np.int64))
        lengths, sequences = self._sizes(drawn)
        order = np.lexsort((sequences, lengths))
        for part in np.split(
            order, cut(lengths[order], sequences[order], budget=self.tokens_per_micro_batch, at_least=1)
        ):
            yield self.assemble(drawn.take(part))

    def _split(self, task: int) -> SplitStore:
        return self.stores[task].splits[self.split]

    def _sizes(self, drawn: Drawn) -> tuple[Array, Array]:
        """Return each example's longest sequence and its number of sequences."""
        lengths, sequences = np.zeros(len(drawn.task), np.int64), np.ones(len(drawn.task), np.int64)
        for task in np.unique(drawn.task):
            mine = np.flatnonzero(drawn.task == task)
            split = self._split(int(task))
            lengths[mine] = split.lengths[drawn.place[mine]]
            sequences[mine] = split.sequences[drawn.place[mine]]
        return lengths, np.minimum(sequences, self.max_choices) if self.max_choices else sequences

    def assemble(self, drawn: Drawn) -> MicroBatch:
        """Return one micro-batch of exactly these examples, in this order."""
        parts = [self._read(int(task), np.flatnonzero(drawn.task == task), drawn) for task in np.unique(drawn.task)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        example = {name: columns[name][np.argsort(columns["example"], kind="stable")] for name in PER_EXAMPLE}
        order = np.argsort(columns["sequence_example"], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ids, types, mask = self._matrix(columns, rank)
        first_sequence = np.searchsorted(columns["sequence_example"][order], np.arange(len(drawn.task)))
        long = {name: torch.from_numpy(values.astype(np.int64)) for name, values in example.items() if name in LONG}
        return MicroBatch(
            input_ids=ids,
            token_type_ids=types,
            attention_mask=mask,
            sequence_example=torch.from_numpy(columns["sequence_example"][order]),
            **long,
            score=torch.from_numpy(example["score"].astype(np.float32)),
            weight=torch.from_numpy(example["weight"].astype(np.float32)),
            positives=torch.from_numpy(columns["positives"].reshape(-1, 2).astype(np.int64)),
            word_sequence=torch.from_numpy(first_sequence[columns["word_example"]]),
            **{
                name: torch.from_numpy(columns[name].astype(np.int64))
                for name in ("word_position", "word_label", "word_index")
            },
        )

    def _read(self, task: int, mine: Array, drawn: Drawn) -> dict[str, Array]:
        """Read the examples `mine`, all of one task: tokens and lengths of each sequence's two segments, and labels."""
        store, split, places = self.stores[task], self._split(task), drawn.place[mine]
        first, segments = split.first_segment[places], split.first_segment[places + 1] - split.first_segment[places]
        choice_row, choice = self._choices(split, places, drawn.epoch[mine], segments)
        second = first[choice_row] + 1 + choice
        has_second = second < first[choice_row] + segments[choice_row]
        start, length = _segment(split, first[choice_row])
        other_start, other_length = _segment(split, np.where(has_second, second, 0))
        other_length = np.where(has_second, other_length, 0)
        found = {"sequence_example": mine[choice_row]}
        found |= self._cut(split, has_second, start, length, other_start, other_length)
        found |= _targets(store, split, task, mine, places, choice_row, choice)
        found |= _words(
            split,
            mine,
            places,
            room=self.max_length - len(self.tokenizer.single.suffix),
            shift=len(self.tokenizer.single.prefix),
        )
        return found

    def _choices(self, split: SplitStore, places: Array, epoch: Array, segments: Array) -> tuple[Array, Array]:
        """Return (example, place of the choice) of each sequence; in training wrong choices are sampled."""
        if split.kind != "multiple_choice":
            return np.arange(len(places)), np.zeros(len(places), np.int64)
        counts = segments - 1
        row, choice = np.repeat(np.arange(len(places)), counts), ragged(np.zeros(len(places), np.int64), counts)
        if self.max_choices is None or counts.max(initial=0) <= self.max_choices:
            return row, choice
        keys = mixed(mixed(split.rows[places][row].astype(np.uint64) ^ mixed(epoch[row].astype(np.uint64)))
                     ^ np.uint64(self.seed) ^ mixed(choice.astype(np.uint64)))  # fmt: skip
        keys[choice == split.labels[places][row]] = 0
        order = np.lexsort((keys, row))
        kept = np.sort(order[ragged(np.zeros(len(places), np.int64), counts) < self.max_choices])
        return row[kept], choice[kept]

    def _cut(
        self, split: SplitStore, has_second: Array, start: Array, length: Array, other: Array, other_length: Array
    ) -> dict[str, Array]:
        """Return tokens and lengths of both segments after truncation; a choice row loses its prompt's beginning."""
        choice = split.kind == "multiple_choice"
        paired = has_second & ((length > 0) | (not choice))
        room = self.max_length - np.where(paired, self.tokenizer.pair.specials, self.tokenizer.single.specials)
        kept, other_kept = (first_only if choice else longest_first)(length, other_length, room)
        if choice:
            start = start + length - kept
            lone = has_second & ~paired  # without a prompt, the choice stands alone and first
            start, kept = np.where(lone, other, start), np.where(lone, other_kept, kept)
            other_kept = np.where(lone, 0, other_kept)
        return {
            "paired": paired,
            "first_length": kept,
            "second_length": other_kept,
            "first_tokens": split.tokens[ragged(start, kept)].astype(np.int64),
            "second_tokens": split.tokens[ragged(other, other_kept)].astype(np.int64),
        }

    def _matrix(self, columns: dict[str, Array], rank: Array) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return ids, types and mask (sequences, length); types and mask are None where they would say nothing."""
        tokenizer, first, second, paired = (
            self.tokenizer,
            columns["first_length"],
            columns["second_length"],
            columns["paired"],
        )
        total = first + second + np.where(paired, tokenizer.pair.specials, tokenizer.single.specials)
        ids = np.full((len(total), int(total.max())), tokenizer.pad_id, np.int64)
        types = np.zeros_like(ids)
        for template, mine in ((tokenizer.single, np.flatnonzero(~paired)), (tokenizer.pair, np.flatnonzero(paired))):
            if len(mine):
                _fill_specials(ids, types, template, rank[mine], first[mine], second[mine])
        prefix = np.where(paired, len(tokenizer.pair.prefix), len(tokenizer.single.prefix))
        rows, places = np.repeat(rank, first), ragged(prefix, first)
        ids[rows, places] = columns["first_tokens"]
        types[rows, places] = np.repeat(np.where(paired, tokenizer.pair.types[1], tokenizer.single.types[1]), first)
        rows, places = np.repeat(rank, second), ragged(prefix + first + len(tokenizer.pair.middle), second)
        ids[rows, places] = columns["second_tokens"]
        types[rows, places] = tokenizer.pair.types[3]
        full = bool((total == ids.shape[1]).all())
        mask = np.arange(ids.shape[1]) < total[np.argsort(rank)][:, None]
        return (
            torch.from_numpy(ids),
            torch.from_numpy(types) if tokenizer.uses_types else None,
            None if full else torch.from_numpy(mask.astype(np.int64)),
        )


PER_EXAMPLE = ("task", "kind", "label", "score", "weight", "row", "place")
LONG = ("task", "kind", "label", "row", "place")


def ragged(starts: Array, lengths: Array) -> Array:
    """Return the ranges start..start+length of all pairs, one after the other."""
    ends = np.cumsum(lengths)
    ranges: Array = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return ranges


WASTE = 512
"""Padding tokens that a micro-batch may hold: about what starting one more micro-batch costs on two cores."""


def cut(lengths: Array, sequences: Array, *, budget: int, at_least: int) -> list[int]:
    """Return where to cut examples sorted by length: at the budget of padded tokens, or at WASTE tokens of padding.

    A single example over the budget is a part of its own. With fewer than `at_least` parts the budget is lowered.
    """
    while True:
        cuts = _greedy(lengths, sequences, budget)
        if len(cuts) + 1 >= min(at_least, len(lengths)):
            return cuts
        budget = min(int(budget * 0.8), int((lengths * sequences).sum() * 0.9))


def _greedy(lengths: Array, sequences: Array, budget: int) -> list[int]:
    cuts: list[int] = []
    held = tokens = 0
    for place, (length, count) in enumerate(zip(lengths.tolist(), sequences.tolist(), strict=True)):
        padded = (held + count) * length  # sorted by length, so that the newest is the longest
        if held and (padded > budget or padded - tokens - length * count > WASTE):
            cuts.append(place)
            held = tokens = 0
        held += count
        tokens += length * count
    return cuts


def _segment(split: SplitStore, segment: Array) -> tuple[Array, Array]:
    start = split.offsets[segment]
    return start, split.offsets[segment + 1] - start


def _fill_specials(ids: Array, types: Array, template: Template, rows: Array, first: Array, second: Array) -> None:
    begins = (
        np.zeros_like(first),
        len(template.prefix) + first,
        len(template.prefix) + first + len(template.middle) + second,
    )
    for begin, tokens, kind in zip(
        begins, (template.prefix, template.middle, template.suffix), template.types[::2], strict=True
    ):
        for number, token in enumerate(tokens):
            ids[rows, begin + number] = token
            types[rows, begin + number] = kind


def _targets(
    store: TaskStore, split: SplitStore, task: int, mine: Array, places: Array, row: Array, choice: Array
) -> dict[str, Array]:
    """Return what each example is scored against; a right choice is its place among the choices that are kept."""
    label: Array = np.full(len(mine), -1, np.int64)
    score: Array = np.zeros(len(mine), np.float32)
    positives = np.zeros((0, 2), np.int64)
    if store.kind == "regression":
        assert store.low is not None and store.high is not None
        score = (split.labels[places] - store.low) / (store.high - store.low)
    elif store.kind == "multilabel":
        example, names = np.nonzero(split.labels[places])
        positives = np.stack([mine[example], names], axis=1)
    elif store.kind == "multiple_choice":
        within = np.arange(len(row)) - np.searchsorted(row, row)
        right = np.flatnonzero(choice == split.labels[places][row])
        label[row[right]] = within[right]
    elif store.kind == "classification":
        label = split.labels[places].astype(np.int64)
    weight = np.ones(len(mine), np.float32) if split.weight is None else split.weight[places]
    return {
        "example": mine,
        "task": np.full(len(mine), task),
        "kind": np.full(len(mine), KINDS.index(store.kind)),
        "label": label,
        "score": score,
        "weight": weight,
        "row": split.rows[places],
        "place": places,
        "positives": positives,
    }


def _words(split: SplitStore, mine: Array, places: Array, *, room: int, shift: int) -> dict[str, Array]:
    """Return the labelled words that have a token within the sequence; `shift` special tokens stand before."""
    none = np.zeros(0, np.int64)
    if split.kind != "token_classification":
        return {"word_example": none, "word_position": none, "word_label": none, "word_index": none}
    starts, counts = split.word_offsets[places], split.word_offsets[places + 1] - split.word_offsets[places]
    words = ragged(starts, counts)
    position = split.word_starts[words].astype(np.int64) + shift
    seen = (position >= shift) & (position < room)
    return {
        "word_example": np.repeat(mine, counts)[seen],
        "word_position": position[seen],
        "word_label": split.labels[words][seen].astype(np.int64),
        "word_index": ragged(np.zeros_like(counts), counts)[seen],
    }
