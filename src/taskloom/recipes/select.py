"""Ids, globs, families, collections and licenses -> tasks, with "did you mean" for what matches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from taskloom.errors import RecipeError, UnknownTaskError, did_you_mean
from taskloom.recipes.catalog import COLLECTIONS, catalog, collections_of
from taskloom.recipes.recasts import can_recast, recast_task, split_recast
from taskloom.recipes.recipe import Task

SELECTORS = ("family", "kind", "role", "license", "license_use", "language", "defect")
"""What may stand before a colon in a pattern: "family:nli", "kind:regression", "defect:*"."""


@dataclass(frozen=True)
class Selection:
    """The chosen tasks in catalog order, recasts last, and the exactly named tasks that an exclusion took away."""

    tasks: tuple[Task, ...]
    excluded_by_name: tuple[str, ...] = ()


def get_task(task_id: str, own: Sequence[Task] = ()) -> Task:
    """Return the task with this id or id@version, or the recast "id+form"; raises UnknownTaskError with nearest ids."""
    every = (*own, *catalog())
    for task in every:
        if task_id in (task.id, task.versioned):
            return task
    bare, _, version = task_id.partition("@")
    base, form = split_recast(bare)
    if form is not None:
        return recast_task(get_task(f"{base}@{version}" if version else base, own), form)
    known = {task.id: task.version for task in every}
    if version and bare in known:
        raise UnknownTaskError(
            f"Task {bare!r} has version {known[bare]}, not {version}. Type {bare!r} for the current one."
        )
    hint = did_you_mean(bare, known)
    raise UnknownTaskError(
        f"There is no task {task_id!r}.{hint} Type `taskloom tasks` for the {len(known)} that there are."
    )


def select(
    patterns: Iterable[str],
    *,
    exclude: Iterable[str] = (),
    license_use: str = "any",
    own: Sequence[Task] = (),
    recast: Sequence[str] = (),
    own_recast: Mapping[str, Sequence[str]] | None = None,
) -> Selection:
    """Return the tasks that any of `patterns` matches and none of `exclude`; one's own tasks are always among them.

    A pattern is an id, an id with its version, a glob over the whole id (`*` crosses `/`), a collection, or
    "field:glob"; with "+form" after it, the recasts of what it matches. `recast` names the forms in which all chosen
    tasks that can be recast are added, `own_recast` those of some of one's own by id. Raises UnknownTaskError for a
    pattern that matches nothing. Exclusions always win.
    """
    every = (*own, *catalog())
    patterns, exclude = tuple(patterns), tuple(exclude)
    asked = [(pattern, *split_recast(pattern)) for pattern in patterns]
    wanted = {task.id for task in own}
    for _, pattern, form in asked:
        wanted |= {task.id for task in _matching(pattern, every)} if form is None else set()
    kept = [task for task in every if task.id in wanted and not _excluded(task, exclude, license_use)]
    made = [task for pattern, base, form in asked if form for task in _recasts(pattern, base, form, every)]
    for task in kept:
        forms = (*recast, *(own_recast or {}).get(task.id, ()))
        made += [recast_task(task, form) for form in forms if can_recast(task)]
    kept += [task for task in dict.fromkeys(made) if not _excluded(task, exclude, license_use)]
    left = {task.id for task in kept}
    named = {task.id for task in (*every, *made) if task.id in patterns or task.versioned in patterns}
    return Selection(tuple(kept), tuple(sorted(named - left)))


def _recasts(pattern: str, base: str, form: str, every: Sequence[Task]) -> list[Task]:
    """Return the recasts of what `base` matches; raises RecipeError when there is nothing that can be recast."""
    found = _matching(base, every)
    if not any(map(can_recast, found)):
        raise RecipeError(
            f"Pattern {pattern!r}: {found[0].id} is of kind {found[0].kind.name}"
            f"{f', and so on for all {len(found)}' if len(found) > 1 else ''}. "
            "Only classification and multilabel tasks can be recast."
        )
    return [recast_task(task, form) for task in found if can_recast(task)]


def _excluded(task: Task, exclude: Sequence[str], license_use: str) -> bool:
    return any(matches(pattern, task) for pattern in exclude) or not _license_allows(task, license_use)


def matches(pattern: str, task: Task) -> bool:
    """Tell whether one pattern matches one task."""
    field, colon, glob = pattern.partition(":")
    if colon and field in SELECTORS:
        value = _selector_value(task, field)
        return value != "" and fnmatchcase(value, glob)
    if pattern in COLLECTIONS:
        return pattern in collections_of(task)
    return pattern in (task.id, task.versioned) or fnmatchcase(task.id, pattern)


def _matching(pattern: str, every: Sequence[Task]) -> list[Task]:
    """An exact id beats a glob: ids may hold characters that a glob would read as its own."""
    exact = [task for task in every if pattern in (task.id, task.versioned)]
    found = exact or [task for task in every if matches(pattern, task)]
    if found:
        return found
    field, colon, _ = pattern.partition(":")
    if colon:
        known = sorted({f"{field}:{_selector_value(task, field)}" for task in every}) if field in SELECTORS else []
        allowed = ", ".join(known) or ", ".join(f"{name}:" for name in SELECTORS)
        raise UnknownTaskError(f"Pattern {pattern!r} matches no task. Allowed: {allowed}.")
    if any(mark in pattern for mark in "*?["):
        raise UnknownTaskError(f"Pattern {pattern!r} matches no task. Type `taskloom tasks` to see all ids.")
    hint = did_you_mean(pattern, [task.id for task in every] + list(COLLECTIONS))
    raise UnknownTaskError(
        f"There is no task or collection {pattern!r}.{hint} Type `taskloom tasks` for the {len(every)} tasks; "
        f"collections are {', '.join(COLLECTIONS)}."
    )


def _selector_value(task: Task, field: str) -> str:
    if field == "kind":
        return task.kind.name
    if field == "defect":
        return task.defect.kind if task.defect else ""
    return str(getattr(task, field) or "unknown")


def _license_allows(task: Task, license_use: str) -> bool:
    return license_use == "any" or task.license_use == license_use
