"""Zero-shot classification of all labels in one pass: the labels and the text stand in one sequence.

Each label is scored at the mark before it, by the one head that the `one-pass` recasts train; the uni-encoder of
GLiNER and GLiClass (Zaratiana et al. 2024; Stepanov et al. 2025). A text costs one sequence for every MOST_OPTIONS
labels instead of one for each: the text is read once for many labels, and each label's tokens once. The price: labels
see each other, so a score depends a little on the others and their order; the order given is kept, and training
shuffles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.label_options import MOST_OPTIONS
from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.segments import marked_options
from taskloom.data.truncation import second_only
from taskloom.errors import DataError
from taskloom.inference.label_sets import Asked
from taskloom.inference.pieces import Logits, Pieces, Reading, Texts, joined, pieces_of
from taskloom.inference.scorers import MarkScorer

Array = NDArray[Any]
SEQUENCES_AT_ONCE = 8192
"""Sequences whose ids, types and mask are held at a time; with 256 tokens each that is 50 MB."""
LABEL_SHARE = 0.5
"""The most of a sequence that labels may take from the text; more labels go to further sequences."""


@dataclass(frozen=True)
class Groups:
    """Labels that share a sequence: of each group the tokens (with marks) from `start` on, and its labels' marks.

    `tokens` are those of the texts and behind them those of the groups. The groups of text t are
    `of_text[offsets[t] : offsets[t + 1]]`; texts with the same labels share them. Marks of group g stand at
    `mark[first_mark[g] : first_mark[g + 1]]` within its tokens.
    """

    tokens: Array
    start: Array
    size: Array
    of_text: Array
    offsets: Array
    mark: Array
    first_mark: Array


def option_logits(scorer: MarkScorer, texts: Texts, asked: Asked, *, reading: Reading) -> Logits:
    """Return what one pass says of each label of each text, a group for each piece of a text: log odds of fitting.

    Raises DataError for a label that leaves no room for a text.
    """
    groups = _groups(texts, asked, reading)
    longest = (
        np.maximum.reduceat(groups.size[groups.of_text], groups.offsets[:-1]) if len(asked.counts) else asked.counts
    )
    room = reading.max_length - reading.tokenizer.pair.specials - longest
    pieces = pieces_of(texts, room, reading.long)
    counts = np.diff(groups.offsets)[pieces.text]
    group = groups.of_text[ragged(groups.offsets[pieces.text], counts)]
    piece = np.repeat(np.arange(len(pieces.text)), counts)
    found = [
        _scored(
            scorer,
            pieces,
            groups,
            piece[start : start + SEQUENCES_AT_ONCE],
            group[start : start + SEQUENCES_AT_ONCE],
            reading,
        )
        for start in range(0, len(piece), SEQUENCES_AT_ONCE)
    ]
    odds = np.concatenate(found) if found else np.zeros(0, np.float32)
    return Logits(odds, odds, pieces.text, np.diff(texts.offsets) > room)


def _groups(texts: Texts, asked: Asked, reading: Reading) -> Groups:
    sizes = np.diff(reading.tokenizer.segments(asked.said)[1]) + 1
    room = int((reading.max_length - reading.tokenizer.pair.specials) * LABEL_SHARE)
    groups: list[list[str]] = []
    known: dict[bytes, range] = {}
    of_text = []
    for start, end in pairwise(asked.offsets.tolist()):
        labels = asked.label[start:end]
        key = labels.tobytes()
        if key not in known:
            parts = _parts(labels, sizes, asked, room)
            known[key] = range(len(groups), len(groups) + len(parts))
            groups += parts
        of_text.append(known[key])
    options = marked_options([""] * len(groups), groups, reading.tokenizer)
    return Groups(
        tokens=np.concatenate([texts.tokens, options.tokens]),
        start=offsets_of(options.sizes)[:-1][::2] + len(texts.tokens),
        size=options.sizes[::2],
        of_text=np.array([group for several in of_text for group in several], np.int64),
        offsets=offsets_of([len(several) for several in of_text]),
        mark=options.word_starts,
        first_mark=offsets_of(options.word_counts),
    )


def _parts(labels: Array, sizes: Array, asked: Asked, room: int) -> list[list[str]]:
    """Return neighboring labels that share a sequence: as few groups as fit, of about equal size."""
    mine = sizes[labels]
    longest = int(mine.argmax())
    if mine[longest] > room:
        raise DataError(
            f"Label {asked.said[labels[longest]][:60]!r} has {mine[longest]} tokens; at most {room} leave room for a "
            "text. Give a shorter one."
        )
    for count in range(-(-len(labels) // MOST_OPTIONS), len(labels) + 1):
        ends = [round(len(labels) * part / count) for part in range(count + 1)]
        if all(mine[start:end].sum() <= room for start, end in pairwise(ends)):
            return [[asked.said[label] for label in labels[start:end]] for start, end in pairwise(ends)]
    raise AssertionError("one label a group fits, as was checked")


def _scored(scorer: MarkScorer, pieces: Pieces, groups: Groups, piece: Array, group: Array, reading: Reading) -> Array:
    """Return the log odds of all labels of sequences of (piece, group), flat, in their order."""
    counts = np.diff(groups.first_mark)[group]
    place = offsets_of(counts)
    found = np.empty(place[-1], np.float32)
    first, second = second_only(
        groups.size[group], pieces.size[piece], reading.max_length - reading.tokenizer.pair.specials
    )
    starts = groups.start[group], pieces.start[piece]
    for chosen, matrix in joined(groups.tokens, starts, (first, second), reading):
        some = counts[chosen]
        position = groups.mark[ragged(groups.first_mark[group[chosen]], some)] + len(reading.tokenizer.pair.prefix)
        owner = np.repeat(np.arange(len(chosen)), some)
        found[ragged(place[chosen], some)] = scorer(*matrix, owner, position)
    return found
