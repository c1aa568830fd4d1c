"""Whole runs on one's own small files: the run folder, continuing, and what may not change."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from taskloom.errors import CheckpointError, Interrupted, TrainingFailed
from taskloom.run_file import load_config
from taskloom.workflows import Run, evaluate, train

STEPS = 12


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run file over two tasks of one's own, two kinds, in 12 steps with dropout, saved every 3."""
    words = ("cat", "dog", "red", "blue", "big", "small", "happy", "sad")
    rows = [f"the {words[n % 8]} {words[(n // 8) % 8]},{'good' if n % 2 else 'bad'},{n % 5}" for n in range(160)]
    (tmp_path / "rows.csv").write_text("text,label,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
encoder = "{tiny_bert}"
[data]
tasks = []
max_length = 32
[[task]]
id = "own/classes"
kind = "classification"
files = {{ train = "rows.csv" }}
text = "text"
label = "label"
[[task]]
id = "own/scores"
kind = "regression"
files = {{ train = "rows.csv" }}
text = "text"
score = "score"
low = 0
high = 4
[training]
steps = {STEPS}
batch_size = 16
learning_rate = 1e-3
precision = "fp32"
device = "cpu"
save_every = 3
evaluate_every = 5
""",
        encoding="utf-8",
    )
    return path


def _weights(run: Run) -> dict[str, bytes]:
    """The bytes of every trained tensor."""
    files = sorted(run.model.glob("*.safetensors"))
    return {f"{file.name}/{name}": value.numpy().tobytes() for file in files for name, value in load_file(file).items()}


def test_a_run_writes_its_folder(run_file: Path) -> None:
    """After training, the folder holds everything DESIGN names, and results for both tasks with a baseline."""
    run = train(load_config(run_file))
    for name in ("config.toml", "plan.json", "log.jsonl", "results.json", "tasks.md", "README.md", "citations.bib"):
        assert (run.folder / name).stat().st_size > 0, name
    for name in ("README.md", "tasks.md", "citations.bib"):  # the model folder may leave without its run
        assert (run.model / name).read_text(encoding="utf-8") == (run.folder / name).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, STEPS + 1))
    assert all(line["examples"] == 16 for line in lines if "loss" in line)
    assert set(run.results.tasks) == {"own/classes@1", "own/scores@1"}
    assert run.results.tasks["own/classes@1"]["validation"].majority["accuracy"] is not None
    assert run.results.training["examples"] == 16 * STEPS
    assert {path.name for path in (run.folder / "predictions").iterdir()} >= {"own%2Fclasses.validation.parquet"}


def test_a_finished_run_changes_nothing(run_file: Path) -> None:
    """The same command again returns the same results and touches no file of the model."""
    first = train(load_config(run_file))
    before = {path: path.stat().st_mtime_ns for path in first.model.rglob("*")}
    again = train(load_config(run_file))
    assert again.results == first.results
    assert {path: path.stat().st_mtime_ns for path in first.model.rglob("*")} == before


def test_interrupted_and_continued_equals_unbroken(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGINT after each of several steps saves and leaves; the continued run ends with the same bits."""
    whole = train(load_config(run_file, ["name=whole"]))
    from taskloom.training import trainer as module

    original = module.Trainer._log

    def interrupting(self: object, entry: dict[str, float], bar: object) -> None:
        original(self, entry, bar)  # type: ignore[arg-type]
        if entry["step"] in (1, 4, 11):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(module.Trainer, "_log", interrupting)
    for _ in range(3):
        with pytest.raises(Interrupted) as stop:
            train(load_config(run_file, ["name=broken"]))
        assert stop.value.exit_code == 130
    broken = train(load_config(run_file, ["name=broken"]))
    assert _weights(broken) == _weights(whole)
    log = (broken.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in log if "loss" in json.loads(line)]
    expected = (whole.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert losses == [json.loads(line)["loss"] for line in expected if "loss" in json.loads(line)]


def test_killed_and_continued_equals_unbroken(run_file: Path) -> None:
    """kill -9 in mid-run loses at most the steps since the last checkpoint; the end is the same, bit for bit."""
    whole = train(load_config(run_file, ["name=whole"]))
    command = [sys.executable, "-m", "taskloom", "train", str(run_file), "name=killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = whole.folder.parent / "killed" / "log.jsonl"
    while process.poll() is None and (not log.exists() or log.read_text(encoding="utf-8").count('"loss"') < 5):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (log.parent / "results.json").exists(), "the run was over before it could be killed"
    killed = train(load_config(run_file, ["name=killed"]))
    assert _weights(killed) == _weights(whole)


@pytest.mark.parametrize("change", ["training.learning_rate=1e-4", "seed=1", "data.max_length=16"])
def test_other_settings_do_not_continue(run_file: Path, change: str) -> None:
    """A changed setting names the key and both values instead of going on with another experiment."""
    train(load_config(run_file, ["training.steps=2"]))
    with pytest.raises(CheckpointError, match=change.split("=")[0]):
        train(load_config(run_file, ["training.steps=2", change]))


def test_more_steps_may_be_asked_for(run_file: Path) -> None:
    """steps may grow: a finished run goes on from its last step."""
    train(load_config(run_file, ["training.steps=2"]))
    longer = train(load_config(run_file, ["training.steps=4"]))
    assert longer.results.step == 4


def test_other_data_do_not_continue(run_file: Path) -> None:
    """Rows that changed under a run are an error that names the task."""
    train(load_config(run_file, ["training.steps=2"]))
    rows = run_file.parent / "rows.csv"
    rows.write_text(rows.read_text(encoding="utf-8").replace("happy", "sad"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="own/classes@1"):
        train(load_config(run_file, ["training.steps=3"]))


def test_two_seeds_differ_and_one_seed_repeats(run_file: Path) -> None:
    """The seed decides everything that is random."""
    first, same, other = (
        train(load_config(run_file, ["training.steps=2", f"name={name}", f"seed={seed}"]))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert _weights(first) == _weights(same)
    assert _weights(first) != _weights(other)


def test_a_loss_that_is_not_finite_stops_before_the_update(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names step, task and row, and no step was applied."""
    from taskloom.modeling.model import Model, Output

    original = Model.forward

    def poisoned(self: Model, prepared: object) -> Output:
        output = original(self, prepared)  # type: ignore[arg-type]
        losses = output.example_loss.clone()
        losses[0] = float("nan")
        return dataclasses.replace(output, example_loss=losses, loss_sum=losses.sum())

    monkeypatch.setattr(Model, "forward", poisoned)
    with pytest.raises(TrainingFailed, match=r"Step 1: the loss of task own/\w+@1, row \d+ is not finite"):
        train(load_config(run_file))


def test_evaluate_gives_the_scores_of_the_run(run_file: Path) -> None:
    """Scoring the saved model again gives the metrics in results.json."""
    run = train(load_config(run_file))
    again = evaluate(run.folder)
    for task, splits in run.results.tasks.items():
        assert again.tasks[task]["validation"].metrics == pytest.approx(splits["validation"].metrics, abs=1e-6)
