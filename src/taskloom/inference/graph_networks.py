"""A model whose encoder is a graph: heads, prediction and classification stay what they are.

A features graph takes the place of the encoder and serves all heads. The graph of an exported head gives logits; it is
taken for an encoder whose features are those logits, under a head that hands them on. The price: where the network
returns the hidden states of all tokens, a runtime copies them out, 2 % of the time of a 22M encoder.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskloom.inference.graphs import Graph
from taskloom.inference.tracing import IDS, MASK, TYPES, VECTOR
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import Head, HeadTable
from taskloom.modeling.model import Model

Array = NDArray[Any]


class GraphEncoder(nn.Module):
    """Stands where an `Encoder` stands at prediction; CPU tensors only.

    `width` and `word_width` are those of features and word embeddings; `kind` is that of the exported head, None for a
    graph of features.
    """

    def __init__(self, graph: Graph, *, width: int, word_width: int, kind: str | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.kind = kind
        self.hidden_width = width
        self.word_embeddings = nn.Embedding(0, word_width)
        self.reads_types = TYPES in graph.inputs
        self.packs = False

    def __deepcopy__(self, _known: Any) -> GraphEncoder:
        """A graph has no weights to share or to cast, so a copy for scoring is the encoder itself."""
        return self

    @property
    def base(self) -> nn.Module:
        """The network with the layers: none that torch knows of."""
        return self

    def forward(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        first_vector: Tensor | None = None,
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and hidden states (sequences, length, width), as `Encoder` does.

        `first_only` changes nothing: what a graph computes is settled. A head's graph gives its logits as the one
        of the two that the head reads.
        """
        ids = input_ids.numpy()
        feeds = {IDS: ids, MASK: np.ones_like(ids) if attention_mask is None else attention_mask.numpy()}
        if self.reads_types:
            feeds[TYPES] = np.zeros_like(ids) if token_type_ids is None else token_type_ids.numpy()
        if VECTOR in self.graph.inputs:
            feeds[VECTOR] = self._vector(first_vector, len(ids))
        if self.kind == "multiple_choice":  # each choice is scored by itself, so all may be those of one row
            feeds = {name: values[None] for name, values in feeds.items()}
        found = [torch.from_numpy(values) for values in self.graph(feeds)]
        if self.kind is None:
            return found[0], found[1]
        if self.kind == "token_classification":
            return found[0][:, 0], found[0]
        logits = found[0].T if self.kind == "multiple_choice" else found[0]
        return logits, logits[:, None]

    def _vector(self, given: Tensor | None, rows: int) -> Array:
        if given is None:
            return np.zeros((rows, self.word_embeddings.embedding_dim), np.float32)
        return np.asarray(given.detach().float().numpy())


def with_features_graph(model: Model, graph: Graph) -> Model:
    """Return the model with the graph in the place of its encoder; heads and task embeddings are shared."""
    encoder = GraphEncoder(graph, width=model.head_weight.shape[1], word_width=model.task_embedding.shape[1])
    twin = Model(cast(Encoder, encoder), model.table, loss_scaling=model.loss_scaling)
    for name in ("head_weight", "head_bias", "task_embedding", "log_variance"):
        setattr(twin, name, getattr(model, name))
    return twin.eval()


@torch.no_grad()
def over_head_graph(graph: Graph, head: Head) -> Model:
    """Return a model of the one exported head; a score in units goes back to the scale 0..1 that heads have."""
    count = len(head.rows)
    encoder = GraphEncoder(graph, width=count, word_width=1, kind=head.kind)
    model = Model(cast(Encoder, encoder), HeadTable((head,)))
    model.head_weight.copy_(torch.eye(count))
    model.head_bias.zero_()
    if head.kind == "regression" and head.low is not None and head.high is not None:
        model.head_weight.div_(head.high - head.low)
        model.head_bias.fill_(-head.low / (head.high - head.low))
    return model.eval()
