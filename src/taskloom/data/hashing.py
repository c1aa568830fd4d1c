"""Hashes for whole arrays that are the same on every machine, in every process and version of Python."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]


def mixed(values: ArrayLike) -> Words:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014): every input bit moves every output bit."""
    with np.errstate(over="ignore"):
        words: Words = np.asarray(values).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))


def hashed(key: np.uint64, *parts: ArrayLike) -> Words:
    """Return one hash for each element of `parts`, arrays of integers of one shape; their order matters."""
    words: Words = np.asarray(key)
    for part in parts:
        words = mixed(words ^ np.asarray(part).astype(np.uint64))
    return words


def key_of(*parts: object) -> np.uint64:
    """Return 64 bits that depend on nothing but the text of the parts."""
    return np.uint64(int.from_bytes(hashlib.sha256("\n".join(map(str, parts)).encode()).digest()[:8], "little"))
