"""taskloom: one text encoder, hundreds of tasks.

Everything public is here. Importing this package reads nothing but itself: torch, transformers and the rest come in
with the first call that needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from datasets import DatasetDict

    from taskloom.config import RunConfig
    from taskloom.errors import TaskloomError, UserError
    from taskloom.evaluation.report import RunReport
    from taskloom.inference.predictor import Model
    from taskloom.recipes.recipe import Task
    from taskloom.run_file import load_config
    from taskloom.workflows.running import Run

__version__ = "0.1.0"

__all__ = [
    "Model",
    "Run",
    "RunConfig",
    "Task",
    "TaskloomError",
    "UserError",
    "__version__",
    "evaluate",
    "export",
    "finetune",
    "load",
    "load_config",
    "load_model",
    "tasks",
    "train",
]

_HOMES = {
    "Model": "taskloom.inference.predictor",
    "Run": "taskloom.workflows.running",
    "RunConfig": "taskloom.config",
    "Task": "taskloom.recipes.recipe",
    "TaskloomError": "taskloom.errors",
    "UserError": "taskloom.errors",
    "load_config": "taskloom.run_file",
}


def __getattr__(name: str) -> Any:
    """Import a class the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def tasks(*patterns: str, license_use: Literal["any", "commercial"] = "any") -> list[Task]:
    """Return the tasks of the catalog that any pattern matches; all of them without a pattern.

    A pattern is an id ("glue/rte"), a glob over ids ("glue/*"), a collection ("starter") or a selector ("family:nli",
    "kind:regression"). Raises UserError for a pattern that matches nothing.
    """
    from taskloom.recipes.select import select

    return list(select(patterns or ("all",), license_use=license_use).tasks)


def load(task: str | Task, *, mirror: str | os.PathLike[str] | None = None) -> DatasetDict:
    """Return the canonical rows of a task as a DatasetDict with the splits train, validation and test it has.

    Rows are read from the folder `mirror` if it is given, else from that in TASKLOOM_MIRROR, else from the hub;
    built-in tasks are generated. "ID+FORM" loads a recast: "trec+label-nli". Raises UserError when they cannot be read
    or are not what the recipe says.
    """
    from pathlib import Path

    from taskloom.data.recast import canonical_rows
    from taskloom.data.source import read
    from taskloom.data.standardize import to_dataset_dict
    from taskloom.recipes.select import get_task

    recipe = get_task(task) if isinstance(task, str) else task
    raw = read(recipe, mirror=None if mirror is None else Path(mirror))
    return to_dataset_dict(canonical_rows(recipe, raw))


def train(config: str | os.PathLike[str] | RunConfig, *overrides: str) -> Run:
    """Train, evaluate and write the run folder of a run file, with overrides such as "training.steps=200".

    A run that was stopped goes on, a finished one is returned as it is. Raises UserError for a mistake in the file or
    in the data, TaskloomError when training fails.
    """
    from taskloom.config import RunConfig
    from taskloom.run_file import load_config
    from taskloom.workflows import running

    if isinstance(config, RunConfig):
        if overrides:
            raise TypeError("overrides go with the path of a run file; change the RunConfig itself instead")
        return running.train(config)
    return running.train(load_config(config, overrides))


