"""What the commands do, as functions: each joins the rooms above it in the order in which things happen.

DESIGN's rooms end in `cli`, which holds no logic; the order "prepare, plan, train, evaluate, write" is logic that no
single room above may know, so it stands here, once, for the command line and for Python alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import RunConfig
from taskloom.errors import ConfigError, ModelError, RecastError, SourceError, UserError
from taskloom.executors import each_done
from taskloom.progress import Progress
from taskloom.recipes.held_out import held_out_tasks, is_held_out
from taskloom.recipes.own import own_recasts, own_task
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import Selection, get_task, select

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taskloom.data.standardize import CanonicalTask
    from taskloom.data.store import TaskStore
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.evaluation.report import RunReport
    from taskloom.exporting import Wanted
    from taskloom.inference.check_rows import CheckRows
    from taskloom.inference.predictor import Model as Predictor
    from taskloom.modeling.head_table import Head
    from taskloom.overlapping import OverlapReport
    from taskloom.training.trainer import Trainer


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


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and its results."""

    folder: Path
    results: RunReport

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.folder / "model"


def choose(config: RunConfig) -> Selection:
    """Return the tasks that a configuration selects, one's own first, recasts last."""
    own = tuple(own_task(entry) for entry in config.task)
    own_forms = {task.id: own_recasts(entry) for task, entry in zip(own, config.task, strict=True)}
    chosen = select(
        config.data.tasks, exclude=config.data.exclude, license_use=config.data.license_use, own=own,
        recast=config.data.recast, own_recast=own_forms,
    )  # fmt: skip
    away = _held_out(config)
    left = tuple(task for task in chosen.tasks if not is_held_out(task, away))
    named = {task.id for task in chosen.tasks if task not in left and {task.id, task.versioned} & {*config.data.tasks}}
    return Selection(left, tuple(sorted({*chosen.excluded_by_name, *named})))


def left_out_by_name(task_id: str) -> str:
    """Say that a task which was asked for by name is not in the run."""
    return f"{task_id} is named in data.tasks and left out by data.exclude, data.held_out or data.license_use."


def _held_out(config: RunConfig) -> tuple[Task, ...]:
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
    encoder = resolve_encoder(config.encoder)
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
    from taskloom.overlapping import left_out_places

    found = left_out_places(
        preparation.tasks, preparation.stores, lambda task: rows_of(task, mirror=config.data.mirror),
        max_rows=lambda task: _most_rows(task, config), cache=cache, progress=progress, held_out=_held_out(config),
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
    from taskloom.overlapping import check_threshold, find_overlap

    check_threshold(threshold)
    selection = choose(config)
    own = tuple(own_task(entry) for entry in config.task)
    named = select(config.data.tasks, exclude=("defect:*",), own=own).tasks
    benchmarks = [task for task in named if task.role == "evaluation"]
    others = select(against, own=own).tasks if against else ()
    return find_overlap(
        selection.tasks, lambda task: rows_of(task, mirror=config.data.mirror),
        max_rows=lambda task: _most_rows(task, config), against=(*benchmarks, *others), held_out=_held_out(config),
        threshold=threshold, stop=config.data.on_error == "stop", progress=progress,
    )  # fmt: skip


def _most_rows(task: Task, config: RunConfig) -> int:
    return min(config.data.max_rows, task.max_rows or config.data.max_rows)


def prepare_task(task: Task, config: RunConfig, tokenizer: Any, cache: Path) -> TaskStore:
    """Return the store of one task, built if need be; errors name the task."""
    from taskloom.data.store import build

    try:
        max_rows = _most_rows(task, config)
        canonical = rows_of(task, mirror=config.data.mirror, max_rows=max_rows)
        return build(canonical, tokenizer, cache=cache, max_length=config.data.max_length, max_rows=max_rows)
    except UserError:
        raise
    except Exception as error:
        error.add_note(f"while preparing task {task.versioned}")
        raise


def rows_of(task: Task, *, mirror: str = "", max_rows: int | None = None) -> CanonicalTask:
    """Return the canonical rows of a task, read from the mirror folder, the hub, files or a generator.

    A recast makes no more train rows than `max_rows`, the very ones that the store would keep.
    """
    from taskloom.data.recast import canonical_rows
    from taskloom.data.source import read
    from taskloom.recipes.recasts import check_known_names

    check_known_names(task)  # before minutes of reading
    return canonical_rows(task, read(task, mirror=Path(mirror) if mirror else None), max_rows=max_rows)


def train(config: RunConfig, *, progress: Progress | None = None) -> Run:
    """Prepare, train, evaluate and write the run folder; a stopped run goes on, a finished one is returned as it is."""
    from taskloom.evaluation.report import read_report
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import joined_ranks
    from taskloom.training.run_folder import open_run
    from taskloom.training.trainer import start_trainer

    with joined_ranks(config.training.device) as ranks, open_run(config, writes=ranks.writes) as run:
        progress = progress if progress and ranks.writes else Progress()
        with ranks.one_by_one():
            run.keep_or_compare_config(config)
            preparation = prepare(config, progress=progress)
        pairs = list(preparation.trainable())
        plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs], preparation.left_out_rows)
        run.keep_or_compare_plan(plan.to_json(config=config))
        results = run.file("results.json")
        if results.exists() and run.model.is_dir() and _is_finished(read_report(results), config, plan.steps):
            progress.say(f"{run.path} is finished: {plan.steps} steps. Type `name=NEW_NAME` for a new run.")
            return Run(run.path, read_report(results))
        trainer = start_trainer(config, run, plan, progress=progress, ranks=ranks)
        trainer.train()
        return Run(run.path, _write_results(trainer, preparation))


