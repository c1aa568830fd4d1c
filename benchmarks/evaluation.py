"""What an evaluation costs, that a killed one goes on, and how often paired tests reject what is true.

python benchmarks/evaluation.py [RUN] [--tasks PATTERN]... [--against RUN] [--swaps 1000]

Each pass is a process of its own that writes to a folder of its own, with the baselines of prepared tasks removed
first: quick (scores alone), full (without task embedding, chance and TF-IDF beside), the same again, and full, killed
with -9 in the middle and typed again, whose results must be those of the unbroken pass. Then, for each task, the
answers with and without task embedding (with --against, those of two evaluated runs, and nothing else is measured) are
exchanged at random, row by row, 1,000 times, and tested: at the 5 % level 3 to 7 % should be rejected. Without RUN a
small run on built-in tasks is trained first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from taskloom.data.store import cache_folder
from taskloom.evaluation.metrics import main_metric
from taskloom.evaluation.paired import common_rows, p_value, statistics_of, swapped_differences
from taskloom.evaluation.predictions import Predictions, read_predictions
from taskloom.run_file import load_config

SMALL = """
encoder = "minilm"
[data]
tasks = ["builtin/label_nli", "builtin/switches", "builtin/span_tags", "builtin/edit_similarity", "builtin/where_is"]
max_rows = 500
max_length = 64
[training]
steps = 20
batch_size = 32
learning_rate = 1e-4
head_learning_rate = 2e-3
evaluate_every = 0
"""


def small_run(folder: Path) -> Path:
    """Train a small run and return its folder."""
    from taskloom.workflows.running import train

    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    return train(load_config(folder / "small.toml")).folder


def evaluated(run: Path, out: Path, *options: str, kill_after: int | None = None) -> float:
    """Evaluate in a process of its own, killed when so many answer files are there; returns its seconds."""
    started = time.monotonic()
    command = [sys.executable, "-m", "taskloom", "evaluate", str(run), "--out", str(out), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if kill_after is not None and len([*out.glob("predictions/*.parquet")]) >= kill_after:
            process.kill()
        time.sleep(0.02)
    if process.returncode != 0 and kill_after is None:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    return time.monotonic() - started


def forget_baselines(run: Path) -> None:
    """Remove the baselines that are kept beside prepared tasks."""
    tasks = cache_folder(load_config(run / "config.toml").data.cache) / "tasks"
    for path in [*tasks.glob("*/tfidf-*.json"), *tasks.glob("*/word_tag-*.json")]:
        path.unlink()


def passes(run: Path, folder: Path, options: list[str]) -> None:
    """Print what each pass takes, and whether the killed one ends as the unbroken one."""
    forget_baselines(run)
    quick = evaluated(run, folder / "quick", "--quick", *options)
    full = evaluated(run, folder / "full", *options)
    again = evaluated(run, folder / "full", *options)
    tasks = len([*(folder / "full" / "predictions").glob("*.parquet")])
    print(f"{tasks} tasks: quick {quick:.1f} s, full {full:.1f} s ({full / quick:.2f} times), again {again:.1f} s")
    before = evaluated(run, folder / "killed", *options, kill_after=tasks // 2)
    rest = evaluated(run, folder / "killed", *options)
    same = [json.loads((folder / name / "results.json").read_text())["tasks"] for name in ("full", "killed")]
    print(f"killed after {before:.1f} s, the rest {rest:.1f} s, results {'equal' if same[0] == same[1] else 'DIFFER'}")


def swapped(first: Predictions, second: Predictions, places: np.ndarray) -> tuple[Predictions, Predictions]:
    """Return both with the answers to some rows exchanged."""
    if first.offsets is not None:
        places = np.repeat(places, np.diff(first.offsets))
    mask = places[:, None] if first.scores.ndim == 2 else places
    return (
        dataclasses.replace(first, scores=np.where(mask, second.scores, first.scores)),
        dataclasses.replace(second, scores=np.where(mask, first.scores, second.scores)),
    )


def sizes(ours: Path, theirs: Path, swaps: int) -> None:
    """Print how often the test rejects at 5 % when the answers in two folders are exchanged at random."""
    generator = np.random.default_rng(0)
    rates = []
    for path in sorted(theirs.glob("*.parquet")):
        if not (ours / path.name).is_file():
            continue
        first, second = common_rows(read_predictions(ours / path.name), read_predictions(path))
        metric = main_metric(first.kind, first.labels)
        everything = np.ones((1, len(first)))
        differing = int(
            np.any(np.diff([side.sums for side in statistics_of(first, second, metric)], axis=0)[0], 1).sum()
        )
        if differing < 10:
            print(f"{first.task}: {differing} rows differ, too few to test")
            continue
        rejected = 0
        for trial in range(swaps):
            sides = statistics_of(*swapped(first, second, generator.random(len(first)) < 0.5), metric)
            difference = float(sides[1](everything)[0] - sides[0](everything)[0])
            rejected += p_value(difference, swapped_differences(*sides, rounds=200, seed=trial)) <= 0.05
        rates.append(rejected / swaps)
        print(f"{first.task}: {metric}, {differing} of {len(first)} rows differ, {rejected / swaps:.1%} rejected")
    if rates:
        print(f"all: {min(rates):.1%} to {max(rates):.1%}, mean {np.mean(rates):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--tasks", action="append", default=[])
    parser.add_argument("--swaps", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.against is not None:
        sizes(arguments.against / "predictions", arguments.run / "predictions", arguments.swaps)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        run = arguments.run or small_run(folder)
        passes(run, folder, [part for pattern in arguments.tasks for part in ("--tasks", pattern)])
        kept = folder / "full" / "predictions"
        sizes(kept, kept / "without_embedding", arguments.swaps)


if __name__ == "__main__":
    main()
