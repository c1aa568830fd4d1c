"""A training step with padding and without, by turns in one process: seconds, parts, padding.

TASKLOOM_MIRROR=DIR python benchmarks/packing.py [--steps 6] [--precision bf16] [--cpu] [--profile]

The eleven tasks, rows, encoder and batch of `benchmarks/training.py`. The padded side is what encoders take that
`modeling/bert` does not know: micro-batches cut by length and padded to their longest sequence. With --cpu, processor
seconds of one thread, for a machine that is not idle. The first two steps of each are left out of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training import BATCH, matmul_rate, values, write_rows


def side(config: Any, *, packs: bool, clock: Callable[[], float]) -> tuple[Any, Callable[[Any], tuple[float, float]]]:
    """Return what makes the batches of one side, and what computes a step and returns its seconds and its loss."""
    import torch

    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.devices import choose_autocast
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.progress import Progress
    from taskloom.training.building import build_model
    from taskloom.training.gradients import Computation, Totals, accumulate
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import Ranks
    from taskloom.training.steps import StepSource
    from taskloom.workflows.preparing import prepare

    pairs = list(prepare(config).trainable())
    plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs])
    folder = resolve_encoder(config.encoder)
    model = build_model(config, plan, folder, progress=Progress()).train()
    model.encoder.compiled = not packs
    device = torch.device("cpu")
    compute = Computation(0, device, choose_autocast(config.training.precision, device), Ranks())

    def step(batch: Any) -> tuple[float, float]:
        start = clock()
        sums = accumulate(model, batch, compute=compute, totals=Totals())
        loss = sums.loss(batch)
        model.zero_grad()
        return clock() - start, loss

    return StepSource(plan, model, Tokenizer.open(folder), config), step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if not os.environ.get("TASKLOOM_MIRROR"):
        sys.exit("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/packing.py")
    os.environ["HF_HUB_OFFLINE"] = "1"
    if given.cpu:
        os.environ["OMP_NUM_THREADS"] = "1"
    clock = time.process_time if given.cpu else time.perf_counter
    from torch.profiler import ProfilerActivity, profile

    from taskloom.config import make_config

    print(f"bf16 matrix products: {matmul_rate():,.0f} GFLOP/s")
    with tempfile.TemporaryDirectory() as name:
        entries = write_rows(Path(os.environ["TASKLOOM_MIRROR"]), Path(name))
        config = make_config(
            json.loads(json.dumps(values(Path(name), entries, name="x", steps=1000, precision=given.precision)))
        )
        sides = {way: side(config, packs=way == "packed", clock=clock) for way in ("padded", "packed")}
        taken: dict[str, list[float]] = {way: [] for way in sides}
        for number in range(1, given.steps + 1):
            for way, (source, step) in sides.items():
                batch = source(number)
                seconds, loss = step(batch)
                taken[way].append(seconds)
                print(f"step {number} {way}: {seconds:.2f} s, {len(batch.micro_batches)} micro-batches, padding "
                      f"{1 - batch.tokens / batch.padded_tokens:.1%}, loss {loss:.4f}", flush=True)  # fmt: skip
        for way, seconds_of_all in taken.items():
            median = statistics.median(seconds_of_all[2:])
            print(f"median {way}: {median:.2f} s a step, {BATCH / median:.1f} examples/s")
        if given.profile:
            source, step = sides["packed"]
            batch = source(given.steps + 1)
            with profile(activities=[ProfilerActivity.CPU]) as found:
                step(batch)
            print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=40))


if __name__ == "__main__":
    main()
