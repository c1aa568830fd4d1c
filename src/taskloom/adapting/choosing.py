"""Which rows of a task settings are chosen on, which rows are reported, and how the choice is made.

Train rows fall into two halves. In the first, some rows are scored and the others are there to learn from: settings
are chosen there. Reported shots come from the second half, reported scores from the test rows, else from validation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.shots import half_of, shots_of, some_of
from taskloom.data.store import TaskStore
from taskloom.evaluation.transfer_report import Shots

Array = NDArray[Any]
SELECTION_SEED = 1_000_000
"""The seed of the shots that settings are chosen by; reported seeds count from 0."""
SELECTION_ROWS = 200
"""Most rows of a task that a setting is scored on; of small tasks a third of the half."""
PAIRS = 20_000
"""Most pairs of a text and a label that zero-shot answers of one task take: of many labels, fewer rows are read."""
BASELINE = "similarity"


@dataclass(frozen=True)
class Rows:
    """Train places to learn from, and the places of `split` to score."""

    learn: Array
    split: str
    score: Array


def selection_rows(store: TaskStore, task: str, shots: Shots) -> Rows:
    """Return the rows that settings are chosen on."""
    train, half = store.splits["train"], half_of(store.splits["train"], task, 0)
    score = some_of(train, task, half, most=min(SELECTION_ROWS, len(half) // 3), what="selection")
    pool = np.setdiff1d(half, score)
    return Rows(shots_of(train, task, shots=_number(shots), seed=SELECTION_SEED, places=pool), "train", score)


def reported_rows(store: TaskStore, task: str, shots: Shots, *, seed: int, max_rows: int) -> Rows:
    """Return the rows of a reported measurement; all shots are all train rows."""
    train = store.splits["train"]
    pool = np.arange(len(train)) if shots == "all" else half_of(train, task, 1)
    score = reported_places(store, task, max_rows)
    return Rows(shots_of(train, task, shots=_number(shots), seed=seed, places=pool), reported_split(store), score)


def reported_places(store: TaskStore, task: str, max_rows: int) -> Array:
    """Return the rows of the reported split that are scored, the same for every model, method and seed."""
    rows = store.splits[reported_split(store)]
    return some_of(rows, task, np.arange(len(rows)), most=max_rows, what="reported")


def reported_split(store: TaskStore) -> str:
    """Return the split that is reported: test if there is one, else validation."""
    return "test" if "test" in store.splits else "validation"


def blind_rows(store: TaskStore, rows: Array, task: str, split: str) -> Array:
    """Return the rows that are answered without a label: fewer where there are many labels."""
    most = max(50, PAIRS // max(1, len(store.labels)))
    return some_of(store.splits[split], task, rows, most=most, what="reported")


def best_setting(scores: Mapping[str, Sequence[float]]) -> tuple[str, dict[str, float]]:
    """Return the setting with the best mean, and all means; each setting has scores of the same tasks. Ties take the
    first."""
    means = {setting: float(np.mean(found)) for setting, found in scores.items()}
    return max(means, key=lambda setting: means[setting]), means


def best_way(task: str, ways: Iterable[str], scores: Mapping[str, Mapping[str, float]]) -> str:
    """Return the way of answering `task` without a label that is best on the *other* tasks.

    `scores` are by task and way. A way's worth is its mean advantage over the similarity of label names, where both are
    there; a way that no other task has is worth 0, and the baseline is worth 0 too. Ties take the first.
    """
    worth = advantages({other: found for other, found in scores.items() if other != task})
    return max(ways, key=lambda way: worth.get(way, 0.0))


def advantages(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each way's mean advantage over the baseline, over the tasks that have both."""
    found = defaultdict(list)
    for by_way in scores.values():
        if BASELINE in by_way:
            for way, score in by_way.items():
                found[way].append(score - by_way[BASELINE])
    return {way: float(np.mean(values)) for way, values in found.items()}


def _number(shots: Shots) -> int | None:
    return None if shots == "all" else shots
