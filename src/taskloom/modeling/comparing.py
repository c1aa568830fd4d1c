"""Sequences that are compared by their vectors: a text with each label name, instead of both read together.

The vector of a sequence is the mean of its last hidden states at length one, as sentence encoders are trained with
(Reimers and Gurevych 2019). What a head reads of a choice is the product, dimension by dimension, of its vector and its
prompt's: a row of equal weights makes that the cosine, and a trained one a cosine of weighted dimensions. A name's
vector hangs on nothing but the name, so any number of texts and names need each be read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from taskloom.data.batches import MicroBatch
from taskloom.data.ragged import ragged


@dataclass(frozen=True)
class Compared:
    """Which sequences of a micro-batch are compared: `sequence` (compared,), and `anchor` (compared,), the place among
    them of the one that each is compared with; `texts` (texts,) are the places of those that stand for themselves.
    `sizes` (compared,) are their tokens, padding left out."""

    sequence: Tensor
    anchor: Tensor
    texts: Tensor
    sizes: Tensor

    def means(self, tokens: Tensor) -> Tensor:
        """Return the means (compared, width) of their tokens' hidden states, which stand one sequence after the other
        (tokens, width)."""
        owner = torch.repeat_interleave(self.sizes)
        summed = tokens.new_zeros(len(self.sizes), tokens.shape[1], dtype=torch.float32)
        return summed.index_add(0, owner, tokens[: len(owner)].float()) / self.sizes[:, None]

    def mean_states(self, hidden: Tensor, batch: MicroBatch) -> Tensor:
        """Return the means (compared, width) of padded hidden states (sequences, length, width)."""
        mine = hidden[self.sequence].float()
        if batch.attention_mask is None:
            return mine.mean(1)
        weights = batch.attention_mask[self.sequence].float()[:, :, None]
        return (mine * weights).sum(1) / weights.sum(1)


@dataclass(frozen=True)
class Read:
    """What an encoder made of a micro-batch: pooled features (sequences, width), labelled words (words, width), and the
    mean hidden states of compared sequences (compared, width), None where there are none."""

    pooled: Tensor
    words: Tensor
    compared: Compared | None
    means: Tensor | None

    @cached_property
    def vectors(self) -> Tensor:
        """The vectors of compared sequences, of length one (compared, width)."""
        assert self.means is not None
        return functional.normalize(self.means.float(), dim=1)

    def features(self) -> tuple[Tensor, Tensor]:
        """Return what heads read of sequences (sequences, width) and words (words, width): of a compared sequence the
        product of its vector and that of the one it is compared with."""
        if self.compared is None:
            return self.pooled, self.words
        products = self.vectors * self.vectors[self.compared.anchor]
        return self.pooled.float().index_copy(0, self.compared.sequence, products), self.words


def compared_of(batch: MicroBatch) -> Compared | None:
    """Return the sequences of a micro-batch that are compared, or None where there are none."""
    sequence = torch.nonzero(batch.anchor >= 0)[:, 0]
    if not len(sequence):
        return None
    anchor = torch.searchsorted(sequence, batch.anchor[sequence])
    mask = batch.attention_mask
    sizes = torch.full_like(sequence, batch.input_ids.shape[1]) if mask is None else mask[sequence].sum(1)
    texts = torch.nonzero(anchor == torch.arange(len(anchor), device=anchor.device))[:, 0]
    return Compared(sequence, anchor, texts, sizes)


def tokens_of(compared: Compared | None) -> tuple[Tensor, Tensor]:
    """Return sequence and position of every token of compared sequences, one sequence after the other."""
    if compared is None:
        none = torch.zeros(0, dtype=torch.int64)
        return none, none
    sizes = compared.sizes.numpy()
    return torch.repeat_interleave(compared.sequence, compared.sizes), torch.from_numpy(
        ragged(np.zeros_like(sizes), sizes)
    )
