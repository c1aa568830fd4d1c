"""`taskloom finetune`: a model, a task, a few rows -> an ordinary model folder whose card says how it came about.

The order of events: rows prepared, shots and validation rows chosen for each seed, the head started, training with
early stopping, the best seed by validation kept, and scores of the split that chose nothing, where there is one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import DataConfig, RunConfig
from taskloom.errors import ConfigError, DataError
from taskloom.progress import Progress
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import get_task
from taskloom.workflows.own_data import Columns, check_kind, task_of_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taskloom.adapting.finetuning import Settings
    from taskloom.adapting.start import Start
    from taskloom.data.store import TaskStore
    from taskloom.evaluation.report import RunReport, TaskReport
    from taskloom.inference.predictor import Model as Predictor
    from taskloom.modeling.model import Model

    Places = NDArray[np.int64]

MOST_SCORED = 2000
"""Rows beyond shots and validation that a model is scored on, where there is no test split."""
MOST_VALIDATION = 400
"""Validation rows that early stopping looks at: more cost time and decide nothing."""
LARGE = 1000
"""Train rows from which a tenth is held out for validation where there is none; below, a fifth."""
EVALUATIONS, PATIENCE = 8, 3
"""How often a training is evaluated, and how many evaluations without a better score end it."""
MOST_STEPS = 100_000
"""Stands for no limit where the user says how many epochs."""
ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda epochs: epochs > 0, "a number above 0, for example 10"),
    "learning_rate": (lambda rate: rate > 0, "a rate above 0, for example 1e-4"),
    "layer_decay": (lambda decay: 0 < decay <= 1, "a factor above 0 and at most 1, which is no decay"),
    "frozen": (lambda parts: parts >= 0, "0 for none, 1 for the embeddings, 2 for the lowest layer too"),
}
"""What the settings of a fine-tuning may be, and how that is said."""
MOST_ROWS = 10**9
"""Train rows are not capped: who fine-tunes on a file means all of it."""
RAW_LENGTH = 256
"""Tokens that an encoder reads which is no model of ours, whose folder says so itself."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to fine-tune and how; `seeds` are trained one after the other, each with shots of its own."""

    model: str
    task: Task
    told: tuple[str, ...] = ()
    shots: int | None = None
    seeds: tuple[int, ...] = (0,)
    settings: Settings | None = None
    device: str = "auto"
    mirror: str = ""


@dataclass(frozen=True)
class Rows:
    """The places of a seed's training rows and of its validation rows, with the split that these are of."""

    train: Places
    validation: Places
    validation_split: str


