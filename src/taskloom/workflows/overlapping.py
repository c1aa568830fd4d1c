"""`taskloom overlap`, and the rows that a run leaves out: all train rows of a run held against all evaluated ones.

The store of a task is shared by runs, so it keeps every row, and what a run leaves out is a list of its own: computed
when the run is prepared, kept in the cache under the fingerprints of all stores involved, and written into plan.json by
number and fingerprint. A recast is looked at through the task that it is made of: its texts are wrapped in other words,
and its rows carry the same source row. The price: rows are read a second time the first time a run is prepared.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.data.whole import write_whole
from taskloom.errors import ConfigError, DataError, UserError
from taskloom.progress import Progress
from taskloom.recipes.recipe import Task

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from taskloom.data.overlap import Overlap, OverlapIndex
    from taskloom.data.standardize import CanonicalTask
    from taskloom.data.store import TaskStore

FORMAT = 1
"""Raised whenever the same rows would be found otherwise; what an older version kept is then passed over."""
EVALUATION_SPLITS = ("validation", "test")
LOWEST, HIGHEST = 0.6, 1.0
"""Thresholds that the bands are made for: of pairs at 0.6 a third is missed, and below that most."""
SHOWN = 20
"""Pairs of task and split of which an example is printed."""
HEADER = ("trained", "evaluated", "exact", "near", "text only", "evaluation rows touched")

Read = Callable[[Task], "CanonicalTask"]


@dataclass(frozen=True)
class OverlapReport:
    """What was found: by task pair; the source rows to leave out by task id; tasks that could not be read."""

    threshold: float
    overlaps: tuple[Overlap, ...]
    left_out: dict[str, tuple[int, ...]]
    train_rows: int
    evaluation_rows: int
    failed: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `left_out` holds numbers of rows."""
        return {
            "version": FORMAT,
            "threshold": self.threshold,
            "train_rows": self.train_rows,
            "evaluation_rows": self.evaluation_rows,
            "overlaps": [
                {**dataclasses.asdict(one), "touched_share": round(one.touched_share, 6)} for one in self.overlaps
            ],
            "left_out": {task: len(rows) for task, rows in self.left_out.items()},
            "failed": self.failed,
        }


def check_threshold(threshold: float) -> None:
    """Raise ConfigError for a threshold that the search is not made for."""
    if not LOWEST <= threshold <= HIGHEST:
        raise ConfigError(
            f"--threshold {threshold:g} is not a Jaccard similarity that can be searched for. Allowed: {LOWEST:g} to "
            f"{HIGHEST:g}; training leaves out what is at 0.8 or above."
        )


def find_overlap(
    tasks: Sequence[Task],
    read: Read,
    *,
    max_rows: Callable[[Task], int],
    against: Sequence[Task] = (),
    held_out: Sequence[Task] = (),
    threshold: float | None = None,
    stop: bool = False,
    progress: Progress | None = None,
) -> OverlapReport:
    """Hold the train rows of `tasks`, after their caps, against the evaluation rows of `tasks` and of `against`.

    Of `held_out` the train rows count as well, after their caps: few-shot transfer learns from them and must not find
    them known. A task that cannot be read is listed and the others go on, unless `stop`. Raises DataError when no
    evaluation row is left.
    """
    from taskloom.data.overlap import THRESHOLD, OverlapIndex

    progress = progress or Progress()
    trained = _bases(tasks)
    kept_away = [task for task in _bases(held_out) if task not in trained]
    others = [task for task in _bases(against) if task not in (*trained, *kept_away)]
    recast = {task.recast.of for task in tasks if task.recast}
    index = OverlapIndex(threshold=THRESHOLD if threshold is None else threshold)
    failed: dict[str, str] = {}
    with progress.bar("reading evaluation rows", len(trained) + len(kept_away) + len(others)) as bar:
        for task in (*trained, *kept_away, *others):
            rows = _rows(task, read, failed, stop=stop)
            for split in EVALUATION_SPLITS if rows else ():
                if rows and split in rows.splits:
                    index.add(task.id, split, rows.splits[split], in_run=task not in others)
            if rows and task in kept_away and "train" in rows.splits:
                index.add(task.id, "train", _capped(rows, max_rows(task)))
            bar.advance(note=task.id)
    _check_any(index, failed)
    index.finish()
    found: list[Overlap] = []
    left_out: dict[str, tuple[int, ...]] = {}
    train_rows = 0
    with progress.bar("comparing train rows", len(trained)) as bar:
        for task in trained:
            rows = None if task.id in failed else read(task)
            if rows and "train" in rows.splits:
                table = rows.splits["train"] if task in recast else _capped(rows, max_rows(task))
                searched = index.search(task.id, [table])
                found += searched.overlaps
                left_out[task.id] = tuple(searched.leaked.tolist())
                train_rows += len(table)
            bar.advance(note=task.id)
    return OverlapReport(
        threshold=index.threshold,
        overlaps=tuple(found),
        left_out={task: rows for task, rows in left_out.items() if rows},
        train_rows=train_rows,
        evaluation_rows=sum(one.rows for one in index.evaluated),
        failed=failed,
    )


