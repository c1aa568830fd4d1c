"""Where the tokens of a micro-batch stand when none is padding: plain integers, made ahead of the step.

Sequences of any lengths lie one behind the other, shortest first, as one row of tokens. Only attention needs to know
which belong together: it works on blocks of neighbors of about one length, padded to the longest of their block alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.batches import MicroBatch
from taskloom.data.ragged import offsets_of, ragged

Integers = NDArray[np.int64]
STRETCH, SLACK = 1.15, 2
"""A block ends before a sequence longer than STRETCH times its shortest, plus SLACK tokens: more blocks are more calls,
fewer are more padding."""
ROUND = 64
"""Tokens are rounded up to a multiple of this: the library compiles each matrix product for its shape, which takes 1 to
4 ms, so shapes have to come again. It costs 1 % of the arithmetic at 2,600 tokens."""


@dataclass(frozen=True)
class Block:
    """Neighboring sequences that attend together: the tokens from `start` to `end`, `sequences` of at most `length`.

    Where they differ in length, `spread` (sequences x length,) says which token stands at each place (any real one
    where there is none), `visible` (sequences, length) which places are tokens, and `places` (tokens,) where each token
    went; all three are None where nothing is padded.
    """

    start: int
    end: int
    sequences: int
    length: int
    spread: Tensor | None = None
    visible: Tensor | None = None
    places: Tensor | None = None


@dataclass(frozen=True)
class Layout:
    """A micro-batch as one row of tokens.

    `flat` (tokens,) is each token's place in the padded matrix, row after row; `position` (tokens,) its place in its
    sequence; `firsts` (sequences,) and `words` (words,) are the tokens whose last hidden states are read. Behind the
    real tokens stand copies of the first one, up to a multiple of ROUND, which belong to no block and are never read.
    """

    flat: Tensor
    position: Tensor
    firsts: Tensor
    words: Tensor
    blocks: tuple[Block, ...]

    @property
    def read(self) -> Tensor:
        """The tokens whose last hidden states are read: the first of each sequence, then the labelled words."""
        return torch.cat([self.firsts, self.words])


def layout_of(batch: MicroBatch) -> Layout:
    """Return the layout of a micro-batch that is padded on the right, on the CPU."""
    count, width = batch.input_ids.shape
    mask = batch.attention_mask
    sizes = np.full(count, width, np.int64) if mask is None else mask.sum(1).numpy()
    order = np.argsort(sizes, kind="stable")
    starts = offsets_of(sizes[order])
    position = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes[order])
    first_of = np.empty(count, np.int64)
    first_of[order] = starts[:-1]
    spare = -len(position) % ROUND
    flat = np.repeat(order * width, sizes[order]) + position
    arrays = {
        "flat": np.pad(flat, (0, spare), constant_values=flat[0]),
        "position": np.pad(position, (0, spare)),
        "firsts": first_of,
        "words": first_of[batch.word_sequence.numpy()] + batch.word_position.numpy(),
    }
    blocks = tuple(_block(sizes[order], starts, first, last) for first, last in _cuts(sizes[order]))
    return Layout(**{name: torch.from_numpy(values) for name, values in arrays.items()}, blocks=blocks)


def _cuts(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Yield the first sequence of each block and the one behind its last, for ascending sizes."""
    first = 0
    while first < len(sizes):
        last = int(np.searchsorted(sizes, int(sizes[first] * STRETCH) + SLACK, side="right"))
        yield first, last
        first = last


def _block(sizes: Integers, starts: Integers, first: int, last: int) -> Block:
    length, mine = int(sizes[last - 1]), sizes[first:last]
    block = Block(int(starts[first]), int(starts[last]), last - first, length)
    if mine[0] == length:
        return block
    visible = np.arange(length) < mine[:, None]
    spread = np.where(visible, starts[first:last, None] + np.arange(length), starts[first:last, None])
    places = ragged(np.arange(last - first) * length, mine)
    return dataclasses.replace(
        block,
        spread=torch.from_numpy(spread.reshape(-1)),
        visible=torch.from_numpy(visible),
        places=torch.from_numpy(places),
    )
