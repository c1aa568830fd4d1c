"""A task as a page of text: where it comes from, what it asks, whom it shares a head with, rows before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import UserError
from taskloom.listing import labels_of
from taskloom.recipes.catalog import catalog, collections_of
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import OWN_FAMILY, Builtin, Hub, Task

if TYPE_CHECKING:
    from taskloom.data.source import RawTask
    from taskloom.data.standardize import CanonicalTask

CUT = 300
"""Characters shown of one value."""
NAMED = 12


def describe_task(task: Task, *, rows: int, mirror: str = "") -> str:
    """Return the page of a task; with rows=0 no data is read. Rows that cannot be read are told in their place."""
    lines = [f"{name + ':':<12}{value}" for name, value in _facts(task)]
    lines += _sharing(task)
    if rows:
        lines += ["", *_rows(task, rows, mirror)]
    return "\n".join(lines)


def _facts(task: Task) -> Iterator[tuple[str, str]]:
    yield "task", task.versioned
    yield "kind", task.kind.name
    yield "family", f"{task.family}, role {task.role}, language {task.language}"
    if task.family != OWN_FAMILY:
        yield "collections", ", ".join(collections_of(task))
    yield "source", _source(task)
    if task.recast:
        yield "recast", f"the rows of {task.recast.of.versioned} as {task.recast.form}"
    for name, field in task.fields().items():
        yield name, str(field)
    yield "splits", ", ".join(f"{role} from {split}" for role, split in task.splits.roles().items())
    for condition in task.where:
        yield (
            "rows",
            f"{'only' if condition.keep else 'not'} where {condition.column} is "
            f"{', '.join(map(str, condition.values))}",
        )
    yield "question", task.question or "-"
    yield (
        "labels",
        ", ".join(labels_of(task) or ["named by the data"])
        if task.kind.name not in ("regression", "multiple_choice")
        else "-",
    )
    yield "license", f"{task.license or 'unknown'} ({task.license_use} use)"
    yield "citation", task.citation or "-"
    if task.defect:
        yield "defect", f"{task.defect.kind}: {task.defect.reason}"


def _source(task: Task) -> str:
    source = task.source
    if isinstance(source, Hub):
        return f"{source.repo}, config {source.config or 'default'}, revision {source.revision or 'newest'}"
    if isinstance(source, Builtin):
        return f"built-in generator {source.name}"
    return ", ".join(path for _, paths in source.splits for path in paths)


def _sharing(task: Task) -> list[str]:
    """Name the tasks of the catalog that read the same head rows, as far as the recipes know the labels."""
    labels = labels_of(task)
    if labels is None:
        return [f"{'head:':<12}as its labels, which the data name"]
    key = sharing_key(task, labels)
    others = [
        other.id
        for other in catalog()
        if other.id != task.id and (names := labels_of(other)) is not None and sharing_key(other, names) == key
    ]
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    shared = f"shared with {', '.join(others[:NAMED])}{more}" if others else "shared with no other task"
    return [f"{'head:':<12}{key}", f"{'':<12}{shared}"]


def _rows(task: Task, rows: int, mirror: str) -> list[str]:
    from taskloom.data.recast import canonical_rows
    from taskloom.data.source import read

    try:
        raw = read(task, mirror=Path(mirror) if mirror else None)
        return list(_page(raw, canonical_rows(task, raw), rows))
    except UserError as error:
        return [f"No rows: {error}"]


def _page(raw: RawTask, canonical: CanonicalTask, rows: int) -> Iterator[str]:
    yield f"rows, read from {raw.where}:"
    for role, table in canonical.splits.items():
        unused = ", ".join(f"{count} {reason}" for reason, count in canonical.unused[role].items())
        yield f"  {role}: {len(table)} rows" + (f", unused: {unused}" if unused else "")
    if canonical.missing_splits:
        yield f"  not in this source: {', '.join(canonical.missing_splits)}"
    role, table = next(iter(canonical.splits.items()))
    split = canonical.task.splits.roles()[role]
    before = raw.splits[split if isinstance(split, str) else split.of]
    for row in table.slice(0, rows).to_pylist():
        yield ""
        yield f"before: {_shown(before.slice(row['row'], 1).to_pylist()[0])}"
        yield f"after:  {_shown(_named(row, canonical.labels))}"


def _named(row: dict[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    """Put label names in the place of ids."""
    named = dict(row)
    if labels and "label" in row:
        named["label"] = labels[row["label"]]
    if labels and "labels" in row:
        named["labels"] = [labels[label] for label in row["labels"]]
    return named


def _shown(row: dict[str, Any]) -> str:
    cut = {
        name: value[:CUT] + "..." if isinstance(value, str) and len(value) > CUT else value
        for name, value in row.items()
    }
    return json.dumps(cut, ensure_ascii=False, default=str)
