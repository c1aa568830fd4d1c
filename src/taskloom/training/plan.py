"""What a run will do, decided before the first step: tasks, rows, shares, steps.

The plan is a pure function of the configuration and the prepared stores. It is written to plan.json and compared when
the run is continued, so a run never goes on with other rows, other labels or another order.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taskloom.config import RunConfig
from taskloom.data.mixture import Mixture
from taskloom.data.store import SplitStore, TaskStore
from taskloom.errors import ConfigError
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Task

LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "safetensors", "numpy", "pyarrow")


@dataclass(frozen=True)
class Plan:
    """The trained tasks in order, the key of the head rows each reads, the mixture and the number of steps."""

    tasks: tuple[Task, ...]
    stores: tuple[TaskStore, ...]
    keys: tuple[str, ...]
    mixture: Mixture
    steps: int

    @property
    def train_splits(self) -> tuple[SplitStore, ...]:
        """The train split of each task."""
        return tuple(store.splits["train"] for store in self.stores)

    def fingerprint(self) -> str:
        """Return the sha256 of the prepared rows of all tasks, in order."""
        return hashlib.sha256(" ".join(store.fingerprint for store in self.stores).encode()).hexdigest()

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
                    "labels": list(store.labels),
                    "head": key,
                    "rows": {split: len(rows) for split, rows in store.splits.items()},
                    "share": round(share, 6),
                    "fingerprint": store.fingerprint,
                }
                for task, store, key, share in zip(self.tasks, self.stores, self.keys, self.mixture.shares, strict=True)
            },
        }


def make_plan(config: RunConfig, tasks: Sequence[Task], stores: Sequence[TaskStore]) -> Plan:
    """Return the plan for tasks that all have train rows; raises ConfigError when there are none."""
    if not tasks:
        raise ConfigError(
            "No task with train rows is left to train on. Type `taskloom prepare RUN.toml` for the reasons."
        )
    sizes = tuple(len(store.splits["train"]) for store in stores)
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
    return Plan(tuple(tasks), tuple(stores), keys, mixture, config.training.steps or max(1, epoch_steps))


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a run's numbers."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _weight_of(task: Task, weights: dict[str, float]) -> float:
    return weights.get(task.id, weights.get(task.versioned, 1.0))
