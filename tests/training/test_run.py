"""Whole runs on one's own small files: the run folder, continuing, and what may not change."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from taskloom.errors import CheckpointError, ConfigError, DataError, Interrupted, ModelError, TrainingFailed
from taskloom.modeling.encoder import Encoder
from taskloom.progress import LineProgress, Progress
from taskloom.run_file import load_config
from taskloom.workflows.evaluating import evaluate
from taskloom.workflows.running import Run, report, train

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
    written = ("config.toml", "plan.json", "log.jsonl", "results.json", "tasks.md", "README.md", "citations.bib")
    for name in (*written, "report.html"):
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


def test_report_has_the_run_and_is_made_anew(run_file: Path) -> None:
    """The page shows tasks, curves and texts of wrong rows; made again it is the same, or on request without texts."""
    run = train(load_config(run_file, ["training.learning_rate=1e-9"]))
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "own/<wbr>classes" in page and "own/<wbr>scores" in page
    assert page.count("<polyline") >= 2
    assert "<blockquote><p>the " in page
    (run.folder / "report.html").unlink()
    assert report(run.model) == run.folder / "report.html"
    assert (run.folder / "report.html").read_text(encoding="utf-8") == page
    card = (run.folder / "README.md").read_bytes()
    (run.model / "README.md").unlink()
    report(run.folder, texts=False)
    assert card == (run.folder / "README.md").read_bytes() == (run.model / "README.md").read_bytes()
    assert "<blockquote>" not in (run.folder / "report.html").read_text(encoding="utf-8")


def test_report_of_what_is_no_run_says_so(run_file: Path) -> None:
    """No folder without a run, no unfinished run and no run whose recipes are gone gives a page."""
    with pytest.raises(ModelError, match="is not a run folder"):
        report(run_file.parent)
    run = train(load_config(run_file, ["training.steps=1"]))
    results = (run.folder / "results.json").rename(run.folder / "aside.json")
    with pytest.raises(ModelError, match="has no results yet"):
        report(run.folder)
    results.rename(run.folder / "results.json")
    plan = (run.folder / "plan.json").read_text(encoding="utf-8")
    (run.folder / "plan.json").write_text(plan.replace("own/scores@1", "own/gone@7"), encoding="utf-8")
    with pytest.raises(DataError, match="was trained on own/gone@7, and there is no such recipe now"):
        report(run.folder)


def test_a_finished_run_changes_nothing(run_file: Path) -> None:
    """The same command again returns the same results and touches no file of the model."""
    first = train(load_config(run_file))
    before = {path: path.stat().st_mtime_ns for path in first.model.rglob("*")}
    again = train(load_config(run_file))
    assert again.results == first.results
    assert {path: path.stat().st_mtime_ns for path in first.model.rglob("*")} == before


def test_a_finished_run_keeps_its_configuration(run_file: Path) -> None:
    """Asked for again with what a run may change, its files still tell what the model was made with; fewer steps than
    it has are refused, each time, finished or not, and nothing is computed or written."""
    run = train(load_config(run_file, ["training.steps=2"]))
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    again = train(load_config(run_file, ["training.steps=2", "training.start_share=0.5", "evaluation.baselines=false"]))
    assert again.results == run.results
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"finished with 2 steps, and 1 are asked for.*training\.steps"):
            train(load_config(run_file, ["training.steps=1"]))
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    (run.folder / "results.json").unlink()
    with pytest.raises(ConfigError, match=r"has done 2 steps, and 1 are asked for"):
        train(load_config(run_file, ["training.steps=1"]))


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


def test_continued_in_the_arithmetic_that_it_began_with(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on in the precision that "auto" chose for it where "auto" would now choose another: the same bits."""
    from taskloom.modeling import devices
    from taskloom.training import trainer as module

    monkeypatch.setattr(devices, "hardware_has_bf16", lambda device: True)
    whole = train(load_config(run_file, ["name=whole", "training.precision=bf16"]))
    original = module.Trainer._log

    def interrupting(self: module.Trainer, entry: dict[str, float], bar: object) -> None:
        original(self, entry, bar)  # type: ignore[arg-type]
        if entry["step"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "_log", interrupting)
        with pytest.raises(Interrupted):
            train(load_config(run_file, ["name=broken", "training.precision=auto"]))
    monkeypatch.setattr(devices, "hardware_has_bf16", lambda device: False)
    broken = train(load_config(run_file, ["name=broken", "training.precision=auto"]))
    assert broken.results.training["precision"] == "bf16"
    assert _weights(broken) == _weights(whole)


