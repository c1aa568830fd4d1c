"""Zero-shot classification by pairs: each label becomes a hypothesis, and an entailment head says how well it follows.

Yin et al. 2019, in the form of the Hugging Face pipeline, to the same numbers. Every text and every hypothesis is
tokenized once and pairs are put together as ids, sorted by length; only the text gives way when a pair is too long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.ragged import ragged
from taskloom.data.truncation import first_only
from taskloom.errors import DataError
from taskloom.inference.label_sets import Asked
from taskloom.inference.pieces import Logits, Pieces, Reading, Texts, joined, pieces_of
from taskloom.inference.scorers import PairScorer

Array = NDArray[Any]
PAIRS_AT_ONCE = 8192
"""Pairs whose ids, types and mask are held at a time; with 256 tokens each that is 50 MB."""


@dataclass(frozen=True)
class Hypotheses:
    """Every label under every template, number label + labels * template: tokens from `start` on, (hypotheses,).

    `tokens` are those of the texts and behind them those of the hypotheses.
    """

    tokens: Array
    start: Array
    size: Array


def pair_logits(
    scorer: PairScorer, texts: Texts, asked: Asked, *, templates: Sequence[str], reading: Reading
) -> Logits:
    """Return what pairs say of each label of each text, a group for each piece of a text and each template.

    `among` are the logits of entailment, `own` those less the logits of contradiction (not-entailment for a two-way
    head). Raises DataError for a label that leaves no room for a text.
    """
    hypotheses = _hypotheses(texts, asked, templates, reading)
    sizes = hypotheses.size.reshape(len(templates), -1).max(0)[asked.label]
    longest = np.maximum.reduceat(sizes, asked.offsets[:-1]) if len(sizes) else sizes
    room = reading.max_length - reading.tokenizer.pair.specials - longest
    pieces = pieces_of(texts, room, reading.long)
    found = [
        _scored_pairs(scorer, pieces, hypotheses, _asked_pairs(pieces, part, asked, templates), reading)
        for part in _parts(asked.counts[pieces.text] * len(templates))
    ]
    logits = np.concatenate(found) if found else np.zeros((0, 2), np.float32)
    long = np.diff(texts.offsets) > room
    return Logits(logits[:, 0], logits[:, 0] - logits[:, 1], np.repeat(pieces.text, len(templates)), long)


def _hypotheses(texts: Texts, asked: Asked, templates: Sequence[str], reading: Reading) -> Hypotheses:
    said = [template.replace("{}", words) for template in templates for words in asked.said]
    tokens, offsets = reading.tokenizer.segments(said)
    size = np.diff(offsets)
    room = reading.max_length - reading.tokenizer.pair.specials
    longest = int(size.argmax()) if len(size) else 0
    if len(size) and size[longest] >= room:
        raise DataError(
            f"Label {asked.said[longest % len(asked.said)][:60]!r} with its template has {size[longest]} tokens, which "
            f"leaves no room for a text: the model reads {reading.max_length}. Give a shorter label."
        )
    return Hypotheses(np.concatenate([texts.tokens, tokens]), offsets[:-1] + len(texts.tokens), size)


def _parts(counts: Array) -> Iterator[Array]:
    """Yield neighboring pieces that have at most PAIRS_AT_ONCE pairs together, or a single one that has more."""
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + PAIRS_AT_ONCE, side="right")))
        yield np.arange(begin, end)
        begin = end


def _asked_pairs(pieces: Pieces, part: Array, asked: Asked, templates: Sequence[str]) -> tuple[Array, Array]:
    """Return the pairs of some pieces: (pieces, hypotheses), piece by piece, template by template, label by label."""
    group = np.repeat(part, len(templates))
    counts = asked.counts[pieces.text[group]]
    label = asked.label[ragged(asked.offsets[pieces.text[group]], counts)]
    template = np.repeat(np.tile(np.arange(len(templates)), len(part)), counts)
    return np.repeat(group, counts), label + template * len(asked.said)


def _scored_pairs(
    scorer: PairScorer, pieces: Pieces, hypotheses: Hypotheses, pairs: tuple[Array, Array], reading: Reading
) -> Array:
    """Return the logits of pairs of (piece, hypothesis), float32 (pairs, 2), in their order."""
    found = np.empty((len(pairs[0]), 2), dtype=np.float32)
    piece, hypothesis = pairs
    room = reading.max_length - reading.tokenizer.pair.specials
    sizes = first_only(pieces.size[piece], hypotheses.size[hypothesis], room)
    starts = pieces.start[piece], hypotheses.start[hypothesis]
    for chosen, matrix in joined(hypotheses.tokens, starts, sizes, reading):
        found[chosen] = scorer(*matrix)
    return found
