"""Rows of unequal lengths as one flat array and offsets: what the store keeps and what batches are cut from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def ragged(starts: Array, lengths: Array) -> Array:
    """Return the ranges start..start+length of all pairs, one after the other (int64)."""
    ends = np.cumsum(lengths, dtype=np.int64)
    ranges: Array = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return ranges


def offsets_of(lengths: ArrayLike) -> Array:
    """Return where each of the pieces of these lengths begins, and the end (int64, one more than lengths)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
