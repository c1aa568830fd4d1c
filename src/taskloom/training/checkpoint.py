"""Checkpoints that are whole or do not exist.

A checkpoint is written into a temporary folder, each file is synced, the manifest with the sha256 of every file comes
last, and one rename makes it visible; kill -9 or a full disk at any moment leaves the previous one untouched. Reading
verifies every byte and falls back to the checkpoint before, with a word about it; the damaged one is set aside, so that
it never counts as one that is kept. Older ones go when the newest verifies. Tensors are safetensors: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from taskloom.errors import CheckpointError
from taskloom.training.ranks import Ranks

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
REPLACED = ".tmp-replaced-"
DAMAGED = "damaged-"


@dataclass(frozen=True)
class Checkpoint:
    """A verified state: `step` done steps, all weights, all optimizer state, and plain values."""

    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    values: dict[str, Any]


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    values: Mapping[str, Any],
) -> Path:
    """Write `folder/step-NNNNNN` atomically and return it.

    Raises CheckpointError when it cannot be written; what was written before stays as it was.
    """
    final = folder / step_name(step)
    temporary = folder / f"{TEMPORARY}{final.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(_contiguous(weights), temporary / "weights.safetensors")
        save_file(_contiguous(optimizer), temporary / "optimizer.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": step} | dict(values)), encoding="utf-8")
        _write_manifest(temporary)
        _put(temporary, final)
        sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        before = ", ".join(path.name for path in _by_step(folder)) or "none"
        raise CheckpointError(
            f"Step {step}: the checkpoint cannot be written to {folder} ({error}). Those before are whole: {before}. "
            "Make room, then type the same command again: it goes on behind the newest of them."
        ) from error
    return final


def step_name(step: int) -> str:
    """Return the name of the folder of a step's checkpoint."""
    return f"step-{step:06d}"


def newest_checkpoint(folder: Path, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that verifies, or None where none was ever saved.

    Damaged ones that are newer are named through `warn` and set aside. Raises CheckpointError when none verifies: to
    begin at step 0 over what took hours is for the user to decide.
    """
    damaged: dict[Path, str] = {}
    for candidate in reversed(_by_step(folder)):
        try:
            found = load_checkpoint(candidate)
        except CheckpointError as error:
            damaged[candidate] = str(error)
            continue
        for path, message in damaged.items():
            warn(f"{message} Going back to the one before; it is set aside as {_set_aside(path).name}.")
        return found
    there = [path.name for path in (*damaged, *sorted(folder.glob(f"{DAMAGED}*")))]
    if there:
        raise CheckpointError(
            f"No checkpoint in {folder} can be read: {', '.join(there)}. {' '.join(damaged.values())} Put a whole copy "
            f"of one back, or move the folder {folder} away to begin anew at step 0."
        )
    return None


def agreed_checkpoint(folder: Path, ranks: Ranks, *, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the checkpoint that all processes go on from, or None: the first one chooses, the others load that step.

    Each for itself could choose another one, after a save or a damage in between or without a common disk. Raises
    CheckpointError in all of them when one cannot read it.
    """
    found, error = None, ""
    try:
        found = newest_checkpoint(folder, warn=warn) if ranks.writes else None
    except CheckpointError as refused:
        error = str(refused)
    (chosen, *_) = ranks.gather({"step": found.step if found else None, "error": error})
    if not ranks.writes and chosen["step"] is not None:
        try:
            found = load_checkpoint(folder / step_name(chosen["step"]))
        except CheckpointError as refused:
            error = (
                f"Process {ranks.rank} cannot go on from step {chosen['step']}, which process 0 has chosen: {refused} "
                "All processes need the same run folder on a disk that all of them see."
            )
    errors = [one["error"] for one in ranks.gather({"error": error}) if one["error"]]
    if errors:
        raise CheckpointError(errors[0])
    return found


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint; raises CheckpointError naming the damaged file."""
    verify(folder)
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return Checkpoint(
            step=state.pop("step"),
            weights=load_file(folder / "weights.safetensors"),
            optimizer=load_file(folder / "optimizer.safetensors"),
            values=state,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"Checkpoint {folder} is damaged: it cannot be read ({error}).") from error


def remove_old(folder: Path, *, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, each manifest first, so that a half-removed one never counts.

    The newest is verified before; raises CheckpointError, and removes nothing, when it is damaged.
    """
    found = _by_step(folder)
    old = found[: -max(1, keep)]
    if old:
        try:
            verify(found[-1])
        except CheckpointError as error:
            raise CheckpointError(
                f"{error} It was written just now, so the disk may be failing. Those before are kept: type the same "
                "command again to go on behind the newest that verifies."
            ) from error
    for one in old:
        (one / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(one)


def remove_temporary(folder: Path) -> None:
    """Remove what an interrupted save left behind; what it was about to replace comes back."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        before = folder / leftover.name.removeprefix(REPLACED)
        if leftover.name.startswith(REPLACED) and not before.exists():
            os.replace(leftover, before)
        elif leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def verify(folder: Path) -> None:
    """Check every file of `folder` against its manifest; raises CheckpointError, also for what cannot be read."""
    try:
        expected = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"Checkpoint {folder} is incomplete: its {MANIFEST} cannot be read ({error}).") from error
    for name, digest in expected.items():
        path = folder / name
        try:
            matches = path.is_file() and sha256_of(path) == digest
        except OSError as error:  # a disk that fails, not a file that is gone
            raise CheckpointError(f"Checkpoint {folder} is damaged: {name} cannot be read ({error}).") from error
        if not matches:
            raise CheckpointError(f"Checkpoint {folder} is damaged: {name} does not match its manifest.")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or folder to disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders; a rename there is journaled by the file system
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _by_step(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _put(temporary: Path, final: Path) -> None:
    """Give a new checkpoint its name; another one of the same step goes only when the new one is there."""
    replaced = final.with_name(f"{REPLACED}{final.name}")
    if final.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        os.replace(final, replaced)
    os.replace(temporary, final)
    shutil.rmtree(replaced, ignore_errors=True)


def _set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, over what was set aside for the same step before."""
    aside = path.with_name(f"{DAMAGED}{path.name}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(path, aside)
        sync(path.parent)
    except OSError as error:
        raise CheckpointError(f"Checkpoint {path} is damaged and cannot be renamed ({error}). Remove it.") from error
    return aside


def _write_manifest(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        sync(folder / name)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({name: sha256_of(folder / name) for name in names}, indent=1), encoding="utf-8")
    sync(manifest)
    sync(folder)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
