"""What a model has been trained on and what was kept from it, as its heads.json records it.

A model that starts from another one has seen what that one saw, and nothing more is held out than both kept away. So
the record is whole in every model folder, and nobody has to go back through the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taskloom.modeling.model import read_record
from taskloom.modeling.warm_start import is_model_folder
from taskloom.recipes.catalog import catalog
from taskloom.recipes.held_out import base_of, data_set
from taskloom.recipes.recipe import Task


@dataclass(frozen=True)
class Lineage:
    """Trained tasks by id without version, each with its data set, and the ids of tasks held out, rows and all.

    `known` is False for an encoder that is no model of ours: what it was trained on is then written nowhere.
    """

    trained: Mapping[str, str] = field(default_factory=dict)
    held_out: tuple[str, ...] = ()
    known: bool = True

    def after(self, tasks: Iterable[Task], held_out: Iterable[Task]) -> Lineage:
        """Return the lineage of a model that starts from this one and is trained on `tasks`."""
        away = tuple(dict.fromkeys(task.id for task in held_out))
        if self.known and self.trained:
            away = tuple(task for task in away if task in self.held_out)
        return Lineage({**self.trained, **{base_of(task).id: data_set(task) for task in tasks}}, away)

    def besides(self, tasks: Iterable[Task]) -> tuple[str, ...]:
        """Return the ids of the trained tasks that are none of `tasks`, recasts counted as what they are of."""
        mine = {base_of(task).id for task in tasks}
        return tuple(task for task in self.trained if task not in mine)

    def seen(self, task: Task) -> str:
        """Return why a task counts as seen, or an empty string: by its id or by its data set."""
        mine = base_of(task)
        if mine.id in self.trained:
            return f"trained on {mine.id}"
        same = [other for other, where in self.trained.items() if where == data_set(mine)]
        return f"trained on {same[0]}, of the same data set" if same else ""

    def to_json(self) -> dict[str, Any]:
        """Return what heads.json holds under "training"."""
        return {"tasks": dict(sorted(self.trained.items())), "held_out": list(self.held_out)}


def lineage_of(folder: Path) -> Lineage:
    """Return the lineage of an encoder's or a model's folder.

    A model folder from before the record was kept tells its tasks by its heads; nothing of it counts as held out.
    """
    if not is_model_folder(folder):
        return Lineage(known=False)
    record = read_record(folder)
    training = record.get("training")
    if training is not None:
        return Lineage(training["tasks"], tuple(training["held_out"]))
    ids = {str(head["id"]).partition("+")[0] for head in record["tasks"]}
    sources = {task.id: data_set(task) for task in catalog()}
    return Lineage({task: sources.get(task, f"files of {task}") for task in sorted(ids)})
