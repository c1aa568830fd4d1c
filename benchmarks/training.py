"""Training throughput at batch 384 on eleven real classification tasks, beside a peer that is given as a command.

TASKLOOM_MIRROR=DIR python benchmarks/training.py [--repeats 3] [--steps 3 9] [--peer "PYTHON peer_tasknet.py"] [--cpu]
    [--processes 1 2]

The rows are those of the peer's script: the first 1,000 of each train split after `datasets`' shuffle(seed=0). Ours is
timed as a whole process that prepares, trains and saves, with prepared rows in a cache of its own; a long run minus a
short one leaves the steps alone. The peer (micro-batches of 32, one task each, 12 a step) is timed the same way, by the
wall clock of its process, in turn with ours. Beside them stands the rate of large bf16 matrix products in this process:
the limit for the linear layers, at 6 operations a weight and token. `--processes` times ours with each of these numbers
of processes, as `taskloom train --processes` starts them. Nothing else should run on the machine. Where that
cannot be had, --cpu takes the processor seconds of each process instead, with one thread for both sides: what waiting
for the others does not change. The peer asks for every core, so that a wrapper keeps it to one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASKS = (  # id, folder, configuration, text, pair, label
    ("glue/rte", "nyu-mll/glue", "rte", "sentence1", "sentence2", "label"),
    ("glue/cola", "nyu-mll/glue", "cola", "sentence", None, "label"),
    ("tweet_eval/emotion", "cardiffnlp/tweet_eval", "emotion", "text", None, "label"),
    ("tweet_eval/irony", "cardiffnlp/tweet_eval", "irony", "text", None, "label"),
    ("tweet_eval/hate", "cardiffnlp/tweet_eval", "hate", "text", None, "label"),
    ("tweet_eval/sentiment", "cardiffnlp/tweet_eval", "sentiment", "text", None, "label"),
    ("clinc_oos/small", "clinc/clinc_oos", "small", "text", None, "intent"),
    ("banking77", "legacy-datasets/banking77", None, "text", None, "label"),
    ("poem_sentiment", "google-research-datasets/poem_sentiment", None, "verse_text", None, "label"),
    ("sms_spam", "ucirvine/sms_spam", None, "sms", None, "label"),
    ("rotten_tomatoes", "cornell-movie-review-data/rotten_tomatoes", None, "text", None, "label"),
)
ROWS = 1000
BATCH = 384


def write_rows(mirror: Path, folder: Path) -> list[dict[str, Any]]:
    """Write the peer's rows as parquet and return a `[[task]]` for each task."""
    import datasets

    datasets.disable_progress_bars()
    entries = []
    for number, (task_id, repo, config, text, pair, label) in enumerate(TASKS):
        splits = datasets.load_dataset(str(mirror / repo), config)
        train = splits["train"].shuffle(seed=0)
        if "validation" in splits:
            held = splits["validation"]
        else:
            parts = train.train_test_split(0.1, seed=0)
            train, held = parts["train"], parts["test"]
        files = {}
        names = train.features[label].names
        for split, rows in (("train", train.select(range(min(ROWS, len(train))))), ("validation", held)):
            table = {"text": rows[text], "label": [f"{task_id} {names[value]}" for value in rows[label]]}
            table |= {"pair": rows[pair]} if pair else {}
            files[split] = str(folder / f"{number}-{split}.parquet")
            datasets.Dataset.from_dict(table).to_parquet(files[split])
        entry = {"id": f"peer/{task_id}", "files": files, "kind": "classification", "text": "text", "label": "label"}
        entries.append(entry | ({"pair": "pair"} if pair else {}))
    return entries


def values(folder: Path, entries: list[dict[str, Any]], *, name: str, steps: int, precision: str) -> dict[str, Any]:
    """Return the configuration of one run, as plain values."""
    return {
        "name": name, "encoder": "minilm", "task": entries, "output": {"folder": str(folder / "runs")},
        "data": {"tasks": [], "cache": str(folder / "cache"), "max_length": 256, "max_rows": ROWS},
        "training": {"steps": steps, "batch_size": BATCH, "precision": precision, "evaluate_every": 0, "save_every": 0},
    }  # fmt: skip


def one_run(path: Path) -> None:
    """Train as the file at `path` says and print a JSON line; the process of which the parent takes the time."""
    from taskloom.config import make_config
    from taskloom.progress import Progress
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import joined_ranks
    from taskloom.training.run_folder import open_run
    from taskloom.training.trainer import start_trainer
    from taskloom.workflows.preparing import prepare

    config = make_config(json.loads(path.read_text()))
    with joined_ranks("cpu") as ranks, open_run(config, writes=ranks.writes) as run:
        with ranks.one_by_one():
            pairs = list(prepare(config).trainable())
        if len(pairs) < len(TASKS):
            sys.exit(f"Only {len(pairs)} of {len(TASKS)} tasks can be trained: this would compare different work.")
        plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs])
        trainer = start_trainer(config, run, plan, progress=Progress(), ranks=ranks)
        trainer.train()
        figures = trainer.training_figures()
        totals = trainer.totals
        layers = [p for name, p in trainer.model.encoder.named_parameters() if p.dim() == 2 and "embedding" not in name]
    weights = sum(parameter.numel() for parameter in layers)
    if not ranks.writes:
        return
    print(json.dumps(figures | {"tokens": totals.tokens, "padded": totals.padded_tokens, "weights": weights}))