@dataclass(frozen=True)
class SeedResult:
    """One seed: rows it learned from, its validation score (None without validation rows), and the report of `split`.

    `chosen_on` says that early stopping saw the very rows of the report, which is then too good.
    """

    seed: int
    train_rows: int
    validation_rows: int
    validation_score: float | None
    step: int
    steps: int
    head: str
    seconds: float
    split: str
    chosen_on: bool
    report: TaskReport | None


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned model, ready to answer, where it was saved if anywhere, and all seeds with the kept one."""

    model: Predictor
    folder: Path | None
    kept: int
    seeds: tuple[SeedResult, ...] = field(default_factory=tuple)


def recipe_of(task_or_data: str | Path | Task, columns: Columns = Columns()) -> tuple[Task, tuple[str, ...]]:  # noqa: B008
    """Return the task of an id, a recipe, or a file of labelled rows, and what was guessed of the latter."""
    check_kind(columns.kind)
    if isinstance(task_or_data, Task):
        return task_or_data, ()
    if isinstance(task_or_data, Path) or Path(task_or_data).exists():
        return task_of_file(Path(task_or_data), columns)
    return get_task(task_or_data), ()


def settings_of(
    *,
    epochs: float | None = None,
    learning_rate: float | None = None,
    layer_decay: float | None = None,
    frozen: int | None = None,
) -> Settings:
    """Return the default settings with what is given changed; a number of epochs is then meant as said.

    Raises ConfigError for a number that no training can have.
    """
    from dataclasses import replace

    every = {"epochs": epochs, "learning_rate": learning_rate, "layer_decay": layer_decay, "frozen": frozen}
    given: dict[str, Any] = {name: value for name, value in every.items() if value is not None}
    for name, value in given.items():
        holds, allowed = ALLOWED[name]
        if not holds(value):
            raise ConfigError(f"{name} = {value}: give {allowed}.")
    if epochs is not None:
        given |= {"least_steps": 1, "most_steps": MOST_STEPS}
    return replace(_defaults(), **given)


def default_output(model: str, task: Task, shots: int | None) -> Path:
    """Return the folder for a result: runs/MODEL-TASK, with the number of shots."""
    base = Path(model).parent if Path(model).name == "model" else Path(model)
    parts = [base.name, task.id.replace("/", "-"), *([f"{shots}-shot"] if shots else [])]
    return Path("runs") / "-".join(parts)


def finetune(request: Request, *, output: Path | None = None, progress: Progress | None = None) -> Finetuned:
    """Fine-tune and return the model, saved to `output` if that is given.

    Raises ModelError for a folder that is not empty or a model that cannot be opened, DataError for a task without
    train rows.
    """
    from taskloom.adapting.start import open_start

    progress = progress or Progress()
    check_output(output)
    for line in request.told:
        progress.say(f"{request.task.id}: {line}")
    start = open_start(request.model, device=request.device, precision="auto", length=RAW_LENGTH)
    if seen := start.lineage.seen(request.task):
        progress.say(f"{request.model} was {seen}, so scores are not those of the rows given here alone")
    store = prepare_for(request.task, start, mirror=request.mirror)
    settings = request.settings or _defaults()
    keeper = _Keeper(request, start, store, output)
    results: list[SeedResult] = []
    for seed in request.seeds:
        results.append(_one_seed(request, start, store, settings, seed, keeper, progress))
        progress.say(seed_line(results[-1]))
    folder = keeper.save(results)
    return Finetuned(keeper.predictor(folder), folder, keeper.seed, tuple(results))


def prepare_for(task: Task, start: Start, *, mirror: str = "") -> TaskStore:
    """Return the store of a task for a model's tokenizer; raises DataError without train rows."""
    from taskloom.data.store import cache_folder
    from taskloom.workflows.preparing import prepare_task

    config = RunConfig(data=DataConfig(max_length=start.max_length, mirror=mirror, max_rows=MOST_ROWS))
    store = prepare_task(task, config, start.tokenizer, cache_folder())
    if not len(store.splits.get("train", ())):
        raise DataError(
            f"Task {task.id} has no train rows to learn from; it has {', '.join(store.splits) or 'none'}. "
            f"Type `taskloom show {task.id}`."
        )
    return store


def rows_of_seed(store: TaskStore, task_id: str, *, shots: int | None, seed: int) -> Rows:
    """Return the rows that a seed learns from and stops by.

    With `shots`, validation has as many of its own: a few-shot result that was stopped by hundreds of labelled rows
    would not be one. Without a validation split they come from the train rows that are not shots; where all train rows
    are taken, a part of these is held out.
    """
    import numpy as np

    from taskloom.data.shots import shots_of, validation_of

    train = store.splits["train"]
    places = shots_of(train, task_id, shots=shots, seed=seed)
    if "validation" in store.splits:
        rows = store.splits["validation"]
        found = shots_of(rows, task_id, shots=shots, seed=seed)
        return Rows(places, _at_most(found, MOST_VALIDATION, seed), "validation")
    rest = np.setdiff1d(np.arange(len(train)), places)
    if shots is not None and len(rest):
        return Rows(places, shots_of(train, task_id, shots=shots, seed=seed, places=rest), "train")
    share = 0.1 if len(places) >= LARGE else 0.2
    return Rows(*validation_of(train, task_id, places, share=share), "train")


def _at_most(places: Places, most: int, seed: int) -> Places:
    import numpy as np

    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(seed).choice(places, most, replace=False))


