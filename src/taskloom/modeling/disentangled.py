"""Disentangled attention (He et al. 2021) as arithmetic on tensors: scores, context and their gradients.

A score is q_i k_j + q_i PK[b(i-j)] + k_j PQ[b(i-j)], where b is the bucket of a distance. transformers multiplies all
512 buckets with every token and gathers length of them; most are never used, and a gather reads 8 bytes of index for
each 2 or 4 of score. Here:

- Only distances that occur are multiplied, a row of the bucket table for each; so the linear zone and the logarithmic
  one go the same way.
- With the rows in the order of the distance, the score of (i, j) stands at column j - i + length - 1 of row i: what is
  wanted is a view with a stride one shorter than the row. No gather, and the gradient is a copy into that view.
- Long sequences go by blocks of 64 queries (or keys), each with the length + 63 distances that it has: at length 512
  that is 576 columns a token instead of 1,024.
- Heads come first, (heads, sequences, length, width): all sequences of a batch share one product with the positions.
- Scores, softmax, dropout and context are one step with a gradient of its own: kept are the probabilities and a bit a
  score (a byte in memory), where autograd would keep the products of all distances and the dropped probabilities too.

The price: at lengths below 128, half of each product with positions is never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from taskloom.modeling.dropout import kept_values

BLOCK = 64
WHOLE = 128
"""Sequences shorter than this go in one block; two blocks of 64 at length 100 measured slower than one."""
TWO_COPIES = 128
"""Up to this length a turned 16-bit view is copied faster in two steps: first out of its odd strides, then turned."""


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


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    by_query: Tensor | None,
    by_key: Tensor | None,
    *,
    hidden: Tensor | None,
    dropout: float = 0.0,
) -> Tensor:
    """Return the context (heads, sequences, length, width) of scaled queries, keys and values of that shape.

    `by_query` is PK in descending and `by_key` scaled PQ in ascending order of the distance, (heads, 2 length, width);
    None leaves the term out. `hidden` (1, sequences, 1, length) is true for keys that nobody sees.
    """
    found: Tensor = _Attend.apply(query, key, value, by_query, by_key, hidden, dropout)  # type: ignore[no-untyped-call]
    return found


def attend_first(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    by_query: Tensor | None,
    by_key: Tensor | None,
    *,
    hidden: Tensor | None,
    dropout: float = 0.0,
) -> Tensor:
    """Return the context of each sequence's first token alone, (heads, sequences, 1, width); `query` has that shape."""
    length = key.shape[2]
    scores = query @ key.transpose(-1, -2)
    if by_query is not None:
        scores = scores + query @ by_query[:, None, length - 1 : 2 * length - 1].transpose(-1, -2)
    if by_key is not None:
        of_first = by_key[:, :length].flip(1)  # distances 0, -1, -2 ... of the first token from each key
        scores = scores + (key.transpose(1, 2) @ of_first[..., None]).permute(0, 2, 3, 1)
    if hidden is not None:
        scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
    probabilities = scores.softmax(-1).to(value.dtype)
    if dropout:
        keep, scale = kept_values(probabilities, dropout)
        probabilities = probabilities * keep * scale
    return probabilities @ value


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        by_query: Tensor | None,
        by_key: Tensor | None,
        hidden: Tensor | None,
        dropout: float,
    ) -> Tensor:
        with torch.autocast(query.device.type, enabled=False):
            scores = _scores(query, key, by_query, by_key)
            if hidden is not None:
                scores.masked_fill_(hidden, torch.finfo(scores.dtype).min)
            probabilities = scores.softmax(-1)
            del scores
            keep, ctx.scale = kept_values(probabilities, dropout) if dropout else (None, 1.0)
            ctx.save_for_backward(query, key, value, by_query, by_key, probabilities, keep)
            return _dropped(probabilities, keep, ctx.scale) @ value

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, by_query, by_key, probabilities, keep = ctx.saved_tensors
        given = gradients[0].contiguous()
        with torch.autocast(query.device.type, enabled=False):
            to_value = _dropped(probabilities, keep, ctx.scale).transpose(-1, -2) @ given
            to_probabilities = _dropped(given @ value.transpose(-1, -2), keep, ctx.scale)
            to_scores = torch._softmax_backward_data(to_probabilities, probabilities, -1, probabilities.dtype)
            del to_probabilities
            to_query, to_key = to_scores @ key, to_scores.transpose(-1, -2) @ query
            to_by_query = None if by_query is None else _back(to_scores, query, by_query, to_query)
            if by_key is not None:
                to_by_key = _back(_turned(to_scores), key, by_key, to_key)
            return to_query, to_key, to_value, to_by_query, to_by_key if by_key is not None else None, None, None


