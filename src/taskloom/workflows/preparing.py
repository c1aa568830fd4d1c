"""A run file -> its tasks, their rows, and their prepared stores; a task that cannot be used is told, not fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import RunConfig
from taskloom.errors import ConfigError, RecastError, SourceError, UserError, some_of_names
from taskloom.executors import each_done
from taskloom.progress import Progress
from taskloom.recipes.catalog import collections_of
from taskloom.recipes.held_out import held_out_tasks, is_held_out
from taskloom.recipes.own import own_recasts, own_task
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import Selection, select

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taskloom.data.standardize import CanonicalTask
    from taskloom.data.store import TaskStore
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.workflows.overlapping import OverlapReport

MOST_NAMED = 3
"""Tasks that one line names."""


@dataclass(frozen=True)
class Failure:
    """A task that was asked for and cannot be used, and why."""

    task: str
    reason: str


@dataclass(frozen=True)
class Preparation:
    """The prepared tasks in order, those that failed, and by task id the places of train rows that are left out."""

    tasks: tuple[Task, ...]
    stores: tuple[TaskStore, ...]
    failed: tuple[Failure, ...]
    left_out_rows: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def rows(self, store: TaskStore) -> dict[str, int]:
        """Return how many rows of each split a run uses."""
        rows = {split: len(rows) for split, rows in store.splits.items()}
        return rows | ({"train": rows["train"] - self._left_out(store)} if "train" in rows else {})

    def trainable(self) -> Iterator[tuple[Task, TaskStore]]:
        """Yield the tasks that have train rows, with their stores."""
        yield from (
            (task, store) for task, store in zip(self.tasks, self.stores, strict=True) if self.rows(store).get("train")
        )

    def left_out(self) -> dict[str, str]:
        """Return the tasks that are not trained, with the reason."""
        reasons = {failure.task: failure.reason for failure in self.failed}
        without = (store for store in self.stores if "train" not in store.splits)
        reasons |= {store.task: f"no train rows; it has {', '.join(store.splits)}" for store in without}
        empty = (store for store in self.stores if self.rows(store).get("train") == 0)
        return reasons | {store.task: "all of its train rows stand in evaluated rows" for store in empty}

    def _left_out(self, store: TaskStore) -> int:
        return len(self.left_out_rows.get(store.id, ()))


def choose(config: RunConfig) -> Selection:
    """Return the tasks that a configuration selects, one's own first, recasts last."""
    own = tuple(own_task(entry) for entry in config.task)
    own_forms = {task.id: own_recasts(entry) for task, entry in zip(own, config.task, strict=True)}
    chosen = select(
        config.data.tasks, exclude=config.data.exclude, license_use=config.data.license_use, own=own,
        recast=config.data.recast, own_recast=own_forms,
    )  # fmt: skip
    away = kept_away(config)
    left = tuple(task for task in chosen.tasks if not is_held_out(task, away))
    named = {task.id for task in chosen.tasks if task not in left and {task.id, task.versioned} & {*config.data.tasks}}
    return Selection(left, tuple(sorted({*chosen.excluded_by_name, *named})))


def left_out_by_name(task_id: str) -> str:
    """Say that a task which was asked for by name is not in the run."""
    return f"{task_id} is named in data.tasks and left out by data.exclude, data.held_out or data.license_use."


def trained_all_the_same(tasks: Iterable[Task]) -> str:
    """Say which of the tasks that transfer is measured on are trained: a run is known by its numbers on unseen ones."""
    seen = sorted(task.id for task in tasks if task.recast is None and "held-out" in collections_of(task))
    if not seen:
        return ""
    return (
        f"Trained are {some_of_names(seen, MOST_NAMED)} of the collection held-out, so transfer to them cannot be "
        'measured afterwards: data.held_out=["held-out"] keeps them and their rows away.'
    )


def kept_away(config: RunConfig) -> tuple[Task, ...]:
    """Return the tasks that are held out; raises ConfigError where their rows would stay in training all the same."""
    if config.data.held_out and not config.data.drop_overlap:
        raise ConfigError(
            "data.held_out keeps the rows of its tasks out of training, and data.drop_overlap = false keeps them in. "
            "Leave one of the two out; data.exclude leaves out tasks alone."
        )
    return held_out_tasks(config.data.held_out)


