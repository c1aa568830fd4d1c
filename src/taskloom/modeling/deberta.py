"""DeBERTa-v2 and v3 with taskloom's attention: transformers' numbers in a fraction of the time.

An exact drop-in at any length: the modules change their class and keep their parameters, so checkpoints are ordinary.
The arithmetic is in `disentangled`. What a batch or a whole evaluation shares is made once:

- which buckets a length uses, and the bucket table, normed, once for each state of the weights;
- at inference, each layer's projections of that table, until a weight is written to, moved or cast;
- padding is taken out before the first layer and put back after the last one (`packing`);
- where a caller reads no more than the first token (`wanted`), the last layer computes no more.

What none of this covers goes through transformers' own code: queries other than the hidden states, given positions,
attention probabilities on request, masks of three dimensions, padding at a first token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.deberta_v2.modeling_deberta_v2 import DebertaV2Encoder, DisentangledSelfAttention

from taskloom.modeling.disentangled import attend, attend_first, distances
from taskloom.modeling.packing import WANTED, Layout, Wanted

TERMS = ("c2p", "p2c")


class FastSelfAttention(DisentangledSelfAttention):  # type: ignore[misc]
    """Takes the place of transformers' module by `use_fast_attention`, with its parameters under their names."""

    compiles = False
    """torch.compile would trace what is kept and the views; inductor of torch 2.13 fails on them."""
    kept: tuple[Tensor, Any, tuple[Tensor | None, Tensor | None]] | None
    """At inference: the bucket table, the state of the weights that projected it, and the projections."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Layout | Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the context of tokens (tokens, width) that stand as a `Layout` says, (tokens, width).

        `query_states` are then the first tokens, (sequences, width), and so is the context. With a mask for a layout
        it is transformers' own forward.
        """
        if not isinstance(attention_mask, Layout):
            found: tuple[Tensor, Tensor | None] = super().forward(
                hidden_states, attention_mask, output_attentions, query_states, relative_pos, rel_embeddings
            )
            return found
        layout, scale = attention_mask, 1 / self._divisor()
        tokens = _cast(hidden_states)  # once, not for each of the three products
        key, value = (self._heads(layout.spread(made(tokens))) for made in (self.key_proj, self.value_proj))
        by_query, by_key = self._positions(rel_embeddings, layout.length, scale)
        dropout = self.dropout.p if self.training else 0.0
        if query_states is None:
            query = self._heads(layout.spread(self.query_proj(tokens) * scale))
            context = attend(query, key, value, by_query, by_key, hidden=layout.hidden, dropout=dropout)
            return layout.packed(context.permute(1, 2, 0, 3).flatten(2)), None
        query = self._heads(self.query_proj(query_states) * scale)[:, :, None]
        context = attend_first(query, key, value, by_query, by_key, hidden=layout.hidden, dropout=dropout)
        return context[:, :, 0].transpose(0, 1).flatten(1), None

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        """Forget what was kept when the parameters are moved or cast."""
        self.kept = None
        return super()._apply(*arguments, **options)

    def _divisor(self) -> float:
        """Return what scores are divided by; every term of positions counts as one more."""
        return math.sqrt(self.attention_head_size * (1 + sum(term in self.pos_att_type for term in TERMS)))

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
            self.kept = None
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
        state = (_arithmetic(table), *_state(self.parameters()))
        kept = self.kept
        if kept is None or kept[0] is not table or kept[1] != state:
            kept = self.kept = table, state, self._projected(table[: 2 * self.pos_ebd_size], scale)
        return kept[2]


def _arithmetic(values: Tensor) -> torch.dtype:
    """Return the type that products of these values are computed in here."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


def _cast(values: Tensor) -> Tensor:
    return values.to(_arithmetic(values))


def _state(parameters: Iterable[Tensor]) -> tuple[Any, ...]:
    """Return what changes whenever a parameter is written to; writing to `.data` is not seen, as torch does not.

    Parameters made in inference mode have no count of their writes, so nothing is kept for them.
    """
    return tuple(object() if one.is_inference() else (one.data_ptr(), one._version) for one in parameters)


class FastEncoder(DebertaV2Encoder):  # type: ignore[misc]
    """Takes the place of transformers' module: packs the tokens, and hands each layer their layout for a mask."""

    kept: tuple[Any, Tensor] | None
    """At inference: the state of the weights and the bucket table, which is the same tensor as long as they are."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_hidden_states: bool = True,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Return what transformers' forward does, zero where there is padding; see `wanted`."""
        special = output_attentions or query_states is not None or relative_pos is not None
        layout = None if special or attention_mask.dim() != 2 else Layout.of(attention_mask)
        if layout is None:
            return super().forward(
                hidden_states, attention_mask, output_hidden_states, output_attentions, query_states, relative_pos,
                return_dict,
            )  # fmt: skip
        states = self._states(hidden_states, attention_mask, layout, WANTED.get())
        if not return_dict:
            return (states[-1], tuple(states)) if output_hidden_states else (states[-1],)
        return BaseModelOutput(
            last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None
        )

    def _states(self, hidden: Tensor, mask: Tensor, layout: Layout, reads: Wanted) -> list[Tensor]:
        """Return the hidden states that are read, each (sequences, length, width), the last ones last."""
        tokens, table, found = layout.packed(hidden), self.get_rel_embedding(), [hidden]
        for number, layer in enumerate(self.layer):
            last, mixes = number == len(self.layer) - 1, number == 0 and self.conv is not None
            starts = layout.first(tokens) if reads == "first" and last and not mixes else None
            tokens = layer(tokens, layout, query_states=starts, relative_pos=None, rel_embeddings=table)[0]
            if starts is not None:
                return [*found, tokens[:, None]]
            if mixes and self.conv is not None:
                tokens = layout.packed(self.conv(hidden, layout.padded(tokens), mask))
            if reads == "all" or last:
                found.append(layout.padded(tokens))
        return found

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        """Forget what was kept when the parameters are moved or cast."""
        self.kept = None
        return super()._apply(*arguments, **options)

    def get_rel_embedding(self) -> Tensor | None:
        """Return the bucket table, normed where the config says so; at inference the same one again and again."""
        if self.training or torch.is_grad_enabled() or not self.relative_attention:
            self.kept = None
            found: Tensor | None = super().get_rel_embedding()
            return found
        norm = self.LayerNorm.parameters() if "layer_norm" in self.norm_rel_ebd else ()
        state = _state((self.rel_embeddings.weight, *norm))
        kept = self.kept
        if kept is None or kept[0] != state:
            kept = self.kept = state, super().get_rel_embedding().detach()
        return kept[1]


def use_fast_attention(network: nn.Module) -> None:
    """Switch the attention of a DeBERTa-v2 or v3 network to this module's; other networks stay as they are."""
    for module in network.modules():
        for theirs, ours in SWITCHED.items():
            if type(module) is theirs:
                module.__class__ = ours
                module.__dict__["kept"] = None


def use_reference_attention(network: nn.Module) -> None:
    """Switch back to transformers' own attention, for export."""
    for module in network.modules():
        for theirs, ours in SWITCHED.items():
            if type(module) is ours:
                module.__class__ = theirs
                del module.__dict__["kept"]


SWITCHED: dict[type[nn.Module], type[nn.Module]] = {
    DisentangledSelfAttention: FastSelfAttention,
    DebertaV2Encoder: FastEncoder,
}
