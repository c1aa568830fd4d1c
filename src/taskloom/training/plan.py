"""What a run will do, decided before the first step: tasks, rows, shares, steps.

The plan is a pure function of the configuration and the prepared stores. It is written to plan.json and compared when
the run is continued, so a run never goes on with other rows, other labels or another order.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.config import RunConfig
from taskloom.data.mixture import Mixture
from taskloom.data.ragged import offsets_of
from taskloom.data.rows import Drawn
from taskloom.data.store import SplitStore, TaskStore
from taskloom.errors import ConfigError
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import matches

Integers = NDArray[np.int64]

TASK_BITS = 40
"""A place in a split is below 2^40, so task and place are ordered together as one number."""
LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "safetensors", "numpy", "pyarrow")


@dataclass(frozen=True)
class Plan:
    """The trained tasks in order, the key of the head rows each reads, the mixture and the number of steps.

    `left_out` are, by task id, the places in the train split that this run does not draw, ascending.
    """

    tasks: tuple[Task, ...]
    stores: tuple[TaskStore, ...]
    keys: tuple[str, ...]
    mixture: Mixture
    steps: int
    left_out: Mapping[str, Integers] = field(default_factory=dict)

    @property
    def train_splits(self) -> tuple[SplitStore, ...]:
        """The train split of each task."""
        return tuple(store.splits["train"] for store in self.stores)

    def fingerprint(self) -> str:
        """Return the sha256 of the prepared rows of all tasks, in order, less those that are left out."""
        parts = [store.fingerprint for store in self.stores]
        parts += [f"{task}-{_fingerprint(places)}" for task, places in self.left_out.items()]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def rows(self, at: int) -> dict[str, int]:
        """Return how many rows the splits of the `at`-th task have in this run."""
        return rows_used(self.stores[at], self.left_out.get(self.tasks[at].id))

    def drawn(self, step: int) -> Drawn:
        """Return the examples of a step, counted from 1: the mixture's places, moved on past those left out.

        With left-out places d_0 < d_1 < ..., the k-th row that is kept stands at k plus the number of j with
        d_j - j <= k: one binary search for the whole step, whatever the number of tasks.
        """
        task, place, epoch = self.mixture.batch(step)
        keys, starts = self._passed
        passed = np.searchsorted(keys, (task << TASK_BITS) + place, side="right") - starts[task]
        return Drawn(task, place + passed, epoch)

    @cached_property
    def _passed(self) -> tuple[Integers, Integers]:
        """The keys (task, d_j - j) of all tasks, ascending, and where each task's begin."""
        left_out = [self.left_out.get(task.id, np.zeros(0, np.int64)) for task in self.tasks]
        keys = [(at << TASK_BITS) + places - np.arange(len(places)) for at, places in enumerate(left_out)]
        return np.concatenate(keys), offsets_of([len(places) for places in left_out])

    def to_json(self, *, config: RunConfig) -> dict[str, Any]:
        """Return the content of plan.json."""
        return {
            "version": 1,
            "seed": config.seed,
            "steps": self.steps,
            "batch_size": config.training.batch_size,
            "libraries": library_versions(),
            "tasks": {
                task.versioned: {
                    "kind": task.kind.name,
                    "labels": list(self.stores[at].labels),
                    "head": self.keys[at],
                    "rows": self.rows(at),
                    "share": round(float(self.mixture.shares[at]), 6),
                    "fingerprint": self.stores[at].fingerprint,
                    **self._left_out_json(task),
                }
                for at, task in enumerate(self.tasks)
            },
        }

    def _left_out_json(self, task: Task) -> dict[str, Any]:
        places = self.left_out.get(task.id)
        return {} if places is None else {"left_out": {"rows": len(places), "fingerprint": _fingerprint(places)}}


def make_plan(
    config: RunConfig,
    tasks: Sequence[Task],
    stores: Sequence[TaskStore],
    left_out: Mapping[str, Integers] | None = None,
) -> Plan:
    """Return the plan for tasks that all have train rows; raises ConfigError when there are none.

    `left_out` are, by task id, the places in the train split that are not trained on, ascending.
    """
    if not tasks:
        raise ConfigError(
            "No task with train rows is left to train on. Type `taskloom prepare RUN.toml` for the reasons."
        )
    left_out = {task.id: left_out[task.id] for task in tasks if task.id in left_out} if left_out else {}
    sizes = tuple(rows_used(store, left_out.get(task.id))["train"] for task, store in zip(tasks, stores, strict=True))
    mixture = Mixture(
        sizes=sizes,
        weights=tuple(task.weight * _weight_of(task, config.mixture.weights) for task in tasks),
        exponent=config.mixture.exponent,
        floor=config.mixture.floor,
        batch_size=config.training.batch_size,
        seed=config.seed,
    )
    epoch_steps = math.ceil(sum(sizes) * config.training.epochs / config.training.batch_size)
    keys = tuple(
        sharing_key(task, store.labels, share=config.model.share_heads)
        for task, store in zip(tasks, stores, strict=True)
    )
    return Plan(tuple(tasks), tuple(stores), keys, mixture, config.training.steps or max(1, epoch_steps), left_out)


def rows_used(store: TaskStore, left_out: Integers | None = None) -> dict[str, int]:
    """Return how many rows each split of a task has, less the train rows that are left out."""
    rows = {split: len(rows) for split, rows in store.splits.items()}
    return rows if left_out is None else rows | {"train": rows["train"] - len(left_out)}


def _fingerprint(places: Integers) -> str:
    return hashlib.sha256(places.astype("<i8").tobytes()).hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a run's numbers."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _weight_of(task: Task, weights: dict[str, float]) -> float:
    """An exact id counts alone; else the factors of all patterns that match are multiplied."""
    exact = weights.get(task.id, weights.get(task.versioned))
    return exact if exact is not None else math.prod(one for name, one in weights.items() if matches(name, task))
