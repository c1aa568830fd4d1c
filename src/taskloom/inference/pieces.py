"""Texts as the pieces that fit beside their labels, and the scores of pieces averaged into those of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taskloom.data.cuts import cut
from taskloom.data.matrices import Matrix, matrices
from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.rows import Sequences
from taskloom.data.tokenizer import Tokenizer
from taskloom.inference.label_sets import Asked

Array = NDArray[Any]
Long = Literal["truncate", "windows"]
LONG = ("truncate", "windows")
TOKENS_PER_BATCH = 4096
"""What a batch of a 22M encoder may have before its largest arrays leave a core's cache."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How texts become sequences: the tokenizer, the most tokens of one, the padded tokens of a batch, and whether a
    text that is too long loses its end or is read in windows."""

    tokenizer: Tokenizer
    max_length: int
    tokens_per_batch: int = TOKENS_PER_BATCH
    long: Long = "truncate"


@dataclass(frozen=True)
class Texts:
    """Tokens of all texts, one after the other, and offsets (texts + 1)."""

    tokens: Array
    offsets: Array


@dataclass(frozen=True)
class Pieces:
    """Stretches of tokens, all (pieces,): `text` is the text that each is of; those of a text are neighbors."""

    text: Array
    start: Array
    size: Array


@dataclass(frozen=True)
class Logits:
    """What a way says of each label of each group; a group is one piece, under one template, with all labels of its
    text, in their order. `text` (groups,) is the text of each group.

    Both flat, float32: `among` are the logits between which one label is chosen, `own` the log odds that a label fits,
    taken by itself. `long` (texts,) tells which texts were cut or read in windows.
    """

    among: Array
    own: Array
    text: Array
    long: Array


def pieces_of(texts: Texts, room: Array, long: Long) -> Pieces:
    """Return the pieces of texts that have `room` (texts,) for tokens: all of a text, or windows of about equal size.

    Windows do not overlap, and none is a short rest that would count as much as the others. Whole texts are cut later,
    pair by pair, since a short label leaves more room than a long one.
    """
    sizes = np.diff(texts.offsets)
    count = np.maximum(1, -(-sizes // room)) if long == "windows" else np.ones_like(sizes)
    text = np.repeat(np.arange(len(sizes)), count)
    number = ragged(np.zeros_like(count), count)
    begin, end = (sizes[text] * (number + step) // count[text] for step in (0, 1))
    return Pieces(text, texts.offsets[:-1][text] + begin, end - begin)


def joined(
    tokens: Array, starts: tuple[Array, Array], sizes: tuple[Array, Array], reading: Reading
) -> Iterator[tuple[Array, Matrix]]:
    """Return batches of (numbers of sequences, (ids, types or None, mask or None)) of pairs of segments, by length.

    `starts` and `sizes` of both segments, (sequences,), after any cut. Batches end where padding and starts of batches
    cost the least.
    """
    return _batches(tokens, starts, sizes, reading, paired=True)


def alone(tokens: Array, start: Array, size: Array, reading: Reading) -> Iterator[tuple[Array, Matrix]]:
    """Yield the same of single segments (sequences,)."""
    return _batches(tokens, (start, start), (size, np.zeros_like(size)), reading, paired=False)


def _batches(
    tokens: Array, starts: tuple[Array, Array], sizes: tuple[Array, Array], reading: Reading, *, paired: bool
) -> Iterator[tuple[Array, Matrix]]:
    template = reading.tokenizer.pair if paired else reading.tokenizer.single
    total = sizes[0] + sizes[1] + template.specials
    order = np.argsort(total, kind="stable")
    nothing = np.zeros(len(order), np.int64)
    sequences = Sequences(
        row=nothing, choice=nothing, paired=np.full(len(order), paired), first_start=starts[0], first_size=sizes[0],
        second_start=starts[1], second_size=sizes[1],
    ).take(order)  # fmt: skip
    cuts = cut(total[order], np.ones_like(total), budget=reading.tokens_per_batch, at_least=1)
    padded = matrices(tokens, sequences, np.array([0, *cuts, len(order)]), reading.tokenizer)
    yield from zip(np.split(order, cuts), padded, strict=True)


def averaged(logits: Logits, asked: Asked, *, multi_label: bool) -> tuple[Array, Array]:
    """Return the score of each label of each text, and its probability by itself; flat, as `asked.label`.

    One label is right: softmax over a text's labels. `multi_label`, or a single label: each by itself. A text of
    several groups (windows, templates) gets their mean.
    """
    sizes = asked.counts[logits.text]
    own = 1.0 / (1.0 + np.exp(-np.clip(logits.own.astype(np.float64), -80, 80)))
    alone = np.repeat(multi_label | (sizes == 1), sizes)
    each = np.where(alone, own, _softmax(logits.among.astype(np.float64), sizes))
    place = ragged(asked.offsets[logits.text], sizes)
    groups = np.repeat(np.bincount(logits.text, minlength=len(asked.counts)), asked.counts)
    score, fit = (np.bincount(place, one, minlength=len(asked.label)) / groups for one in (each, own))
    return score, fit


def blended(scores: Sequence[Array], asked: Asked, *, multi_label: bool) -> Array:
    """Return the average of several ways' scores of each label, flat: of one right label in the log, so that no way's
    confidence rules, and made to sum to one again; of labels by themselves the plain mean."""
    if multi_label:
        return np.asarray(np.mean(scores, axis=0))
    logs = np.mean([np.log(np.clip(one, 1e-9, 1.0)) for one in scores], axis=0)
    alone = np.repeat(asked.counts == 1, asked.counts)
    return np.asarray(np.where(alone, np.mean(scores, axis=0), _softmax(logs, asked.counts)))


def _softmax(values: Array, sizes: Array) -> Array:
    """Return the softmax within neighboring groups of these sizes, none of them empty."""
    if not len(sizes):
        return values
    starts = offsets_of(sizes)[:-1]
    powers = np.exp(values - np.repeat(np.maximum.reduceat(values, starts), sizes))
    return np.asarray(powers / np.repeat(np.add.reduceat(powers, starts), sizes))