def evaluate(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    tasks: tuple[str, ...] = (),
    data: str | os.PathLike[str] | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    head: str | None = None,
    quick: bool = False,
    calibrate: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> RunReport:
    """Evaluate a run or a model on `split` (default: validation, else test) of its tasks, or of those `tasks` matches.

    With `data`, a file, its own labeled rows are scored instead: `text`, `pair` and `label` are its columns, and `head`
    is the trained task that answers (default: the one with these labels).

    Answers and scores are kept in the run's folder, or in `out`, and are not computed twice. `quick` leaves out TF-IDF
    and the scores without task embedding; `calibrate` fits temperatures on validation rows. Raises UserError.
    """
    from pathlib import Path

    from taskloom.workflows import evaluating
    from taskloom.workflows.own_rows import own_rows

    rows = own_rows(None if data is None else Path(data), text=text, pair=pair, label=label, head=head)
    return evaluating.evaluate(
        Path(path), split=split, tasks=tasks, data=rows, quick=quick, calibrate=calibrate,
        out=None if out is None else Path(out),
    )  # fmt: skip


def export(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    head: str | None = None,
    format: Literal["hf", "onnx", "openvino", "adapter", "sentence-transformers"] = "hf",
    int8: bool = False,
    calibrate: str | None = None,
    force: bool = False,
    with_task_embedding: bool = False,
) -> Path:
    """Write one head of a run or model to the new folder `out`; returns the folder.

    `head` is the id of a trained task; without it the zero-shot head or the only one is taken. `format` is "hf" (for
    transformers alone), "onnx", "openvino", "adapter" (a few kB, to be opened on the same encoder), or
    "sentence-transformers" (the encoder with its matching head, which is then what is taken without `head`). `int8`
    adds a graph in int8, made from and checked on rows of `calibrate`, a file or a task (default: the head's own); with
    less than 98 % of the decisions it is refused unless `force`. Raises UserError for what cannot be written, or would
    give other numbers.
    """
    from pathlib import Path

    from taskloom.workflows import exporting
    from taskloom.workflows.exporting import Wanted

    wanted = Wanted(form=format, task=head, with_task_embedding=with_task_embedding, int8=int8, force=force)
    exporting.export_from(Path(path), Path(out), wanted, calibrate=calibrate)
    return Path(out)


def finetune(
    model: str | os.PathLike[str] | Model,
    task_or_data: str | os.PathLike[str] | Task,
    *,
    shots: int | None = None,
    seed: int = 0,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    kind: str | None = None,
    epochs: float | None = None,
    learning_rate: float | None = None,
    layer_decay: float | None = None,
    frozen: int | None = None,
    output: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Model:
    """Fine-tune a model on one task and return the result, saved to the new folder `output` if that is given.

    `model` is a run, a model folder, an encoder in Hugging Face form, a hub id, "minilm", or an opened model.
    `task_or_data` is a task of the catalog, or a csv, tsv, jsonl or parquet file, whose columns `text`, `pair` and
    `label` and whose `kind` are guessed where they are not given. `shots` takes so many train rows a class (in all,
    where there are no classes). `epochs` are passes over the rows, `learning_rate` is the encoder's peak, `layer_decay`
    the factor on it from each layer to the one below, and `frozen` counts the parts that stay as they are, from below:
    1 is the embeddings, each further one a layer. Raises UserError for a mistake in any of these.
    """
    from pathlib import Path

    from taskloom.workflows import tuning
    from taskloom.workflows.own_data import Columns

    given = getattr(model, "folder", model)
    source = Path(task_or_data) if hasattr(task_or_data, "__fspath__") else task_or_data
    recipe, told = tuning.recipe_of(source, Columns(text, pair, label, kind))
    settings = tuning.settings_of(epochs=epochs, learning_rate=learning_rate, layer_decay=layer_decay, frozen=frozen)
    request = tuning.Request(
        model=str(given), task=recipe, told=told, shots=shots, seeds=(seed,), settings=settings, device=device
    )
    return tuning.finetune(request, output=None if output is None else Path(output)).model


def load_model(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    adapter: str | os.PathLike[str] | None = None,
) -> Model:
    """Open a trained model: a run folder, its `model` folder, an export, or a classifier in Hugging Face form.

    `device` is auto, cpu, cuda or mps; `precision` is auto, fp32, bf16 or int8; `backend` is auto, torch, onnx or
    openvino; `adapter` is the folder of a head to be added. Raises UserError if there is no model.
    """
    from pathlib import Path

    from taskloom.workflows import models

    added = None if adapter is None else Path(adapter)
    return models.open_model(Path(path), device=device, precision=precision, backend=backend, adapter=added)