def prepare(config: RunConfig, *, progress: Progress | None = None, to_train: bool = True) -> Preparation:
    """Read, standardize and tokenize what is not prepared yet; a task that fails is reported and the others go on.

    With `to_train` and `data.drop_overlap`, train rows that stand in evaluated rows are found and left out.
    """
    from taskloom.data.store import cache_folder
    from taskloom.modeling.encoder import resolve_encoder

    progress = progress or Progress()
    selection = choose(config)
    for task_id in selection.excluded_by_name:
        progress.say(left_out_by_name(task_id))
    if to_train and (told := trained_all_the_same(selection.tasks)):
        progress.say(told)
    encoder = resolve_encoder(config.encoder)
    _check_length(config, encoder)
    cache = cache_folder(config.data.cache).absolute()
    found: dict[int, TaskStore | UserError] = {}
    work = partial(_store_or_error, config=config, encoder=encoder, cache=cache)
    with progress.bar("preparing tasks", len(selection.tasks)) as bar:
        for place, result in each_done(
            work, selection.tasks, workers=config.data.workers, executor=config.data.executor
        ):
            if isinstance(result, UserError) and config.data.on_error == "stop" and not isinstance(result, RecastError):
                raise result  # labels without words are no fault of the data: the task itself is trained
            found[place] = result
            bar.advance(note=selection.tasks[place].id)
    results = [(task, found[place]) for place, task in enumerate(selection.tasks)]
    done = [(task, store) for task, store in results if not isinstance(store, UserError)]
    failed = [Failure(task.id, str(error)) for task, error in results if isinstance(error, UserError)]
    for failure in failed:
        progress.say(f"{failure.task} cannot be used: {failure.reason}")
    if not done:
        raise SourceError(f"None of the {len(failed)} chosen tasks could be prepared; the reasons stand above.")
    preparation = Preparation(tuple(task for task, _ in done), tuple(store for _, store in done), tuple(failed))
    return (
        _without_overlap(preparation, config, cache, progress) if to_train and config.data.drop_overlap else preparation
    )


def _check_length(config: RunConfig, encoder: Path) -> None:
    """Refuse rows that are longer than the encoder reads: a long one would stop a run after hours."""
    from taskloom.modeling.encoder import has_last_position, longest_input

    most = longest_input(encoder)
    if has_last_position(encoder) and config.data.max_length > most:
        raise ConfigError(
            f"data.max_length = {config.data.max_length} is more than {config.encoder} reads: {most} tokens. Lower it, "
            "or take another encoder."
        )


def _store_or_error(task: Task, *, config: RunConfig, encoder: Path, cache: Path) -> TaskStore | UserError:
    """Return the store of one task, or what is wrong with it; runs in any process."""
    try:
        described = encoder / "tokenizer.json"
        changed = described.stat().st_mtime_ns if described.is_file() else 0
        return prepare_task(task, config, _tokenizer(encoder, changed), cache)
    except UserError as error:
        return error


@lru_cache(maxsize=1)
def _tokenizer(encoder: Path, _changed: int) -> Tokenizer:
    """Return an encoder's tokenizer, opened once a process: that takes longer than preparing a small task."""
    from taskloom.data.tokenizer import Tokenizer

    return Tokenizer.open(encoder)


def _without_overlap(preparation: Preparation, config: RunConfig, cache: Path, progress: Progress) -> Preparation:
    """Find the train rows that stand in rows which the run evaluates, and say how many there are."""
    from taskloom.workflows.overlapping import left_out_places

    found = left_out_places(
        preparation.tasks, preparation.stores, partial(_compared_rows, config, _recast_bases(preparation.tasks)),
        max_rows=lambda task: _most_rows(task, config), cache=cache, progress=progress, held_out=kept_away(config),
    )  # fmt: skip
    if found:
        progress.say(
            f"{sum(map(len, found.values())):,} train rows of {len(found)} tasks are left out, since they stand in "
            "evaluated or held-out rows: `taskloom overlap RUN.toml` shows them, data.drop_overlap=false keeps them."
        )
    return replace(preparation, left_out_rows=found)


