"""The mixture: exact quotas after every step, every row once an epoch, a pure function of (seed, step)."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.mixture import Mixture, mixed, permuted

SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=40).map(tuple)


@given(sizes=SIZES, batch=st.integers(1, 64), exponent=st.floats(0, 1), floor=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_quota_holds_after_every_step(
    sizes: tuple[int, ...], batch: int, exponent: float, floor: float, seed: int
) -> None:
    """Each task's count differs from its quota by less than one, counts add up and never fall."""
    mixture = Mixture(sizes=sizes, batch_size=batch, seed=seed, exponent=exponent, floor=floor)
    before = np.zeros(len(sizes), dtype=np.int64)
    whole = int(mixture.integer_shares.sum())
    for step in range(1, 40):
        counts = mixture.counts(step)
        assert counts.sum() == step * batch
        assert (counts >= before).all()
        distance = np.abs(counts * whole - step * batch * mixture.integer_shares)  # exact: in units of 1 / whole
        assert (distance < whole).all()
        before = counts


def test_five_hundred_tasks_over_four_decades() -> None:
    """Sizes from 100 to a million: no task starves, and quotas hold for 400 steps of 384."""
    sizes = tuple(int(size) for size in 10 ** np.random.default_rng(0).uniform(2, 6, 500))
    mixture = Mixture(sizes=sizes, batch_size=384, seed=0, exponent=0.5)
    for step in range(1, 401):
        assert np.abs(mixture.counts(step) - step * 384 * mixture.shares).max() < 1
    assert mixture.counts(400).min() >= 1


@given(size=st.integers(1, 3000), key=st.integers(0, 2**63))
@settings(max_examples=60, deadline=None)
def test_permutation_is_one(size: int, key: int) -> None:
    """The keyed network maps 0..size-1 onto itself, each once."""
    places = permuted(np.arange(size), np.full(size, size), np.full(size, key, dtype=np.uint64))
    assert sorted(places) == list(range(size))


@given(sizes=SIZES, batch=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_every_row_once_an_epoch(sizes: tuple[int, ...], batch: int) -> None:
    """Within an epoch of a task no row comes twice, and before the next begins every row has come."""
    mixture = Mixture(sizes=sizes, batch_size=batch, seed=3)
    seen: dict[tuple[int, int], set[int]] = {}
    for step in range(1, 60):
        for task, row, epoch in zip(*mixture.batch(step), strict=True):
            assert row not in seen.setdefault((task, epoch), set())
            assert 0 <= row < sizes[task]
            assert epoch == 0 or len(seen[task, epoch - 1]) == sizes[task]
            seen[task, epoch].add(row)


@given(sizes=SIZES, steps=st.lists(st.integers(1, 50), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_batch_depends_on_its_step_alone(sizes: tuple[int, ...], steps: list[int]) -> None:
    """Asked in any order, from any instance, a step gives the same rows."""
    walked = Mixture(sizes=sizes, batch_size=7, seed=1)
    for step in steps:
        fresh = Mixture(sizes=sizes, batch_size=7, seed=1)
        for one, other in zip(walked.batch(step), fresh.batch(step), strict=True):
            assert np.array_equal(one, other)


def test_seeds_and_epochs_differ() -> None:
    """Another seed gives another order, and so does the next epoch."""
    orders = [
        Mixture(sizes=(100,), batch_size=100, seed=seed).batch(step)[1].tolist()
        for seed, step in ((0, 1), (1, 1), (0, 2))
    ]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert orders[0] != orders[1] and orders[0] != orders[2] and orders[1] != orders[2]


def test_hash_seed_of_python_does_not_matter() -> None:
    """Two processes with other PYTHONHASHSEEDs draw the same rows."""
    program = (
        "from taskloom.data.mixture import Mixture\n"
        "print([part.tolist() for part in Mixture(sizes=(9, 50, 1000), batch_size=20, seed=5).batch(7)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


def test_floor_and_weights() -> None:
    """floor=1 gives equal shares, exponent 0 too, and a weight scales a share."""
    assert np.allclose(Mixture(sizes=(10, 1000), batch_size=1, seed=0, floor=1.0).shares, [0.5, 0.5])
    assert np.allclose(Mixture(sizes=(10, 1000), batch_size=1, seed=0, exponent=0.0).shares, [0.5, 0.5])
    assert np.allclose(Mixture(sizes=(10, 10), batch_size=1, seed=0, weights=(3.0, 1.0)).shares, [0.75, 0.25])
    low = Mixture(sizes=(1, 999_999), batch_size=1, seed=0, floor=0.1).shares
    assert low[0] == pytest.approx(0.05, abs=1e-6)


def test_mixing_spreads_single_bits() -> None:
    """Neighboring inputs give outputs that differ in about half of their bits."""
    values = mixed(np.arange(2000, dtype=np.uint64))
    flipped = np.array([bin(int(a) ^ int(b)).count("1") for a, b in pairwise(values)])
    assert 31 < flipped.mean() < 33
