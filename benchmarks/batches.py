"""What comes before the step: rows -> tokens on disk, (seed, step) -> rows, rows -> micro-batches. No network, no GPU.

python benchmarks/batches.py

The built-in tasks stand for any; 420 tasks are the fourteen, thirty times over. Ratios hold from machine to machine,
the absolute figures do not.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from taskloom.data.batches import Batcher, padding_share
from taskloom.data.mixture import Mixture
from taskloom.data.rows import Drawn
from taskloom.data.source import read
from taskloom.data.standardize import standardize
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.encoder import resolve_encoder
from taskloom.recipes.select import select

BATCH = 384
STEPS = 20
ROWS = 2000


def milliseconds(work: Callable[[int], object]) -> float:
    """Return the median time of `work(step)` over some steps, the first left out."""
    times = []
    for step in range(1, STEPS + 2):
        start = time.perf_counter()
        work(step)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])) * 1e3


def stored(cache: Path, tokenizer: Tokenizer) -> list[TaskStore]:
    """Build the stores of all built-in tasks and say how fast."""
    stores, rows, seconds = [], 0, 0.0
    for task in select(["procedural"], exclude=()).tasks:
        canonical = standardize(task, read(task, mirror=None))
        start = time.perf_counter()
        stores.append(build(canonical, tokenizer, cache=cache, max_length=256, max_rows=ROWS))
        seconds += time.perf_counter() - start
        rows += sum(len(split) for split in stores[-1].splits.values())
    print(f"tokenize and store: {rows / seconds:,.0f} rows/s ({rows:,} rows of {len(stores)} tasks)")
    return stores


def measure(stores: list[TaskStore], tokenizer: Tokenizer) -> None:
    """Say how long the draw and the micro-batches of one step take, and how much of them is padding."""
    mixture = Mixture(sizes=tuple(len(store.splits["train"]) for store in stores), batch_size=BATCH, seed=0)
    draw = milliseconds(mixture.batch)
    print(f"{len(stores):5} tasks: draw {draw:.2f} ms a step of {BATCH}", end="")
    for budget in (8192, 1 << 30):
        batcher = Batcher(stores, "train", tokenizer, 256, tokens_per_micro_batch=budget, max_choices=8)
        made = []

        def work(step: int, batcher: Batcher = batcher, made: list[float] = made) -> None:
            made.append(padding_share(batcher.micro_batches(Drawn(*mixture.batch(step)))))

        spent = milliseconds(work) - draw
        kind = "cut by length" if budget == 8192 else "in one padded piece"
        print(f"; {kind} {spent:.1f} ms, padding {np.mean(made):.1%}", end="")
    print()


def main() -> None:
    tokenizer = Tokenizer.open(resolve_encoder("minilm"))
    with tempfile.TemporaryDirectory() as folder:
        stores = stored(Path(folder), tokenizer)
        measure(stores, tokenizer)
        measure(stores * 30, tokenizer)
    for tasks in (420, 5000):
        mixture = Mixture(sizes=tuple(range(100, 100 + tasks)), batch_size=BATCH, seed=0, exponent=0.5)
        print(f"{tasks:5} tasks: mixture alone {milliseconds(mixture.batch):.2f} ms a step")


if __name__ == "__main__":
    main()
