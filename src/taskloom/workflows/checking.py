"""`taskloom check`: recipes against recorded schemas and against rows that are at hand, as lines for people.

Rows come from the mirror folder and from the built-in generators; nothing is downloaded, however many tasks are asked
for. A known fault is counted and does not fail the check; a new one does.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskloom.errors import SourceError, UserError
from taskloom.progress import Progress
from taskloom.recipes.check import BUILT_IN, NEITHER, Fault, TypesReport, check_types
from taskloom.recipes.known import known_faults
from taskloom.recipes.recipe import KINDS, Hub, Task
from taskloom.recipes.recorded import MIRROR, PUBLISHED

if TYPE_CHECKING:
    from taskloom.data.truth import TaskStats

UNREADABLE = "rows cannot be read"
HEADER = ("kind", "tasks", PUBLISHED, MIRROR, "both", NEITHER, BUILT_IN, "rows read", "known", "faulty")


@dataclass(frozen=True)
class Checked:
    """What was found about one task: by types, and by rows where there are any (`stats`, None without)."""

    types: TypesReport
    stats: TaskStats | None = None
    row_faults: tuple[Fault, ...] = ()

    @property
    def task(self) -> Task:
        """The task that was checked."""
        return self.types.task

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Faults that nobody has listed: these fail the check."""
        return tuple(fault for fault in self._all() if (fault.task, fault.name) not in known_faults())

    @property
    def known(self) -> tuple[Fault, ...]:
        """Faults that are listed."""
        return tuple(fault for fault in self._all() if (fault.task, fault.name) in known_faults())

    @property
    def gone(self) -> tuple[str, ...]:
        """Listed faults that the rows no longer show; nothing is gone where no row was read."""
        found = {fault.name for fault in self._all()}
        listed = [name for task, name in known_faults() if task == self.task.id]
        return tuple(name for name in listed if self.stats and name not in found)

    def _all(self) -> tuple[Fault, ...]:
        return self.types.faults + self.row_faults


def check_tasks(
    tasks: Sequence[Task],
    *,
    data: bool = True,
    mirror: Path | None = None,
    stats: Path | None = None,
    progress: Progress | None = None,
) -> list[Checked]:
    """Check tasks one by one; with `data` also on the rows that `mirror`, else TASKLOOM_MIRROR, or a generator has.

    A recast has no columns of its own: the task that it is made of is checked in its place, once. `stats` is a file
    that the figures of the rows are written to. Raises SourceError when the mirror folder does not
    exist, UserError for figures without rows or a file that cannot be.
    """
    folder = mirror or (Path(os.environ["TASKLOOM_MIRROR"]) if os.environ.get("TASKLOOM_MIRROR") else None)
    if stats is not None and not data:
        raise UserError("--write-stats writes figures of rows, and --no-data reads none. Leave one of them out.")
    if stats is not None and not stats.absolute().parent.is_dir():
        raise UserError(f"--write-stats {stats}: there is no folder {stats.absolute().parent}. Make it first.")
    if data and folder is not None and not folder.is_dir():
        raise SourceError(
            f"The mirror folder {folder} does not exist. Give a folder laid out OWNER/NAME, or --no-data."
        )
    tasks = list(dict.fromkeys(task.recast.of if task.recast else task for task in tasks))
    checked = []
    with (progress or Progress()).bar("checking tasks", len(tasks)) as bar:
        for task in tasks:
            checked.append(_check(task, folder) if data else Checked(check_types(task)))
            bar.advance(note=task.id)
    if stats is not None:
        stats.write_text("".join(stats_lines(checked)), encoding="utf-8")
    return checked


def _check(task: Task, mirror: Path | None) -> Checked:
    from taskloom.data.mirror import has_config
    from taskloom.data.source import read
    from taskloom.data.standardize import standardize
    from taskloom.data.truth import examine

    types = check_types(task)
    source = task.source
    if isinstance(source, Hub) and (mirror is None or not has_config(mirror / source.repo, source.config)):
        return Checked(types)
    try:
        raw = read(task, mirror=mirror)
        stats, faults = examine(raw, standardize(task, raw))
    except UserError as error:
        return Checked(types, None, (Fault(task.id, UNREADABLE, f"{UNREADABLE}: {error}"),))
    return Checked(types, stats, faults)


def problem_lines(checked: Iterable[Checked]) -> Iterator[str]:
    """Yield a line for each fault that fails the check, and for each listed one that is gone."""
    for one in checked:
        for fault in one.faults:
            yield f"{fault.task}: {fault.message}"
        for name in one.gone:
            yield f"{one.task.id}: {name}: no longer found on these rows, but listed in known_faults.jsonl"


def remark_lines(checked: Sequence[Checked]) -> Iterator[str]:
    """Yield what is no fault and worth knowing: differences from 2022, and on what recipes without a schema rest."""
    grounds: dict[str, list[str]] = {}
    for one in checked:
        for difference in one.types.differences:
            yield f"{one.task.id} differs: {difference}"
        if NEITHER in one.types.evidence and one.task.rests_on:
            grounds.setdefault(one.task.rests_on, []).append(one.task.id)
    for ground, tasks in grounds.items():
        yield f"{len(tasks)} tasks rest on {ground}: {', '.join(tasks)}"


def figure_lines(checked: Sequence[Checked]) -> Iterator[str]:
    """Yield an aligned table: tasks by kind and evidence, rows read, known faults, and tasks that are faulty."""
    kinds = [kind for kind in KINDS if any(one.task.kind.name == kind for one in checked)]
    parts = {kind: [one for one in checked if one.task.kind.name == kind] for kind in kinds}
    rows = [HEADER, *((kind, *_counts(part)) for kind, part in parts.items()), ("all", *_counts(checked))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join((row[0].ljust(len(first)), *others))


def _counts(part: Sequence[Checked]) -> tuple[str, ...]:
    """`source schema` and `mirror rows` count tasks with that evidence alone."""
    evidence = Counter("both" if len(one.types.evidence) > 1 else one.types.evidence[0] for one in part)
    rows = sum(split.rows for one in part if one.stats for split in one.stats.splits.values())
    known, faulty = sum(len(one.known) for one in part), sum(bool(one.faults) for one in part)
    by_evidence = [evidence[name] for name in (PUBLISHED, MIRROR, "both", NEITHER, BUILT_IN)]
    return tuple(f"{count:,}" for count in (len(part), *by_evidence, rows, known, faulty))


def stats_lines(checked: Iterable[Checked]) -> Iterator[str]:
    """Yield the figures of each task whose rows were read, as lines of JSON."""
    for one in checked:
        if one.stats:
            yield json.dumps(one.stats.to_json(), ensure_ascii=False) + "\n"


def report_lines(checked: Sequence[Checked], *, seconds: float) -> Iterator[str]:
    """Yield the whole report: faults first, then remarks, then figures and the time that it took."""
    parts = [list(lines) for lines in (problem_lines(checked), remark_lines(checked), figure_lines(checked))]
    for part in parts:
        yield from (*part, "") if part else ()
    faulty = sum(bool(one.faults) for one in checked)
    read = sum(one.stats is not None for one in checked)
    yield f"{len(checked)} recipes checked in {seconds:.1f} s, {read} of them on rows; {faulty} faulty"
