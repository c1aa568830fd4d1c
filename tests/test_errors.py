"""What goes wrong for users, from the command line down: each one message with what is allowed, and its exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskloom import cli

TICKETS = "body,priority\n" + "".join(
    f"the big house number {n} is {w},{w}\n" for n in range(30) for w in ("red", "blue")
)
TASK = (
    'id = "own/color"\nfiles = { train = "tickets.csv" }\nkind = "classification"\ntext = "body"\nlabel = "priority"\n'
)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tickets.csv and a run file over it, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_text(TICKETS, encoding="utf-8")
    write_run(tmp_path, tiny_bert, TASK)
    return tmp_path


def write_run(folder: Path, encoder: Path, task: str) -> None:
    """Write run.toml with one own task and a tiny encoder."""
    text = f"encoder = {json.dumps(str(encoder))}\n[data]\ntasks = []\nmax_length = 64\n"
    text += f"[training]\nsteps = 3\nbatch_size = 8\n[[task]]\n{task}"
    (folder / "run.toml").write_text(text, encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the program, which must exit with 2; returns what it told on standard error."""
    capsys.readouterr()
    code = cli.main(arguments)
    told = capsys.readouterr().err
    assert code == 2, told
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (TASK.replace('text = "body"', 'text = "bodi"'), ("own/color", "'bodi' is missing", "body, priority")),
        (TASK + 'names = { red = "warm" }\n', ("own/color", "blue", "names")),
        (TASK.replace("tickets.csv", "absent.csv"), ("absent.csv", "There is no file")),
        (TASK.replace("tickets.csv", "tickets.doc"), (".doc", "csv, tsv, jsonl, parquet")),
        (TASK.replace("tickets.csv", "broken.parquet"), ("broken.parquet", "cannot be read as parquet")),
        (TASK.replace('kind = "classification"', 'kind = "clasification"'), ("Did you mean 'classification'",)),
        (TASK.replace("label = ", "labl = "), ("there is no key 'labl'", "Did you mean 'label'")),
        (TASK.replace('label = "priority"\n', ""), ("label is missing",)),
    ],
    ids=["column", "label", "no file", "ending", "unreadable", "kind", "key", "field"],
)
def test_mistakes_in_an_own_task(
    folder: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str], task: str, expected: tuple[str, ...]
) -> None:
    """The message names the task or file, what was given and what there is."""
    (folder / "tickets.doc").write_text(TICKETS)
    (folder / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    write_run(folder, tiny_bert, task)
    told = refused(capsys, "prepare", "run.toml")
    assert [part for part in expected if part not in told] == []


def test_no_network_and_no_mirror(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A task from the hub, offline: the message says where else its rows may come from."""
    told = refused(capsys, "prepare", "run.toml", "data.tasks=glue/rte", "data.on_error=stop")
    assert "data.mirror" in told
    assert "TASKLOOM_MIRROR" in told


def test_a_task_that_fails_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The failure is told with its reason, and what can be prepared is."""
    code = cli.main(["prepare", "run.toml", "data.tasks=glue/rte"])
    captured = capsys.readouterr()
    assert code == 0
    assert "own/color@1: train" in captured.out
    assert "glue/rte" in captured.err
    assert "1 tasks prepared, 1 failed" in captured.err


def test_no_such_encoder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped encoder is told with what may be given."""
    assert "minilm" in refused(capsys, "prepare", "run.toml", "encoder=minilmm")


def test_a_run_goes_on_only_as_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another batch size or other rows are another run; more steps are not; a finished run stays as it is."""
    assert cli.main(["train", "run.toml"]) == 0
    run = folder / "runs" / "run"
    results = (run / "results.json").read_bytes()

    told = refused(capsys, "train", "run.toml", "training.batch_size=4")
    assert "training.batch_size = 8" in told
    assert "training.batch_size = 4" in told
    assert "name=" in told

    (folder / "tickets.csv").write_text(TICKETS + "one more house is red,red\n")
    told = refused(capsys, "train", "run.toml", "training.steps=5")
    assert "own/color" in told
    assert "other data" in told

    (folder / "tickets.csv").write_text(TICKETS)
    assert cli.main(["train", "run.toml"]) == 0
    assert (run / "results.json").read_bytes() == results

    # a model without an entailment head, and a task it does not know
    (folder / "texts.txt").write_text("a red house\n")
    assert "family:nli" in refused(capsys, "classify", "runs/run", "texts.txt", "--labels", "red,blue")
    assert "own/color" in refused(capsys, "predict", "runs/run", "texts.txt", "--task", "own/colour")
    assert "own/color" in refused(capsys, "export", "runs/run", "out", "--head", "own/colour")


def test_interrupt_in_mid_run_saves_and_goes_on(folder: Path) -> None:
    """SIGINT ends a training with 130 and a checkpoint; the same command goes on behind it."""
    command = [sys.executable, "-m", "taskloom", "train", "run.toml"]
    log = folder / "runs" / "run" / "log.jsonl"
    with subprocess.Popen([*command, "training.steps=100000"], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 2):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "saved" in told
    last = json.loads(log.read_text().splitlines()[-1])["step"]
    assert (folder / "runs" / "run" / "checkpoints" / f"step-{last:06d}").is_dir()

    again = subprocess.run([*command, f"training.steps={last + 2}"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, last + 3))