def find_overlap(
    config: RunConfig, *, against: Sequence[str] = (), threshold: float = 0.8, progress: Progress | None = None
) -> OverlapReport:
    """Report which train rows of a run stand in evaluation rows, exactly or nearly; nothing is written.

    Looked at are the validation and test rows of the run's tasks, of those of role evaluation that `data.tasks` names
    (though `data.exclude` takes them from the run), and of those that the patterns in `against` match.
    """
    from taskloom.workflows.overlapping import check_threshold, find_overlap

    check_threshold(threshold)
    selection = choose(config)
    own = tuple(own_task(entry) for entry in config.task)
    named = select(config.data.tasks, exclude=("defect:*",), own=own).tasks
    benchmarks = [task for task in named if task.role == "evaluation"]
    others = select(against, own=own).tasks if against else ()
    return find_overlap(
        selection.tasks, partial(_compared_rows, config, _recast_bases(selection.tasks)),
        max_rows=lambda task: _most_rows(task, config), against=(*benchmarks, *others), held_out=kept_away(config),
        threshold=threshold, stop=config.data.on_error == "stop", progress=progress,
    )  # fmt: skip


def _recast_bases(tasks: Iterable[Task]) -> frozenset[str]:
    """Return the tasks of which recasts are made, which take other train rows of them than they do themselves."""
    return frozenset(task.recast.of.id for task in tasks if task.recast)


def _compared_rows(config: RunConfig, whole: frozenset[str], task: Task) -> CanonicalTask:
    """Return the rows of a task that are compared: train rows after their cap but where recasts read others."""
    most = None if task.id in whole else _most_rows(task, config)
    return rows_of(task, mirror=config.data.mirror, max_rows=most)


def _most_rows(task: Task, config: RunConfig) -> int:
    return min(config.data.max_rows, task.max_rows or config.data.max_rows)


def prepare_task(task: Task, config: RunConfig, tokenizer: Any, cache: Path) -> TaskStore:
    """Return the store of one task, built if need be; errors name the task.

    Rows are read only where no store is known that was built from the same files.
    """
    from taskloom.data.known_stores import files_behind, key_of_files, known_store, remember
    from taskloom.data.store import build

    max_rows, max_length = _most_rows(task, config), config.data.max_length
    try:
        files = files_behind(task, Path(config.data.mirror) if config.data.mirror else None)
        key = key_of_files(task, files, tokenizer.fingerprint, max_length, max_rows)
        store = known_store(cache, key)
        if store is None:
            canonical = rows_of(task, mirror=config.data.mirror, max_rows=max_rows)
            store = build(canonical, tokenizer, cache=cache, max_length=max_length, max_rows=max_rows)
            remember(cache, key, store)
        return store
    except UserError:
        raise
    except Exception as error:
        error.add_note(f"while preparing task {task.versioned}")
        raise


def rows_of(task: Task, *, mirror: str = "", max_rows: int | None = None) -> CanonicalTask:
    """Return the canonical rows of a task, read from the mirror folder, the hub, files or a generator.

    There are no more train rows than `max_rows`, the very ones that the store would keep of all.
    """
    from taskloom.data.recast import canonical_rows
    from taskloom.data.source import read
    from taskloom.recipes.recasts import check_known_names

    check_known_names(task)  # before minutes of reading
    return canonical_rows(task, read(task, mirror=Path(mirror) if mirror else None), max_rows=max_rows)


def cache(*, clear: bool = False, setting: str = "") -> str:
    """Say where prepared tasks are and how much they take; `clear` removes them."""
    import shutil

    from taskloom.data.store import cache_folder

    folder = cache_folder(setting)
    stores = sorted(child for child in (folder / "tasks").glob("*") if child.is_dir())
    size = sum(file.stat().st_size for store in stores for file in store.rglob("*") if file.is_file())
    if clear:
        for store in stores:
            shutil.rmtree(store)
        for made in ("overlap", "graphs", "sources"):
            shutil.rmtree(folder / made, ignore_errors=True)
    return f"{folder}: {len(stores)} prepared tasks, {size / 1e6:.1f} MB{', removed' if clear else ''}"