def _one_seed(
    request: Request, start: Start, store: TaskStore, settings: Settings, seed: int, keeper: _Keeper, progress: Progress
) -> SeedResult:
    from taskloom.adapting.finetuning import fine_tune, report_on

    started = time.monotonic()
    task, rows = request.task, rows_of_seed(store, request.task.id, shots=request.shots, seed=seed)
    score = _validation_score(task, store, rows, start) if len(rows.validation) else None
    with progress.bar(f"fine-tuning, seed {seed}", settings.steps(len(rows.train))) as bar:
        tuned = fine_tune(
            start, task, store, rows.train, settings=settings, seed=seed, max_length=start.max_length, evaluate=score,
            evaluations=EVALUATIONS, patience=PATIENCE, tell=bar.advance,
        )  # fmt: skip
    split, scored, chosen_on = scored_rows(store, rows)
    report = report_on(tuned.model, task, store, split, how=start.answering(), places=scored, seed=seed)
    result = SeedResult(
        seed=seed, train_rows=len(rows.train), validation_rows=len(rows.validation),
        validation_score=None if score is None else round(tuned.score, 6), step=tuned.step, steps=tuned.steps,
        head=tuned.head, seconds=round(time.monotonic() - started, 1), split=split,
        chosen_on=chosen_on, report=report,
    )  # fmt: skip
    keeper.take(result, tuned.model)
    return result


def scored_rows(store: TaskStore, rows: Rows) -> tuple[str, Places, bool]:
    """Return the split and places that a model is scored on, and whether they are the rows that chose its step.

    Test rows if there are any; else those validation rows that chose nothing or, where train rows had to serve, those
    train rows that are unlike all that were used; else, where these are fewer, the validation rows themselves, whose
    score is then too good.
    """
    import numpy as np

    from taskloom.data.shots import unlike

    if "test" in store.splits:
        return "test", np.arange(len(store.splits["test"])), False
    split, used = store.splits[rows.validation_split], rows.validation
    if rows.validation_split == "train":
        used = np.union1d(rows.train, rows.validation)
    rest = _at_most(np.setdiff1d(np.arange(len(split)), used), MOST_SCORED, 0)
    if rows.validation_split == "train":
        rest = unlike(split, rest, used)
    if len(rest) >= len(rows.validation):
        return rows.validation_split, rest, False
    return rows.validation_split, rows.validation, True


def _validation_score(task: Task, store: TaskStore, rows: Rows, start: Start) -> Callable[[Model], float]:
    from taskloom.adapting.finetuning import fine_score

    return lambda model: fine_score(model, task, store, rows.validation_split, how=start.how, places=rows.validation)


def seed_line(result: SeedResult) -> str:
    """Return one seed in a line."""
    report = result.report
    told = f"seed {result.seed}: {result.train_rows} rows, head: {result.head}, step {result.step} of {result.steps}, "
    told += f"{result.seconds:.0f} s"
    if report is None:
        return f"{told}; no row is left to score it on"
    where = f"{result.split} rows" if result.split != "train" else "held-out train rows"
    note = ", which also chose the step" if result.chosen_on else ""
    score = "undefined" if report.score is None else f"{report.score:.3f}"
    trivial = report.majority.get(report.main)
    beside = "" if trivial is None else f", trivial answer {trivial:.3f}"
    return f"{told}; {report.main} {score} on {report.rows} {where}{note}{beside}"


def summary_line(results: Sequence[SeedResult]) -> str:
    """Return the mean over seeds with its 95 % t-interval."""
    from taskloom.evaluation.across import mean_interval

    scores = [one.report.score for one in results if one.report is not None and one.report.score is not None]
    if len(scores) < 2:
        return ""
    mean, low, high = mean_interval(scores)
    main = next(one.report.main for one in results if one.report is not None)
    return f"{len(scores)} seeds: {main} {mean:.3f}, 95 % interval over seeds {low:.3f} to {high:.3f}"


