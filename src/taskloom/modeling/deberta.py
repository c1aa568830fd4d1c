"""Disentangled attention of DeBERTa-v2 and v3 (He et al. 2021): transformers' numbers in a fraction of the time.

A score is q_i k_j + q_i PK[b(i-j)] + k_j PQ[b(i-j)], where b is the bucket of a distance. transformers multiplies all
512 buckets with every token and gathers length of them; most are never used, and a gather reads 8 bytes of index for
each 2 or 4 of score. Here:

- Only the 2 length - 1 distances that occur are multiplied, a row of the bucket table for each; so the linear zone and
  the logarithmic one go the same way.
- With the rows in the order of the distance, the score of (i, j) stands at column j - i + length - 1 of row i: what is
  wanted is a view with a stride one shorter than the row. No gather, and the gradient is a copy into that view.
- Heads come first, (heads, sequences, length, width): all sequences of a batch share one product with the positions.
- Which buckets occur is found once a length; at inference the table is projected once for each state of the weights.
- No mask where nothing is padded, else a row a sequence, not a matrix: what padded queries see is nobody's input.

The price: half of each product with positions is never read, and at length 512 it is as wide as transformers' two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2Encoder,
    DisentangledSelfAttention,
    make_log_bucket_position,
)

from taskloom.errors import ModelError
from taskloom.modeling.dropout import dropped

TERMS = ("c2p", "p2c")


class FastSelfAttention(DisentangledSelfAttention):  # type: ignore[misc]
    """Takes the place of transformers' module by `use_fast_attention`, with its parameters under their names."""

    kept: tuple[Tensor, Any, tuple[Tensor | None, Tensor | None]] | None
    """At inference: the bucket table, the state of the weights that projected it, and the projections."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context (sequences, length, width) of hidden states of that shape; probabilities on request.

        `attention_mask` is None where nothing is padded, else (sequences, 1, 1, length).
        """
        if query_states is not None or relative_pos is not None:
            found: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, attention_mask, output_attentions, query_states, relative_pos, rel_embeddings
            )
            return found
        scale = math.sqrt(self.attention_head_size * (1 + sum(term in self.pos_att_type for term in TERMS)))
        query = self._heads(self.query_proj(hidden_states)) * (1 / scale)
        key, value = self._heads(self.key_proj(hidden_states)), self._heads(self.value_proj(hidden_states))
        by_query, by_key = self._positions(rel_embeddings, hidden_states.shape[1], 1 / scale)
        scores = disentangled_scores(query, key, by_query, by_key)
        if attention_mask is not None:
            hidden = ~attention_mask.bool().transpose(0, 1)  # (1, sequences, 1, length)
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
        probabilities = scores.softmax(-1)
        share = self.dropout.p if self.training else 0.0
        kept = dropped(probabilities, share) if share else probabilities
        context = (kept.to(value.dtype) @ value).permute(1, 2, 0, 3).flatten(2)
        return context, probabilities.transpose(0, 1) if output_attentions else None

    def _heads(self, projected: Tensor) -> Tensor:
        """Return (rows..., heads x width) as (heads, rows..., width), each head in one piece."""
        split = projected.unflatten(-1, (self.num_attention_heads, -1))
        found: Tensor = split.movedim(-2, 0).contiguous()
        return found

    def _positions(self, table: Tensor | None, length: int, scale: float) -> tuple[Tensor | None, Tensor | None]:
        """Return PK in descending and PQ in ascending order of distance, both (heads, 2 length, width)."""
        if not self.relative_attention or table is None:
            return None, None
        used, down, up = distances(
            length, self.pos_ebd_size, self.position_buckets, self.max_relative_positions, table.device
        )
        if self.training or torch.is_grad_enabled():
            by_query, by_key = self._projected(self.pos_dropout(table[used]), scale)
        else:
            by_query, by_key = self._kept_projections(table, scale)
            down, up = used[down], used[up]
        return None if by_query is None else by_query[:, down], None if by_key is None else by_key[:, up]

    def _projected(self, rows: Tensor, scale: float) -> tuple[Tensor | None, Tensor | None]:
        """Return rows of the bucket table (rows, width) as keys of positions and as scaled queries of positions."""
        shared = self.share_att_key
        by_query = by_key = None
        if "c2p" in self.pos_att_type:
            by_query = self._heads((self.key_proj if shared else self.pos_key_proj)(rows))
        if "p2c" in self.pos_att_type:
            by_key = self._heads((self.query_proj if shared else self.pos_query_proj)(rows)) * scale
        return by_query, by_key

    def _kept_projections(self, table: Tensor, scale: float) -> tuple[Tensor | None, Tensor | None]:
        """Return the projections of the whole table, made anew when it is another or a weight was changed or cast."""
        device = table.device.type
        arithmetic = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else table.dtype
        state = (arithmetic, *_state(self.parameters()))
        if self.kept is None or self.kept[0] is not table or self.kept[1] != state:
            self.kept = table, state, self._projected(table[: 2 * self.pos_ebd_size], scale)
        return self.kept[2]


