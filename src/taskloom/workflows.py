"""What the commands do, as functions: each joins the rooms above it in the order in which things happen.

DESIGN's rooms end in `cli`, which holds no logic; the order "prepare, plan, train, evaluate, write" is logic that no
single room above may know, so it stands here, once, for the command line and for Python alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import RunConfig
from taskloom.errors import ConfigError, ModelError, SourceError, UnknownTaskError, UserError
from taskloom.progress import Progress
from taskloom.recipes.own import own_task
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import Selection, get_task, select

if TYPE_CHECKING:
    from taskloom.data.standardize import CanonicalTask
    from taskloom.data.store import TaskStore
    from taskloom.evaluation.report import RunReport
    from taskloom.inference.predictor import Model as Predictor

NOT_BUILT = {
    "data.recast": (),
    "training.compile": False,
    "training.pool_steps": 1,
    "training.skip_spikes": False,
    "output.track": (),
}
"""Keys whose feature does not exist yet, with the only value that is accepted: a setting is never ignored in silence."""


@dataclass(frozen=True)
class Failure:
    """A task that was asked for and cannot be used, and why."""

    task: str
    reason: str


@dataclass(frozen=True)
class Preparation:
    """The prepared tasks in order, and those that failed or were excluded though named."""

    tasks: tuple[Task, ...]
    stores: tuple[TaskStore, ...]
    failed: tuple[Failure, ...]


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
    """Return the tasks that a configuration selects, one's own first."""
    for key, allowed in NOT_BUILT.items():
        section, name = key.split(".")
        given = getattr(getattr(config, section), name)
        if given != allowed:
            raise ConfigError(f"{key} = {given!r} is not built yet. Allowed: {allowed!r}. Take the key out of the run file.")
    own = tuple(own_task(entry) for entry in config.task)
    return select(config.data.tasks, exclude=config.data.exclude, license_use=config.data.license_use, own=own)


def prepare(config: RunConfig, *, progress: Progress | None = None) -> Preparation:
    """Read, standardize and tokenize what is not prepared yet; a task that fails is reported and the others go on."""
    from taskloom.data.store import cache_folder
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder

    progress = progress or Progress()
    selection = choose(config)
    for task_id in selection.excluded_by_name:
        progress.say(f"{task_id} is named in data.tasks and left out by data.exclude or data.license_use.")
    tokenizer = Tokenizer.open(resolve_encoder(config.encoder))
    cache = cache_folder(config.data.cache)
    done: list[tuple[Task, TaskStore]] = []
    failed: list[Failure] = []
    with progress.bar("preparing tasks", len(selection.tasks)) as bar:
        for task in selection.tasks:
            try:
                done.append((task, prepare_task(task, config, tokenizer, cache)))
            except UserError as error:
                if config.data.on_error == "stop":
                    raise
                failed.append(Failure(task.id, str(error)))
            bar.advance(note=task.id)
    for failure in failed:
        progress.say(f"{failure.task} cannot be used: {failure.reason}")
    if not done:
        raise SourceError(f"None of the {len(failed)} chosen tasks could be prepared; the reasons stand above.")
    return Preparation(tuple(task for task, _ in done), tuple(store for _, store in done), tuple(failed))


def prepare_task(task: Task, config: RunConfig, tokenizer: Any, cache: Path) -> TaskStore:
    """Return the store of one task, built if need be; errors name the task."""
    from taskloom.data.store import build

    try:
        canonical = rows_of(task, mirror=config.data.mirror)
        max_rows = min(config.data.max_rows, task.max_rows or config.data.max_rows)
        return build(canonical, tokenizer, cache=cache, max_length=config.data.max_length, max_rows=max_rows)
    except UserError:
        raise
    except Exception as error:
        error.add_note(f"while preparing task {task.versioned}")
        raise


def rows_of(task: Task, *, mirror: str = "") -> CanonicalTask:
    """Return the canonical rows of a task, read from the mirror folder, the hub, files or a generator."""
    from taskloom.data.source import read
    from taskloom.data.standardize import standardize

    return standardize(task, read(task, mirror=Path(mirror) if mirror else None))