def _scores(query: Tensor, key: Tensor, by_query: Tensor | None, by_key: Tensor | None) -> Tensor:
    """Return scores (heads, sequences, length, length)."""
    heads, sequences, length, width = query.shape
    known = by_query is not None or by_key is not None
    if by_key is not None and length < WHOLE:
        scores = _turned(_shifted(_products(key, by_key, 0, length), length))
    else:
        scores = query.new_empty(heads, sequences, length, length)
    if by_key is not None and length >= WHOLE:
        for start, end in blocks(length):
            scores[..., start:end].copy_(_turned(_shifted(_products(key, by_key, start, end), length)))
    if by_query is not None:
        for start, end in blocks(length):
            part = _shifted(_products(query, by_query, start, end), length)
            scores[:, :, start:end].add_(part) if by_key is not None else scores[:, :, start:end].copy_(part)
    flat = scores.view(heads * sequences, length, length)
    ones, others = (tokens.reshape(heads * sequences, length, width) for tokens in (query, key))
    flat.baddbmm_(ones, others.transpose(1, 2), beta=1 if known else 0)
    return scores


def blocks(length: int) -> Iterator[tuple[int, int]]:
    """Yield where each block of tokens starts and ends."""
    size = BLOCK if length >= WHOLE else length
    for start in range(0, length, size):
        yield start, min(start + size, length)


def _window(length: int, start: int, end: int) -> slice:
    """Return which rows of a table of 2 length distances the tokens of a block meet, and one more."""
    return slice(length - end, 2 * length - start)


def _products(tokens: Tensor, table: Tensor, start: int, end: int) -> Tensor:
    """Return the products of a block of tokens and the distances that it meets: (..., block, length + block)."""
    heads, sequences, length, _ = tokens.shape
    rows = table[:, _window(length, start, end)]
    found = torch.bmm(tokens[:, :, start:end].flatten(1, 2), rows.transpose(1, 2))
    return found.view(heads, sequences, end - start, length + end - start)


def _shifted(wide: Tensor, length: int) -> Tensor:
    """View (heads, sequences, block, length + block) as (..., block, length): column j - i + block - 1 of row i."""
    heads, sequences, block, width = wide.shape
    strides = (sequences * block * width, block * width, width - 1, 1)
    return wide.as_strided((heads, sequences, block, length), strides, wide.storage_offset() + block - 1)


def _turned(view: Tensor) -> Tensor:
    """Return a matrix turned, rows as columns, in one piece: adding a turned 16-bit view takes 2 to 4 times as long."""
    if view.element_size() == 2 and view.shape[-1] <= TWO_COPIES:
        view = view.contiguous()
    return view.transpose(-1, -2).contiguous()


def _back(to_scores: Tensor, tokens: Tensor, table: Tensor, to_tokens: Tensor) -> Tensor:
    """Return the gradient of a table of distances and add that of the tokens to `to_tokens`, block by block."""
    heads, sequences, length, _ = to_scores.shape
    to_table = torch.zeros_like(table, dtype=torch.float32)
    for start, end in blocks(length):
        wide = to_scores.new_zeros(heads, sequences, end - start, length + end - start)
        _shifted(wide, length).copy_(to_scores[:, :, start:end])
        flat, window = wide.flatten(1, 2), _window(length, start, end)
        to_table[:, window] += flat.transpose(1, 2) @ tokens[:, :, start:end].flatten(1, 2)
        to_tokens[:, :, start:end] += torch.bmm(flat, table[:, window]).view_as(to_tokens[:, :, start:end])
    return to_table.to(table.dtype)


def _dropped(values: Tensor, keep: Tensor | None, scale: float) -> Tensor:
    return values if keep is None else values.mul(keep).mul_(scale)
