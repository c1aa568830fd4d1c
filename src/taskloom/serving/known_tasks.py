"""What a server tells about the trained tasks: heads from the model, the rest from the recipes of the same ids."""

from __future__ import annotations

from taskloom.errors import UserError
from taskloom.inference.predictor import Model
from taskloom.modeling.head_table import Head
from taskloom.recipes.recipe import Builtin, Hub, Task
from taskloom.recipes.select import get_task
from taskloom.serving.bodies import TaskAnswer, TasksAnswer


def model_name(model: Model) -> str:
    """Return what to call a model: its run's name, else its folder's."""
    folder = model.folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def known_tasks(model: Model) -> TasksAnswer:
    """Return the model and its tasks, in the order of training."""
    one_pass, matching = model.network.table.one_pass(), model.network.table.matching()
    return TasksAnswer(
        model=model_name(model),
        zero_shot=model.zero_shot_task,
        one_pass=one_pass.task if one_pass else None,
        matching=matching.task if matching else None,
        tasks=[_described(head) for head in model.heads],
    )


def _described(head: Head) -> TaskAnswer:
    plain = TaskAnswer(
        id=head.id, version=int(head.task.rpartition("@")[2]), kind=head.kind, labels=list(head.labels),
        low=head.low, high=head.high,
    )  # fmt: skip
    task = _recipe(head)
    if task is None:
        return plain
    pair = getattr(task.kind, "pair", None) is not None if hasattr(task.kind, "pair") else None
    more = {
        "pair": pair, "question": task.question or None, "family": task.family, "source": _source(task),
        "license": task.license,
    }  # fmt: skip
    return plain.model_copy(update=more)


def _recipe(head: Head) -> Task | None:
    """Return the recipe of this id and version, or None: one's own tasks stand in run files alone."""
    try:
        return get_task(head.task)
    except UserError:
        return None


def _source(task: Task) -> str | None:
    source = task.recast.of.source if task.recast else task.source
    if isinstance(source, Hub):
        return f"{source.repo}, {source.config}" if source.config else source.repo
    return "generated" if isinstance(source, Builtin) else None
