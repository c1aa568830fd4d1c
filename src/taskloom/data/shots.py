"""Which rows of a train split are the shots of a seed: a hash of (task, seed, row) decides, nothing else.

Classification takes `shots` rows of each class, every other kind `shots` rows in all: a multi-label row has several
labels, a tagged one many, a score none. The ranking of rows does not depend on how many are taken, so the 8 shots of a
seed are among its 16, and on every machine and for every model they are the same rows. A class with fewer rows gives
all it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of
from taskloom.data.store import SplitStore

Array = NDArray[Any]
HALVES = 2
"""Train rows fall into two halves by hash: settings are chosen on one, and what is reported comes from the other."""


def shots_of(split: SplitStore, task: str, *, shots: int | None, seed: int, places: Array | None = None) -> Array:
    """Return the places of the shots in a split, ascending; None for `shots` takes all.

    `task` is the id without its version, and `places` (default: all) are the rows to choose from.
    """
    places = np.arange(len(split)) if places is None else places
    if shots is None or not len(places):
        return places
    order = np.argsort(hashed(key_of("shots", task, seed), split.rows[places]), kind="stable")
    if split.kind != "classification":
        return np.sort(places[order[:shots]])
    labels = np.asarray(split.labels)[places[order]]
    by_class = np.argsort(labels, kind="stable")  # within a class in the order of the ranking
    starts = np.searchsorted(labels[by_class], labels[by_class])
    taken = by_class[np.arange(len(by_class)) - starts < shots]
    return np.sort(places[order[taken]])


def half_of(split: SplitStore, task: str, half: int) -> Array:
    """Return the places of the train rows that fall into a half (0 or 1), ascending; free of seeds."""
    found = hashed(key_of("half", task), split.rows) % np.uint64(HALVES)
    return np.flatnonzero(found == np.uint64(half))


def validation_of(split: SplitStore, task: str, places: Array, *, share: float) -> tuple[Array, Array]:
    """Return the places that stay for training and those held out for validation, both ascending.

    `share` of the rows are held out, of each class for classification; rows with equal tokens are never in both parts.
    The choice is a hash of the tokens, free of seeds.
    """
    keys = content_keys(split, places)
    order = np.argsort(hashed(key_of("validation", task), keys), kind="stable")
    groups = np.asarray(split.labels)[places] if split.kind == "classification" else np.zeros(len(places), np.int64)
    by_group = order[np.argsort(groups[order], kind="stable")]
    starts = np.searchsorted(groups[by_group], groups[by_group])
    counts = np.bincount(groups, minlength=int(groups.max(initial=0)) + 1)[groups[by_group]]
    taken = by_group[np.arange(len(by_group)) - starts < np.round(counts * share)]
    kept = np.setdiff1d(np.arange(len(places)), taken)
    kept = kept[~np.isin(keys[kept], keys[taken])]
    return places[kept], np.sort(places[taken])


def unlike(split: SplitStore, places: Array, others: Array) -> Array:
    """Return those of the places whose rows have the tokens of none of the others, ascending."""
    return np.sort(places[~np.isin(content_keys(split, places), content_keys(split, others))])


def content_keys(split: SplitStore, places: Array) -> Array:
    """Return one number a row that is equal for rows of equal tokens (uint64, (rows,))."""
    edges = split.offsets[split.first_segment]
    tokens = [np.asarray(split.tokens[edges[at] : edges[at + 1]]) for at in places.tolist()]
    return np.array([key_of(ids.tobytes()) for ids in tokens], np.uint64)


def some_of(split: SplitStore, task: str, places: Array, *, most: int, what: str) -> Array:
    """Return at most `most` of the places, ascending: a draw that depends on task, row and the word `what` alone."""
    order = np.argsort(hashed(key_of(what, task), split.rows[places]), kind="stable")
    return np.sort(places[order[:most]])