class _Keeper:
    """Keeps the weights of the best seed, by validation score, and writes the folder."""

    def __init__(self, request: Request, start: Start, store: TaskStore, output: Path | None) -> None:
        self.request, self.start, self.store, self.output = request, start, store, output
        self.seed, self._best = request.seeds[0], -math.inf
        self._model: Model | None = None
        self._weights: dict[str, Any] = {}

    def take(self, result: SeedResult, model: Model) -> None:
        """Keep the weights of a seed if it is the first or better than those before."""
        score = -math.inf if result.validation_score is None else result.validation_score
        self._model = model
        if not self._weights or score > self._best:
            self.seed, self._best = result.seed, score
            self._weights = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}

    def model(self) -> Model:
        """Return the best seed's model."""
        assert self._model is not None
        self._model.load_state_dict(self._weights)
        return self._model.eval()

    def save(self, results: Sequence[SeedResult]) -> Path | None:
        """Write the model folder with card, results, task list and citations; returns it."""
        if self.output is None:
            return None
        from taskloom.reporting.finetuned import origin_section
        from taskloom.reporting.one_task import pages
        from taskloom.reporting.task_list import TrainedTask

        start, request, model = self.start, self.request, self.model()
        head, report = model.table.zero_shot(), self.report(results)
        model.save(
            self.output, tokenizer_folder=start.folder, max_length=start.max_length, encoder_name=request.model,
            training=start.lineage.after([request.task], ()).to_json(),
            files=pages(
                TrainedTask(request.task, self.store.labels, {split: len(rows) for split, rows in
                                                              self.store.splits.items()}),
                report, origin=origin_section(report.training), max_length=start.max_length, folder=str(self.output),
                zero_shot=head.task if head else None, before=start.lineage.besides([request.task]),
            ),
        )  # fmt: skip
        return self.output

    def report(self, results: Sequence[SeedResult]) -> RunReport:
        """Return results.json: the kept seed's report, and all seeds under `training`."""
        from taskloom.evaluation.report import RunReport, summarize
        from taskloom.training.plan import library_versions

        kept = next(one for one in results if one.seed == self.seed)
        tasks = {} if kept.report is None else {self.request.task.versioned: {kept.split: kept.report}}
        return RunReport(
            run=self.output.name if self.output else "finetuned", seed=self.seed, step=kept.step,
            encoder=self.request.model, libraries=library_versions(), data_fingerprint=self.store.fingerprint,
            tasks=tasks, aggregate=summarize(tasks), training=self._origin(results),
        )  # fmt: skip

    def _origin(self, results: Sequence[SeedResult]) -> dict[str, Any]:
        """Return what the card tells of how the model came about, as plain values."""
        lineage, settings = self.start.lineage, self.request.settings or _defaults()
        return {
            "start": self.request.model,
            "start_tasks": len(lineage.trained) if lineage.known else None,
            "seen": lineage.seen(self.request.task),
            "shots": self.request.shots,
            "settings": {name: value for name, value in asdict(settings).items() if isinstance(value, (int, float))},
            "kept_seed": self.seed,
            "seeds": [
                {**{name: getattr(one, name) for name in SEED_FIELDS}, "score": one.report and one.report.score}
                for one in results
            ],
        }

    def predictor(self, folder: Path | None) -> Predictor:
        """Return the best seed's model ready to answer."""
        from taskloom.inference.predictor import Model as Predictor

        where = folder or self.start.folder
        return Predictor(self.model(), self.start.answering(), max_length=self.start.max_length, folder=where)


SEED_FIELDS = (
    "seed", "train_rows", "validation_rows", "validation_score", "step", "steps", "head", "seconds", "split",
    "chosen_on",
)  # fmt: skip


def _defaults() -> Settings:
    from taskloom.adapting.finetuning import Settings

    return Settings(pooling="saved")


def check_output(output: Path | None) -> None:
    """Raise ModelError for a folder that is there and not empty, or the one that the process is in."""
    from taskloom.modeling.model import check_new_folder

    if output is not None:
        check_new_folder(output, "Give a new folder with --output.")
