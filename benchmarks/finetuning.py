"""How fine-tuning from few rows does under different settings: `python benchmarks/finetuning.py MODEL...`

Needs a mirror folder (TASKLOOM_MIRROR). Everything is measured on the rows that transfer keeps for choosing settings,
train rows in both parts, of tasks outside of the collection `held-out`, so that no reported figure hangs on it. What
has a line in `--lines` is not measured again, and measuring ends after `--seconds`; the table is of all lines.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from taskloom.adapting.choosing import selection_rows
from taskloom.adapting.finetuning import Settings
from taskloom.adapting.measuring import Bench, ProbeSetting, TuneSetting
from taskloom.adapting.start import open_start
from taskloom.recipes.select import get_task
from taskloom.workflows.preparing import rows_of
from taskloom.workflows.tuning import prepare_for

CASES = (
    ("crowdflower/airline-sentiment", 16), ("hate_speech_offensive", 64), ("help-nli", 64), ("silicone/maptask", 16),
    ("commonsense_qa", 64),
)  # fmt: skip
BASE = Settings(epochs=8, least_steps=40, most_steps=48)
SETTINGS: dict[str, ProbeSetting | TuneSetting] = {
    **{f"probe {pooling}, C {penalty:g}": ProbeSetting(pooling, penalty)
       for pooling in ("own", "first", "mean") for penalty in (0.01, 0.1, 1.0)},
    **{f"{pooling}, rate {rate:g}": TuneSetting(replace(BASE, pooling=pooling, learning_rate=rate))
       for pooling in ("mean", "own") for rate in (1e-4, 3e-4, 5e-5, 6e-4)},
    **{f"{pooling}, head new": TuneSetting(replace(BASE, pooling=pooling, head="new", head_learning_rate=5e-3))
       for pooling in ("mean", "own")},
    **{f"{pooling}, {frozen} parts frozen": TuneSetting(replace(BASE, pooling=pooling, frozen=frozen))
       for pooling in ("mean", "own") for frozen in (1, 4)},
    **{f"{pooling}, layer decay 0.7": TuneSetting(replace(BASE, pooling=pooling, layer_decay=0.7))
       for pooling in ("mean", "own")},
    **{f"{pooling}, no names": TuneSetting(replace(BASE, pooling=pooling, names=False)) for pooling in ("mean", "own")},
    "mean, 120 steps": TuneSetting(replace(BASE, pooling="mean", least_steps=120, most_steps=120)),
    "own, 120 steps": TuneSetting(replace(BASE, least_steps=120, most_steps=120)),
}  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what has been measured."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def measure(model: str, path: Path, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the lines that a model lacks, as long as there is time."""
    end = time.monotonic() + seconds
    done = {(line["model"], line["setting"], line["task"], line["shots"]) for line in lines(path)}
    start = open_start(model, device="auto", precision="auto", length=128)
    benches: dict[str, Bench] = {}
    for name, setting in SETTINGS.items():
        for task_id, shots in CASES:
            if (model, name, task_id, shots) in done or time.monotonic() > end:
                continue
            if task_id not in benches:
                task = get_task(task_id)
                benches[task_id] = Bench(start, task, prepare_for(task, start), rows_of(task))
            bench, began = benches[task_id], time.process_time()
            rows = selection_rows(bench.store, task_id, shots)
            if isinstance(setting, ProbeSetting):
                found = bench.probe(rows.learn, setting, rows.split, rows.score)
            else:
                found = bench.tune(rows.learn, setting, 0, rows.split, rows.score)
            yield {"model": model, "setting": name, "task": task_id, "shots": shots, "score": found.score,
                   "core_seconds": round(time.process_time() - began, 1)}  # fmt: skip


def table(path: Path) -> Iterator[str]:
    """Yield the mean of each setting over the cases that it has, and the seconds of one core that it took."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines(path):
        by[line["model"], line["setting"]].append(line)
    for (model, setting), some in by.items():
        scores = [f"{line['task']} {line['score']:.3f}" for line in some]
        mean, cost = np.mean([line["score"] for line in some]), np.mean([line["core_seconds"] for line in some])
        yield f"{model:20}  {setting:24}  {mean:.3f} over {len(some)}  {cost:5.1f} s  {'  '.join(scores)}"


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["minilm"])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--lines", type=Path, default=Path("finetuning-settings.jsonl"))
    given = parser.parse_args()
    if not os.environ.get("TASKLOOM_MIRROR"):
        print("TASKLOOM_MIRROR is not set: nothing to measure on")
        return
    for model in given.models:
        for line in measure(model, given.lines, given.seconds / len(given.models)):
            with given.lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    for line in table(given.lines):
        print(line)


if __name__ == "__main__":
    main()
