"""A task as a page of text: where it comes from, what it asks, whom it shares a head with, rows before and after."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import UserError, some_of_names
from taskloom.recipes.catalog import catalog, collections_of
from taskloom.recipes.cautions import cautions_of
from taskloom.recipes.facts import bibliography, license_source, rows_of
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import OWN_FAMILY, Builtin, Held, Hub, MultipleChoice, Regression, Task
from taskloom.recipes.select import get_task
from taskloom.workflows.listing import labels_of

if TYPE_CHECKING:
    from taskloom.data.source import RawTask
    from taskloom.data.standardize import CanonicalTask

CUT = 300
"""Characters shown of one text."""
ELEMENTS = 20
"""Elements shown of one list."""
NAMED = 12
"""Tasks named that share a head."""
INDENT = " " * 13
"""The width of the column of names."""


def describe_task(task: Task, *, rows: int, mirror: str = "") -> str:
    """Return the page of a task; with rows=0 no data is read. Rows that cannot be read are told in their place."""
    lines = [f"{name + ':':<{len(INDENT)}}{value}" for name, value in _facts(task)]
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
    rows = rows_of(task)
    for role, split in task.splits.roles().items():
        yield role, f"{_split(split)}, {'rows unknown' if rows[role] is None else f'{rows[role]:,} rows'}"
    for condition in task.where:
        values = ", ".join(map(str, condition.values))
        yield "rows", f"{'only' if condition.keep else 'not'} where {condition.column} is {values}"
    yield "question", task.question or "-"
    yield "labels", _labels(task)
    yield "license", f"{task.license or 'not named'}, {task.license_use} use"
    yield "stated by", license_source(task)
    yield "citation", _citation(task)
    if task.defect:
        yield "defect", f"{task.defect.kind}: {task.defect.reason}"
    for caution in cautions_of(task):
        yield "caution", caution


def _split(split: str | Held) -> str:
    if isinstance(split, str):
        return split
    return f"about {split.share:.0%} of {split.of}, by {split.by or 'text'}"


def _labels(task: Task) -> str:
    if isinstance(task.kind, Regression):
        return f"a score from {task.kind.low:g} to {task.kind.high:g}"
    if isinstance(task.kind, MultipleChoice):
        return "each row's own choices"
    return ", ".join(labels_of(task) or ["named by the data"])


def _citation(task: Task) -> str:
    if task.citation is None:
        return "none is known"
    entry = bibliography().get(task.citation)
    return f"{task.citation}, without a BibTeX entry" if entry is None else textwrap.indent(entry, INDENT).strip()


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
        return [f"{'head:':<{len(INDENT)}}as its labels, which the data name"]
    key = sharing_key(task, labels)
    others = [
        other.id
        for other in catalog()
        if other.id != task.id and (names := labels_of(other)) is not None and sharing_key(other, names) == key
    ]
    shared = f"shared with {some_of_names(others, NAMED)}" if others else "shared with no other task"
    return [f"{'head:':<{len(INDENT)}}{key}", f"{INDENT}{shared}"]


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
    return json.dumps(_cut(row), ensure_ascii=False, default=str)


def _cut(value: Any) -> Any:
    """Shorten long texts and lists, also those inside of records."""
    if isinstance(value, str):
        return value[:CUT] + "..." if len(value) > CUT else value
    if isinstance(value, list):
        more = [f"... and {len(value) - ELEMENTS} more"] if len(value) > ELEMENTS else []
        return [*map(_cut, value[:ELEMENTS]), *more]
    return {name: _cut(part) for name, part in value.items()} if isinstance(value, dict) else value


def show(task_id: str, *, rows: int = 3, mirror: str = "") -> str:
    """Return what a person wants to know of a task, with some rows before and after standardizing."""
    return describe_task(get_task(task_id), rows=rows, mirror=mirror)
