"""Tasks that a run never sees: which they are, and what else is made of the same data.

A task is out when it is held out itself, when it is a recast of one that is, or when it reads the same configuration of
the same repository. Rows that merely stand in another data set too are the business of `overlapping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskloom.recipes.recipe import Builtin, Hub, Task
from taskloom.recipes.select import select


def held_out_tasks(patterns: Sequence[str]) -> tuple[Task, ...]:
    """Return the tasks of the catalog that the patterns match, benchmarks and defects too, recasts as what they are of.

    Raises UnknownTaskError for a pattern that matches nothing.
    """
    return tuple(dict.fromkeys(base_of(task) for task in select(patterns).tasks)) if patterns else ()


def base_of(task: Task) -> Task:
    """Return the task whose rows a recast is made of, else the task itself."""
    return task.recast.of if task.recast else task


def data_set(task: Task) -> str:
    """Return what a task reads, in one line: repository and configuration, a generator, or its own files."""
    source = base_of(task).source
    if isinstance(source, Hub):
        return f"{source.repo}/{source.config or 'default'}"
    return f"builtin/{source.name}" if isinstance(source, Builtin) else f"files of {base_of(task).id}"


def is_held_out(task: Task, held_out: Iterable[Task]) -> bool:
    """Tell whether a task is one of those held out, a recast of one, or another reading of the same data set."""
    mine = base_of(task)
    return any(mine.id == other.id or data_set(mine) == data_set(other) for other in held_out)
