"""Task embeddings as places on a page: the first two principal components, and who is next to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NEAREST = 3


@dataclass(frozen=True)
class EmbeddingMap:
    """`places` (tasks, 2), the share of the variance that the two axes show, and each task's nearest others by cosine.

    Only tasks at less than a right angle are near. A task whose vector never moved from zero has no direction, so it
    has no neighbors and is nobody's.
    """

    places: Array
    shown: float
    nearest: tuple[tuple[tuple[int, float], ...], ...]


def embedding_map(vectors: Array) -> EmbeddingMap | None:
    """Return the map of (tasks, width) vectors, or None when there is nothing to see: fewer than 3, or all alike.

    Principal components through the singular values of the centered matrix. The sign of an axis is free: each is turned
    so that its largest entry is positive, and the same model gives the same map.
    """
    vectors = np.asarray(vectors, np.float64)
    if len(vectors) < 3 or np.allclose(vectors, vectors[0]):
        return None
    left, strength, _ = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    left = left[:, :2]
    left = left * np.sign(left[np.abs(left).argmax(0), range(left.shape[1])])
    places = np.zeros((len(vectors), 2))
    places[:, : left.shape[1]] = left * strength[: left.shape[1]]
    return EmbeddingMap(places, float((strength[:2] ** 2).sum() / (strength**2).sum()), _nearest(vectors))


def _nearest(vectors: Array) -> tuple[tuple[tuple[int, float], ...], ...]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    moved = lengths[:, 0] > 1e-12
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12)
    cosine = unit @ unit.T
    cosine[~moved] = cosine[:, ~moved] = -np.inf
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :NEAREST]
    return tuple(
        tuple((int(at), float(cosine[task, at])) for at in places if cosine[task, at] > 0)
        for task, places in enumerate(order)
    )


def families_in_order(families: Sequence[str]) -> dict[str, int]:
    """Return family -> number, the commonest first: the first get the plainest colors and shapes."""
    counts = {family: list(families).count(family) for family in dict.fromkeys(families)}
    return {family: at for at, family in enumerate(sorted(counts, key=lambda name: (-counts[name], name)))}
