"""Results on held-out tasks, as the report shows them: a file of one line a measurement.

{"model": "runs/first", "task": "trec", "shots": 16, "seed": 0, "method": "finetune", "score": 0.71}

`shots` is a number of labeled examples or "all", 0 for zero-shot, whose ways are methods of their own. Further keys are
not looked at, and of two lines for the same measurement the later one counts. Models are compared on the tasks that all
of them were measured on. An interval is over seeds: Student's t of the means over tasks.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from taskloom.errors import DataError

KEYS = ("model", "task", "shots", "seed", "method", "score")


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    model: str
    task: str
    shots: str
    seed: int
    method: str
    score: float


@dataclass(frozen=True)
class Mean:
    """A model's mean over the common tasks, its 95 % interval over seeds (None for one seed), and on how many of these
    tasks its mean is above and below that of the file's first model; None for itself and where that was not measured.
    """

    model: str
    mean: float
    interval: tuple[float, float] | None
    seeds: int
    tasks: int
    wins: int | None
    losses: int | None


def read_cells(path: Path) -> tuple[Cell, ...]:
    """Return the measurements in a file; raises DataError without a file, or with the first line that is none.

    A last line without its end is that of a process that was killed or still writes, and is passed over.
    """
    if not path.is_file():
        raise DataError(f"There is no {path}. Give the transfer.jsonl that `taskloom transfer` wrote.")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if line.strip() and line.endswith("\n"):
            try:
                found.append(_cell(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{path}, line {number} is not a result of transfer: it needs {', '.join(KEYS)}, and the score a "
                    "finite number. Put the line right, or remove the file and type `taskloom report RUN` again."
                ) from error
    return tuple(found)


def _cell(line: dict[str, Any]) -> Cell:
    values = {key: line[key] for key in KEYS}
    shots, score = str(values["shots"]), float(values["score"])
    if not math.isfinite(score) or not (shots == "all" or shots.isdecimal()):
        raise ValueError(line)
    model, task, method = (str(values[key]) for key in ("model", "task", "method"))
    return Cell(model, task, shots, int(values["seed"]), method, score)


def shots_order(cells: Sequence[Cell]) -> list[str]:
    """Return the numbers of shots that occur, rising, "all" last."""
    return sorted({cell.shots for cell in cells}, key=lambda shots: math.inf if shots == "all" else int(shots))


def means(cells: Sequence[Cell]) -> dict[str, dict[str, tuple[Mean, ...]]]:
    """Return method -> shots -> the means of the models, in the order in which the models first occur."""
    methods = dict.fromkeys(cell.method for cell in cells)
    grouped = {
        method: {
            shots: _compared([cell for cell in cells if (cell.method, cell.shots) == (method, shots)], cells[0].model)
            for shots in shots_order([cell for cell in cells if cell.method == method])
        }
        for method in methods
    }
    return {method: {shots: found for shots, found in by.items() if found} for method, by in grouped.items()}


def _compared(cells: Sequence[Cell], reference: str) -> tuple[Mean, ...]:
    """Return the means of models over the tasks that they have in common."""
    scores: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        scores[cell.model][cell.task][cell.seed] = cell.score
    common = set.intersection(*(set(tasks) for tasks in scores.values()))
    if not common:
        return ()
    by_task = {model: {task: fmean(tasks[task].values()) for task in common} for model, tasks in scores.items()}
    return tuple(
        _mean(model, scores[model], by_task[model], by_task.get(reference) if model != reference else None)
        for model in scores
    )


def _mean(
    model: str, scores: dict[str, dict[int, float]], own: dict[str, float], first: dict[str, float] | None
) -> Mean:
    seeds = set.intersection(*(set(scores[task]) for task in own))
    by_seed = [fmean(scores[task][seed] for task in own) for seed in sorted(seeds)]
    center = fmean(own.values())
    interval = None
    if len(by_seed) > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, len(by_seed) - 1)) * stdev(by_seed) / math.sqrt(len(by_seed))
        interval = (center - half, center + half)
    wins = sum(own[task] > first[task] for task in own) if first else None
    losses = sum(own[task] < first[task] for task in own) if first else None
    return Mean(model, center, interval, len(by_seed), len(own), wins, losses)
