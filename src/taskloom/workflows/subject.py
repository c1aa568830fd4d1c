"""A model to evaluate: opened, with the configuration of its run or one for a model alone, and where results go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskloom.config import RunConfig
from taskloom.recipes.recipe import Task
from taskloom.workflows.models import model_folder
from taskloom.workflows.preparing import prepare_task

if TYPE_CHECKING:
    from taskloom.data.store import TaskStore
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.evaluation.engine import Engine
    from taskloom.modeling.model import Model

ALONE = Path("evaluations")
"""Where results of a model that has left its run are kept, relative to the current folder."""
OWNER = "model.txt"
"""The file beside such results that says which folder they are of."""


@dataclass(frozen=True)
class Place:
    """Where things are: the model's folder, its run's (the model's own when it is alone), and that of the results."""

    model: Path
    run: Path
    results: Path
    is_run: bool

    def precision(self, setting: str) -> str:
        """Return the arithmetic to score in: "auto" is what the run ended with, whatever this machine would choose."""
        from taskloom.evaluation.report import read_report

        results = self.run / "results.json"
        if setting != "auto" or not self.is_run or not results.is_file():
            return setting
        return str(read_report(results).training.get("precision", setting))


def locate(path: Path, *, out: Path | None = None) -> Place:
    """Return the places of a run's or a model's folder; raises ModelError when there is no model."""
    folder = model_folder(path)
    run = folder.parent if folder.name == "model" else folder
    is_run = (run / "config.toml").is_file()
    return Place(folder, run, out or (run if is_run else _alone(run.resolve())), is_run)


def _alone(folder: Path) -> Path:
    """Return the place for results of a model without a run: its name, told apart where another folder has that."""
    usual = ALONE / folder.name
    owner = usual / OWNER
    if not owner.is_file() or owner.read_text(encoding="utf-8").strip() == str(folder):
        return usual
    return ALONE / f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def claim(place: Place) -> None:
    """Say beside results in a place that was not chosen by hand which folder they are of."""
    if place.results.parent == ALONE:
        place.results.mkdir(parents=True, exist_ok=True)
        (place.results / OWNER).write_text(f"{place.run.resolve()}\n", encoding="utf-8")


@dataclass(frozen=True)
class Subject:
    """What is evaluated."""

    name: str
    place: Place
    config: RunConfig
    model: Model
    tokenizer: Tokenizer

    def prepared(self, task: Task) -> TaskStore:
        """Return the rows of a task, prepared for this model; raises UserError when they cannot be read."""
        from taskloom.data.store import cache_folder

        return prepare_task(task, self.config, self.tokenizer, cache_folder(self.config.data.cache))

    def engine(self, *, quick: bool = False) -> Engine:
        """Return what scores jobs with this model, in the arithmetic of its run; `quick` without extras."""
        from taskloom.evaluation.engine import Engine, fingerprint
        from taskloom.evaluation.evaluator import Answering
        from taskloom.modeling.devices import choose_autocast

        config = self.config
        device = next(self.model.parameters()).device
        how = Answering(
            tokenizer=self.tokenizer,
            device=device,
            tokens_per_micro_batch=config.training.tokens_per_micro_batch,
            autocast=choose_autocast(self.place.precision(config.training.precision), device),
        )
        return Engine(
            model=self.model,
            model_key=fingerprint(self.model),
            how=how,
            folder=self.place.results / "predictions",
            both=config.evaluation.without_embedding and not quick,
            baselines=config.evaluation.baselines and not quick,
            seed=config.seed,
        )


def open_subject(place: Place) -> Subject:
    """Open a model for evaluation."""
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.devices import choose_device, set_threads
    from taskloom.modeling.model import Model, read_record
    from taskloom.run_file import load_config

    if place.is_run:
        config = load_config(place.run / "config.toml")
    else:
        record = read_record(place.model)
        config = RunConfig.model_validate(
            {"name": "model", "encoder": str(record["encoder"]), "data": {"max_length": int(record["max_length"])}}
        )
    set_threads()
    device = "cpu" if config.training.device == "cpu" else "auto"  # a run may be scored where its GPU is not
    model = Model.load(place.model).to(choose_device(device))
    name = config.name if place.is_run else place.run.resolve().name
    return Subject(name, place, config, model, Tokenizer.open(place.model))
