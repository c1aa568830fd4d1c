"""Zero-shot classification by vectors: texts and label names are read apart, and a label fits whose vector is near.

The head is what the `matching` recasts train: the mean of a sequence's last hidden states at length one, and a weight
for each dimension of the product of two such vectors (see `modeling.comparing`); the bi-encoder of sentence encoders
(Reimers and Gurevych 2019). Each text and each label is one sequence, whatever the number of the others, so that many
labels cost nothing but their own reading. The price: a text is read without knowing what it will be asked, and how near
is near enough for a label by itself is not learned.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from taskloom.data.matrices import Matrix
from taskloom.data.ragged import offsets_of, ragged
from taskloom.inference.label_sets import Asked
from taskloom.inference.pieces import Array, Logits, Reading, Texts, alone, pieces_of
from taskloom.inference.scorers import VectorScorer

PRODUCTS_AT_ONCE = 2**21
"""Pairs of a text and a label whose products are held at a time, in rows of one width: a few MB."""


def matched_logits(scorer: VectorScorer, texts: Texts, asked: Asked, *, reading: Reading) -> Logits:
    """Return how near each label of each text is, a group for each piece of a text: weighted cosines as logits.

    `own` is the same number, which says nothing of a label by itself. A label that is too long loses its end.
    """
    room = np.full(len(texts.offsets) - 1, reading.max_length - reading.tokenizer.single.specials)
    pieces = pieces_of(texts, room, reading.long)
    tokens, offsets = reading.tokenizer.segments(asked.said)
    names = _vectors(scorer, tokens, offsets[:-1], np.minimum(np.diff(offsets), room.max(initial=0)), reading)
    vectors = _vectors(scorer, texts.tokens, pieces.start, np.minimum(pieces.size, room[pieces.text]), reading)
    counts = asked.counts[pieces.text]
    label = asked.label[ragged(asked.offsets[pieces.text], counts)]
    found = np.empty(len(label), np.float32)
    for part in _parts(counts):
        place = slice(*offsets_of(counts)[[part.start, part.stop]])
        owner = np.repeat(np.arange(part.start, part.stop), counts[part])
        found[place] = _dots(vectors * scorer.weight, names, owner, label[place])
    return Logits(found, found, pieces.text, np.diff(texts.offsets) > room)


def _parts(counts: Array) -> Iterator[slice]:
    """Yield neighboring pieces with at most PRODUCTS_AT_ONCE labels together, or a single one that has more."""
    ends, begin = np.cumsum(counts), 0
    while begin < len(counts):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + PRODUCTS_AT_ONCE, side="right")))
        yield slice(begin, end)
        begin = end


def _dots(vectors: Array, names: Array, owner: Array, label: Array) -> Array:
    """Return the products of vectors[owner] and names[label]; one matrix product where all ask the same."""
    first, last = int(owner[0]), int(owner[-1]) + 1
    asked = label[owner == first]
    if len(label) == len(asked) * (last - first) and (label.reshape(last - first, -1) == asked).all():
        return np.asarray((vectors[first:last] @ names[asked].T).ravel())
    return np.concatenate([vectors[at] @ names[label[owner == at]].T for at in range(first, last)])


def _vectors(scorer: VectorScorer, tokens: Array, start: Array, size: Array, reading: Reading) -> Array:
    """Return the vectors of segments, each a sequence of its own, float32 (segments, width)."""
    found = np.empty((len(start), len(scorer.weight)), np.float32)
    batches: Iterator[tuple[Array, Matrix]] = alone(tokens, start, size, reading)
    for chosen, matrix in batches:
        found[chosen] = scorer(*matrix)
    return found
