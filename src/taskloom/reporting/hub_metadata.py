"""The YAML header of a model card, as the Hub reads it: license, data sets, base model, and results as `model-index`.

It is written without huggingface_hub, which only the rooms that may use the network import; the tests read it with
huggingface_hub's ModelCard. Only tasks from the Hub have an entry in `model-index`: a result belongs to a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import yaml

from taskloom.errors import UnknownTaskError
from taskloom.evaluation.report import RunReport, TaskReport, representative
from taskloom.recipes.recipe import Builtin, Hub, Task
from taskloom.recipes.select import get_task
from taskloom.reporting.licenses import OTHER, Strictest, strictest
from taskloom.reporting.task_list import TrainedTask

PIPELINES = {
    "classification": "text-classification",
    "multilabel": "text-classification",
    "regression": "text-classification",
    "multiple_choice": "multiple-choice",
    "token_classification": "token-classification",
}
"""The Hub's task of each kind; a score or a choice is a text classification of one kind or another."""
PACKAGED = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""Encoders that come in a package, by the Hub's id of the same weights."""
METRICS = {
    "accuracy": "accuracy", "macro_f1": "f1", "micro_f1": "f1", "span_f1": "f1", "matthews": "matthews_correlation",
    "pearson": "pearsonr", "spearman": "spearmanr", "span_precision": "precision", "span_recall": "recall",
}  # fmt: skip
"""Our metrics under the Hub's identifiers; one that has none keeps its name."""


def header(
    trained: Sequence[TrainedTask], report: RunReport, zero_shot: str | None, *, before: Sequence[str] = ()
) -> str:
    """Return the header between its dashes; `before` are tasks that the model it started from was trained on."""
    kinds = sorted({one.task.kind.name.replace("_", "-") for one in trained})
    values: dict[str, Any] = {
        "language": sorted({one.task.language for one in trained}),
        **_license(trained, before),
        "library_name": "transformers",
        "pipeline_tag": "zero-shot-classification" if zero_shot else _commonest_pipeline(trained),
        "tags": ["taskloom", "multi-task", *kinds],
        "datasets": sorted({one.task.source.repo for one in trained if isinstance(one.task.source, Hub)}),
        **({"base_model": base} if (base := base_model(report.encoder)) else {}),
        "metrics": sorted({METRICS.get(one.main, one.main) for _, _, one in _scored(trained, report)}),
        "model-index": model_index(trained, report),
    }
    dumped = yaml.safe_dump(
        {key: value for key, value in values.items() if value}, sort_keys=False, allow_unicode=True, width=120
    )
    return f"---\n{dumped}---"


def _license(trained: Sequence[TrainedTask], before: Sequence[str]) -> dict[str, str]:
    found = license_of(trained, before)
    more = {"license_name": "see-tasks-md", "license_link": "tasks.md"} if found.header == OTHER else {}
    return {"license": found.header, **more}


def license_of(trained: Sequence[TrainedTask], before: Sequence[str] = ()) -> Strictest:
    """Return the strictest license of the data; built-in rows are taskloom's own and ask for nothing.

    `before` are ids of tasks that the start of the model was trained on. One that is not in the catalog counts as a
    task without a stated license.
    """
    recipes = [one.task for one in trained] + [_recipe(task) for task in before]
    outside = [task for task in recipes if task is None or not isinstance(task.source, Builtin)]
    return strictest((task.license, task.license_use) if task else (None, "unspecified") for task in outside)


def _recipe(task_id: str) -> Task | None:
    try:
        return get_task(task_id)
    except UnknownTaskError:
        return None  # of somebody's own files


def _commonest_pipeline(trained: Sequence[TrainedTask]) -> str:
    names = [PIPELINES[one.task.kind.name] for one in trained]
    return max(sorted(set(names)), key=names.count, default="text-classification")


def base_model(encoder: str) -> str:
    """Return the Hub's id of an encoder, "" for a folder, which has none."""
    return PACKAGED.get(encoder, encoder if is_hub_id(encoder) else "")


def is_hub_id(encoder: str) -> bool:
    """Tell an id of the Hub from a folder: two names, none of them a place on a disk, and nothing that is there."""
    parts = encoder.split("/")
    named = len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "runs")
    return named and not PurePath(encoder).is_absolute() and not Path(encoder).exists()


def model_index(trained: Sequence[TrainedTask], report: RunReport) -> list[dict[str, Any]]:
    """Return the results of the tasks from the Hub in the form that leaderboards read; none without results.

    Names follow huggingface_hub's EvalResult. An undefined value has no entry.
    """
    results = [_result(task, split, one) for task, split, one in _scored(trained, report)]
    results = [one for one in results if one["metrics"]]
    return [{"name": report.run, "results": results}] if results else []


def _scored(trained: Sequence[TrainedTask], report: RunReport) -> list[tuple[Task, str, TaskReport]]:
    found = []
    for one in sorted(trained, key=lambda one: one.task.id):
        splits = report.tasks.get(one.task.versioned)
        if splits and isinstance(one.task.source, Hub):
            chosen = representative(splits)
            found.append((one.task, next(split for split, value in splits.items() if value is chosen), chosen))
    return found


def _result(task: Task, split: str, report: TaskReport) -> dict[str, Any]:
    """Return one entry: the task, its data set and its metrics, the main one first.

    The split is the source's own name of it; a part that was held out of another split has ours.
    """
    assert isinstance(task.source, Hub)
    pipeline = PIPELINES[task.kind.name]
    names = sorted(report.metrics, key=lambda name: name != report.main)
    config = {"config": task.source.config} if task.source.config else {}
    source = task.splits.roles().get(split, split)
    revision = {"revision": task.source.revision} if task.source.revision else {}
    return {
        "task": {"type": pipeline, "name": task.kind.name.replace("_", " ")},
        "dataset": {
            "type": task.source.repo,
            "name": task.id,
            **config,
            **revision,
            "split": source if isinstance(source, str) else split,
        },
        "metrics": [
            {"type": METRICS.get(name, name), "value": round(value, 4), "name": name.replace("_", " ")}
            for name in names
            if (value := report.metrics[name]) is not None
        ],
    }
