"""Tasks as lines for people, as JSON for programs and as a page of the documentation.

No data is read: what only the data know is null, and sizes are those that were recorded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from taskloom.errors import UserError, did_you_mean
from taskloom.recipes.catalog import collections_of
from taskloom.recipes.facts import facts_of, license_source, size_of, without_entry
from taskloom.recipes.recipe import FAMILIES, KINDS, LICENSE_USES, OWN_FAMILY, ROLES, Builtin, Hub, Task

HEADER = ("id", "kind", "family", "labels", "rows", "license use")


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


def narrowed(
    tasks: Iterable[Task], *, labels: str | None = None, rows: str | None = None, **wanted: str | None
) -> list[Task]:
    """Return the tasks with these values of family, kind, role and license_use, and with counts within the ranges.

    A range is "3", "3..10", "3.." or "..10"; a task whose count is not known is in none. `rows` are those of `size_of`.
    Raises UserError for a value that is none.
    """
    allowed = {"family": FAMILIES, "kind": KINDS, "role": ROLES, "license_use": LICENSE_USES}
    for field, value in wanted.items():
        if value is not None and value not in allowed[field]:
            flag = f"--{field.replace('_', '-')}"
            hint = did_you_mean(value, allowed[field])
            raise UserError(f"{flag} {value!r} is not one of {', '.join(allowed[field])}.{hint}")
    label_range, row_range = _range("--labels", labels), _range("--rows", rows)
    return [
        task
        for task in tasks
        if all(value in (None, _field(task, field)) for field, value in wanted.items())
        and (labels is None or _within(label_count(task), label_range))
        and (rows is None or _within(size_of(task), row_range))
    ]


def _field(task: Task, field: str) -> str:
    return task.kind.name if field == "kind" else str(getattr(task, field))


def _range(flag: str, given: str | None) -> tuple[float, float]:
    """Return the lowest and the highest count of a range."""
    found = re.fullmatch(r"(\d*)(\.\.)?(\d*)", given or "..")
    if found is None or (given is not None and not any(found.group(1, 3))):
        raise UserError(f"{flag} {given!r} is no range. Type a number such as 3, or 3..10, 3.. or ..10.")
    low, dots, high = found.groups()
    most = float("inf") if dots and not high else float(high or low)
    return float(low or 0), most


def _within(count: int | None, bounds: tuple[float, float]) -> bool:
    return count is not None and bounds[0] <= count <= bounds[1]


def label_count(task: Task) -> int | None:
    """Return how many labels a task has; None if only the data know, or if its kind has none."""
    return len(labels_of(task) or ()) or None


def labels_of(task: Task) -> list[str] | None:
    """Return the labels in the task's own order, [] for kinds without, None if only the data name them.

    Where a recipe takes the source's names, they are those recorded of it.
    """
    if task.kind.name in ("regression", "multiple_choice"):
        return []
    names = getattr(task.kind, "names", None)
    if names is None:
        return _source_labels(task)
    ours = [name if isinstance(name, str) else name[1] for name in names]
    return list(dict.fromkeys(name for name in ours if name is not None))


def _source_labels(task: Task) -> list[str] | None:
    if not isinstance(task.source, Builtin):
        return list(facts_of(task).labels) or None
    from taskloom.recipes.generators import generators

    return list(generators()[task.source.name].labels)


def lines(tasks: Iterable[Task]) -> Iterator[str]:
    """Yield an aligned line a task under a header."""
    rows = [HEADER, *(_cells(task) for task in tasks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(task: Task) -> tuple[str, ...]:
    return (task.id, task.kind.name, task.family, _labels_cell(task), _rows_cell(task), task.license_use)


def _labels_cell(task: Task) -> str:
    labels = labels_of(task)
    return "?" if labels is None else str(len(labels)) if labels else "-"


def _rows_cell(task: Task) -> str:
    size = size_of(task)
    return "?" if size is None else f"{size:,}"


PAGE = """# Tasks

<!-- Made by `taskloom tasks --markdown`: change the recipes, then `make docs`. -->

{count} tasks: {kinds}. {roles}. By what their licenses allow: {uses}.

`taskloom show ID` has more of each: fields, question, labels in order, head, splits, who states the license, citation,
and rows before and after. Rows are those a task is trained on, or of its largest split if it has no train split,
counted in the whole data set; `?` is a number that nobody has recorded. `-` in labels: the kind has none. A task with a
defect is left out of training unless it is asked for by id."""
TABLE = ("task", "kind", "labels", "rows", "license", "use", "source", "remark")


def page(tasks: Sequence[Task]) -> str:
    """Return the documentation's list of tasks in Markdown, a table a family, the largest family first."""
    by_family: dict[str, list[Task]] = {}
    for task in tasks:
        by_family.setdefault(task.family, []).append(task)
    parts = [
        PAGE.format(
            count=len(tasks),
            kinds=_counted(task.kind.name.replace("_", " ") for task in tasks),
            roles=_counted(f"for {'training' if task.role == 'train' else 'evaluation alone'}" for task in tasks),
            uses=_counted(task.license_use for task in tasks),
        )
    ]
    for family, members in sorted(by_family.items(), key=lambda item: (-len(item[1]), item[0])):
        rows = [TABLE, tuple("---" for _ in TABLE), *(_row(task) for task in sorted(members, key=lambda one: one.id))]
        parts += [f"## {family}: {len(members)}", "\n".join("| " + " | ".join(row) + " |" for row in rows)]
    return "\n\n".join([*parts, *_gaps(tasks)]) + "\n"


def _counted(values: Iterable[str]) -> str:
    return ", ".join(f"{count} {value}" for value, count in Counter(values).most_common())


def _row(task: Task) -> tuple[str, ...]:
    source = task.source
    place = (
        f"`{source.repo}`" if isinstance(source, Hub) else "built in" if isinstance(source, Builtin) else "own files"
    )
    remark = f"defect, {task.defect.kind}: {task.defect.reason}" if task.defect else ""
    if task.role == "evaluation":
        remark = "; ".join(filter(None, ("evaluation", remark)))
    cells = (
        f"`{task.id}`", task.kind.name, _labels_cell(task), _rows_cell(task), task.license or "-", task.license_use,
        place, remark,
    )  # fmt: skip
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _gaps(tasks: Sequence[Task]) -> Iterator[str]:
    """Say of which tasks a license statement, a citation or its BibTeX is not known."""
    unstated = [task.id for task in tasks if license_source(task).startswith("nobody")]
    uncited = [task.id for task in tasks if task.citation is None and not isinstance(task.source, Builtin)]
    for title, names in (
        ("No statement of a license is recorded", unstated),
        ("No citation is known", uncited),
        ("Citation keys without a BibTeX entry", without_entry(tasks)),
    ):
        yield f"## {title}: {len(names)}\n\n{', '.join(f'`{name}`' for name in names) or 'None.'}"
