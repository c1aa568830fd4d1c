"""What the number of tasks costs: building the model, its memory, and a step, for 11, 420 and 5,000 tasks.

python benchmarks/many_tasks.py

Each count runs in a process of its own. The tasks are synthetic, 2 to 77 labels each with heads of their own, 40 rows
each, on the 22M encoder; every fifth is multiple choice, so all of those share one row. A step is 384 examples in bf16
where the hardware has it. The rows have the same lengths whatever the count, so steps compare.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

COUNTS = (11, 420, 5000)
ROWS = 40
STEPS = 6


def one_count(count: int) -> None:
    """Measure one number of tasks and print a JSON line."""
    import torch

    from taskloom.config import make_config
    from taskloom.data.mixture import Mixture
    from taskloom.data.store import SplitStore, TaskStore
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.devices import choose_autocast, set_threads
    from taskloom.modeling.encoder import Encoder, resolve_encoder
    from taskloom.modeling.model import Model
    from taskloom.progress import Progress
    from taskloom.recipes.recipe import Builtin, Classification, MultipleChoice, Splits, Task
    from taskloom.training.building import head_table, make_optimizer
    from taskloom.training.gradients import Computation, Totals, accumulate
    from taskloom.training.plan import Plan
    from taskloom.training.ranks import Ranks
    from taskloom.training.steps import StepSource

    Progress()
    set_threads()
    folder = resolve_encoder("minilm")
    config = make_config({"encoder": "minilm", "data": {"max_length": 64}, "training": {"steps": 100}})
    generator = np.random.default_rng(0)

    def store(number: int) -> tuple[Task, TaskStore]:
        choice = number % 5 == 4
        labels = () if choice else tuple(f"label {number} {label}" for label in range(2 + number % 76))
        segments = 3 if choice else 1
        sizes = generator.integers(8, 40, ROWS * segments) // segments + 1
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        arrays = {
            "rows": np.arange(ROWS), "tokens": generator.integers(1000, 30000, offsets[-1]).astype(np.uint16),
            "offsets": offsets, "first_segment": np.arange(0, ROWS * segments + 1, segments),
            "lengths": np.add.reduceat(sizes, np.arange(0, len(sizes), segments)).astype(np.int32) + 3,
            "labels": generator.integers(0, 2 if choice else len(labels), ROWS),
        }  # fmt: skip
        kind = MultipleChoice(prompt="p", choices="c", label="l") if choice else Classification(text="t", label="l")
        task = Task(id=f"synthetic/{number}", source=Builtin("agreement"), kind=kind, splits=Splits(train="train"),
                    family="other")  # fmt: skip
        split = SplitStore.in_memory(kind.name, 64, arrays)
        fields = {"low": None, "high": None, "unused": {}, "truncated": {}, "fingerprint": str(number)}
        return task, TaskStore(id=task.id, task=task.versioned, kind=kind.name, labels=labels, splits={"train": split},
                               folder=Path(), **fields)  # fmt: skip

    pairs = [store(number) for number in range(count)]
    tasks, stores = [task for task, _ in pairs], [one for _, one in pairs]
    keys = ["choice" if task.kind.name == "multiple_choice" else task.id for task in tasks]
    plan = Plan(tuple(tasks), tuple(stores), tuple(keys), Mixture((ROWS,) * count, batch_size=384, seed=0), 100)
    before, started = memory(), time.perf_counter()
    model = Model(Encoder.open(folder), head_table(plan.tasks, plan.stores, plan.keys))
    built = time.perf_counter() - started
    held = memory() - before
    optimizer = make_optimizer(model, config.training, steps=100)
    source = StepSource(plan, model, Tokenizer.open(folder), config)
    device = torch.device("cpu")
    compute = Computation(0, device, choose_autocast("auto", device), Ranks())
    parts: dict[str, list[float]] = {"batch": [], "gradients": [], "update": []}
    for step in range(1, STEPS + 1):
        times = [time.perf_counter()]
        batch = source(step)
        times.append(time.perf_counter())
        optimizer.begin(batch.used)
        times.append(time.perf_counter())
        accumulate(model, batch, compute=compute, totals=Totals())
        times.append(time.perf_counter())
        optimizer.clip(config.training.clip, batch.used)
        optimizer.step(step, batch.used)
        optimizer.zero_grad(batch.used)
        times.append(time.perf_counter())
        drawn, begun, gradients, update = (end - start for start, end in pairwise(times))
        for name, seconds in (("batch", drawn), ("gradients", gradients), ("update", begun + update)):
            parts[name].append(seconds)
    medians = {name: statistics.median(values[1:]) for name, values in parts.items()}
    heads = model.head_weight.numel() + model.task_embedding.numel()
    print(json.dumps({"tasks": count, "build_s": built, "build_mb": held / 1e6, "head_rows": model.table.size,
                      "head_parameters": heads, "tokens": batch.tokens, **medians}))  # fmt: skip


def memory() -> int:
    """Return the most memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    if len(sys.argv) > 1:
        one_count(int(sys.argv[1]))
        return
    print("tasks  head rows   build      memory   batch     gradients  update    a step")
    with tempfile.TemporaryDirectory():
        for count in COUNTS:
            done = subprocess.run([sys.executable, __file__, str(count)], check=True, capture_output=True, text=True)
            one = json.loads(done.stdout.splitlines()[-1])
            step = one["batch"] + one["gradients"] + one["update"]
            print(f"{count:5}  {one['head_rows']:9,}  {one['build_s']:5.2f} s  {one['build_mb']:6.0f} MB  "
                  f"{one['batch'] * 1e3:5.1f} ms  {one['gradients'] * 1e3:6.0f} ms  {one['update'] * 1e3:6.1f} ms  "
                  f"{step:5.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
