"""What is known about the catalog's tasks besides their recipes: rows of the whole set, who states the license, BibTeX.

These are facts recorded by docs/make_facts.py and read from the package when they are asked for (4 ms for all tasks),
never at import. A task without a line has no recorded fact, and is shown so: nothing here is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from taskloom.recipes.recipe import OWN_FAMILY, Builtin, Held, Hub, Task

BUILTIN_ROWS = {"train": 2000, "validation": 400, "test": 400}
"""Rows that a built-in generator makes of each split."""


@dataclass(frozen=True)
class Facts:
    """Rows by source split, the source's labels in order (where the recipe names none), license use, who states it.

    All may be empty: nobody has recorded it.
    """

    rows: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    license_use: str | None = None
    stated_by: tuple[str, ...] = ()


def facts_of(task: Task) -> Facts:
    """Return the recorded facts of a catalog task; of a user's own task, whatever its id, there are none."""
    known = isinstance(task.source, Hub) and task.family != OWN_FAMILY
    return recorded().get(task.id, Facts()) if known else Facts()


@cache
def recorded() -> dict[str, Facts]:
    """Return every recorded fact by the id of its task."""
    text = files("taskloom.recipes.catalog").joinpath("facts.jsonl").read_text(encoding="utf-8")
    lines = (json.loads(line) for line in text.splitlines())
    return {line["id"]: _read(line) for line in lines}


def _read(line: dict[str, Any]) -> Facts:
    labels, stated_by = tuple(line.get("labels", ())), tuple(line.get("stated_by", ()))
    return Facts(line.get("rows", {}), labels, line.get("license_use"), stated_by)


def rows_of(task: Task) -> dict[str, int | None]:
    """Return role -> rows in the whole data set before any is found unusable; None where nobody has counted.

    A held-out part is a share of the groups, so its count and that of what it is taken from are approximate.
    """
    counted = BUILTIN_ROWS if isinstance(task.source, Builtin) else facts_of(task).rows
    return {role: _rows(task, split, counted) for role, split in task.splits.roles().items()}


def _rows(task: Task, split: str | Held, counted: dict[str, int]) -> int | None:
    of = split.of if isinstance(split, Held) else split
    if of not in counted:
        return None
    if isinstance(split, Held):
        return round(split.share * counted[of])
    carved = (other for other in task.splits.roles().values() if isinstance(other, Held) and other.of == of)
    return round(counted[of] * (1 - sum(other.share for other in carved)))


def size_of(task: Task) -> int | None:
    """Return the rows that a task is trained on, or for one without train rows, those of its largest split."""
    rows = rows_of(task)
    if "train" in rows:
        return rows["train"]
    return max((count for count in rows.values() if count is not None), default=None)


def license_source(task: Task) -> str:
    """Return who states the license of a task's data, in words."""
    if isinstance(task.source, Builtin):
        return "made by taskloom itself"
    if task.family == OWN_FAMILY:
        return "the run file" if task.license else "nobody: the run file gives no license"
    return "; ".join(facts_of(task).stated_by) or "nobody: no statement is recorded"


@cache
def bibliography() -> dict[str, str]:
    """Return citation key -> BibTeX entry of everything recorded; entries written by hand come first."""
    folder = files("taskloom.recipes.catalog").joinpath("citations")
    found: dict[str, str] = {}
    for name in ("written.bib", "recorded.bib"):
        for entry in re.split(r"\n\n(?=@)", folder.joinpath(name).read_text(encoding="utf-8").strip()):
            key = entry[entry.index("{") + 1 : entry.index(",")]
            found.setdefault(key, entry)
    return found


def without_entry(tasks: Iterable[Task]) -> list[str]:
    """Return the citation keys of `tasks` for which no BibTeX entry is recorded, sorted."""
    return sorted({task.citation for task in tasks if task.citation} - bibliography().keys())