ONE_THREAD = """
import runpy, sys, torch
keep = torch.set_num_threads
keep(1)
torch.set_num_threads = lambda _: keep(1)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def clock(*, cpu: bool) -> float:
    """Return the time, or with `cpu` the processor seconds that finished children took, in seconds."""
    if not cpu:
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command: list[str], *, cpu: bool = False) -> tuple[float, dict[str, Any]]:
    """Run a command; return its seconds and the JSON of its last line."""
    start = clock(cpu=cpu)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"} | ({"OMP_NUM_THREADS": "1"} if cpu else {})
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    seconds = clock(cpu=cpu) - start
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")
    return seconds, json.loads(done.stdout.strip().splitlines()[-1])


def matmul_rate(size: int = 3072, repeats: int = 6) -> float:
    """Return the rate of large bf16 matrix products, in 10^9 operations a second."""
    import torch

    from taskloom.modeling.devices import set_threads

    set_threads()
    left, right = torch.randn(size, size).bfloat16(), torch.randn(size, size).bfloat16()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times[1:]) / 1e9


def ours(
    folder: Path, entries: list[dict[str, Any]], steps: int, precision: str, *, cpu: bool = False, processes: int = 1
) -> tuple[float, dict[str, Any]]:
    """Time one run of ours."""
    name = f"{precision}-{steps}-{time.time_ns()}"
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values(folder, entries, name=name, steps=steps, precision=precision)))
    return timed([sys.executable, __file__, "--one", str(path), "--processes", str(processes)], cpu=cpu)


def peer(command: str, mirror: Path, steps: int, precision: str, *, cpu: bool) -> tuple[float, dict[str, Any]]:
    """Time one run of the peer."""
    from taskloom.modeling.encoder import resolve_encoder

    options = ["--mirror", mirror, "--encoder", resolve_encoder("minilm"), "--batch-size", 32, "--accumulate", 12]
    options += ["--steps", steps, "--rows", ROWS, "--max-length", 256, *(["--bf16"] if precision == "bf16" else [])]
    python, *script = shlex.split(command)
    return timed([python, *(["-c", ONE_THREAD] if cpu else []), *script, *map(str, options)], cpu=cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=2, default=(3, 9))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--peer", default="")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--one", type=Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one and (given.processes[0] == 1 or "WORLD_SIZE" in os.environ):
        one_run(given.one)
        return
    if given.one:
        from taskloom.workflows.launching import launch

        raise SystemExit(launch([__file__, "--one", str(given.one)], given.processes[0]))
    if not os.environ.get("TASKLOOM_MIRROR"):
        print("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/training.py")
        return
    mirror = Path(os.environ["TASKLOOM_MIRROR"])
    counts = {f"ours, {count} processes" if count > 1 else "ours": count for count in given.processes}
    sides = [*counts, "peer"] if given.peer else [*counts]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = write_rows(mirror, folder)
        ours(folder, entries, 1, "bf16")  # fills the cache of prepared rows
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.repeats):
            peak = matmul_rate()
            print(f"bf16 matrix products: {peak:,.0f} GFLOP/s")
            for precision in given.precisions:
                for side in sides:
                    runs = [
                        ours(folder, entries, steps, precision, cpu=given.cpu, processes=counts[side])
                        if side in counts
                        else peer(given.peer, mirror, steps, precision, cpu=given.cpu)
                        for steps in given.steps
                    ]  # fmt: skip
                    seconds = runs[1][0] - runs[0][0]
                    rate = (given.steps[1] - given.steps[0]) * BATCH / seconds
                    rates.setdefault((side, precision), []).append(rate)
                    print(f"{side} {precision}: {rate:.1f} examples/s", end="")
                    figures = runs[1][1]
                    if side in counts:
                        tokens = figures["tokens"] - runs[0][1]["tokens"]
                        work = 6 * figures["weights"] * tokens / seconds / 1e9
                        padding = 1 - figures["tokens"] / figures["padded"]
                        print(f", {tokens / seconds:,.0f} tokens/s, {work:.0f} GFLOP/s in linear layers = "
                              f"{work / peak:.0%} of the products' rate, padding {padding:.1%}, "
                              f"memory {figures['peak_memory_bytes'] / 1e9:.2f} GB", end="")  # fmt: skip
                    else:
                        print(f", memory {figures['peak_rss_gb']:.2f} GB", end="")
                    print(f", short run {runs[0][0]:.1f} s whole", flush=True)
    for (side, precision), found in rates.items():
        print(f"median {side} {precision}: {statistics.median(found):.1f} examples/s")


if __name__ == "__main__":
    main()