def _is_finished(report: RunReport, config: RunConfig, steps: int) -> bool:
    stopped_early = bool(report.training.get("stopped_early")) and config.training.early_stop > 0
    return report.step == steps or stopped_early


def _write_results(trainer: Trainer, preparation: Preparation) -> RunReport:
    """Score every task on all of its rows and write results, predictions, model, card, task list and citations."""
    from taskloom.evaluation.engine import fingerprint
    from taskloom.evaluation.report import RunReport, summarize
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.modeling.lineage import lineage_of
    from taskloom.publishing import pages_of, trained_tasks, write_report
    from taskloom.training.plan import library_versions

    config, run, plan = trainer.config, trainer.run, trainer.plan
    tasks = trainer.evaluate(keep=True)
    report = RunReport(
        model=fingerprint(trainer.model),
        run=config.name,
        seed=config.seed,
        step=trainer.step,
        encoder=config.encoder,
        libraries=library_versions(),
        data_fingerprint=plan.fingerprint(),
        tasks=tasks,
        aggregate=summarize(tasks),
        training=trainer.training_figures(),
        not_trained=preparation.left_out(),
    )
    head = trainer.model.table.zero_shot()
    pages = pages_of(plan, report, config, head.task if head else None)
    if not run.writes:
        return report
    trainer.model.save(
        run.model,
        tokenizer_folder=trainer.tokenizer.folder,
        max_length=config.data.max_length,
        encoder_name=config.encoder,
        files=pages,  # the model may leave without its run
        training=lineage_of(resolve_encoder(config.encoder)).after(plan.tasks, _held_out(config)).to_json(),
    )
    for name, page in pages.items():
        run.write(name, page)
    run.write("left_out.json", json.dumps({task: places.tolist() for task, places in plan.left_out.items()}))
    report.write(run.file("results.json"))  # its existence says that the run is finished
    write_report(run.path, report, trained_tasks(plan), config)  # `taskloom report` makes it anew, so it comes after
    return report


