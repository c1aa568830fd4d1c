"""Checkpoints: whole or absent, verified byte by byte, falling back to the one before."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from taskloom.errors import CheckpointError
from taskloom.training import checkpoint
from taskloom.training.checkpoint import (
    MANIFEST,
    agreed_checkpoint,
    load_checkpoint,
    newest_checkpoint,
    remove_old,
    remove_temporary,
    save_checkpoint,
)
from taskloom.training.ranks import Ranks


def _save(folder: Path, step: int) -> Path:
    return save_checkpoint(
        folder,
        step=step,
        weights={"w": torch.full((3, 2), float(step))},
        optimizer={"m": torch.arange(4.0)},
        values={"totals": {"examples": 7}},
    )


def test_round_trip(tmp_path: Path) -> None:
    """What is saved is what is loaded: step, weights, optimizer and values."""
    loaded = load_checkpoint(_save(tmp_path, 5))
    assert loaded.step == 5
    assert torch.equal(loaded.weights["w"], torch.full((3, 2), 5.0))
    assert torch.equal(loaded.optimizer["m"], torch.arange(4.0))
    assert loaded.values == {"totals": {"examples": 7}}


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json", MANIFEST])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_any_damage_falls_back_to_the_one_before(tmp_path: Path, name: str, damage: str) -> None:
    """One flipped byte, a cut file or a missing file is found, named, and the checkpoint before is used."""
    _save(tmp_path, 1)
    path = _save(tmp_path, 2) / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    warnings: list[str] = []
    found = newest_checkpoint(tmp_path, warn=warnings.append)
    assert found is not None and found.step == 1
    assert len(warnings) == 1 and "step-000002" in warnings[0]


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    """Where nothing was ever saved there is no checkpoint; a folder of another name is none either."""
    assert newest_checkpoint(tmp_path / "missing", warn=lambda _: None) is None
    (tmp_path / "step-000009-copy").mkdir()
    assert newest_checkpoint(tmp_path, warn=lambda _: None) is None


def test_nothing_whole_is_an_error(tmp_path: Path) -> None:
    """Checkpoints of which none verifies are named, with what to do; they stay as they are, so it is told each time."""
    for step in (1, 2):
        (_save(tmp_path, step) / "weights.safetensors").write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"step-000002, step-000001.*begin anew at step 0"):
            newest_checkpoint(tmp_path, warn=lambda _: None)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001", "step-000002"]


def test_a_damaged_one_is_set_aside(tmp_path: Path) -> None:
    """It never counts as one that is kept: the next save does not remove the good one for it; it is told once."""
    _save(tmp_path, 1)
    (_save(tmp_path, 5) / "weights.safetensors").write_bytes(b"nothing")
    warnings: list[str] = []
    newest_checkpoint(tmp_path, warn=warnings.append)
    assert "set aside as damaged-step-000005" in warnings[0]
    _save(tmp_path, 2)
    remove_old(tmp_path, keep=1)
    found = newest_checkpoint(tmp_path, warn=warnings.append)
    assert found is not None and found.step == 2 and len(warnings) == 1
    shutil.rmtree(tmp_path / "step-000002")
    with pytest.raises(CheckpointError, match="damaged-step-000005"):
        newest_checkpoint(tmp_path, warn=warnings.append)


def test_old_ones_stay_until_the_new_one_verifies(tmp_path: Path) -> None:
    """A checkpoint that the disk did not keep as it was written costs none of those before."""
    _save(tmp_path, 1)
    (_save(tmp_path, 2) / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"step-000002 is damaged.*Those before are kept"):
        remove_old(tmp_path, keep=1)
    assert load_checkpoint(tmp_path / "step-000001").step == 1


@pytest.mark.parametrize("where", ["sha256_of", "load_file"])
def test_a_failing_disk_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """An input error while a checkpoint is read, at its check or after it, falls back to the one before."""
    _save(tmp_path, 1)
    _save(tmp_path, 2)
    original = getattr(checkpoint, where)

    def failing(path: Path) -> object:
        if path.parent.name == "step-000002":
            raise OSError(errno.EIO, "Input/output error")
        return original(path)

    monkeypatch.setattr(checkpoint, where, failing)
    warnings: list[str] = []
    found = newest_checkpoint(tmp_path, warn=warnings.append)
    assert found is not None and found.step == 1
    assert "Input/output error" in warnings[0]


def test_interrupted_save_leaves_the_previous_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of a save leaves the previous checkpoint alone, and the message names it."""
    _save(tmp_path, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taskloom.training.checkpoint.save_file", full)
    with pytest.raises(CheckpointError, match=r"No space left.*whole: step-000001"):
        _save(tmp_path, 2)
    found = newest_checkpoint(tmp_path, warn=lambda _: None)
    assert found is not None and found.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_second_save_of_a_step_cannot_lose_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two renames, the first one comes back when the run goes on."""
    original, renamed = os.replace, []

    def killed(source: Path, target: Path) -> None:
        renamed.append(target)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        original(source, target)

    _save(tmp_path, 1)
    monkeypatch.setattr(checkpoint.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        _save(tmp_path, 1)
    monkeypatch.undo()
    remove_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    _save(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert load_checkpoint(tmp_path / "step-000001").step == 1


def test_remove_old_keeps_the_newest(tmp_path: Path) -> None:
    """Only the newest `keep` checkpoints stay, in the order of their steps and not of their names' text."""
    for step in (2, 10, 100):
        _save(tmp_path, step)
    remove_old(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000010", "step-000100"]


class _Second(Ranks):
    """The second of two processes; what the first one tells is given."""

    told: ClassVar[list[dict[str, Any]]] = []

    def gather(self, value: Mapping[str, Any]) -> list[Any]:
        """Return what the first one tells next, and this one's own."""
        return [self.told.pop(0), value]


def test_processes_go_on_from_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one chooses: another takes its step where it sees a newer one itself, and else stops with an error."""
    second = _Second(rank=1, world=2)

    def agreed(step: int | None, error: str = "") -> checkpoint.Checkpoint | None:
        monkeypatch.setattr(_Second, "told", [{"step": step, "error": error}, {"error": error}])
        return agreed_checkpoint(tmp_path, second, warn=lambda _: None)

    assert agreed(None) is None
    for step in (1, 2):
        _save(tmp_path, step)
    found = agreed(1)
    assert found is not None and found.step == 1
    assert agreed(None) is None
    with pytest.raises(CheckpointError, match=r"Process 1 cannot go on from step 3.*a disk that all of them see"):
        agreed(3)
    with pytest.raises(CheckpointError, match="No checkpoint can be read"):
        agreed(None, "No checkpoint can be read")


def test_damage_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """Loading a damaged checkpoint directly raises CheckpointError with the file's name."""
    folder = _save(tmp_path, 3)
    (folder / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        load_checkpoint(folder)
