"""BERT's layers over tokens without padding, and the last layer only where it is read.

Everything but attention works on single tokens, so a micro-batch is one row of tokens of all its sequences, whatever
their lengths, and a step needs few large matrix products instead of many small ones. Of the last layer only keys and
values are needed everywhere: the rest is computed where somebody reads the result, which is the first token of a
sequence for all kinds but token classification (10 of 12 products of the layer, 14 % of those of a network of six). The
numbers are those of transformers' own code up to rounding.

For the architectures in `ARCHITECTURES`, on CPUs. Accelerators take the padded path, whose fused attention this loop
over blocks would not beat.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from taskloom.modeling.dropout import kept_values
from taskloom.modeling.token_layout import Block, Layout

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
    network: Any, words: Tensor, token_type_ids: Tensor | None, layout: Layout, *, pooled: bool = True
) -> tuple[Tensor, Tensor]:
    """Return pooled features (sequences, width) and the last hidden states of the layout's words (words, width).

    `words` (tokens, word width) are the word embeddings, `token_type_ids` (tokens,) the types, both in the order of the
    layout. If not `pooled`, the features are the first tokens' last hidden states.
    """
    base = getattr(network, network.base_model_prefix)
    first = base.embeddings.padding_idx + 1 if network.config.model_type in FROM_PADDING else 0
    types = None if token_type_ids is None else token_type_ids[None]
    places = layout.position[None] + first
    hidden = base.embeddings(inputs_embeds=words[None], token_type_ids=types, position_ids=places)
    if hasattr(base, "embeddings_project"):
        hidden = base.embeddings_project(hidden)
    hidden, layers = hidden[0], base.encoder.layer
    for layer in layers[:-1]:
        hidden = _output(layer, _context(layer, hidden, hidden, layout), hidden)
    firsts, others = _last_layer(layers[-1], hidden, layout)
    if pooled:
        has_pooler = getattr(base, "pooler", None) is not None
        firsts = network.dropout(base.pooler(firsts[:, None])) if has_pooler else network.classifier(firsts[:, None])
    return firsts[layout.rank], others[: layout.read_count]


def _last_layer(layer: Any, hidden: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Return the last hidden states of the layout's `firsts` and `words`."""
    firsts = hidden[layout.firsts]
    if not layout.read_count:
        return _output(layer, _context(layer, firsts, hidden, layout), firsts), hidden[:0]
    read = torch.cat([layout.firsts, layout.words])
    context = _context(layer, hidden, hidden, layout)
    found = _output(layer, context[read], hidden[read])
    return found[: len(firsts)], found[len(firsts) :]


def _context(layer: Any, asking: Tensor, hidden: Tensor, layout: Layout) -> Tensor:
    """Return what `asking`, all tokens or the first ones, gather from all tokens of their sequences."""
    inner = layer.attention.self
    share = inner.dropout.p if inner.training else 0.0
    heads = inner.num_attention_heads
    known = _cast(hidden)
    asked = known if asking is hidden else _cast(asking)
    found: Tensor = attend(
        inner.query(asked), inner.key(known), inner.value(known), layout.blocks, each=asking is hidden, heads=heads,
        dropout=share,
    )  # fmt: skip
    return found


def _cast(hidden: Tensor) -> Tensor:
    """Return hidden states in autocast's type: once for three products, each of which would cast them for itself."""
    kind = hidden.device.type
    return hidden.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else hidden


def _output(layer: Any, context: Tensor, hidden: Tensor) -> Tensor:
    """Return a layer's output for some of its tokens (tokens, width)."""
    attended = layer.attention.output(context, hidden)
    found: Tensor = layer.output(layer.intermediate(attended), attended)
    return found


def attend(
    query: Tensor, key: Tensor, value: Tensor, blocks: tuple[Block, ...], *, each: bool, heads: int, dropout: float
) -> Tensor:
    """Return the context (queries, width) of keys and values (tokens, width), all in the order of the blocks.

    There is a query for `each` token, or else one for each sequence.
    """
    found: Tensor = _Attention.apply(query, key, value, blocks, each, heads, dropout)  # type: ignore[no-untyped-call]
    return found


