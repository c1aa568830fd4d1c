"""Zero-shot classification by vectors: texts and label names are read apart, and a label fits whose vector is near.

The head is what the `matching` recasts train: the mean of a sequence's last hidden states at length one, and a weight
for each dimension of the product of two such vectors (see `modeling.comparing`); the bi-encoder of sentence encoders
(Reimers and Gurevych 2019). Each text and each label is one sequence, whatever the number of the others, so that many
labels cost nothing but their own reading. The price: a text is read without knowing what it will be asked, and how near
is near enough for a label by itself is not learned.
"""

from __future__ import annotations

import numpy as np

from taskloom.data.ragged import ragged
from taskloom.inference.label_sets import Asked
from taskloom.inference.pieces import Array, Logits, Reading, Texts, alone, pieces_of
from taskloom.inference.remembered import Remembered
from taskloom.inference.scorers import VectorScorer


def matched_logits(
    scorer: VectorScorer, texts: Texts, asked: Asked, *, reading: Reading, names: Remembered | None = None
) -> Logits:
    """Return how near each label of each text is, a group for each piece of a text: weighted cosines as logits.

    `own` is the same number, which says nothing of a label by itself. A label that is too long loses its end. `names`
    keeps the vectors of labels from one call to the next.
    """
    most = reading.max_length - reading.tokenizer.single.specials
    room = np.full(len(texts.offsets) - 1, most)
    pieces = pieces_of(texts, room, reading.long)

    def read(said: list[str]) -> Array:
        tokens, offsets = reading.tokenizer.segments(said)
        return _vectors(scorer, tokens, offsets[:-1], np.minimum(np.diff(offsets), most), reading)

    known = (names or Remembered()).of([(words, most) for words in asked.said], read)
    vectors = _vectors(scorer, texts.tokens, pieces.start, np.minimum(pieces.size, room[pieces.text]), reading)
    counts = asked.counts[pieces.text]
    label = asked.label[ragged(asked.offsets[pieces.text], counts)]
    found = _products(vectors * scorer.weight, known, label, counts)
    return Logits(found, found, pieces.text, np.diff(texts.offsets) > room)


def _products(vectors: Array, names: Array, label: Array, counts: Array) -> Array:
    """Return the product of each piece's vector with the names of its labels, flat; `counts` labels a piece, `label`
    their names. One matrix product where all pieces ask the same, else one a piece."""
    if not len(counts):
        return np.zeros(0, np.float32)
    first = label[: counts[0]]
    if (counts == counts[0]).all() and (label.reshape(len(counts), -1) == first).all():
        return np.asarray((vectors @ names[first].T).ravel())
    several = np.split(label, np.cumsum(counts)[:-1])
    return np.concatenate([names[mine] @ vector for vector, mine in zip(vectors, several, strict=True)])


def _vectors(scorer: VectorScorer, tokens: Array, start: Array, size: Array, reading: Reading) -> Array:
    """Return the vectors of segments, each a sequence of its own, float32 (segments, width)."""
    found = np.empty((len(start), len(scorer.weight)), np.float32)
    for chosen, matrix in alone(tokens, start, size, reading):
        found[chosen] = scorer(*matrix)
    return found
