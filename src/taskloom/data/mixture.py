"""Which rows make up a step: a pure function of (seed, step), in exact integers.

Task i has the share q_i = w_i / W. Its j-th example is released when n q_i > j - 1 and due when n q_i >= j, where n is
the number of examples drawn so far by all tasks. Every step takes `batch_size` released examples by earliest due time.
A schedule that meets all of these dates exists (Tijdeman 1980, the chairman assignment problem), and for unit jobs
earliest-due-first finds it, so after any step each task's count differs from its quota by less than one. Within a task,
rows come epoch by epoch in the order of a keyed permutation that is computed, not stored.

The price: counts are replayed from the last step that was asked for. With 500 tasks that takes about 60 microseconds a
step, so a run that is resumed after 10,000 steps waits for half a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of, mixed
from taskloom.errors import ConfigError

Integers = NDArray[np.int64]

RESOLUTION = 2**31
"""Shares are multiples of about 1 / RESOLUTION, and at most RESOLUTION examples are drawn: n x w stays below 2^63."""
ROUNDS = 8
"""With 6, tasks of a handful of rows have favorite orders; beyond 8 nothing is gained."""


@dataclass(frozen=True)
class Mixture:
    """Draws `batch_size` examples a step from tasks with `sizes` rows.

    A task's share is proportional to size^exponent x weight, and at least `floor` of an equal share: tasks below are
    raised to floor / tasks, and the others share what is left in proportion. Raises ConfigError for a task without rows
    and for numbers out of range.
    """

    sizes: tuple[int, ...]
    batch_size: int
    seed: int
    weights: tuple[float, ...] | None = None
    exponent: float = 1.0
    floor: float = 0.0
    _memo: dict[str, tuple[int, Integers]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        weights = self.weights or (1.0,) * len(self.sizes)
        if not self.sizes or min(self.sizes) < 1:
            raise ConfigError(f"The sizes {self.sizes} have a task without rows. Leave it out.")
        if len(weights) != len(self.sizes) or not all(0 < weight < float("inf") for weight in weights):
            raise ConfigError(f"The weights {weights} must be above 0, one for each of {len(self.sizes)} tasks.")
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"mixture.floor = {self.floor} is a part of an equal share. Give a number from 0 to 1.")
        if self.batch_size < 1:
            raise ConfigError(f"training.batch_size = {self.batch_size} is below 1. Give at least 1.")

    @cached_property
    def integer_shares(self) -> Integers:
        """The shares w_i as positive integers (int64, (tasks,)); rounding hides the last bits of a platform's pow."""
        sizes = np.asarray(self.sizes, dtype=np.float64)
        raw = sizes**self.exponent * np.asarray(self.weights or np.ones(len(sizes)))
        shares = _with_floor(raw / raw.sum(), self.floor / len(sizes))
        return np.maximum(1, np.round(shares * RESOLUTION)).astype(np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each task, summing to one."""
        shares: NDArray[np.float64] = self.integer_shares / self.integer_shares.sum()
        return shares

    def counts(self, step: int) -> Integers:
        """Return how many examples each task has given after `step` steps (int64, (tasks,))."""
        if not 0 <= step * self.batch_size <= RESOLUTION:
            raise ValueError(f"step {step} of {self.batch_size} examples is outside of 0..{RESOLUTION} examples")
        start = 0, np.zeros(len(self.sizes), dtype=np.int64)
        known, counts = self._memo.get("last", start)
        known, counts = (known, counts) if known <= step else start
        for now in range(known + 1, step + 1):
            counts = counts + self._given(counts, now * self.batch_size)
        self._memo["last"] = step, counts
        return counts.copy()

    def batch(self, step: int) -> tuple[Integers, Integers, Integers]:
        """Return task, row and epoch (each int64, (batch,)) of the examples of `step`, counted from 1."""
        before = self.counts(step - 1)
        given = self.counts(step) - before
        task = np.repeat(np.arange(len(self.sizes)), given)
        within = np.arange(len(task)) - np.repeat(np.cumsum(given) - given, given)
        sizes = np.asarray(self.sizes, dtype=np.int64)[task]
        epoch, place = np.divmod(before[task] + within, sizes)
        return task, permuted(place, sizes, hashed(self._key, task, epoch)), epoch

    @cached_property
    def _key(self) -> np.uint64:
        return key_of("mixture", self.seed)

    @cached_property
    def _tie(self) -> Integers:
        """A seeded order of the tasks, for examples that are due at the same time."""
        return np.argsort(np.argsort(hashed(self._key, np.arange(len(self.sizes)))))

    def _given(self, counts: Integers, drawn: int) -> Integers:
        """Return how many examples each task gives to the step that ends at `drawn` examples.

        All that are due by then, and one more from the tasks whose next example is released and due the soonest.
        """
        shares, whole = self.integer_shares, int(self.integer_shares.sum())
        due, beyond = np.divmod(drawn * shares, whole)
        given: Integers = np.maximum(due - counts, 0)
        free = np.flatnonzero(counts + given < due + (beyond > 0))
        deadline = -(-(counts + given + 1)[free] * whole // shares[free])
        soonest = np.lexsort((self._tie[free], deadline))[: self.batch_size - int(given.sum())]
        given[free[soonest]] += 1
        return given


def permuted(place: Integers, size: Integers, key: NDArray[np.uint64]) -> Integers:
    """Return where a keyed permutation of 0..size-1 puts each place (int64, like `place`).

    A generalized Feistel network over a rectangle of at least `size` cells (Black and Rogaway 2002); the few values
    that land beyond `size` walk on until they are inside.
    """
    wide = np.ceil(np.sqrt(size)).astype(np.uint64)
    tall = np.uint64(1) + (size.astype(np.uint64) - np.uint64(1)) // wide
    keys = [hashed(np.uint64(number), key) for number in range(ROUNDS)]
    values = place.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        left, right = np.divmod(values[outside], tall[outside])
        for one, other in zip(keys[::2], keys[1::2], strict=True):
            left = (left + mixed(right ^ one[outside]) % wide[outside]) % wide[outside]
            right = (right + mixed(left ^ other[outside]) % tall[outside]) % tall[outside]
        values[outside] = left * tall[outside] + right
        outside = outside[values[outside] >= size[outside].astype(np.uint64)]
    return values.astype(np.int64)


def _with_floor(shares: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Raise shares below `floor` to it and scale the others down until the sum is one again."""
    low = np.zeros(len(shares), dtype=bool)
    while True:
        scale = (1 - floor * low.sum()) / max(shares[~low].sum(), 1e-300)
        found = low | (shares * scale < floor)
        if (found == low).all():
            return np.where(low, floor, shares * scale)
        low = found