def _state(parameters: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """Return what changes whenever a parameter is moved or written to."""
    return tuple((parameter.data_ptr(), parameter._version) for parameter in parameters)


@lru_cache(maxsize=1024)
def distances(
    length: int, span: int, buckets: int, farthest: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which rows of the bucket table a length uses, each once, and the places among them of all distances.

    The second is in descending, the third in ascending order of the distance, from length - 1 to 1 - length, with one
    more place at the end that nothing reads: rows of an even width are multiplied faster.
    """
    with torch.inference_mode(False):
        distance = torch.arange(1 - length, length, device=device)
        if buckets > 0 and farthest > 0:
            distance = make_log_bucket_position(distance, buckets, farthest).to(torch.long)
        used, up = (distance + span).clamp(0, 2 * span - 1).unique(return_inverse=True)
        return used, torch.cat([up.flip(0), up[:1]]), torch.cat([up, up[:1]])


def disentangled_scores(query: Tensor, key: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> Tensor:
    """Return scores (heads, sequences, length, length) of scaled queries and keys (heads, sequences, length, width).

    `by_query` is PK in descending and `by_key` scaled PQ in ascending order of the distance, (heads, 2 length, width).
    """
    found: Tensor = _Scores.apply(query, key, by_query, by_key)  # type: ignore[no-untyped-call]
    return found


class _Scores(torch.autograd.Function):
    """Written out, since autograd would keep the products of all distances and go back through a general as_strided."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> Tensor:
        ctx.save_for_backward(query, key, by_query, by_key)
        scores = query @ key.transpose(-1, -2)
        if by_query is not None:
            scores += _shifted(_by_distance(query, by_query))
        if by_key is not None:
            scores += _shifted(_by_distance(key, by_key)).transpose(-1, -2)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, by_query, by_key = ctx.saved_tensors
        (given,) = gradients
        to_query, to_key = given @ key, given.transpose(-1, -2) @ query
        to_positions: list[Tensor | None] = []
        for side, (one, table) in enumerate(((query, by_query), (key, by_key))):
            if table is None:
                to_positions.append(None)
                continue
            wide = _unshifted(given if side == 0 else given.transpose(-1, -2)).flatten(1, 2)
            to_positions.append(wide.transpose(-1, -2) @ one.flatten(1, 2))
            (to_key if side else to_query).flatten(1, 2).baddbmm_(wide, table)
        return to_query, to_key, *to_positions


def _by_distance(tokens: Tensor, table: Tensor) -> Tensor:
    """Return products of (heads, sequences, length, width) and (heads, 2 length, width): (..., length, 2 length)."""
    heads, sequences, length, _ = tokens.shape
    return torch.bmm(tokens.flatten(1, 2), table.transpose(1, 2)).view(heads, sequences, length, 2 * length)


def _shifted(wide: Tensor) -> Tensor:
    """View (heads, sequences, length, 2 length) as (..., length, length), whose (i, j) is the column j-i+length-1."""
    heads, sequences, length, width = wide.shape
    strides = (sequences * length * width, length * width, width - 1, 1)
    return wide.as_strided((heads, sequences, length, length), strides, wide.storage_offset() + length - 1)


def _unshifted(scores: Tensor) -> Tensor:
    """Return the matrix (heads, sequences, length, 2 length) of which `scores` is the shifted view, zero elsewhere."""
    heads, sequences, length, _ = scores.shape
    wide = scores.new_zeros(heads, sequences, length, 2 * length)
    _shifted(wide).copy_(scores)
    return wide


class FastEncoder(DebertaV2Encoder):  # type: ignore[misc]
    """Takes the place of transformers' module: no matrix of positions, and a mask a sequence or none."""

    kept: tuple[Any, Tensor] | None
    """At inference: the state of the weights and the bucket table, which is the same tensor as long as they are."""

    def get_rel_embedding(self) -> Tensor | None:
        """Return the bucket table, normed where the config says so; at inference the same one again and again."""
        if self.training or torch.is_grad_enabled() or not self.relative_attention:
            found: Tensor | None = super().get_rel_embedding()
            return found
        norm = self.LayerNorm.parameters() if "layer_norm" in self.norm_rel_ebd else ()
        state = _state((self.rel_embeddings.weight, *norm))
        if self.kept is None or self.kept[0] != state:
            self.kept = state, super().get_rel_embedding().detach()
        return self.kept[1]

    def get_rel_pos(
        self, hidden_states: Tensor, query_states: Tensor | None = None, relative_pos: Tensor | None = None
    ) -> Tensor | None:
        """Return positions only where they were given, or where queries are not the hidden states."""
        if query_states is None and relative_pos is None:
            return None
        found: Tensor | None = super().get_rel_pos(hidden_states, query_states, relative_pos)
        return found

    def get_attention_mask(self, attention_mask: Tensor) -> Tensor | None:
        """Return (sequences, 1, 1, length), or None for a mask on the CPU that hides nothing."""
        if attention_mask.dim() != 2:
            found: Tensor = super().get_attention_mask(attention_mask)
            return found
        if attention_mask.device.type == "cpu" and bool(attention_mask.all()):
            return None
        return attention_mask[:, None, None, :]


def use_flash_attention(network: nn.Module) -> None:
    """Switch the attention of a DeBERTa-v2 or v3 network to the CUDA kernels of `flashdeberta`.

    They have no dropout on attention probabilities. Raises ModelError where the package or the GPU is missing.
    """
    if not torch.cuda.is_available():
        raise ModelError('model.attention = "flash" needs a CUDA GPU, and here is none. Type model.attention=auto.')
    try:
        from flashdeberta.model import FlashDisentangledSelfAttention
    except ImportError as error:
        raise ModelError(
            f'model.attention = "flash" needs the package flashdeberta ({error}). Type `pip install flashdeberta`, or '
            "model.attention=auto."
        ) from error
    for module in network.modules():
        if type(module) is DisentangledSelfAttention:
            module.__class__ = FlashDisentangledSelfAttention


def use_fast_attention(network: nn.Module) -> None:
    """Switch the attention of a DeBERTa-v2 or v3 network to this module's; other networks stay as they are."""
    for module in network.modules():
        if type(module) is DisentangledSelfAttention:
            module.__class__ = FastSelfAttention
            module.__dict__["kept"] = None
        elif type(module) is DebertaV2Encoder:
            module.__class__ = FastEncoder
            module.__dict__["kept"] = None


def use_reference_attention(network: nn.Module) -> None:
    """Switch back to transformers' own attention, for export."""
    for module in network.modules():
        if type(module) is FastSelfAttention:
            module.__class__ = DisentangledSelfAttention  # type: ignore[assignment]
            del module.__dict__["kept"]
        elif type(module) is FastEncoder:
            module.__class__ = DebertaV2Encoder  # type: ignore[assignment]
            del module.__dict__["kept"]
