"""Tasks as lines for people and as JSON for programs. No data is read: what only the data know is null."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from taskloom.errors import UserError, did_you_mean
from taskloom.recipes.catalog import collections_of
from taskloom.recipes.recipe import FAMILIES, KINDS, OWN_FAMILY, ROLES, Builtin, Task

HEADER = ("id", "kind", "family", "labels", "license")


def describe(task: Task) -> dict[str, Any]:
    """Return one element of what `taskloom tasks --json` prints."""
    return {
        "id": task.id,
        "version": task.version,
        "kind": task.kind.name,
        "role": task.role,
        "family": task.family,
        "labels": labels_of(task),
        "license": task.license,
        "license_use": task.license_use,
        "collections": [] if task.family == OWN_FAMILY else list(collections_of(task)),
        "head": task.head,
        "defect": {"kind": task.defect.kind, "reason": task.defect.reason} if task.defect else None,
    }


def narrowed(tasks: Iterable[Task], **wanted: str | None) -> list[Task]:
    """Return the tasks with these values of family, kind and role; raises UserError for a value that is none."""
    allowed = {"family": FAMILIES, "kind": KINDS, "role": ROLES}
    for field, value in wanted.items():
        if value is not None and value not in allowed[field]:
            hint = did_you_mean(value, allowed[field])
            raise UserError(f"--{field} {value!r} is not one of {', '.join(allowed[field])}.{hint}")
    return [task for task in tasks if all(value in (None, _field(task, field)) for field, value in wanted.items())]


def _field(task: Task, field: str) -> str:
    return task.kind.name if field == "kind" else str(getattr(task, field))


def labels_of(task: Task) -> list[str] | None:
    """Return the labels in the task's own order, [] for kinds without, None if the data set names them."""
    if task.kind.name in ("regression", "multiple_choice"):
        return []
    names = getattr(task.kind, "names", None)
    if names is None:
        return _generated_labels(task)
    ours = [name if isinstance(name, str) else name[1] for name in names]
    return list(dict.fromkeys(name for name in ours if name is not None))


def _generated_labels(task: Task) -> list[str] | None:
    if not isinstance(task.source, Builtin):
        return None
    from taskloom.recipes.generators import generators

    return list(generators()[task.source.name].labels)


def lines(tasks: Iterable[Task]) -> Iterator[str]:
    """Yield an aligned line a task under a header."""
    rows = [HEADER, *(_cells(task) for task in tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(task: Task) -> tuple[str, ...]:
    labels = labels_of(task)
    count = "its own" if labels is None else str(len(labels)) if labels else "-"
    use = task.license_use if task.license_use != "unspecified" else "license unknown"
    return (task.id, task.kind.name, task.family, count, use)
