"""BERT's layers over tokens without padding, and the last layer only where it is read.

Everything but attention works on single tokens, so a micro-batch is one row of tokens of all its sequences, whatever
their lengths, and a step needs few large matrix products instead of many small ones. Of the last layer only keys and
values are needed everywhere: queries, output and feed-forward are computed where somebody reads the result, which is
the first token of a sequence for all kinds but token classification (10 of 12 products of the layer, 14 % of those of a
network of six). The numbers are those of transformers' own code up to rounding; the modules are its own, in their order.

For the architectures in `ARCHITECTURES`, on CPUs. Accelerators take the padded path, whose fused attention this loop
over blocks would not beat.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from taskloom.modeling.dropout import LEVELS, kept
from taskloom.modeling.packing import Block, Layout

ARCHITECTURES = ("bert", "electra", "roberta", "xlm-roberta")
"""Those made of BERT's layers."""
FROM_PADDING = ("roberta", "xlm-roberta")
"""Those that number positions from their padding id + 1 on; the others begin at 0."""


def can_pack(network: nn.Module) -> bool:
    """Tell whether a network is BERT's, down to plain attention over all tokens and absolute positions."""
    config: Any = network.config
    absolute = getattr(config, "position_embedding_type", None) in (None, "absolute")
    plain = not getattr(config, "is_decoder", False) and not getattr(config, "add_cross_attention", False)
    return config.model_type in ARCHITECTURES and absolute and plain and not config.chunk_size_feed_forward


def packed_features(
    network: Any, words: Tensor, token_type_ids: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    """Return pooled features (sequences, width) and the last hidden states of the labelled words (words, width).

    `words` (tokens, word width) are the word embeddings, `token_type_ids` (tokens,) the types, both in the order of the
    layout.
    """
    base = getattr(network, network.base_model_prefix)
    first = base.embeddings.padding_idx + 1 if network.config.model_type in FROM_PADDING else 0
    types = None if token_type_ids is None else token_type_ids[None]
    hidden = base.embeddings(
        inputs_embeds=words[None], token_type_ids=types, position_ids=layout.position[None] + first
    )
    if hasattr(base, "embeddings_project"):
        hidden = base.embeddings_project(hidden)
    hidden, layers = hidden[0], base.encoder.layer
    for layer in layers[:-1]:
        hidden = _layer(layer, hidden, layout, None)
    hidden = _layer(layers[-1], hidden, layout, layout.read)
    firsts, others = hidden.split([len(layout.firsts), len(layout.words)])
    return _pooled(network, base, firsts[:, None]), others


def _layer(layer: Any, hidden: Tensor, layout: Layout, read: Tensor | None) -> Tensor:
    """Return the output of one layer (tokens, width), or of those tokens that `read` names (read, width)."""
    inner = layer.attention.self
    parts = (inner.query, inner.key, inner.value)
    weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    joined = functional.linear(hidden, weight, bias)
    share = inner.dropout.p if inner.training else 0.0
    context = attend(joined, layout.blocks, heads=inner.num_attention_heads, dropout=share)
    if read is not None:
        hidden, context = hidden[read], context[read]
    attended = layer.attention.output(context, hidden)
    found: Tensor = layer.output(layer.intermediate(attended), attended)
    return found


def _pooled(network: Any, base: Any, firsts: Tensor) -> Tensor:
    """Return what the architecture's own pooler makes of the first tokens (sequences, 1, width)."""
    if getattr(base, "pooler", None) is not None:
        pooled: Tensor = network.dropout(base.pooler(firsts))
        return pooled
    pooled = network.classifier(firsts)
    return pooled


def attend(joined: Tensor, blocks: tuple[Block, ...], *, heads: int, dropout: float) -> Tensor:
    """Return the context (tokens, width) of queries, keys and values side by side (tokens, 3 x width)."""
    found: Tensor = _Attention.apply(joined, blocks, heads, dropout)  # type: ignore[no-untyped-call]
    return found


class _Attention(torch.autograd.Function):
    """Written out, since autograd would add up a matrix of all tokens for each block."""

    @staticmethod
    def forward(ctx: Any, joined: Tensor, blocks: tuple[Block, ...], heads: int, dropout: float) -> Tensor:
        zeros = round(dropout * LEVELS)
        ctx.blocks, ctx.heads, ctx.up = blocks, heads, LEVELS / (LEVELS - zeros)
        context = _rows(joined, joined.shape[1] // 3, blocks)
        saved: list[Tensor] = []
        for block in blocks:
            query, key, value = _split(joined, block, heads)
            scores = query.mul_(query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
            if block.visible is not None:
                scores.masked_fill_(~block.visible[:, None, None], torch.finfo(scores.dtype).min)
            chances = scores.softmax(-1)
            used = chances
            if zeros:
                stay = kept(chances.shape, zeros)
                used = chances.mul(stay).mul_(ctx.up)
                saved.append(stay)
            _write(context, (used @ value).transpose(1, 2), block)
            saved += [query, key, value, chances]
        ctx.each = len(saved) // max(1, len(blocks))
        ctx.save_for_backward(*saved)
        return context

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given = gradients[0]
        joined = _rows(given, 3 * given.shape[1], ctx.blocks)
        for number, block in enumerate(ctx.blocks):
            *stay, query, key, value, chances = ctx.saved_tensors[number * ctx.each : (number + 1) * ctx.each]
            (to_context,) = _split(given, block, ctx.heads, parts=1)
            if block.visible is not None:
                to_context.masked_fill_(~block.visible[:, None, :, None], 0)  # what no token was made of
            to_used = to_context @ value.transpose(-1, -2)
            used = chances
            for one in stay:
                used = chances.mul(one).mul_(ctx.up)
                to_used.mul_(one).mul_(ctx.up)
            to_scores = torch._softmax_backward_data(to_used, chances, -1, chances.dtype)
            to_query = (to_scores @ key).mul_(query.shape[-1] ** -0.5)
            parts = to_query, to_scores.transpose(-1, -2) @ query, used.transpose(-1, -2) @ to_context
            _write(joined, torch.stack(parts, dim=2).permute(0, 3, 2, 1, 4), block)
        return joined, None, None, None


def _rows(like: Tensor, width: int, blocks: tuple[Block, ...]) -> Tensor:
    """Return a matrix (tokens, width) to be filled block by block, zero in the rows that belong to none."""
    rows = like.new_empty(len(like), width)
    rows[blocks[-1].end :] = 0
    return rows


def _split(joined: Tensor, block: Block, heads: int, *, parts: int = 3) -> tuple[Tensor, ...]:
    """Return the parts (sequences, heads, length, head width) of a block's rows (tokens, parts x width)."""
    rows = joined[block.start : block.end] if block.spread is None else joined[block.spread]
    each = rows.view(block.sequences, block.length, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous()
    return each.unbind(0)


def _write(target: Tensor, padded: Tensor, block: Block) -> None:
    """Write a block's (sequences, length, ...) to its tokens' rows of `target`."""
    rows = padded.flatten(2) if padded.dim() > 2 else padded
    rows = rows.flatten(0, 1)
    target[block.start : block.end] = rows if block.places is None else rows[block.places]
