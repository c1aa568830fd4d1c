"""Which rows make up a step: a pure function of (seed, step), in exact integers.

Task i has the share q_i = w_i / W. Its j-th example is released when n q_i > j - 1 and due when n q_i >= j, where n is
the number of examples drawn so far by all tasks. Every step takes `batch_size` released examples by earliest due time.
A schedule that meets all of these dates exists (Tijdeman 1980, the chairman assignment problem), and for unit jobs
earliest-due-first finds it, so after any step each task's count differs from its quota by less than one. Within a task,
rows come epoch by epoch in the order of a keyed permutation that is computed, not stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

RESOLUTION = 2**31
"""Shares are multiples of about 1 / RESOLUTION: n x w stays below 2^63 for n up to 2^31 drawn examples."""
ROUNDS = 6


@dataclass(frozen=True)
class Mixture:
    """Draws `batch_size` examples a step from tasks with `sizes` rows.

    A task's share is proportional to size^exponent x weight, and at least `floor` of an equal share.
    """

    sizes: tuple[int, ...]
    batch_size: int
    seed: int
    weights: tuple[float, ...] | None = None
    exponent: float = 1.0
    floor: float = 0.0
    _memo: dict[str, tuple[int, Integers]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def integer_shares(self) -> Integers:
        """The shares w_i as positive integers."""
        sizes = np.asarray(self.sizes, dtype=np.float64)
        raw = sizes**self.exponent * np.asarray(self.weights if self.weights else np.ones(len(sizes)))
        shares = _with_floor(raw / raw.sum(), self.floor / len(sizes))
        return np.maximum(1, np.round(shares * RESOLUTION)).astype(np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each task, summing to one."""
        shares: NDArray[np.float64] = self.integer_shares / self.integer_shares.sum()
        return shares

    def counts(self, step: int) -> Integers:
        """Return how many examples each task has given after `step` steps (int64, (tasks,))."""
        known, counts = self._memo.get("last", (0, np.zeros(len(self.sizes), dtype=np.int64)))
        if known > step:
            known, counts = 0, np.zeros(len(self.sizes), dtype=np.int64)
        for now in range(known + 1, step + 1):
            counts = counts + self._take(counts, now * self.batch_size)
        self._memo["last"] = (step, counts)
        return counts

    def batch(self, step: int) -> tuple[Integers, Integers, Integers]:
        """Return task, row and epoch (each int64, (batch,)) of the examples of `step`, counted from 1."""
        before = self.counts(step - 1)
        given = self.counts(step) - before
        task = np.repeat(np.arange(len(self.sizes)), given)
        within = np.arange(len(task)) - np.repeat(np.cumsum(given) - given, given)
        sizes = np.asarray(self.sizes, dtype=np.int64)[task]
        epoch, place = np.divmod(before[task] + within, sizes)
        keys = _keys(self.seed, len(self.sizes))[task]
        return task, permuted(place, sizes, keys ^ mixed(epoch.astype(np.uint64))), epoch

    def _take(self, counts: Integers, drawn: int) -> Integers:
        """Return how many examples each task gives to the step that ends at `drawn` examples."""
        shares, whole = self.integer_shares, int(self.integer_shares.sum())
        due = drawn * shares // whole
        taken: Integers = np.maximum(due - counts, 0)
        rest = self.batch_size - int(taken.sum())
        released = -(-drawn * shares // whole)
        free = np.flatnonzero(counts + taken < released)
        deadline = -(-(counts + taken + 1)[free] * whole // shares[free])
        tie = _keys(self.seed, len(shares))[free]
        taken[free[np.lexsort((tie, deadline))[:rest]]] += 1
        return taken


def permuted(place: Integers, size: Integers, key: NDArray[np.uint64]) -> Integers:
    """Return where a keyed permutation of 0..size-1 puts each place; a Feistel network with cycle walking.

    The network permutes the next even power of two, at most four times `size`; values outside walk on until inside.
    """
    bits = np.maximum(1, (np.ceil(np.log2(np.maximum(size, 2))).astype(np.uint64) + 1) // 2)
    values = place.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        values[outside] = _feistel(values[outside], bits[outside], key[outside])
        outside = outside[values[outside] >= size[outside].astype(np.uint64)]
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], bits: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << bits) - np.uint64(1)
    left, right = values >> bits, values & mask
    for number in range(ROUNDS):
        left, right = right, left ^ (mixed(right ^ key ^ mixed(np.full_like(key, number + 1))) & mask)
    return (left << bits) | right


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood 2014): every input bit moves every output bit."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _keys(seed: int, tasks: int) -> NDArray[np.uint64]:
    """Return one key a task, from the seed and the task's place."""
    start = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little")
    return mixed(np.uint64(start) ^ mixed(np.arange(tasks, dtype=np.uint64)))


def _with_floor(shares: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Raise shares below `floor` to it and scale the others down until the sum is one again."""
    low = np.zeros(len(shares), dtype=bool)
    while True:
        scale = (1 - floor * low.sum()) / max(shares[~low].sum(), 1e-300)
        found = low | (shares * scale < floor)
        if (found == low).all():
            return np.where(low, floor, shares * scale)
        low = found
