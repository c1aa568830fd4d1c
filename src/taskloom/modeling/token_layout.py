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
from taskloom.modeling.comparing import Compared, compared_of, tokens_of

Integers = NDArray[np.int64]
STRETCH, SLACK = 1.15, 2
"""A block ends before a sequence longer than STRETCH times its shortest, plus SLACK tokens: more blocks are more calls,
fewer are more padding."""
ROUND = 64
"""Tokens are rounded up to a multiple of this, and those that are read to one of half of it: the library compiles each
matrix product for its shape, which takes 1 to 4 ms, so shapes have to come again. It costs 1 % of the arithmetic at
2,600 tokens."""


@dataclass(frozen=True)
class Block:
    """Neighboring sequences that attend together: `first` up to `last`, tokens `start` up to `end`, at most `length`.

    Where they differ in length, `spread` (sequences x length,) says which token stands at each place (any real one
    where there is none), `visible` (sequences, length) which places are tokens, and `places` (tokens,) where each token
    went; all three are None where nothing is padded.
    """

    first: int
    last: int
    start: int
    end: int
    length: int
    spread: Tensor | None = None
    visible: Tensor | None = None
    places: Tensor | None = None


@dataclass(frozen=True)
class Layout:
    """A micro-batch as one row of tokens.

    `flat` (tokens,) is each token's place in the padded matrix, row after row; `position` (tokens,) its place in its
    sequence. `firsts` and `words` are the tokens whose last hidden states are read: of each sequence the first, from
    the shortest on, and labelled words, behind which stand all tokens of sequences that are `compared`. All four are
    rounded up with copies that belong to no block and nobody reads.
    `rank` (sequences,) is each sequence's place among `firsts`, and `word_count` how many words are real.
    """

    flat: Tensor
    position: Tensor
    firsts: Tensor
    words: Tensor
    rank: Tensor
    word_count: int
    blocks: tuple[Block, ...]
    compared: Compared | None = None

    @property
    def read_count(self) -> int:
        """How many words and tokens of compared sequences are real."""
        return self.word_count + (0 if self.compared is None else int(self.compared.sizes.sum()))


def layout_of(batch: MicroBatch) -> Layout:
    """Return the layout of a micro-batch that is padded on the right, on the CPU."""
    count, width = batch.input_ids.shape
    mask = batch.attention_mask
    sizes = np.full(count, width, np.int64) if mask is None else mask.sum(1).numpy()
    order = np.argsort(sizes, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    sizes = sizes[order]
    starts = offsets_of(sizes)
    position = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
    compared = compared_of(batch)
    sequence, place = tokens_of(compared)
    sequence, place = torch.cat([batch.word_sequence, sequence]), torch.cat([batch.word_position, place])
    words = starts[rank[sequence.numpy()]] + place.numpy()
    arrays = {
        "flat": _rounded(np.repeat(order * width, sizes) + position, ROUND),
        "position": _rounded(position, ROUND),
        "firsts": _rounded(starts[:-1], ROUND // 2),
        "words": _rounded(words, ROUND // 2),
        "rank": rank,
    }
    blocks = tuple(_block(sizes, starts, first, last) for first, last in _cuts(sizes))
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    return Layout(**tensors, word_count=len(batch.word_sequence), blocks=blocks, compared=compared)


def _rounded(values: Integers, multiple: int) -> Integers:
    """Return values with copies of the first one behind them, up to a multiple."""
    spare = -len(values) % multiple
    return np.concatenate([values, np.full(spare, values[0] if len(values) else 0, np.int64)])


def _cuts(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Yield the first sequence of each block and the one behind its last, for ascending sizes."""
    first = 0
    while first < len(sizes):
        last = int(np.searchsorted(sizes, int(sizes[first] * STRETCH) + SLACK, side="right"))
        yield first, last
        first = last


def _block(sizes: Integers, starts: Integers, first: int, last: int) -> Block:
    length, mine = int(sizes[last - 1]), sizes[first:last]
    block = Block(first, last, int(starts[first]), int(starts[last]), length)
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
