"""Zero-shot classification: each label becomes a hypothesis, and an entailment head says how well it follows.

Yin et al. 2019, in the form of the Hugging Face pipeline, to the same numbers. Every text and every hypothesis is
tokenized once and pairs are put together as ids, sorted by length; only the text gives way when a pair is too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskloom.data.batches import cut
from taskloom.data.matrices import matrices
from taskloom.data.rows import Sequences
from taskloom.data.tokenizer import Tokenizer
from taskloom.data.truncation import first_only
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.evaluator import Answering
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model

Array = NDArray[Any]
TEMPLATE = "This example is {}."
PAIRS_AT_ONCE = 8192
"""Pairs whose ids, types and mask are held at a time; with 256 tokens each that is 50 MB."""


def classify(
    model: Model,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    how: Answering,
    max_length: int,
    multi_label: bool = False,
    hypothesis_template: str = TEMPLATE,
) -> list[dict[str, Any]]:
    """Return for each text {"sequence", "labels", "scores"}, best label first.

    One label is right: softmax of entailment over the labels. `multi_label`, or a single label: softmax of
    contradiction (or not-entailment, for a two-way head) and entailment for each label by itself. Raises ModelError
    without an entailment head, DataError for labels that cannot be asked for.
    """
    head = zero_shot_head(model)
    hypotheses = make_hypotheses(labels, hypothesis_template)
    wrong = next((number for number, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise DataError(f"Text {wrong} is {texts[wrong]!r:.60}. Give a string, or a list of strings.")
    first, first_offsets = how.tokenizer.segments(texts)
    second, second_offsets = how.tokenizer.segments(hypotheses)
    _check_lengths(np.diff(second_offsets), labels, how.tokenizer, max_length)
    step = max(1, PAIRS_AT_ONCE // len(labels))
    results: list[dict[str, Any]] = []
    for start in range(0, len(texts), step):
        offsets = first_offsets[start : start + step + 1]
        premises = first[offsets[0] : offsets[-1]], offsets - offsets[0]
        logits = _pair_logits(model, head, premises, (second, second_offsets), how=how, max_length=max_length)
        scores = label_scores(logits, multi_label=multi_label or len(labels) == 1)
        results += [_result(text, labels, row) for text, row in zip(texts[start:], scores, strict=False)]
    return results


def zero_shot_head(model: Model) -> Head:
    """Return the head that knows entailment; raises ModelError when no such task was trained."""
    head = model.table.zero_shot()
    if head is None:
        raise ModelError(
            "The model has no entailment head, so it cannot classify with labels given on the spot. Train with a task "
            "of family:nli (for example glue/mnli), or use predict with one of its trained tasks."
        )
    return head


def label_names(labels: Sequence[str] | str) -> list[str]:
    """Return labels given as a list, or as one string of them separated by commas."""
    return [name.strip() for name in labels.split(",") if name.strip()] if isinstance(labels, str) else list(labels)


def make_hypotheses(labels: Sequence[str], template: str) -> list[str]:
    """Return one hypothesis a label; raises DataError for no labels or a template without exactly one gap."""
    if not labels:
        raise DataError('There are no labels. Give at least one, for example ["sports", "politics"].')
    before, gap, after = template.partition("{}")
    if not gap or any(mark in before + after for mark in "{}"):
        raise DataError(f"Template {template!r} must have one {{}} where the label goes, as in {TEMPLATE!r}.")
    return [f"{before}{label}{after}" for label in labels]


def label_scores(logits: Array, *, multi_label: bool) -> Array:
    """Return (texts, labels) of probabilities from logits (texts, labels, 2): entailment, contradiction."""
    entailment = logits[:, :, 0]
    if multi_label:
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(logits[:, :, 1] - entailment, -80, 80))))
    powers = np.exp(entailment - entailment.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _result(text: str, labels: Sequence[str], scores: Array) -> dict[str, Any]:
    order = np.argsort(-scores, kind="stable")
    return {"sequence": text, "labels": [labels[at] for at in order], "scores": [float(scores[at]) for at in order]}


def _check_lengths(sizes: Array, labels: Sequence[str], tokenizer: Tokenizer, max_length: int) -> None:
    room = max_length - tokenizer.pair.specials
    longest = int(sizes.argmax())
    if sizes[longest] >= room:
        raise DataError(
            f"Label {labels[longest][:60]!r} with its template has {sizes[longest]} tokens, which leaves no room for a "
            f"text: the model reads {max_length}. Give a shorter label."
        )


@torch.inference_mode()
def _pair_logits(
    model: Model,
    head: Head,
    premises: tuple[Array, Array],
    hypotheses: tuple[Array, Array],
    *,
    how: Answering,
    max_length: int,
) -> Array:
    """Return the logits of every text with every hypothesis, float32 (texts, labels, 2): entailment, contradiction."""
    texts, labels = len(premises[1]) - 1, len(hypotheses[1]) - 1
    columns = _columns(head)
    found = np.empty((texts * labels, 2), dtype=np.float32)
    vector = model.task_embedding[model.table.places[head.task]] if how.use_task_embedding else None
    for chosen, ids, types, mask in _batches(premises, hypotheses, how, max_length):
        with how.arithmetic():
            pooled, _ = model.encoder(
                torch.from_numpy(ids).to(how.device),
                attention_mask=None if mask is None else torch.from_numpy(mask).to(how.device),
                token_type_ids=None if types is None else torch.from_numpy(types).to(how.device),
                first_vector=None if vector is None else vector.expand(len(ids), -1),
                first_only=True,
            )
        found[chosen] = how.head_logits(model, pooled, head)[:, columns].cpu().numpy()
    return found.reshape(texts, labels, 2)


def _columns(head: Head) -> list[int]:
    """Return which of the head's columns say entailment and contradiction (not-entailment for a two-way head)."""
    against = head.row_of("contradiction")
    rows = [head.row_of("entailment"), head.row_of("not_entailment") if against is None else against]
    return [head.rows.index(row) for row in rows if row is not None]


def _batches(
    premises: tuple[Array, Array], hypotheses: tuple[Array, Array], how: Answering, max_length: int
) -> Iterator[tuple[Array, Array, Array | None, Array | None]]:
    """Yield (pair numbers, ids, types or None, mask or None) of all pairs, sorted by length."""
    tokens = np.concatenate([premises[0], hypotheses[0]])
    first_starts, second_starts = premises[1][:-1], hypotheses[1][:-1] + len(premises[0])
    text, label = np.divmod(np.arange(len(first_starts) * len(second_starts)), len(second_starts))
    second_size = np.diff(hypotheses[1])[label]
    room = max_length - how.tokenizer.pair.specials
    first_size, second_size = first_only(np.diff(premises[1])[text], second_size, room)
    order = np.argsort(first_size + second_size, kind="stable")
    pairs = Sequences(
        row=text, choice=label, paired=np.ones(len(text), bool), first_start=first_starts[text], first_size=first_size,
        second_start=second_starts[label], second_size=second_size,
    ).take(order)  # fmt: skip
    total = (first_size + second_size)[order] + how.tokenizer.pair.specials
    cuts = cut(total, np.ones_like(total), budget=how.tokens_per_micro_batch, at_least=1)
    padded = matrices(tokens, pairs, np.array([0, *cuts, len(order)]), how.tokenizer)
    for chosen, (ids, types, mask) in zip(np.split(order, cuts), padded, strict=True):
        yield chosen, ids, types, mask
