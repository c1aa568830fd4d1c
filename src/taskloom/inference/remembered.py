"""Vectors of label names that were read before, so that the next texts with the same labels do not wait for them.

77 names of five tokens cost as much as five texts of eighty words, and a server is asked for the same labels again and
again. What is kept belongs to one state of one model's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Key = tuple[str, int]
"""The words, and how many tokens of them are read at most."""


class Remembered:
    """The last `most` vectors (1.5 kB each in a 22M encoder)."""

    def __init__(self, most: int = 4096) -> None:
        self.most = most
        self._known: dict[Key, Array] = {}

    def of(self, keys: Sequence[Key], read: Callable[[list[str]], Array]) -> Array:
        """Return the vectors (keys, width); those not known come from `read`, which gets their words together."""
        known = {key: self._known[key] for key in dict.fromkeys(keys) if key in self._known}
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        if missing:
            known |= dict(zip(missing, read([words for words, _ in missing]), strict=True))
        older = {key: vector for key, vector in self._known.items() if key not in known}
        self._known = dict(list((older | known).items())[-self.most :])
        return np.stack([known[key] for key in keys]) if keys else np.zeros((0, 0), np.float32)
