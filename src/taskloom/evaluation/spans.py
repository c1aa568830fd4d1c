"""Spans of tagged words, as the conlleval script and seqeval's default mode read them, without a loop over words.

Tags are B-, I-, E-, S- plus a type, or O. A span starts at B or S, after O, after the end of another one, or where the
type changes, so that an I- without its B- still opens a span. IOB2 is the usual form; IO, IOB1 and IOBES read alike.
Source: Tjong Kim Sang and De Meulder 2003 (conlleval); seqeval 1.2 `get_entities`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_bio(labels: Sequence[str]) -> bool:
    """Tell whether all tags are O or B, I, E, S with a type, and at least one opens a span."""
    well_formed = all(re.fullmatch(r"O|[BIES](-.+)?", label) for label in labels)
    return well_formed and any(label[0] in "BI" for label in labels)


def span_bounds(tags: Array, word_offsets: Array, labels: Sequence[str]) -> tuple[Array, Array, Array]:
    """Return (start, last word, type id) of every span, flat word positions, in order of start; shape (spans,) each.

    `tags` are label ids of all words, shape (words,); spans never cross a row's border in `word_offsets`.
    """
    prefixes = np.array([label[0] for label in labels])
    names = [label[2:] if label != "O" else "" for label in labels]
    type_of = np.unique(names, return_inverse=True)[1]
    first_words = np.zeros(len(tags) + 1, dtype=bool)
    first_words[np.asarray(word_offsets)] = True
    padded = np.full(len(tags) + 2, "O", dtype="<U1")
    padded[1:-1] = prefixes[tags]
    types = np.full(len(tags) + 2, -1)
    types[1:-1] = type_of[tags]
    breaks = _breaks(padded, types, first_words)
    inside = padded[1:-1] != "O"
    starts = np.flatnonzero(inside & breaks[:-1])
    lasts = np.flatnonzero(inside & breaks[1:])
    return starts, lasts, types[1:-1][starts]


def _breaks(prefix: Array, types: Array, first_words: Array) -> Array:
    """Tell for each of the words + 1 gaps whether no span crosses it."""
    before, after = prefix[:-1], prefix[1:]
    closed = np.isin(before, ("O", "E", "S"))
    opened = np.isin(after, ("O", "B", "S"))
    return np.asarray(first_words | closed | opened | (types[:-1] != types[1:]))


def span_counts(gold: Array, predicted: Array, word_offsets: Array, labels: Sequence[str]) -> Array:
    """Return (rows, 3): correct, predicted and gold spans of each row; correct means equal bounds and equal type."""
    row_of = np.repeat(np.arange(len(word_offsets) - 1), np.diff(word_offsets))
    found = [span_bounds(tags, word_offsets, labels) for tags in (gold, predicted)]
    signature = np.full((2, 2, len(gold)), -1)
    for side, (starts, lasts, types) in enumerate(found):
        signature[side, 0, starts], signature[side, 1, starts] = lasts, types
    equal = (signature[0] == signature[1]).all(0) & (signature[0, 0] >= 0)
    counted = (np.flatnonzero(equal), found[1][0], found[0][0])
    return np.stack([np.bincount(row_of[at], minlength=len(word_offsets) - 1) for at in counted], axis=1)