class _Attention(torch.autograd.Function):
    """Written out, since autograd would add up a matrix of all tokens for each block."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: tuple[Block, ...],
        each: bool,
        heads: int,
        dropout: float,
    ) -> Tensor:
        ctx.blocks, ctx.heads, ctx.up = blocks, heads, 1.0
        ctx.queries, ctx.tokens, ctx.each_token = len(query), len(key), each
        context = _blank(query, len(query), blocks, each)
        saved: list[Tensor] = []
        for block in blocks:
            asked = _split(query, block, heads, each) * (query.shape[1] // heads) ** -0.5
            keys, values = _split(key, block, heads), _split(value, block, heads)
            scores = asked @ keys.transpose(-1, -2)
            if block.visible is not None:
                scores.masked_fill_(~block.visible[:, None, None], torch.finfo(scores.dtype).min)
            chances = scores.softmax(-1)
            used = chances
            if dropout:
                stay, ctx.up = kept_values(chances, dropout)
                used = chances.mul(stay).mul_(ctx.up)
                saved.append(stay)
            _write(context, used @ values, block, each)
            saved += [asked, keys, values, chances]
        ctx.saved_each = len(saved) // len(blocks)
        ctx.save_for_backward(*saved)
        return context

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (given,), blocks, each = gradients, ctx.blocks, ctx.each_token
        to_query = _blank(given, ctx.queries, blocks, each)
        to_key, to_value = (_blank(given, ctx.tokens, blocks) for _ in range(2))
        for number, block in enumerate(blocks):
            mine = slice(number * ctx.saved_each, (number + 1) * ctx.saved_each)
            *stay, asked, keys, values, chances = ctx.saved_tensors[mine]
            to_context = _split(given, block, ctx.heads, each)
            if each and block.visible is not None:
                to_context.masked_fill_(~block.visible[:, None, :, None], 0)  # at these places there is no token
            to_used = to_context @ values.transpose(-1, -2)
            used = chances
            for one in stay:
                used = chances.mul(one).mul_(ctx.up)
                to_used.mul_(one).mul_(ctx.up)
            to_scores = torch._softmax_backward_data(to_used, chances, -1, chances.dtype)
            _write(to_query, (to_scores @ keys).mul_(keys.shape[-1] ** -0.5), block, each)
            _write(to_key, to_scores.transpose(-1, -2) @ asked, block)
            _write(to_value, used.transpose(-1, -2) @ to_context, block)
        return to_query, to_key, to_value, None, None, None, None


def _blank(like: Tensor, count: int, blocks: tuple[Block, ...], each: bool = True) -> Tensor:
    """Return a matrix (count, width of `like`) to be filled block by block, zero in the rows that belong to none."""
    rows = like.new_empty(count, like.shape[1])
    rows[blocks[-1].end if each else blocks[-1].last :] = 0
    return rows


def _split(rows: Tensor, block: Block, heads: int, each: bool = True) -> Tensor:
    """Return a block's rows (tokens, width) as (sequences, heads, length, head width); one a sequence if not `each`."""
    count = block.last - block.first
    if not each:
        return rows[block.first : block.last].view(count, heads, 1, -1)
    mine = rows[block.start : block.end] if block.spread is None else rows[block.spread]
    return mine.view(count, block.length, heads, -1).transpose(1, 2).contiguous()


def _write(rows: Tensor, values: Tensor, block: Block, each: bool = True) -> None:
    """Write a block's (sequences, heads, length, head width) to its rows (tokens, width)."""
    if not each:
        rows[block.first : block.last] = values.flatten(1)
        return
    joined = values.transpose(1, 2).flatten(2).flatten(0, 1)
    rows[block.start : block.end] = joined if block.places is None else joined[block.places]
