"""What a report is made of, read from a run folder and looked at task by task; what is shown of it `page` decides.

Predictions of one task are in memory at a time: a run of 420 tasks has some hundred megabytes of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.predictions import Predictions, predictions_file, read_predictions
from taskloom.evaluation.report import RunReport, TaskReport, representative
from taskloom.reporting.answers import Confusion, LabelScore, Worst, confusion, label_scores, points, worst
from taskloom.reporting.embedding_map import EmbeddingMap, embedding_map
from taskloom.reporting.reliability import Reliability, Stated, pooled, reliability, stated
from taskloom.reporting.task_list import TrainedTask
from taskloom.reporting.texts import Texts
from taskloom.reporting.transfer_results import Cell, read_cells

TRANSFER = "transfer.jsonl"


@dataclass(frozen=True)
class Mistake:
    """A row answered wrongly, and its texts where these are at hand."""

    worst: Worst
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """What the predictions of a task say; what its kind does not have is None or empty."""

    confusion: Confusion | None = None
    label_scores: tuple[LabelScore, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    reliability: Reliability | None = None
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True)
class Looked:
    """A trained task with the split that stands for it, its report (None: not evaluated) and its answers."""

    trained: TrainedTask
    split: str
    report: TaskReport | None
    answers: Answers


@dataclass(frozen=True)
class Pooled:
    """How reliable confidences are over all tasks of classes and choices, and over those of several labels."""

    best_answers: Reliability | None
    labels: Reliability | None


@dataclass(frozen=True)
class Material:
    """Everything that the page shows. `map_of` are the numbers of the tasks (in `tasks`) that the map has, in order."""

    report: RunReport
    plan: Mapping[str, Any]
    log: tuple[Mapping[str, Any], ...]
    tasks: tuple[Looked, ...]
    pooled: Pooled
    cells: tuple[Cell, ...]
    map: EmbeddingMap | None
    map_of: tuple[int, ...]


def gather(
    folder: Path,
    report: RunReport,
    trained: Sequence[TrainedTask],
    *,
    cache: Path | None = None,
    transfer: Path | None = None,
) -> Material:
    """Return the material of the run in `folder`; without `cache` no text of a row is looked up.

    Transfer results are read from `transfer`, else from the run's transfer.jsonl if it has one. Raises DataError for
    files that are damaged.
    """
    results = transfer or folder / TRANSFER
    plan = _json(folder / "plan.json")
    texts = Texts(cache, folder / "model" / "tokenizer.json") if cache else None
    looked = []
    said: dict[bool, list[Stated]] = {False: [], True: []}
    trained = sorted(trained, key=lambda one: (one.task.family, one.task.id))
    for one in trained:
        splits = report.tasks.get(one.task.versioned, {})
        found = representative(splits) if splits else None
        split = next((name for name, value in splits.items() if value is found), "")
        answers = Answers()
        path = predictions_file(folder / "predictions", one.task.versioned, split)
        if found and path.is_file():
            predictions = read_predictions(path)
            sure = stated(predictions)
            answers = _answers(predictions, sure, texts, _fingerprint(plan, one.task.versioned))
            said[predictions.kind == "multilabel"] += [sure] if sure else []
        looked.append(Looked(one, split, found, answers))
    vectors, map_of = _vectors(folder / "model", [one.task.id for one in trained])
    return Material(
        report=report,
        plan=plan,
        log=tuple(_log(folder / "log.jsonl")),
        tasks=tuple(looked),
        pooled=Pooled(*(pooled(said[several]) if said[several] else None for several in (False, True))),
        cells=read_cells(results) if transfer or results.is_file() else (),
        map=embedding_map(vectors),
        map_of=map_of,
    )


def _answers(predictions: Predictions, sure: Stated | None, texts: Texts | None, fingerprint: str) -> Answers:
    found = worst(predictions)
    rows = [one.row for one in found]
    task = predictions.task.partition("@")[0]
    said = texts.of(task, fingerprint, predictions.split, rows) if texts else {}
    return Answers(
        confusion=confusion(predictions),
        label_scores=label_scores(predictions) if predictions.kind == "multilabel" else (),
        points=points(predictions) if predictions.kind == "regression" else (),
        reliability=reliability(sure) if sure else None,
        mistakes=tuple(Mistake(one, said.get(one.row, ())) for one in found),
    )


def _vectors(model: Path, ids: Sequence[str]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return the task embeddings (tasks, width) of the model and the number of each in `ids`; none without a file."""
    from safetensors.numpy import load_file

    weights, heads = model / "heads.safetensors", _json(model / "heads.json")
    if not weights.is_file() or not heads:
        return np.zeros((0, 1)), ()
    places = {one["id"]: at for at, one in enumerate(heads["tasks"])}
    known = [number for number, task in enumerate(ids) if task in places]
    return load_file(weights)["task_embedding"][[places[ids[number]] for number in known]], tuple(known)


def _fingerprint(plan: Mapping[str, Any], task: str) -> str:
    return str(plan.get("tasks", {}).get(task, {}).get("fingerprint", ""))


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the log; the torn last one of a killed process is passed over."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
