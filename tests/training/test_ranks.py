"""Several processes train what one trains: the same rows in the same order, the same losses, one writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from taskloom.run_file import load_config
from taskloom.training.ranks import Ranks
from taskloom.workflows import train

COUNTS = (1, 2, 3, 5, 8, 13, 17)


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run over seven tasks of all sizes from 1 to 17 validation rows, in 8 steps without dropout."""
    words = ("cat", "dog", "red", "blue", "big", "small", "happy", "sad")
    entries = []
    for held in COUNTS:
        for split, count in (("train", 40), ("validation", held)):
            rows = [
                f"the {words[n % 8]} {words[(n // 8) % 8]} {held},{'good' if n % 2 else 'bad'}" for n in range(count)
            ]
            (tmp_path / f"{split}-{held}.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
        entries.append(
            f'[[task]]\nid = "own/{held}"\nkind = "classification"\ntext = "text"\nlabel = "label"\n'
            f'files = {{ train = "train-{held}.csv", validation = "validation-{held}.csv" }}\n'
        )
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = []\nmax_length = 32\n{"".join(entries)}'
        '[training]\nsteps = 8\nbatch_size = 48\nlearning_rate = 1e-3\nprecision = "fp32"\ndevice = "cpu"\n'
        "save_every = 2\nevaluate_every = 0\n",
        encoding="utf-8",
    )
    return path


def launch(run_file: Path, world: int, *options: str) -> subprocess.Popen[str]:
    """Start the program under torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(world)]
    command += ["--master-port", str(29_500 + os.getpid() % 500), "-m", "taskloom", "train", str(run_file), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def finished(process: subprocess.Popen[str]) -> None:
    """Wait for a process that must succeed."""
    _, told = process.communicate()
    assert process.returncode == 0, told[-3000:]


def losses(folder: Path) -> list[float]:
    """Return the losses of a run, a number a step."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), "one writer, no step twice"
    return [line["loss"] for line in lines]


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_train_what_one_trains(run_file: Path, world: int) -> None:
    """Losses of every step and the scores of every task, of 1 to 17 rows, are those of one process."""
    one = train(load_config(run_file, ["name=one"]))
    finished(launch(run_file, world, "name=several"))
    several = one.folder.parent / "several"
    assert losses(several) == pytest.approx(losses(one.folder), rel=1e-5)
    before, after = load_file(one.model / "model.safetensors"), load_file(several / "model" / "model.safetensors")
    # a key's bias moves no answer: its gradient is rounding alone, which Adam makes as large as any other's
    compared = [name for name in before if not name.endswith("key.bias")]
    assert len(compared) > len(before) - 3
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in compared)
    results = json.loads((several / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["processes"] == world
    for held in COUNTS:
        report = results["tasks"][f"own/{held}@1"]["validation"]
        assert report["rows"] == held
        assert report["metrics"] == pytest.approx(one.results.tasks[f"own/{held}@1"]["validation"].metrics)
    assert len(list((several / "predictions").glob("*.parquet"))) == len(COUNTS)


def test_stopped_with_two_and_continued_with_one(run_file: Path) -> None:
    """SIGTERM to two processes saves one checkpoint; one process goes on behind it with the same losses."""
    one = train(load_config(run_file, ["name=one", "training.steps=60"]))
    process = launch(run_file, 2, "name=elastic", "training.steps=60")
    folder = one.folder.parent / "elastic"
    while process.poll() is None and not (folder / "log.jsonl").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert "SIGTERM: stopped after step" in told
    assert not (folder / "results.json").exists(), "the run was over before it could be stopped"
    assert any((folder / "checkpoints").glob("step-*"))
    train(load_config(run_file, ["name=elastic", "training.steps=60"]))
    assert losses(folder) == pytest.approx(losses(one.folder), rel=1e-4)


def test_work_is_dealt_out_once() -> None:
    """Each piece of work is one rank's own, whatever the number of ranks."""
    for world in (1, 2, 3, 4):
        owners = np.array([[Ranks(rank, world).mine(number) for rank in range(world)] for number in range(50)])
        assert (owners.sum(axis=1) == 1).all()


def test_a_process_alone_needs_no_others() -> None:
    """Without torchrun nothing is sent anywhere."""
    alone = Ranks()
    alone.wait()
    with alone.one_by_one():
        pass
    assert alone.writes
    assert alone.gather({"a": 1}) == [{"a": 1}]
    assert torch.equal(alone.sum_gradients([], torch.ones(3)), torch.ones(3))
