"""Zero-shot classification of all labels in one pass: the labels and the text stand in one sequence.

Each label is scored at the mark before it, by the one head that the `one-pass` recasts train; the uni-encoder of
GLiNER and GLiClass (Zaratiana et al. 2024; Stepanov et al. 2025). A text costs one sequence for every MOST_OPTIONS
labels instead of one for each, so that the number of labels hardly matters. The price: labels see each other, so a
score depends a little on the others and their order; the order given is kept, and training shuffles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskloom.data.cuts import cut
from taskloom.data.label_options import MOST_OPTIONS
from taskloom.data.matrices import matrices
from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.rows import Sequences
from taskloom.data.segments import Segments, marked_options
from taskloom.data.truncation import second_only
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.evaluator import Answering
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model

Array = NDArray[Any]
SEQUENCES_AT_ONCE = 8192
"""Sequences whose ids, types and mask are held at a time; with 256 tokens each that is 50 MB."""
LABEL_SHARE = 0.5
"""The most of a sequence that labels may take from the text; more labels go to further sequences."""


def one_pass_head(model: Model) -> Head:
    """Return the head that scores labels in one pass; raises ModelError when no such task was trained."""
    head = model.table.one_pass()
    if head is None:
        raise ModelError(
            'The model has no one-pass head. Train with `data.recast = ["one-pass"]`, or classify with pairs.'
        )
    return head


def label_logits(
    model: Model, texts: Sequence[str], labels: Sequence[str], *, how: Answering, max_length: int
) -> Array:
    """Return how well each label fits each text: float32 (texts, labels), the log odds of fitting.

    Raises ModelError without a one-pass head, DataError for a label that leaves no room for a text.
    """
    head = one_pass_head(model)
    groups = _groups(labels, how, max_length)
    step = max(1, SEQUENCES_AT_ONCE // len(groups))
    found = np.empty((len(texts), len(labels)), np.float32)
    for start in range(0, len(texts), step):
        some = texts[start : start + step]
        asked = [(text, group) for text in some for group in groups]
        rows = marked_options([text for text, _ in asked], [[labels[at] for at in group] for _, group in asked],
                              how.tokenizer)  # fmt: skip
        found[start : start + len(some)] = _scored(model, head, rows, how, max_length).reshape(len(some), -1)
    return found


def _groups(labels: Sequence[str], how: Answering, max_length: int) -> list[range]:
    """Return neighboring labels that share a sequence: as few groups as fit, of about equal size."""
    sizes = np.diff(how.tokenizer.segments(labels)[1]) + 1
    room = int((max_length - how.tokenizer.pair.specials) * LABEL_SHARE)
    longest = int(sizes.argmax())
    if sizes[longest] > room:
        raise DataError(
            f"Label {labels[longest][:60]!r} has {sizes[longest]} tokens; at most {room} leave room for a text. Give a "
            "shorter one."
        )
    for count in range(-(-len(labels) // MOST_OPTIONS), len(labels) + 1):
        ends = [round(len(labels) * part / count) for part in range(count + 1)]
        groups = [range(start, end) for start, end in pairwise(ends)]
        if all(sizes[group.start : group.stop].sum() <= room for group in groups):
            return groups
    raise AssertionError("one label a group fits, as was checked")


@torch.inference_mode()
def _scored(model: Model, head: Head, rows: Segments, how: Answering, max_length: int) -> Array:
    """Return the log odds of all options, flat, in the order of the rows."""
    pair = how.tokenizer.pair
    starts, sizes = offsets_of(rows.sizes)[:-1], rows.sizes
    first_size, second_size = second_only(sizes[::2], sizes[1::2], max_length - pair.specials)
    order = np.argsort(first_size + second_size, kind="stable")
    count = len(rows.counts)
    sequences = Sequences(
        row=np.arange(count), choice=np.zeros(count, np.int64), paired=np.ones(count, bool), first_start=starts[::2],
        first_size=first_size, second_start=starts[1::2], second_size=second_size,
    ).take(order)  # fmt: skip
    total = (first_size + second_size)[order] + pair.specials
    cuts = cut(total, np.ones_like(total), budget=how.tokens_per_micro_batch, at_least=1)
    padded = matrices(rows.tokens, sequences, np.array([0, *cuts, len(order)]), how.tokenizer)
    first_option = offsets_of(rows.word_counts)
    found = np.empty(first_option[-1], np.float32)
    for chosen, (ids, types, mask) in zip(np.split(order, cuts), padded, strict=True):
        counts = rows.word_counts[chosen]
        option = ragged(first_option[chosen], counts)
        position = torch.from_numpy(rows.word_starts[option] + len(pair.prefix)).to(how.device)
        with how.arithmetic():
            _, hidden = model.encoder(
                torch.from_numpy(ids).to(how.device),
                attention_mask=None if mask is None else torch.from_numpy(mask).to(how.device),
                token_type_ids=None if types is None else torch.from_numpy(types).to(how.device),
            )
        owner = torch.from_numpy(np.repeat(np.arange(len(chosen)), counts)).to(how.device)
        logits = how.head_logits(model, hidden[owner, position], head)
        found[option] = (logits[:, 1] - logits[:, 0]).cpu().numpy()
    return found


def option_scores(logits: Array, *, multi_label: bool) -> Array:
    """Return probabilities (texts, labels): each label by itself, or one of them right (softmax)."""
    if multi_label:
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80, 80))))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
