"""Several processes started by one command: what one trains, one message for a mistake, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskloom.cli import app
from taskloom.errors import ConfigError
from taskloom.run_file import load_config
from taskloom.workflows import launching
from taskloom.workflows.launching import processes_for
from taskloom.workflows.running import train


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run of two dozen short rows, with a checkpoint every second step."""
    rows = [f"the bee {n},{'good' if n % 2 else 'bad'}" for n in range(24)]
    (tmp_path / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = []\nmax_length = 32\n'
        '[[task]]\nid = "own/mood"\nkind = "classification"\ntext = "text"\nlabel = "label"\n'
        'files = { train = "rows.csv" }\n'
        '[training]\nsteps = 6\nbatch_size = 12\nlearning_rate = 1e-3\nprecision = "fp32"\ndevice = "cpu"\n'
        "save_every = 2\nevaluate_every = 0\n",
        encoding="utf-8",
    )
    return path


def start(run_file: Path, *options: str) -> subprocess.Popen[str]:
    """Start a training of two processes in a session of its own."""
    command = [sys.executable, "-m", "taskloom", "train", str(run_file), *options, "--processes", "2"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=run_file.parent,
    )  # fmt: skip


def losses(folder: Path) -> list[float]:
    """Return the losses of a run, a number a step."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def running(run_file: Path) -> list[str]:
    """Return the processes whose command line names the run file."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(run_file).encode() in line:
            found.append(folder.name)
    return found


def wait_for(condition: object, seconds: float = 60) -> None:
    """Wait until a condition holds; the limit only ends a test that would hang."""
    assert callable(condition)
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_two_processes_train_what_one_trains(run_file: Path) -> None:
    """Losses are those of one process, process 0 alone speaks, and the exit code is 0."""
    one = train(load_config(run_file, ["name=one"]))
    process = start(run_file, "name=two")
    out, told = process.communicate()
    assert process.returncode == 0, told
    assert out.count("run folder:") == 1
    two = one.folder.parent / "two"
    assert losses(two) == pytest.approx(losses(one.folder), rel=1e-5)
    assert json.loads((two / "results.json").read_text(encoding="utf-8"))["training"]["processes"] == 2
    assert running(run_file) == []


def test_a_mistake_is_told_once(run_file: Path) -> None:
    """One message and exit 2, for what the starting process sees and for what only the processes see."""
    for option, said in (("training.stepz=3", "training.steps"), ("encoder=./nowhere", "nowhere")):
        process = start(run_file, option)
        out, told = process.communicate()
        assert (process.returncode, out) == (2, "")
        assert told.count("taskloom: ") == 1 and said in told and "Traceback" not in told


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc to look for processes in")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_or_left(run_file: Path, number: signal.Signals) -> None:
    """Asked to stop, or killed, the starting process takes the others along, saved; typed again it goes on."""
    process = start(run_file, "training.steps=2000")
    folder = run_file.parent / "runs" / "run"
    wait_for(lambda: (folder / "log.jsonl").exists() and len(losses(folder)) > 3)
    os.kill(process.pid, number)
    process.communicate()
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    wait_for(lambda: running(run_file) == [])
    saved = sorted((folder / "checkpoints").glob("step-*"))
    assert saved
    steps = int(saved[-1].name.removeprefix("step-"))
    assert steps < 2000
    again = start(run_file, f"training.steps={steps + 2}")
    _, told = again.communicate()
    assert again.returncode == 0, told
    assert f"continuing after step {steps} " in told


def test_a_dry_run_is_one_process(run_file: Path) -> None:
    """Its trial says what a step of one process takes, so another number is refused and not passed over."""
    for number in ("2", "0"):
        told = CliRunner().invoke(app, ["train", str(run_file), "--dry-run", "--processes", number])
        assert isinstance(told.exception, ConfigError)
        assert f"--processes {number} was given" in str(told.exception)


def test_a_process_that_waits_hides_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """On GPUs process 0 does not see that another one died: it is ended, and what that one said is told."""
    monkeypatch.setattr(launching, "GRACE", 0.3)
    program = (
        "import os, sys, time\n"
        "if os.environ['RANK'] == '0': time.sleep(600)\n"
        "sys.exit('no memory left') if os.environ['RANK'] == '1' else None"
    )
    assert launching.launch(["-c", program], 2) == 1
    assert "no memory left" in capfd.readouterr().err


def test_no_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes cannot share one; a run on the CPU may have as many as it likes."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [processes_for(count) for count in (0, 1, 2)] == [2, 1, 2]
    assert processes_for(4, "cpu") == 4
    with pytest.raises(ConfigError, match=r"--processes 4 was given, and this machine has 2 GPUs.*training.device=cpu"):
        processes_for(4)


def test_numbers_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 is one for each core here, below 0 is none, and under torchrun it is torchrun that decides."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes_for(1) == 1
    assert processes_for(3) == 3
    assert processes_for(0) >= 1
    with pytest.raises(ConfigError, match="below 0"):
        processes_for(-1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes_for(1) == 1
    with pytest.raises(ConfigError, match="nproc-per-node"):
        processes_for(2)
