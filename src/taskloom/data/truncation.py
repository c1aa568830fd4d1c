"""How much of each segment fits: the lengths after truncation, for whole arrays of rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def longest_first(first: Array, second: Array, room: int | Array) -> tuple[Array, Array]:
    """Return the lengths of two segments cut to `room` tokens together, as the `tokenizers` library cuts them.

    The longer one gives way until both have half; when both are longer than that, the odd token goes to the longer one,
    and to the second where they are equal.
    """
    half = np.asarray(room) // 2
    first_kept = np.where(first > second, room - np.minimum(second, half), half)
    first_kept = np.minimum(first, first_kept)
    return first_kept, np.minimum(second, room - first_kept)


def first_only(first: Array, second: Array, room: int | Array) -> tuple[Array, Array]:
    """Return the lengths when only the first segment gives way; a second one longer than `room` is cut to it."""
    second = np.minimum(second, room)
    return np.minimum(first, room - second), second


def second_only(first: Array, second: Array, room: int | Array) -> tuple[Array, Array]:
    """Return the lengths when only the second segment gives way; a first one longer than `room` is cut to it."""
    kept, first = first_only(second, first, room)
    return first, kept
