"""Whether two models of a head give the same: logits to the fifth digit, or decisions on rows.

Logits are compared on random and on real token ids, padded and not, at several lengths, since what a trace got wrong
often shows at one length only. Decisions are compared where there are any: a row whose two best answers differ by less
than TIE is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.tokenizer import Tokenizer
from taskloom.evaluation.metrics import main_metric
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.scoring import compute
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model

Array = NDArray[Any]
TOLERANCE = 1e-4
TIE = 0.01
"""Probabilities closer than this are a tie; so are scores that differ by less than this part of their scale, twice."""
LENGTHS = (2, 7, 33, 128)
TEXTS = (
    "A man in a blue shirt is washing the windows of a house.",
    "Yes.",
    "The dog did not see it, and we waited for a long time; somebody cleans on 2 days of 7.",
)


@dataclass(frozen=True)
class Agreement:
    """How one model's decisions on rows differ from another's.

    `share` of all decisions are equal, `sure_share` of those that are no tie in the first model; `before` and `after`
    are the task's main `metric` on rows with labels, else None.
    """

    rows: int
    share: float
    sure_share: float
    metric: str
    before: float | None
    after: float | None

    def line(self) -> str:
        """Return the figures as a line for people."""
        told = f"{self.sure_share:.2%} of decisions agree on {self.rows:,} rows ({self.share:.2%} with ties)"
        if self.before is None or self.after is None:
            return told
        return f"{told}; {self.metric} {self.before:.4f} -> {self.after:.4f} ({self.after - self.before:+.4f})"


def largest_difference(
    own: Model, other: Model, heads: tuple[Head, Head], tokenizer: Tokenizer, *, max_length: int, own_vector: bool
) -> float:
    """Return the largest difference of logits, as a part of the largest logit where that is above 1.

    `heads` are the head of each; `own_vector` adds the task's vector in the first model, where the second has it in its
    weights.
    """
    worst = 0.0
    for feeds in _inputs(tokenizer, max_length):
        vector = own.task_embedding[own.table.places[heads[0].task]] if own_vector else None
        expected = _logits(own, heads[0], feeds, vector)
        given = _logits(other, heads[1], feeds, None)
        worst = max(worst, float((given - expected).abs().max() / expected.abs().max().clamp(min=1)))
    return worst


@torch.inference_mode()
def _logits(model: Model, head: Head, feeds: tuple[Tensor, Tensor, Tensor], vector: Tensor | None) -> Tensor:
    """Return the logits of a head in the units of the task; those of tags for every token that is no padding."""
    ids, mask, types = feeds
    vectors = None if vector is None else vector.expand(len(ids), -1)
    pooled, hidden = model.encoder(ids, attention_mask=mask, token_type_ids=types, first_vector=vectors)
    logits = model.head_logits(hidden[mask.bool()] if head.kind == "token_classification" else pooled, head)
    if head.kind == "regression" and head.low is not None and head.high is not None:
        return head.low + logits * (head.high - head.low)
    return logits


def _inputs(tokenizer: Tokenizer, max_length: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield ids, mask and types, int64 (3, length): random tokens behind the first special one, then real texts."""
    generator = np.random.default_rng(0)
    start = (tokenizer.single.prefix or tokenizer.pair.prefix or (tokenizer.mark,))[0]
    single, pair = tokenizer.single, tokenizer.pair
    special = {*single.prefix, *single.suffix, *pair.middle, *pair.suffix, tokenizer.pad_id}
    for length in sorted({min(length, max_length) for length in (*LENGTHS, max_length)}):
        ids = generator.choice(np.setdiff1d(np.arange(tokenizer.vocabulary), [*special]), (3, length))
        ids[:, 0] = start
        yield _padded(tokenizer, [ids[0], ids[1, : max(1, length // 2)], ids[2, : max(1, length - 1)]])
        yield _padded(tokenizer, [ids[1]])
    tokens, offsets = tokenizer.segments(TEXTS)
    texts = [tokens[begin:end].astype(np.int64) for begin, end in pairwise(offsets)]
    yield _padded(
        tokenizer, [np.r_[single.prefix, text[: max_length - single.specials], single.suffix] for text in texts]
    )


def _padded(tokenizer: Tokenizer, rows: Sequence[Array]) -> tuple[Tensor, Tensor, Tensor]:
    length = max(map(len, rows))
    ids = np.full((len(rows), length), tokenizer.pad_id, np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)], mask[place, : len(row)] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.zeros(ids.shape, dtype=torch.int64)


def agreement(first: Predictions, second: Predictions, *, scale: float | None, labeled: bool) -> Agreement:
    """Return how the answers of two models to the same rows differ.

    `scale` is the width of a score's scale, None if it has none; `labeled` says that `gold` is what is right.
    """
    same, sure = _decisions(first, second, scale)
    metric = main_metric(first.kind, first.labels)
    before, after = (compute(one).values[metric] for one in (first, second)) if labeled else (None, None)
    return Agreement(
        rows=len(first), share=float(same.mean()) if len(same) else 1.0,
        sure_share=float(same[sure].mean()) if sure.any() else 1.0, metric=metric, before=before, after=after,
    )  # fmt: skip


def _decisions(first: Predictions, second: Predictions, scale: float | None) -> tuple[Array, Array]:
    """Return for each decision whether both models made it alike, and whether it is no tie in the first."""
    if first.kind == "regression":
        width = scale or float(np.ptp(first.scores)) or 1.0
        same = np.abs(first.scores - second.scores) <= 2 * TIE * width
        return same, np.ones_like(same)
    same = np.ravel(first.answers() == second.answers())
    if first.kind == "multilabel":
        return same, np.ravel(np.abs(first.scores - first.threshold) > TIE / 2)
    if first.kind == "classification":
        best = np.sort(first.scores, axis=1)
        return same, best[:, -1] - best[:, -2] > TIE if best.shape[1] > 1 else np.ones_like(same)
    if first.kind == "multiple_choice":
        rows = np.split(first.scores, first.word_offsets[1:-1])
        return same, np.array([len(row) < 2 or np.diff(np.sort(row)[-2:])[0] > TIE for row in rows], bool)
    return same, np.ones_like(same)