def _check_any(index: OverlapIndex, failed: Mapping[str, str]) -> None:
    if not index.evaluated:
        raise DataError(
            "None of the tasks has validation or test rows to look for"
            + "".join(f"; {task}: {reason}" for task, reason in failed.items())
            + ". Type `taskloom show TASK` for the splits of a task, or add --against PATTERN."
        )


def left_out_places(
    tasks: Sequence[Task],
    stores: Sequence[TaskStore],
    read: Read,
    *,
    max_rows: Callable[[Task], int],
    cache: Path,
    progress: Progress,
    held_out: Sequence[Task] = (),
) -> dict[str, NDArray[np.int64]]:
    """Return by task id the places in its train split that a run of these tasks leaves out, ascending.

    The list is computed once for the same stores and held-out rows and kept in `cache`.
    """
    import numpy as np

    from taskloom.data.locks import locked

    if not held_out and not any(split in store.splits for store in stores for split in EVALUATION_SPLITS):
        return {}  # nothing is evaluated, so nothing can leak
    kept_away = [(task.fingerprint(), read(task).fingerprint, max_rows(task)) for task in held_out]
    path = cache / "overlap" / f"{_key(stores, kept_away)}.json"
    with locked(cache / "locks" / f"{path.stem}.lock"):
        rows = _kept(path)
        if rows is None:
            found = find_overlap(tasks, read, max_rows=max_rows, held_out=held_out, stop=True, progress=progress)
            rows = found.left_out
            _keep(path, rows)
    places_by_task = {}
    for task, store in zip(tasks, stores, strict=True):
        leaked = rows.get(task.recast.of.id if task.recast else task.id, ())
        if leaked and "train" in store.splits:
            places = np.flatnonzero(np.isin(store.splits["train"].rows, np.asarray(leaked)))
            if len(places):
                places_by_task[task.id] = places
    return places_by_task


