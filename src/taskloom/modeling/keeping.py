"""What the encoder knew is kept: vectors stay as near to each other as the untouched encoder has them.

A sentence encoder knows more than the tasks it is trained on teach, and forgets it: after five minutes of 128 tasks on
a 22M encoder, macro-F1 by label names fell from 0.65 to 0.46 on news topics, which were held out, while it rose
by 0.2 on emotions and reviews (docs/log.md). So each text that is compared with its label names is also compared with
all texts and names of the other rows of its micro-batch, whose cosines shall stay what they were: distillation of
relations (Park et al. 2019) from the encoder's own past. The price: a second, frozen encoder in memory, a forward pass
of the compared sequences, and a loss that depends a little on which rows share a micro-batch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from taskloom.data.batches import MicroBatch
from taskloom.modeling.comparing import Compared
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.token_layout import layout_of


@dataclass(frozen=True)
class Keeping:
    """The untouched encoder, and what a squared difference of cosines weighs beside a row's loss."""

    encoder: Encoder
    strength: float

    @torch.no_grad()
    def vectors(self, batch: MicroBatch, compared: Compared) -> Tensor:
        """Return the untouched encoder's vectors of compared sequences (compared, width), without dropout."""
        self.encoder.to(batch.input_ids.device).eval()
        alone = _alone(batch, compared)
        if self.encoder.packs:
            layout = layout_of(alone)
            types = alone.token_type_ids
            _, tokens = self.encoder.forward_packed(alone.input_ids, layout, token_type_ids=types, first_vector=None)
            return functional.normalize(compared.means(tokens), dim=1)
        mask = alone.attention_mask
        _, hidden = self.encoder(alone.input_ids, attention_mask=mask, token_type_ids=alone.token_type_ids)
        return functional.normalize(compared.mean_states(hidden, batch), dim=1)

    def losses(self, batch: MicroBatch, compared: Compared, vectors: Tensor) -> Tensor:
        """Return for each example (examples,) the strength times the mean squared difference of its text's cosines
        with texts and names of other examples; 0 for examples that are not compared, and where there are no others."""
        texts = compared.texts
        before = self.vectors(batch, compared)
        moved = (vectors[texts] @ vectors.T - before[texts] @ before.T).square()
        others = compared.anchor[None] != texts[:, None]
        kept = (moved * others).sum(1) / others.sum(1).clamp(min=1)
        example = batch.sequence_example[compared.sequence[texts]]
        return kept.new_zeros(len(batch.task)).index_add(0, example, self.strength * kept)


def _alone(batch: MicroBatch, compared: Compared) -> MicroBatch:
    """Return the compared sequences of a micro-batch as one of their own, up to the columns of examples."""
    chosen, nothing = compared.sequence, batch.word_sequence[:0]
    return dataclasses.replace(
        batch,
        input_ids=batch.input_ids[chosen],
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[chosen],
        attention_mask=None if batch.attention_mask is None else batch.attention_mask[chosen],
        sequence_example=batch.sequence_example[chosen],
        anchor=compared.anchor,
        word_sequence=nothing,
        word_position=nothing,
    )
