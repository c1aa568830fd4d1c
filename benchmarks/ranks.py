"""The same rows in the same order, and the same losses, for any number of processes, workers and hash seeds.

python benchmarks/ranks.py [--steps 1000] [--ranks 1 2 4]

Trains a small random encoder on built-in tasks, dropout on, once for each number of processes (torchrun on gloo where
it is more than one), each time with another PYTHONHASHSEED, another number of threads and its rows prepared anew by
another number of workers. Every process writes down, for each of its micro-batches, the sha256 of tasks, rows and token
ids; put together they must be those of one process for every step. The losses of each step, which are written with six
digits, are compared as well: sums over processes are rounded in another order, and a thousand updates carry that on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kills import RUN, make_encoder


def worker(arguments: list[str], record: Path) -> None:
    """Run the program, and write the ids of this process's micro-batches to `record`, a line a step."""
    from taskloom.cli import main as program
    from taskloom.training import steps
    from taskloom.training.ranks import Ranks

    place = Ranks(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    make = steps.StepSource.__call__
    file = (record / f"{place.rank}.jsonl").open("w", encoding="utf-8")

    def recorded(self: Any, step: int) -> Any:
        batch = make(self, step)
        mine = {}
        for number, prepared in enumerate(batch.micro_batches):
            if place.mine(number):
                micro = prepared.batch
                parts = (micro.task, micro.row, micro.sequence_example, micro.input_ids)
                mine[number] = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()
        print(json.dumps([step, mine]), file=file, flush=True)
        return batch

    steps.StepSource.__call__ = recorded
    sys.exit(program(arguments))


def train(folder: Path, *, ranks: int, workers: int) -> tuple[dict[int, dict[str, str]], list[float], float]:
    """Train with so many processes; return the ids of all micro-batches by step, the losses, and the seconds."""
    record = folder / f"ids-{ranks}"
    record.mkdir()
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "--master-port", "29631"]
    command = [sys.executable, *(launcher if ranks > 1 else []), __file__, "--record", str(record), "train"]
    command += [str(folder / "run.toml"), f"name=ranks-{ranks}", f"data.cache={folder / f'cache-{ranks}'}"]
    command += [f"data.workers={workers}"]
    environment = os.environ | {"PYTHONHASHSEED": str(ranks), "OMP_NUM_THREADS": "2" if ranks == 1 else "1"}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{ranks} processes failed:\n{done.stderr[-3000:]}")
    ids: dict[int, dict[str, str]] = {}
    for path in sorted(record.iterdir()):
        for step, mine in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            ids.setdefault(step, {}).update(mine)
    log = (folder / "runs" / f"ranks-{ranks}" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in log if '"loss"' in line]
    return ids, losses, time.perf_counter() - start


def apart(one: list[float], other: list[float]) -> float:
    """Return the largest relative difference of two lists of losses."""
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def main() -> None:
    if "--record" in sys.argv:
        worker(sys.argv[3:], Path(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_encoder(folder / "encoder")
        text = RUN.format(encoder=folder / "encoder", steps=given.steps)
        text = text.replace("learning_rate = 1e-3", "learning_rate = 1e-4").replace("save_every = 4", "save_every = 0")
        (folder / "run.toml").write_text(text.replace("batch_size = 8", "batch_size = 32"), encoding="utf-8")
        found = {}
        for workers, ranks in enumerate(given.ranks, start=1):
            found[ranks] = train(folder, ranks=ranks, workers=workers)
            ids, losses, seconds = found[ranks]
            first_ids, first_losses, _ = found[given.ranks[0]]
            assert sorted(ids) == list(range(1, given.steps + 1))
            micro = sum(map(len, ids.values())) / len(ids)
            same = sum(ids[step] == first_ids[step] for step in ids)
            early, late = apart(first_losses[:100], losses[:100]), apart(first_losses, losses)
            print(f"{ranks} processes, {workers} workers: {seconds:.0f} s, {micro:.1f} micro-batches a step; rows as "
                  f"with {given.ranks[0]}: {same} of {given.steps} steps; largest relative difference of a loss "
                  f"{early:.1e} in 100 steps, {late:.1e} in all", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