def report_lines(report: OverlapReport, *, seconds: float) -> Iterator[str]:
    """Yield the report for people: a table by task pair, most touched first, examples of the first, and sums."""
    whole = [one for one in report.overlaps if one.exact + one.near]
    whole.sort(key=lambda one: (-one.touched_share, one.train, one.evaluated.task, one.evaluated.split))
    if whole:
        yield from _table([HEADER, *map(_cells, whole)])
        yield ""
        yield from _examples(whole[:SHOWN])
    texts = len(report.overlaps) - len(whole)
    if texts:
        yield f"{texts} further pairs of task and split share texts but no row; --json lists them."
    for task, reason in report.failed.items():
        yield f"{task} cannot be used: {reason}"
    dropped = sum(map(len, report.left_out.values()))
    yield (
        f"{report.train_rows:,} train rows against {report.evaluation_rows:,} evaluation rows in {seconds:.1f} s: "
        f"{len(whole)} pairs of task and split with duplicates at {report.threshold:g} or above; data.drop_overlap "
        f"leaves out {dropped:,} rows of {len(report.left_out)} tasks"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        aligned = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()


def _cells(one: Overlap) -> tuple[str, ...]:
    touched = f"{one.touched:,} of {one.evaluated.rows:,} ({one.touched_share:.1%})"
    short = f" ({one.short:,} short)" if one.short else ""
    counts = (f"{one.exact:,}{short}", f"{one.near:,}", f"{one.same_text:,}")
    return one.train, f"{one.evaluated.task} {one.evaluated.split}", *counts, touched


def _examples(overlaps: Iterable[Overlap]) -> Iterator[str]:
    for one in overlaps:
        if one.example:
            found = one.example
            alike = "exact" if found.similarity == 1 else f"Jaccard {found.similarity:.2f}"
            yield f"{one.train} train, row {found.train_row}: {' '.join(found.train_text.split())}"
            yield (
                f"  {alike}, {one.evaluated.task} {one.evaluated.split}, row {found.evaluation_row}: "
                f"{' '.join(found.evaluation_text.split())}"
            )
    yield ""


def _bases(tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks, each recast replaced by the task that it is made of, each once."""
    return list(dict.fromkeys(task.recast.of if task.recast else task for task in tasks))


def _rows(task: Task, read: Read, failed: dict[str, str], *, stop: bool) -> CanonicalTask | None:
    try:
        return read(task)
    except UserError as error:
        if stop:
            raise
        failed[task.id] = str(error)
        return None


def _capped(rows: CanonicalTask, most: int) -> pa.Table:
    from taskloom.data.kept import capped

    return capped(rows.splits["train"], rows.task.id, most)


def _key(stores: Sequence[TaskStore], held_out: Sequence[tuple[str, str, int]]) -> str:
    from taskloom.data.overlap import SHORTEST, THRESHOLD

    version = importlib.metadata.version("rensa")  # another version may draw other permutations
    parts = (FORMAT, THRESHOLD, SHORTEST, version, [(store.id, store.fingerprint) for store in stores], *held_out)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _kept(path: Path) -> dict[str, tuple[int, ...]] | None:
    """Return a list that was kept; one that cannot be read counts as missing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {task: tuple(rows) for task, rows in found.items()}


def _keep(path: Path, rows: dict[str, tuple[int, ...]]) -> None:
    write_whole(path, json.dumps(rows))


@dataclass(frozen=True)
class Touched:
    """By task id and split, how many rows there are and how many of them stand in what was looked through; and what
    could not be read."""

    rows: dict[tuple[str, str], tuple[int, int]]
    failed: dict[str, str]

    def of(self, task: Task) -> tuple[float, str]:
        """Return the share of the most touched split of a task, and what is to be told of it, if anything."""
        found = {split: counts for (name, split), counts in self.rows.items() if name == task.id and counts[1]}
        told = [f"{touched} of {rows} {split} rows" for split, (rows, touched) in found.items()]
        sentences = [f"{', '.join(told)} stand in its train rows"] if told else []
        sentences += [f"not looked through: {', '.join(self.failed)}"] if self.failed else []
        return max((touched / rows for rows, touched in found.values()), default=0.0), "; ".join(sentences)


def touched_rows(
    trained: Sequence[Task], tasks: Sequence[Task], read: Read, *, progress: Progress | None = None
) -> Touched:
    """Return how many rows of `tasks`, in all splits, stand exactly or nearly in train rows of any of `trained`."""
    from taskloom.data.overlap import OverlapIndex

    progress = progress or Progress()
    index, failed = OverlapIndex(), dict[str, str]()
    for task in tasks:
        found = _rows(task, read, {}, stop=False)
        for split, table in found.splits.items() if found else ():
            index.add(task.id, split, table)
    if not index.evaluated:
        return Touched({}, {})
    index.finish()

    def tables() -> Iterator[pa.Table]:
        with progress.bar("looking through what was trained", len(trained)) as bar:
            for task in _bases(trained):
                rows = _rows(task, read, failed, stop=False)
                if rows and "train" in rows.splits:
                    yield rows.splits["train"]
                bar.advance(note=task.id)

    counts = {(one.task, one.split): (one.rows, 0) for one in index.evaluated}
    for one in index.search("trained", tables()).overlaps:
        counts[one.evaluated.task, one.evaluated.split] = (one.evaluated.rows, one.touched)
    return Touched(counts, failed)
