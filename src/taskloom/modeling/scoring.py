"""An encoder for scoring only: the same numbers with less work, for classifying at speed.

Layers of BERT's form (BERT, RoBERTa, ELECTRA and what is built like them) are replaced:

- The last layer is computed at the first token only where nothing but the pooler reads it: a seventh less work in a
  network of six layers, a fourteenth less in one of twelve.
- The projections to query, key and value are one product, three times as wide.
- All tokens of a batch are rows of one matrix, with some idle ones up to a multiple of ROWS: the library compiles each
  product for its shape, which takes 1 to 4 ms, so shapes have to come again.
- Short sequences on a CPU take plain products and a softmax: torch's fused kernel needs twice as long at 32 tokens.

Weights are those of the encoder given, in the precision asked for: a copy in bf16, for autocast would convert all of
them anew in every batch. The price: what is in this encoder does not follow a training of the other.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from taskloom.modeling.encoder import Encoder

LAYERS = ("BertLayer", "RobertaLayer", "XLMRobertaLayer", "CamembertLayer", "ElectraLayer")
"""Classes of transformers with the parts that `ScoringLayer` reads."""
ROWS = 256
"""Tokens, or first tokens, of a batch are filled up to a multiple of this; of first tokens to an eighth of it."""
SHORT = 128
"""Tokens of a sequence up to which plain products are faster on a CPU."""


def scoring_encoder(encoder: Encoder, *, dtype: torch.dtype) -> Encoder:
    """Return an encoder in evaluation mode with the outputs of `encoder`, computed in `dtype`.

    In fp32 it shares the weights, but for the joined projections.
    """
    found = _copied(encoder, share=dtype == torch.float32).eval()
    for stack in [module for module in found.base.modules() if isinstance(module, nn.ModuleList)]:
        if len(stack) and all(type(layer).__name__ in LAYERS and _is_plain(layer) for layer in stack):
            layers = list(stack)
            del stack[:]
            stack.append(ScoringStack(layers))
    return found.to(dtype).requires_grad_(False)


def at_first_token(encoder: Encoder) -> Encoder:
    """Return a scoring encoder that shares all weights of one, and whose last layer is computed at the first token.

    Pooled features are the same; hidden states are not, unless the architecture is of another form than BERT's.
    """
    found = _copied(encoder, share=True)
    for module in found.base.modules():
        if isinstance(module, ScoringStack):
            module.first_only = True
    return found


def _copied(encoder: Encoder, *, share: bool) -> Encoder:
    shared: dict[int, Any] = {id(value): value for value in encoder.parameters()} if share else {}
    return copy.deepcopy(encoder, shared)


def _is_plain(layer: Any) -> bool:
    """Tell whether a layer has absolute positions only and looks at all tokens, not only at those before."""
    return not getattr(layer, "is_decoder", False) and not hasattr(layer.attention.self, "distance_embedding")


class ScoringStack(nn.Module):
    """All layers of an encoder; hidden states in and out (sequences, length, width), with `first_only` length 1 out."""

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ScoringLayer(layer) for layer in layers])
        self.first_only = False

    def forward(self, hidden: Tensor, attention_mask: Tensor | None = None, *_others: Any, **_options: Any) -> Tensor:
        """Return the last layer's output; the mask is None, or broadcasts to (sequences, heads, length, length)."""
        count, length, width = hidden.shape
        rows = _filled(hidden.reshape(-1, width), ROWS)
        for layer in self.layers[: len(self.layers) - self.first_only]:
            rows = layer(rows, count, length, attention_mask)
        if not self.first_only:
            return rows[: count * length].view(count, length, width)
        last: Any = self.layers[-1]
        return last.at_first(rows, count, length, attention_mask)[:count, None]  # type: ignore[no-any-return]


class ScoringLayer(nn.Module):
    """A layer of BERT's form on the tokens of all sequences as rows of one matrix, of which the last may be idle."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        inner = layer.attention.self
        self.heads = int(inner.num_attention_heads)
        parts = (inner.query, inner.key, inner.value)
        self.weight = nn.Parameter(torch.cat([part.weight for part in parts]).detach())
        self.bias = nn.Parameter(torch.cat([part.bias for part in parts]).detach())
        self.attended, self.intermediate, self.output = layer.attention.output, layer.intermediate, layer.output

    def forward(self, rows: Tensor, count: int, length: int, mask: Tensor | None) -> Tensor:
        """Return the output of each row, (rows, width)."""
        joined = functional.linear(rows, self.weight, self.bias)[: count * length]
        query, key, value = joined.view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = _attention(query, key, value, mask).transpose(1, 2).reshape(count * length, -1)
        return self._after(_filled(mixed, ROWS), rows)

    def at_first(self, rows: Tensor, count: int, length: int, mask: Tensor | None) -> Tensor:
        """Return the output of the first token of each sequence, (sequences and idle rows, width)."""
        width = rows.shape[1]
        joined = functional.linear(rows, self.weight[width:], self.bias[width:])[: count * length]
        key, value = joined.view(count, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        firsts = _filled(rows[: count * length : length], ROWS // 8)
        query = functional.linear(firsts, self.weight[:width], self.bias[:width])[:count]
        query = query.view(count, 1, self.heads, -1).transpose(1, 2)
        mixed = _attention(query, key, value, None if mask is None else mask[:, :, :1]).reshape(count, -1)
        return self._after(_filled(mixed, ROWS // 8), firsts)

    def _after(self, mixed: Tensor, rows: Tensor) -> Tensor:
        attended = self.attended(mixed, rows)
        found: Tensor = self.output(self.intermediate(attended), attended)
        return found


def _filled(rows: Tensor, multiple: int) -> Tensor:
    """Return rows (rows, width) with zeros behind them, up to a multiple, where that is on a CPU."""
    spare = -len(rows) % multiple if rows.device.type == "cpu" else 0
    return functional.pad(rows, (0, 0, 0, spare)) if spare else rows


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attention without dropout, all (sequences, heads, length, width)."""
    if query.device.type != "cpu" or key.shape[2] > SHORT:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        hidden = mask if mask.dtype != torch.bool else torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(
            ~mask, torch.finfo(scores.dtype).min)  # fmt: skip
        scores = scores + hidden
    mixed: Tensor = scores.softmax(-1) @ value
    return mixed
