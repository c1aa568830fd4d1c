"""A run folder as training leaves it, made in a second: results, plan, log, predictions and task embeddings.

The tasks are of all five kinds and several families, some better than the trivial answer and some not, with names and
labels that a careless page would take for markup.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from taskloom.evaluation.predictions import Predictions, write_predictions
from taskloom.evaluation.report import RunReport, TaskReport, summarize
from taskloom.evaluation.scoring import score
from taskloom.recipes.recipe import (
    Classification,
    Hub,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)
from taskloom.reporting.task_list import TrainedTask

HOSTILE = "<script>document.title='stolen'</script>"
FAMILIES = ("nli", "sentiment", "topic", "ner", "commonsense", "emotion", "hate", "intent", "probing")
LABELS = {
    "classification": ("yes", "no", "\"maybe\" & 'so'", HOSTILE),
    "multilabel": ("joy", "anger", "<b>fear</b>"),
    "regression": (),
    "multiple_choice": (),
    "token_classification": ("O", "B-PER", "I-PER"),
}
KINDS = {
    "classification": Classification(text="text", label="label"),
    "multilabel": Multilabel(text="text", labels="labels"),
    "regression": Regression(text="text", score="score", low=0, high=5),
    "multiple_choice": MultipleChoice(prompt="prompt", choices="choices", label="label"),
    "token_classification": TokenClassification(tokens="tokens", labels="labels"),
}
ROWS = 60


def made_predictions(task: Task, seed: int, *, skill: float) -> Predictions:
    """Return answers that are right more often the larger `skill` is, 0 for a guess."""
    draw, kind = np.random.default_rng(seed), task.kind.name
    labels = LABELS[kind]
    offsets, gold, scores = None, draw.integers(0, max(1, len(labels)), ROWS), np.zeros(0)
    if kind == "classification":
        logits = draw.normal(size=(ROWS, len(labels))) + skill * np.eye(len(labels))[gold]
        scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    elif kind == "multilabel":
        gold = draw.integers(0, 2, (ROWS, len(labels))).astype(np.uint8)
        scores = 1 / (1 + np.exp(-draw.normal(size=gold.shape) - skill * (2.0 * gold - 1)))
    elif kind == "regression":
        gold = draw.uniform(0, 5, ROWS).astype(np.float32)
        scores = np.clip(gold + draw.normal(size=ROWS) / (0.3 + skill), 0, 5)
    elif kind == "multiple_choice":
        offsets, gold = np.arange(ROWS + 1) * 4, draw.integers(0, 4, ROWS)
        logits = draw.normal(size=(ROWS, 4)) + skill * np.eye(4)[gold]
        scores = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).ravel()
    else:
        offsets, gold = np.arange(ROWS + 1) * 6, draw.integers(0, 3, ROWS * 6)
        scores = np.where(draw.uniform(size=len(gold)) < 0.3 + skill / 5, gold, draw.integers(0, 3, len(gold)))
    if kind != "token_classification":
        scores = scores.astype(np.float32)
    row = np.arange(ROWS) * 3
    return Predictions(task.versioned, kind, labels, "validation", row, gold, scores, offsets)


def made_tasks(count: int) -> list[Task]:
    """Return tasks whose kinds and families take turns; the names of some are hostile."""
    names = tuple(KINDS)
    return [
        Task(
            id=f"made/{number}-<i>&" if number % 7 == 1 else f"made/{number}",
            source=Hub(f"owner/set{number}", "config"),
            kind=KINDS[names[number % 5]],
            splits=Splits(train="train", validation="validation"),
            family=FAMILIES[number % len(FAMILIES)],
            question="Is <it> so?",
            license=("mit", "cc-by-4.0", None)[number % 3],
            license_use=("commercial", "commercial", "unspecified")[number % 3],
        )
        for number in range(count)
    ]


def made_run(folder: Path, count: int = 5) -> tuple[RunReport, list[TrainedTask]]:
    """Write a run folder of `count` tasks; returns its report and its tasks. The last of more than 5 has no scores."""
    folder.mkdir(parents=True)
    tasks = made_tasks(count)
    reports: dict[str, dict[str, TaskReport]] = {}
    for number, task in enumerate(tasks[: count if count <= 5 else -1]):
        predictions = made_predictions(task, number, skill=0.0 if number % 6 == 5 else 2.0)
        write_predictions(predictions, folder / "predictions")
        found = score(predictions, train_gold=predictions.gold, family=task.family)
        reports[task.versioned] = {"validation": found}
    trained = [TrainedTask(task, LABELS[task.kind.name], {"train": 900, "validation": ROWS}) for task in tasks]
    report = RunReport(
        run="made",
        seed=0,
        step=50,
        encoder="minilm",
        libraries={"torch": "2.13.0"},
        data_fingerprint="ab" * 32,
        tasks=reports,
        aggregate=summarize(reports),
        training={"steps": 50, "examples": 3200, "seconds": 95.2, "examples_per_second": 33.6, "device": "cpu"},
        not_trained={"gone/task": f"no rows {HOSTILE}"},
    )
    report.write(folder / "results.json")
    (folder / "plan.json").write_text(json.dumps(_plan(trained)), encoding="utf-8")
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, _log())) + '\n{"step": 51, "lo', encoding="utf-8")
    (folder / "model").mkdir()
    vectors = np.random.default_rng(1).normal(size=(count, 16)).astype(np.float32)
    save_file({"task_embedding": vectors}, folder / "model" / "heads.safetensors")
    heads = {"tasks": [{"id": task.id} for task in tasks]}
    (folder / "model" / "heads.json").write_text(json.dumps(heads), encoding="utf-8")
    return report, trained


def _plan(trained: list[TrainedTask]) -> dict[str, Any]:
    tasks: dict[str, Any] = {
        one.task.versioned: {"labels": list(one.labels), "rows": dict(one.rows), "fingerprint": "00"} for one in trained
    }
    tasks[trained[0].task.versioned]["left_out"] = {"rows": 7, "fingerprint": "11"}
    return {"version": 1, "seed": 0, "steps": 50, "batch_size": 64, "tasks": tasks}


def _log() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [
        {"step": step, "time": float(step), "loss": 2 / step**0.5, "families": {"nli": 1 / step, "topic": 4 / step}}
        for step in range(1, 51)
    ]
    return [*steps, {"step": 50, "time": 51.0, "mean_score": 0.6, "mean_majority": 0.4, "evaluation": {}}]


def made_transfer(folder: Path) -> None:
    """Write transfer results of two models on four tasks, three seeds."""
    draw = np.random.default_rng(5)
    lines = [
        {"model": model, "task": f"held/{task}", "shots": shots, "seed": seed, "method": method, "metric": "accuracy",
         "score": round(0.5 + gain + 0.02 * float(draw.normal()) + (0 if shots == "all" else 0.001 * shots), 4)}
        for method in ("finetune", "linear probe")
        for model, gain in (("minilm", 0.0), ("runs/made", 0.1))
        for task in range(4) for shots in (8, 16, 64, "all") for seed in range(3)
    ]  # fmt: skip
    (folder / "transfer.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
