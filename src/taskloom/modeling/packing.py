"""Tokens of padded sequences one after the other, without the padding, for everything that treats tokens one by one.

Linear layers, norms and dropout see real tokens alone, (tokens, width); attention spreads them over sequences x length
and packs them again. Places stay what they are, so padding may stand anywhere but at a sequence's first token. On the
lengths of NLI rows in length-sorted micro-batches that is a tenth of all products. And `wanted`: what a caller reads of
the result, since the last layer need not compute what nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

WORTH_PACKING = 0.03
"""The least share of padding that is packed away; moving tokens to and fro costs about a hundredth of a layer."""

Wanted = Literal["all", "last", "first"]
WANTED: ContextVar[Wanted] = ContextVar("wanted", default="all")
"""What a caller reads; each thread has its own."""


@contextmanager
def wanted(states: Wanted) -> Iterator[None]:
    """Say what is read of an encoder inside: the hidden states of all layers, of the last, or its first tokens alone.

    With "first" the last hidden states may be (sequences, 1, width).
    """
    before = WANTED.set(states)
    try:
        yield
    finally:
        WANTED.reset(before)


@dataclass(frozen=True)
class Layout:
    """Where each token of a batch stands among its sequences.

    `real` (tokens,) names each packed token's place among sequences x length, and `source` (sequences x length,) the
    packed token of each place, any one for padding; both None where nothing is packed. `hidden` (1, sequences, 1,
    length) is true for padding, None where there is none.
    """

    sequences: int
    length: int
    real: Tensor | None = None
    source: Tensor | None = None
    hidden: Tensor | None = None

    @classmethod
    def of(cls, mask: Tensor) -> Layout | None:
        """Return the layout of a mask (sequences, length); None where a first token is padding.

        Only masks on the CPU are looked at: on an accelerator that would wait for it, so there nothing is packed.
        """
        sequences, length = mask.shape
        visible = mask.bool()
        if mask.device.type != "cpu":
            return cls(sequences, length, hidden=~visible[None, :, None, :])
        if not bool(visible[:, 0].all()):
            return None
        real = visible.flatten().nonzero()[:, 0]
        if len(real) == mask.numel():
            return cls(sequences, length)
        hidden = ~visible[None, :, None, :]
        if len(real) > (1 - WORTH_PACKING) * mask.numel():
            return cls(sequences, length, hidden=hidden)
        source = torch.zeros(mask.numel(), dtype=torch.int64).index_copy_(0, real, torch.arange(len(real)))
        return cls(sequences, length, real, source, hidden)

    def packed(self, states: Tensor) -> Tensor:
        """Return states (sequences, length, width) as tokens (tokens, width)."""
        flat = states.reshape(self.sequences * self.length, -1)
        return flat if self.real is None else _moved(flat, self.real, self.source)

    def padded(self, tokens: Tensor) -> Tensor:
        """Return tokens (tokens, width) as states (sequences, length, width), zero where there is padding."""
        if self.real is not None:
            zeros = tokens.new_zeros(self.sequences * self.length, tokens.shape[-1])
            tokens = zeros.index_copy(0, self.real, tokens)
        return tokens.view(self.sequences, self.length, -1)

    def spread(self, tokens: Tensor) -> Tensor:
        """Return tokens (tokens, width) as states (sequences, length, width); in padding stands any token.

        No gradient may come from padding.
        """
        if self.real is not None:
            tokens = _moved(tokens, self.source, self.real)
        return tokens.view(self.sequences, self.length, -1)

    def first(self, tokens: Tensor) -> Tensor:
        """Return the first token of each sequence, (sequences, width)."""
        starts = torch.arange(0, self.sequences * self.length, self.length, device=tokens.device)
        return tokens[starts if self.source is None else self.source[starts]]


class _Moved(torch.autograd.Function):
    """Rows `there` of a matrix; their gradient is found at `back`: both ways rows are read, which is a plain copy."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, there: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(there, back)
        return rows.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        there, back = ctx.saved_tensors
        (given,) = gradients
        if len(there) > len(back):  # spread: padding has no gradient
            return given.index_select(0, back), None, None
        return given.new_zeros(len(back), given.shape[1]).index_copy_(0, there, given), None, None


def _moved(rows: Tensor, there: Tensor | None, back: Tensor | None) -> Tensor:
    found: Tensor = _Moved.apply(rows, there, back)  # type: ignore[no-untyped-call]
    return found