def test_as_many_steps_as_fit_into_the_time(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial chooses the number of steps, the schedule ends there, and the run keeps it when it goes on, whatever the
    machine is up to by then; `steps` is the most."""
    from taskloom.training import trainer as module
    from taskloom.training import trial

    def taking(seconds: float) -> None:
        monkeypatch.setattr(trial, "try_steps", lambda *_: trial.Trial(seconds, 0, "cpu", "fp32"))

    taking(10.0)
    whole = train(load_config(run_file, ["name=whole", "training.steps=8"]))
    original = module.Trainer._log

    def interrupting(self: module.Trainer, entry: dict[str, float], bar: object) -> None:
        original(self, entry, bar)  # type: ignore[arg-type]
        if entry["step"] == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    limit = "training.minutes=1.4"  # eight steps of ten seconds, and four seconds
    with monkeypatch.context() as patch:
        patch.setattr(module.Trainer, "_log", interrupting)
        with pytest.raises(Interrupted, match="step 4 of 8"):
            train(load_config(run_file, ["name=timed", limit]))
    taking(1.0)
    timed = train(load_config(run_file, ["name=timed", limit]))
    assert timed.results.step == 8
    assert _weights(timed) == _weights(whole)
    assert train(load_config(run_file, ["name=timed", limit])).results.step == 8
    assert train(load_config(run_file, ["name=all", limit])).results.step == STEPS


def test_trial_of_steps(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real trial leaves no trace in the run: with more time than needed it is the run without a limit."""
    plain = train(load_config(run_file, ["name=plain"]))
    timed = train(load_config(run_file, ["name=timed", "training.minutes=600"]), progress=LineProgress())
    assert re.search(r"600 minutes at \d+\.\d\d s a step: 12 steps, of at most 12", capsys.readouterr().err)
    assert _weights(timed) == _weights(plain)


def test_interrupted_while_evaluating(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM between two tasks of an evaluation saves and leaves at once; continued, that evaluation is made up for,
    and log and weights are those of the unbroken run."""
    whole = train(load_config(run_file, ["name=whole"]))
    from taskloom.training import trainer as module

    original, scored = module.Trainer._score, []

    def interrupting(self: object, task: object, *rest: object) -> object:
        scored.append(task)
        if len(scored) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, task, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Trainer, "_score", interrupting)
    with pytest.raises(Interrupted, match="stopped after step 5 of 12, saved") as stop:
        train(load_config(run_file, ["name=broken"]))
    assert stop.value.exit_code == 143
    assert len(scored) == 1, "the second task was still scored"
    broken = train(load_config(run_file, ["name=broken"]))
    assert _weights(broken) == _weights(whole)
    logs = [
        [{**json.loads(line), "time": 0} for line in (run.folder / "log.jsonl").read_text("utf-8").splitlines()]
        for run in (whole, broken)
    ]
    assert logs[0] == logs[1]


class Killed(BaseException):
    """Ends a run at once, as kill -9 does: nothing catches it."""


@pytest.mark.parametrize("where", ["in", "after"])
def test_killed_in_an_evaluation(run_file: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Where an evaluation and a save fall together, the save is first: killed in the evaluation, or later, the run goes
    on from that step, and makes the evaluation, which the log has once."""
    options = ["training.evaluate_every=3", "training.save_every=3"]
    whole = train(load_config(run_file, ["name=whole", *options]))
    from taskloom.training import trainer as module

    def killed(self: module.Trainer, *_: object) -> object:
        raise Killed

    with monkeypatch.context() as patch:
        original = module.Trainer._log
        if where == "in":
            patch.setattr(module.Trainer, "_score", killed)
        else:
            patch.setattr(module.Trainer, "_log", lambda *a: killed(a[0]) if a[1]["step"] == 4 else original(*a))
        with pytest.raises(Killed):
            train(load_config(run_file, ["name=broken", *options]))
    assert (whole.folder.parent / "broken" / "checkpoints" / "step-000003").is_dir()
    broken = train(load_config(run_file, ["name=broken", *options]))
    assert _weights(broken) == _weights(whole)
    logs = [
        [{**json.loads(line), "time": 0} for line in (run.folder / "log.jsonl").read_text("utf-8").splitlines()]
        for run in (whole, broken)
    ]
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[1] if "evaluation" in line] == [3, 6, 9]


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


def test_a_key_of_a_later_version_is_no_change(run_file: Path) -> None:
    """A run of an older version goes on while keys that it did not know have their defaults, and only then."""
    run = train(load_config(run_file, ["training.steps=2"]))
    kept = run.folder / ".config.json"
    before = json.loads(kept.read_text(encoding="utf-8"))
    del before["training"]["skip_spikes"], before["mixture"]
    kept.write_text(json.dumps(before), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training\.skip_spikes = False, and now training\.skip_spikes = True"):
        train(load_config(run_file, ["training.steps=3", "training.skip_spikes=true"]))
    assert train(load_config(run_file, ["training.steps=3"])).results.step == 3


def test_more_steps_may_be_asked_for(run_file: Path) -> None:
    """steps may grow: a finished run goes on from its last step."""
    train(load_config(run_file, ["training.steps=2"]))
    longer = train(load_config(run_file, ["training.steps=4"]))
    assert longer.results.step == 4


def test_damaged_checkpoints_do_not_begin_anew(run_file: Path) -> None:
    """When none verifies the run stops with a message, and its log stays; moved away, the run begins at step 0."""
    run = train(load_config(run_file, ["training.steps=2"]))
    log = (run.folder / "log.jsonl").read_text(encoding="utf-8")
    for path in (run.folder / "checkpoints").glob("step-*/weights.safetensors"):
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"step-000002.*begin anew"):
        train(load_config(run_file, ["training.steps=3"]))
    assert (run.folder / "log.jsonl").read_text(encoding="utf-8") == log
    (run.folder / "checkpoints").rename(run.folder / "aside")
    assert train(load_config(run_file, ["training.steps=3"])).results.step == 3


@pytest.mark.parametrize("name", ["log.jsonl", ".tmp-plan.json"])
def test_a_full_disk_is_one_message(run_file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """No room for a line of the log or another file: the message says what to do, and afterwards the run goes on."""
    original = io.open

    def full(file: object, *given: Any, **named: Any) -> Any:
        opened = original(file, *given, **named)  # type: ignore[call-overload]
        if str(file).endswith(name):
            opened.write = lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        return opened

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", full)
        with pytest.raises(CheckpointError, match=r"cannot be written .*No space left on device.*Make room"):
            train(load_config(run_file, ["training.steps=2"]))
    assert train(load_config(run_file, ["training.steps=2"])).results.step == 2


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


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Make the loss of one row of each micro-batch not a number in these steps; step 0 is the rehearsal."""
    from taskloom.modeling.model import Model, Output
    from taskloom.training import gradients

    original_forward, original_seed = Model.forward, gradients.dropout_seed
    now = {"step": -1}

    def seen(seed: int, step: int, number: int) -> int:
        now["step"] = step
        return original_seed(seed, step, number)

    def poisoned(self: Model, prepared: object) -> Output:
        output = original_forward(self, prepared)  # type: ignore[arg-type]
        if now["step"] not in steps:
            return output
        losses = output.example_loss.clone()
        losses[0] = float("nan")
        return dataclasses.replace(output, example_loss=losses, loss_sum=losses.sum())

    monkeypatch.setattr(gradients, "dropout_seed", seen)
    monkeypatch.setattr(Model, "forward", poisoned)


def test_three_losses_in_a_row_that_are_not_finite_end_the_run(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names step, tasks and rows; not one of the updates was applied, so no checkpoint is spoiled."""
    poison(monkeypatch, {2, 3, 4})
    with pytest.raises(TrainingFailed, match=r"Step 4: the loss of task own/\w+@1, row \d+.* is not finite, 3 steps"):
        train(load_config(run_file, ["training.save_every=1"]))
    saved = {
        step: load_file(run_file.parent / f"runs/run/checkpoints/step-00000{step}/weights.safetensors")
        for step in (2, 3)
    }
    assert all(torch.equal(saved[2][name], saved[3][name]) for name in saved[2])
    assert all(torch.isfinite(value).all() for value in saved[3].values())


def test_one_loss_that_is_not_finite_is_left_out(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is told, logged and counted as skipped, also by a run that is continued, and training goes on."""
    poison(monkeypatch, {2, 7})
    told: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", told.append)
    whole = train(load_config(run_file, ["name=whole"]), progress=progress)
    assert sum("the update was not applied" in line and "row" in line for line in told) == 2
    lines = [json.loads(line) for line in (whole.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if line.get("skipped") == "not finite"] == [2, 7]
    assert whole.results.training["skipped_not_finite"] == 2
    train(load_config(run_file, ["name=parts", "training.steps=4"]))
    parts = train(load_config(run_file, ["name=parts"]))
    assert parts.results.training["skipped_not_finite"] == 2


def test_losses_are_told_by_family(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has each family's loss for each step, and a line now and then has the means since the last one."""
    from taskloom.training import trainer as module

    monkeypatch.setattr(module, "TELL_EVERY", 4)
    told: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", told.append)
    run = train(load_config(run_file), progress=progress)
    lines = [json.loads(line) for line in (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["families"]["own"] for line in lines if "loss" in line]
    assert len(losses) == STEPS
    means = [sum(losses[start : start + 4]) / 4 for start in (0, 4, 8)]
    assert [line for line in told if line.startswith("step") and "loss own" in line] == [
        f"step {4 * (number + 1)}: loss own {mean:.3f}" for number, mean in enumerate(means)
    ]


def test_early_stop_ends_a_run_that_does_not_get_better(run_file: Path) -> None:
    """Without any learning the first evaluation stays the best: two more, and the run is over and stays finished."""
    options = ["training.learning_rate=1e-12", "training.evaluate_every=2", "training.early_stop=2"]
    run = train(load_config(run_file, options))
    assert run.results.step == 6
    assert run.results.training["stopped_early"]
    assert train(load_config(run_file, options)).results == run.results


def test_the_start_has_its_share_of_the_end(run_file: Path, tiny_bert: Path) -> None:
    """The saved encoder lies between where training began and where it ended; heads are those of the end; checkpoints
    are not averaged, so that another share may follow."""
    plain, shared = (
        train(load_config(run_file, [f"name={name}", "training.steps=3", f"training.start_share={share}"]))
        for name, share in (("plain", 0.0), ("shared", 0.25))
    )
    start = Encoder.open(tiny_bert, seed=0)
    first, drawn = dict(start.named_parameters()), {f"network.{name}" for name in start.new_parameters}
    end, between = (dict(Encoder.open(run.model).named_parameters()) for run in (plain, shared))
    for name, value in end.items():
        wanted = value if name in drawn else 0.75 * value + 0.25 * first[name]
        assert torch.allclose(between[name], wanted, atol=1e-6), name
    heads = [load_file(run.model / "heads.safetensors") for run in (plain, shared)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in heads[0])
    assert _checkpoint(plain) == _checkpoint(shared)


def test_dropout_of_the_runs_own(run_file: Path) -> None:
    """The encoder's own dropout is the default; another share trains another model, which opens as any."""
    own, same, none = (
        train(load_config(run_file, [f"name={number}", "training.steps=3", *options]))
        for number, options in enumerate([[], ['training.dropout="own"'], ["training.dropout=0"]])
    )
    assert _checkpoint(own) == _checkpoint(same) != _checkpoint(none)
    assert json.loads((none.model / "config.json").read_text())["hidden_dropout_prob"] > 0


def test_rows_longer_than_the_encoder_reads_are_refused(run_file: Path) -> None:
    """Before anything is prepared: a long row would stop a run after hours."""
    with pytest.raises(ConfigError, match=r"data.max_length = 131 is more than .* reads: 130 tokens"):
        train(load_config(run_file, ["data.max_length=131"]))


def _checkpoint(run: Run) -> bytes:
    """Return the weights of the last checkpoint."""
    return sorted((run.folder / "checkpoints").glob("step-*"))[-1].joinpath("weights.safetensors").read_bytes()


def test_best_checkpoint_is_what_the_run_ends_with(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the step with the best mean score is saved, killed and continued or not."""
    from taskloom.training import trainer as module

    scores = iter([0.2, 0.9, 0.5, 0.4])  # after steps 3, 6, 9 and 12
    original = module.summarize
    monkeypatch.setattr(
        module, "summarize", lambda tasks: original(tasks).model_copy(update={"mean_score": next(scores)})
    )
    options = ["training.evaluate_every=3", "training.keep_checkpoints=9", "training.best_checkpoint=true"]
    run = train(load_config(run_file, options))
    assert run.results.training["best_step"] == 6
    best = load_file(run.folder / "checkpoints/step-000006/weights.safetensors")
    assert torch.equal(load_file(run.model / "heads.safetensors")["head_weight"], best["head_weight"])


def test_best_checkpoint_without_a_score(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be scored there is no best step: the run ends with the last one, and says so."""
    from taskloom.training import trainer as module

    original = module.summarize
    monkeypatch.setattr(module, "summarize", lambda tasks: original(tasks).model_copy(update={"mean_score": None}))
    told: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "say", told.append)
    run = train(load_config(run_file, ["training.steps=2", "training.best_checkpoint=true"]), progress=progress)
    assert any("no task has rows that can be scored" in line for line in told)
    last = load_file(run.folder / "checkpoints/step-000002/weights.safetensors")
    assert torch.equal(load_file(run.model / "heads.safetensors")["head_weight"], last["head_weight"])


def test_pooling_over_steps_deals_the_same_rows_out_again(run_file: Path) -> None:
    """Two steps together hold the same rows, with and without a pool; within a pool's step the lengths are alike."""
    from taskloom.training.plan import make_plan
    from taskloom.training.run_folder import open_run
    from taskloom.training.steps import StepSource
    from taskloom.training.trainer import start_trainer
    from taskloom.workflows.preparing import prepare

    rows = {}
    for pool in (1, 2):
        config = load_config(run_file, [f"name=pool{pool}", f"training.pool_steps={pool}"])
        with open_run(config) as run:
            pairs = list(prepare(config).trainable())
            plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs])
            trainer = start_trainer(config, run, plan, progress=Progress())
            source = StepSource(plan, trainer.model, trainer.tokenizer, config)
            drawn = [source.drawn(step) for step in (1, 2, 3, 4)]
            rows[pool] = [sorted(zip(one.task.tolist(), one.place.tolist(), strict=True)) for one in drawn]
    assert [len(step) for step in rows[2]] == [16] * 4
    for first in (0, 2):
        assert sorted(rows[1][first] + rows[1][first + 1]) == sorted(rows[2][first] + rows[2][first + 1])
    assert rows[1] != rows[2]


def test_evaluate_gives_the_scores_of_the_run(run_file: Path) -> None:
    """Scoring the saved model again gives the metrics in results.json."""
    run = train(load_config(run_file))
    again = evaluate(run.folder)
    for task, splits in run.results.tasks.items():
        assert again.tasks[task]["validation"].metrics == pytest.approx(splits["validation"].metrics, abs=1e-6)
