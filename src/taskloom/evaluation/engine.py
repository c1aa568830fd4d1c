"""One deterministic pass over tasks and splits that can be stopped and goes on where it was.

Every row's answer is kept in a file a task and split, with a key of everything that decides it: the model's weights,
the prepared rows, the route, the arithmetic. A file with the right key is read instead of asking the model again, so a
killed evaluation loses at most one task, and metrics are always computed from what the file holds. Answers without task
embedding lie in a folder of their own beside them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskloom.data.store import TaskStore
from taskloom.data.whole import write_whole
from taskloom.errors import DataError
from taskloom.evaluation import tfidf
from taskloom.evaluation.evaluator import Answering, answer, evaluating, unseen_tag
from taskloom.evaluation.predictions import Predictions, kept_predictions, write_predictions
from taskloom.evaluation.report import Metrics, Scores, TaskReport
from taskloom.evaluation.routes import Route
from taskloom.evaluation.scoring import chance, compute, intervals_of, score
from taskloom.modeling.model import Model
from taskloom.recipes.recipe import Task

Array = NDArray[Any]
VERSION = 1
"""Raised whenever the same model would answer the same rows otherwise; kept answers are then asked anew."""
WITHOUT = "without_embedding"


@dataclass(frozen=True)
class Job:
    """A task and split to score through a route; `left_out` are places of train rows that were not trained on."""

    task: Task
    store: TaskStore
    split: str
    route: Route
    left_out: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Scores jobs with one model; answers are kept in `folder`.

    `model_key` names the weights (`fingerprint`). `both` scores trained tasks without task embedding as well, and
    `baselines` adds chance and TF-IDF.
    """

    model: Model
    model_key: str
    how: Answering
    folder: Path
    both: bool = True
    baselines: bool = True
    seed: int = 0

    def evaluate(self, job: Job) -> TaskReport:
        """Return the report of a job; raises DataError for a split that is not there or has no rows."""
        found = self.answers(job, use_task_embedding=job.route.trained)
        store, split = job.store, job.split
        report = score(
            found,
            train_gold=np.asarray(store.splits["train"].labels) if "train" in store.splits else None,
            family=job.task.family,
            unused_rows=store.unused.get(split, {}),
            seed=self.seed,
        )
        more: dict[str, Any] = {"through": job.route.through, "role": job.task.role}
        if job.route.head.task != job.task.versioned:
            more["head"] = job.route.head.task
        if job.route.trained and self.both:
            more["without_embedding"] = self._without(job)
        if self.baselines:
            baselines, reasons = self._baselines(job, found)
            more |= {"baselines": baselines, "reasons": report.reasons | reasons}
        return report.model_copy(update=more)

    def answers(self, job: Job, *, use_task_embedding: bool) -> Predictions:
        """Return the answers to all rows of a split, from its file or else from the model."""
        store = job.store
        rows = len(store.splits[job.split]) if job.split in store.splits else None
        if not rows:
            has = ", ".join(f"{split} {len(rows)}" for split, rows in store.splits.items()) or "none"
            raise DataError(f"Task {store.task} has no rows in a {job.split} split; it has: {has}.")
        folder = self.folder if use_task_embedding or not job.route.trained else self.folder / WITHOUT
        key = self._key(job, use_task_embedding)
        kept = kept_predictions(folder, store.task, job.split, key)
        if kept is not None:
            return kept
        train = store.splits.get("train")
        seen = train.labels if train is not None and len(train) else store.splits[job.split].labels
        with evaluating(self.model):
            found = answer(
                self.model,
                store,
                job.split,
                how=dataclasses.replace(self.how, use_task_embedding=use_task_embedding),
                head=job.route,
                places=np.arange(rows),
                unseen=unseen_tag(store, seen),
            )
        write_predictions(found, folder, key=key)
        return found

    def _without(self, job: Job) -> Scores:
        """Return the scores with the embedding left out; those of one that is zero, as never trained, are the same."""
        is_zero = not bool(self.model.task_embedding[job.route.place].any())
        found = self.answers(job, use_task_embedding=is_zero)
        metrics = compute(found)
        return Scores(
            metrics=metrics.values,
            interval=intervals_of(found, metrics, seed=self.seed),
            reasons=metrics.reasons,
        )

    def _baselines(self, job: Job, found: Predictions) -> tuple[dict[str, Metrics], dict[str, str]]:
        by_chance = chance(found, seed=self.seed)
        name = tfidf.name_of(job.store.kind)
        reasons = {f"chance.{metric}": reason for metric, reason in by_chance.reasons.items()}
        if name != "tfidf":
            reasons["tfidf"] = "TF-IDF answers whole texts; word_tag is the most frequent train tag of each word"
        values, why = _kept_baseline(job, found)
        if values is None:
            return {"chance": by_chance.values}, reasons | {name: why[name]}
        return {"chance": by_chance.values, name: values}, reasons | why

    def _key(self, job: Job, use_task_embedding: bool) -> str:
        route = job.route
        parts = (
            VERSION, self.model_key, job.store.fingerprint, job.split, route.head.rows, route.place, route.merged,
            use_task_embedding, str(self.how.autocast), torch.__version__.partition("+")[0],
        )  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def fingerprint(model: Model) -> str:
    """Return the sha256 of a model's weights and heads, the same in training and after saving and loading."""
    digest = hashlib.sha256(json.dumps(model.table.to_json()).encode())
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _kept_baseline(job: Job, found: Predictions) -> tuple[Metrics | None, dict[str, str]]:
    """Return the metrics of the TF-IDF baseline and their reasons, from the file beside the store or else fitted.

    None for a baseline that there is not, with its reason under its own name.
    """
    name = tfidf.name_of(job.store.kind)
    left_out = b"" if job.left_out is None else np.asarray(job.left_out, dtype="<i8").tobytes()
    on_disk = job.store.fingerprint and job.store.folder.is_dir()
    digest = hashlib.sha256(left_out).hexdigest()[:16]
    path = job.store.folder / f"{name}-{tfidf.VERSION}.{job.split}.{digest}.json"
    if on_disk and path.is_file():
        try:
            values, reasons = json.loads(path.read_text(encoding="utf-8"))
            return values, reasons
        except ValueError:
            pass  # a torn file of a full disk: fitted anew
    try:
        scores = tfidf.tfidf_answers(job.store, job.split, found, left_out=job.left_out)
    except DataError as error:
        return None, {name: str(error)}
    metrics = compute(tfidf.answered(found, scores))
    reasons = {f"{name}.{metric}": reason for metric, reason in metrics.reasons.items()}
    if on_disk:
        _write_json(path, [metrics.values, reasons])
    return metrics.values, reasons


def _write_json(path: Path, value: Any) -> None:
    """Write a file beside a store, where that can be written to; a store may be read-only."""
    with suppress(OSError):
        write_whole(path, json.dumps(value))


def scored_splits(task: Task, splits: Iterable[str], asked: str | None = None) -> list[str]:
    """Return which splits of a task are scored, the one that stands for it first.

    `asked` None: the first of validation and test (benchmarks: test and validation); "all": both; else that one.
    """
    order = ("test", "validation") if task.role == "evaluation" else ("validation", "test")
    there = [split for split in order if split in set(splits)]
    if asked in (None, "all"):
        return there if asked else there[:1]
    return [split for split in there if split == asked]
