"""How much of each segment fits: the lengths after truncation, for whole arrays of rows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def longest_first(first: Integers, second: Integers, room: int | Integers) -> tuple[Integers, Integers]:
    """Return the lengths of two segments cut to `room` tokens together, as the `tokenizers` library cuts them.

    Only the longer one is cut as long as it stays the longer one; after that both get half.
    """
    short, long = np.minimum(first, second), np.maximum(first, second)
    fits = first + second <= room
    kept = np.where(short > room, short, np.maximum(short, room - short))
    both = short + kept > room
    short_kept = np.where(fits, short, np.where(both, room // 2, short))
    long_kept = np.where(fits, long, np.where(both, room - room // 2, np.minimum(kept, long)))
    swapped = first > second
    return np.where(swapped, long_kept, short_kept), np.where(swapped, short_kept, long_kept)


def first_only(first: Integers, second: Integers, room: int | Integers) -> tuple[Integers, Integers]:
    """Return the lengths when only the first segment gives way; a second one longer than `room` is cut to it."""
    second = np.minimum(second, room)
    return np.minimum(first, room - second), second
