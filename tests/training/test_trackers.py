"""What watchers see: TensorBoard events in the run folder, hosted trackers by name, missing ones told."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskloom.errors import ConfigError, TrainingFailed
from taskloom.training import trackers
from taskloom.training.trackers import FOLDER, flat, open_trackers
from taskloom.training.trainer import Trainer


def test_numbers_are_named_by_where_they_stand() -> None:
    """Nested values get a path; text, flags, None and the step itself are no curves."""
    entry = {"step": 3, "loss": 0.5, "families": {"nli": 1, "topic": 2.5}, "skipped": "spike", "mean": None, "on": True}
    assert flat(entry) == {"loss": 0.5, "families/nli": 1.0, "families/topic": 2.5}


def test_tensorboard_holds_what_was_logged(tmp_path: Path) -> None:
    """A reader finds each value under its name and step; a run that goes on drops what came after its step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, last, factor in ((1, 5, 1.0), (4, 6, 10.0)):
        (board,) = open_trackers((), folder=tmp_path, name="x", config={}, step=first - 1)
        for step in range(first, last + 1):
            board.log(step, {"loss": step * factor})
        board.close()
    found = EventAccumulator(str(tmp_path / FOLDER))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [
        (1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0), (5, 50.0), (6, 60.0)
    ]  # fmt: skip


def test_a_missing_tracker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first step, with what to type."""
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"which is not installed\. Type: pip install trackio"):
        open_trackers(("trackio",), folder=tmp_path, name="x", config={}, step=0)


@pytest.mark.parametrize("package", ["trackio", "wandb"])
def test_hosted_trackers_get_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """They are opened under the run's name so that it can go on, get values with steps, and are closed."""
    calls: list[tuple[str, Any]] = []
    library = SimpleNamespace(
        init=lambda **options: calls.append(("init", options)),
        log=lambda values, step: calls.append(("log", (step, values))),
        finish=lambda: calls.append(("finish", None)),
    )
    monkeypatch.setitem(sys.modules, package, library)  # type: ignore[arg-type]
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: object() if name == package else None)
    (tracker,) = open_trackers((package,), folder=tmp_path, name="mine", config={"seed": 0}, step=0)
    tracker.log(1, {"loss": 0.5})
    tracker.close()
    assert calls[0][1]["name"] == "mine"
    assert calls[0][1]["resume"] == "allow"
    assert ("id" in calls[0][1]) == (package == "wandb")
    assert calls[1:] == [("log", (1, {"loss": 0.5})), ("finish", None)]


def test_equal_names_do_not_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of one name in two folders are two runs in wandb; a run keeps its id, however its folder is written."""
    ids: list[str] = []
    library = SimpleNamespace(init=lambda **options: ids.append(options["id"]))
    monkeypatch.setitem(sys.modules, "wandb", library)  # type: ignore[arg-type]
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: object() if name == "wandb" else None)
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "a" / "run", tmp_path / "b" / "run", Path("a/run")):
        open_trackers(("wandb",), folder=folder, name="run", config={}, step=0)
    assert ids[0] == ids[2] != ids[1]


class Watching:
    """A tracker that counts how often it is closed, and may have no room to."""

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.closed = 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take nothing."""

    def close(self) -> None:
        """Count, and fail where that is asked for."""
        self.closed += 1
        if self.full:
            raise OSError(28, "No space left on device")


def test_trackers_are_closed_when_a_run_fails() -> None:
    """All of them, also behind one that cannot write; the run's own error is the one that is seen."""

    def fails() -> None:
        raise TrainingFailed("three losses in a row")

    told: list[str] = []
    watching = [Watching(full=True), Watching()]
    trainer = SimpleNamespace(trackers=watching, progress=SimpleNamespace(say=told.append), _train=fails)
    with pytest.raises(TrainingFailed, match="three losses"):
        Trainer.train(trainer)  # type: ignore[arg-type]
    assert [one.closed for one in watching] == [1, 1]
    assert len(told) == 1 and "No space left" in told[0]
