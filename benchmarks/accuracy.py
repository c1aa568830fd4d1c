"""Accuracy after equal steps and after equal minutes, beside a peer that is given as a command, over several seeds.

TASKLOOM_MIRROR=DIR python benchmarks/accuracy.py --peer "PYTHON peer_tasknet.py" --output FILE [--seeds 3] [--steps 60]

The eleven tasks, rows and encoder of `benchmarks/training.py`, the same peak rate, batch size and linear schedule for
both. Each run is one line of --output (JSON), so that a benchmark that was stopped goes on. "Equal minutes" gives ours
as many steps as it takes in the peer's time, at --ratio times its speed (which `benchmarks/training.py` measures). The
peer's script has no seed option: a wrapper hands it one, and keeps it to the threads of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from training import ROWS, write_rows

WRAPPER = """
import os, runpy, sys
import torch
seed, threads = int(sys.argv.pop(1)), int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
set_threads = torch.set_num_threads
torch.set_num_threads = lambda _: set_threads(threads)
import evaluate
class Metric:  # a default of one of its dataclasses, so it has to have a hash
    def compute(self, **_):
        return {}
evaluate.load = lambda *_, **__: Metric()
import tasknet
make = tasknet.Model
def model(tasks, settings):
    settings.seed = seed
    torch.manual_seed(seed)
    return make(tasks, settings)
tasknet.Model = model
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ours(folder: Path, entries: list[dict[str, Any]], given: argparse.Namespace, *, steps: int, seed: int) -> Any:
    """Return accuracy by task of one run of ours."""
    from taskloom.config import make_config
    from taskloom.workflows.running import train

    name = f"{steps}-{seed}"
    config = {
        "name": name, "encoder": "minilm", "seed": seed, "task": entries, "output": {"folder": str(folder / "runs")},
        "data": {"tasks": [], "cache": str(folder / "cache"), "max_length": 256, "max_rows": ROWS,
                 "drop_overlap": False},
        "training": {"steps": steps, "batch_size": given.batch_size, "learning_rate": given.rate,
                     "evaluate_every": 0, "save_every": 0},
    }  # fmt: skip
    run = train(make_config(config))
    results = json.loads((run.folder / "results.json").read_text())["tasks"]
    if len(results) < len(entries):
        sys.exit(f"Only {len(results)} of {len(entries)} tasks were trained: this would compare different work.")
    return {
        name.removeprefix("peer/").split("@")[0]: found["validation"]["metrics"]["accuracy"]
        for name, found in results.items()
    }


def peer(folder: Path, given: argparse.Namespace, *, steps: int, seed: int) -> Any:
    """Return accuracy by task of one run of the peer."""
    from taskloom.modeling.encoder import resolve_encoder

    python, script = shlex.split(given.peer)
    options = ["--mirror", os.environ["TASKLOOM_MIRROR"], "--encoder", resolve_encoder("minilm"), "--evaluate"]
    options += ["--batch-size", 32, "--accumulate", given.batch_size // 32, "--steps", steps, "--rows", ROWS]
    options += ["--max-length", 256, "--learning-rate", given.rate]
    done = subprocess.run(
        [python, "-c", WRAPPER, str(seed), script, *map(str, options)],
        check=False, capture_output=True, text=True, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"The peer failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])["accuracy"]


def told(lines: list[dict[str, Any]]) -> None:
    """Print accuracy by task and on average, of the tasks that all runs scored: mean and deviation over seeds."""
    common = [name for name in lines[0]["accuracy"] if all(name in line["accuracy"] for line in lines)]
    sides = list(dict.fromkeys((line["side"], line["steps"]) for line in lines))
    for name in ["mean", *common]:
        cells = []
        for side in sides:
            found = [line["accuracy"] for line in lines if (line["side"], line["steps"]) == side]
            values = [statistics.mean(one[each] for each in common) if name == "mean" else one[name] for one in found]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{side[0]} {side[1]} steps {statistics.mean(values):.3f} ± {spread:.3f}")
        print(f"{name}: {'; '.join(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--ratio", type=float, default=4.0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-4)
    given = parser.parse_args()
    if not os.environ.get("TASKLOOM_MIRROR"):
        sys.exit("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/accuracy.py ...")
    lines = [json.loads(line) for line in given.output.read_text().splitlines()] if given.output.exists() else []
    done = {(line["side"], line["steps"], line["seed"]) for line in lines}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = write_rows(Path(os.environ["TASKLOOM_MIRROR"]), folder)
        for seed in range(given.seeds):
            plan = [("ours", given.steps), ("ours", round(given.steps * given.ratio))]
            plan += [("peer", given.steps)] if given.peer else []
            for side, steps in plan:
                if (side, steps, seed) in done:
                    continue
                done.add((side, steps, seed))
                start = time.perf_counter()
                run = ours(folder, entries, given, steps=steps, seed=seed) if side == "ours" else peer(
                    folder, given, steps=steps, seed=seed
                )  # fmt: skip
                seconds = time.perf_counter() - start
                lines.append({"side": side, "steps": steps, "seed": seed, "seconds": seconds, "accuracy": run})
                with given.output.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    told(lines)


if __name__ == "__main__":
    main()
