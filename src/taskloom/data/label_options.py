"""Which label names a recast row offers, and in which order; draws are hashes of (task id, row, label).

The price of drawing by rank in a (rows, labels) matrix: labels that no row will show are hashed too, 10 ns each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of
from taskloom.data.ragged import offsets_of

Array = NDArray[Any]
MOST_CHOICES = 16
"""Choices of a row: all labels up to here, else the right one and some of the others."""
MOST_OPTIONS = 32
"""Labels that one pass looks at, in training and when it classifies."""
NONE_FITS = 10
"""In one row of so many no label fits."""
NEAR_SHIFT = np.uint64(2)
"""A wrong label that shares a word with a right one has a rank four times as small, so it is mostly offered."""
LAST = np.uint64(2**64 - 1)


def choices_of(task_id: str, rows: Array, golds: Array, gold: Array, near: Array) -> tuple[Array, Array, Array]:
    """Return each row's choices (flat, with offsets) and the place of the right one (rows,) among them.

    `golds` (rows, labels) marks all right labels and `gold` (rows,) is the one to offer; the others are left out.
    `near` (labels, labels) marks labels that are hard to tell apart, which are offered more often.
    """
    at, every = np.arange(len(rows)), np.arange(golds.shape[1], dtype=np.uint64)[None, :]
    rank = hashed(key_of(task_id, "choice"), rows[:, None], every) >> np.uint64(1)
    rank = np.where(golds, LAST, np.where(near[gold], rank >> NEAR_SHIFT, rank))
    rank[at, gold] = 0
    flat, places, sizes = _drawn(task_id, rows, rank, np.full(len(rows), MOST_CHOICES))
    return flat, offsets_of(sizes), np.argmax(places == gold[:, None], axis=1)


def options_of(task_id: str, rows: Array, golds: Array, near: Array) -> tuple[Array, Array, Array]:
    """Return each row's options (flat, with offsets) and whether each fits (flat, bool).

    Two to MOST_OPTIONS of the labels, the right ones (`golds`, (rows, labels)) among them; in every tenth row none of
    the options is right. `near` (labels, labels) marks labels that are hard to tell apart.
    """
    every = np.arange(golds.shape[1], dtype=np.uint64)[None, :]
    rank = hashed(key_of(task_id, "option"), rows[:, None], every) >> np.uint64(1)
    close = golds.astype(np.float32) @ near.astype(np.float32) > 0
    rank = np.where(close, rank >> NEAR_SHIFT, rank)
    without = hashed(key_of(task_id, "none"), rows) % np.uint64(NONE_FITS) == 0
    rank = np.where(golds, np.where(without[:, None], LAST, np.uint64(0)), rank)
    most = min(MOST_OPTIONS, golds.shape[1])
    counts = 2 + (hashed(key_of(task_id, "options"), rows) % np.uint64(most - 1)).astype(np.int64)
    flat, _, sizes = _drawn(task_id, rows, rank, counts)
    owner = np.repeat(np.arange(len(rows)), sizes)
    return flat, offsets_of(sizes), golds[owner, flat]


def _drawn(task_id: str, rows: Array, rank: Array, most: Array) -> tuple[Array, Array, Array]:
    """Return the labels of lowest rank, at most `most` (rows,) of a row and none that is LAST, in an order of the row's
    own: flat, as a matrix whose first columns they are, and how many of each row."""
    at, every = np.arange(len(rows))[:, None], np.arange(rank.shape[1], dtype=np.uint64)[None, :]
    among = np.zeros(rank.shape, dtype=bool)
    among[at, np.argsort(rank, axis=1, kind="stable")] = every < most.astype(np.uint64)[:, None]
    among &= rank < LAST
    order = hashed(key_of(task_id, "order"), rows[:, None], every) >> np.uint64(1)  # not the hash that chose
    places = np.argsort(np.where(among, order, LAST), axis=1, kind="stable")
    sizes = among.sum(axis=1)
    return places[every < sizes.astype(np.uint64)[:, None]], places, sizes