def report(path: Path, *, texts: bool = True, transfer: Path | None = None) -> Path:
    """Write report.html of a finished run anew, with transfer results (default: its transfer.jsonl), return its path.

    Raises ModelError for anything but a run folder, DataError for results or recipes that are not there.
    """
    from taskloom.evaluation.report import read_report
    from taskloom.publishing import planned_tasks, write_report
    from taskloom.run_file import load_config

    folder = _run_folder(path)
    if not (folder / "results.json").is_file():
        raise ModelError(f"{folder} has no results yet. Type the command that trains it again: a run goes on.")
    config = load_config(folder / "config.toml")
    trained = planned_tasks(folder, choose(config).tasks)
    return write_report(folder, read_report(folder / "results.json"), trained, config, texts=texts, transfer=transfer)


def _run_folder(path: Path) -> Path:
    folder = path.parent if path.name == "model" else path
    if not (folder / "config.toml").is_file():
        raise ModelError(f"{path} is not a run folder: it has no config.toml, which says where the tasks' rows are.")
    return folder


def export(path: Path, out: Path, wanted: Wanted, *, calibrate: str | None = None) -> list[str]:
    """Write one head of a run or model to `out`; returns what the checks found, a line each.

    `calibrate` names the rows that an int8 form is made from and checked on: a file, or a task (default: the head's
    own), whose rows are read as the run read them.
    """
    from taskloom import exporting

    folder = model_folder(path)

    def rows(head: Head, tokenizer: Tokenizer, max_length: int) -> CheckRows:
        return _check_rows(folder, calibrate, head, tokenizer, max_length)

    if wanted.int8:
        wanted = replace(wanted, rows=rows)
    return exporting.export(folder, out, wanted)


def _check_rows(folder: Path, calibrate: str | None, head: Head, tokenizer: Tokenizer, max_length: int) -> CheckRows:
    """Return the rows of a file, or of a task of the run or the catalog, in the cache that the run uses."""
    from taskloom.data.store import build, cache_folder
    from taskloom.inference.check_rows import TO_CALIBRATE, rows_of_file, rows_of_task
    from taskloom.run_file import load_config

    if calibrate is not None and Path(calibrate).is_file():
        return rows_of_file(Path(calibrate), head, tokenizer, max_length=max_length)
    run = folder.parent / "config.toml"
    config = load_config(run) if run.is_file() else None
    own = {task.id: task for task in choose(config).tasks} if config else {}
    name = (calibrate or head.id).partition("@")[0]
    task = own[name] if name in own else get_task(name)
    canonical = rows_of(task, mirror=config.data.mirror if config else "", max_rows=10 * TO_CALIBRATE)
    cache = cache_folder(config.data.cache if config else "")
    return rows_of_task(build(canonical, tokenizer, cache=cache, max_length=max_length, max_rows=10 * TO_CALIBRATE))


def open_model(
    path: Path, *, device: str = "auto", precision: str = "auto", backend: str = "auto", adapter: Path | None = None
) -> Predictor:
    """Open a model for prediction: a run folder, its model folder, an export, or a classifier in Hugging Face form."""
    from taskloom.inference.predictor import load_model

    if not path.is_dir():
        raise ModelError(f"There is no folder {path}. Give a run folder or a model folder.")
    inner = path / "model"
    if (path / "plan.json").is_file() and not (inner / "heads.json").is_file():
        model_folder(path)  # says that the run has not finished
    return load_model(path, device=device, precision=precision, backend=backend, adapter=adapter)


def model_folder(path: Path) -> Path:
    """Return the model folder of a run or the folder itself; raises ModelError when there is neither."""
    for folder in (path / "model", path):
        if (folder / "heads.json").is_file():
            return folder
    state = "the run has not finished yet" if (path / "plan.json").is_file() else "there is no heads.json in it"
    raise ModelError(f"{path} holds no trained model: {state}. Give a run folder or its model folder.")


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
        for made in ("overlap", "graphs"):
            shutil.rmtree(folder / made, ignore_errors=True)
    return f"{folder}: {len(stores)} prepared tasks, {size / 1e6:.1f} MB{', removed' if clear else ''}"


def show(task_id: str, *, rows: int = 3, mirror: str = "") -> str:
    """Return what a person wants to know of a task, with some rows before and after standardizing."""
    from taskloom.showing import describe_task

    return describe_task(get_task(task_id), rows=rows, mirror=mirror)
