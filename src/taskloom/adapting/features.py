"""What an encoder makes of rows, kept as matrices: the input of linear probes and of heads that start from one.

Three poolings are kept of each sequence: the architecture's own pooler, the first token's last hidden state and the
mean over all tokens. Tags have one vector a word. Nothing here is trained and dropout is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskloom.data.batches import Batcher, MicroBatch
from taskloom.data.store import TaskStore
from taskloom.evaluation.evaluator import Answering
from taskloom.modeling.encoder import POOLINGS, Encoder, pooled_by
from taskloom.modeling.tensors import on_device

Array = NDArray[Any]
WORDS = "words"
"""What the one feature of a tagged word is called: its last hidden state, whatever the pooling."""


@dataclass(frozen=True)
class Features:
    """Vectors of the units of some rows: sequences (one a row, or one a choice), or labelled words.

    `values` holds by pooling an array (units, width), fp32; `place` (units,) is the place in the split of the row that
    a unit belongs to, and `index` (units,) its number within the row. Units stand in the order of (place, index).
    """

    kind: str
    values: dict[str, Array]
    place: Array
    index: Array

    def of(self, places: Array) -> Features:
        """Return the units of some rows."""
        chosen = np.isin(self.place, places)
        values = {name: value[chosen] for name, value in self.values.items()}
        return Features(self.kind, values, self.place[chosen], self.index[chosen])


@torch.inference_mode()
def features_of(
    encoder: Encoder, store: TaskStore, split: str, places: Array, *, how: Answering, max_length: int
) -> Features:
    """Return the features of the rows at `places` of a split."""
    batcher = Batcher([store], split, how.tokenizer, max_length, how.tokens_per_micro_batch)
    parts = [_part(encoder, on_device(batch, how.device), store.kind, how) for batch in batcher.whole_split(0, places)]
    place, index = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
    order = np.lexsort((index, place))
    values = {name: np.concatenate([part[2][name] for part in parts])[order] for name in parts[0][2]}
    return Features(store.kind, values, place[order], index[order])


def _part(encoder: Encoder, batch: MicroBatch, kind: str, how: Answering) -> tuple[Array, Array, dict[str, Array]]:
    with how.arithmetic():
        pooled, hidden = encoder(
            batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
        )
    owner = batch.sequence_example.cpu().numpy()
    places = batch.place.cpu().numpy()
    if kind == "token_classification":
        words = hidden[batch.word_sequence, batch.word_position].float().cpu().numpy()
        return places[owner[batch.word_sequence.cpu().numpy()]], batch.word_index.cpu().numpy(), {WORDS: words}
    found = {name: pooled_by(name, pooled, hidden, batch.attention_mask).float().cpu().numpy() for name in POOLINGS}
    first = np.searchsorted(owner, owner)
    return places[owner], np.arange(len(owner)) - first, found
