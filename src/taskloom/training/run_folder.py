"""One run, one folder, one process: its configuration, its plan, its log, and whether it may go on.

The same command run again continues. What may change between two starts is listed in `MAY_CHANGE`; anything else would
make the second half of the run another experiment, so it is an error that names the key and both values.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskloom.config import RunConfig
from taskloom.data.locks import locked
from taskloom.errors import CheckpointError, some_of_names
from taskloom.run_file import to_toml
from taskloom.training.checkpoint import remove_temporary, sync

MAY_CHANGE = (
    "training.steps", "training.epochs", "training.minutes", "training.evaluate_every", "training.save_every",
    "training.keep_checkpoints", "training.start_share", "training.device", "evaluation.", "output.", "data.cache",
    "data.mirror", "data.on_error", "data.workers", "data.executor",
)  # fmt: skip
"""Keys (or sections) that a continued run may change; where rows are read from is covered by their fingerprints."""


class RunFolder:
    """The folder of one run; `open_run` gives it."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self.checkpoints = path / "checkpoints"
        self.best = path / "best"
        self.model = path / "model"
        self.predictions = path / "predictions"
        self._started = time.monotonic()
        self._seconds_before = 0.0

    def file(self, name: str) -> Path:
        """Return the path of a file of the run."""
        return self.path / name

    def results(self) -> dict[str, Any] | None:
        """Return results.json, or None while there is none."""
        return _read_json(self.file("results.json"))

    def write(self, name: str, text: str) -> None:
        """Write a file atomically; a process that does not write leaves it to the one that does."""
        if not self.writes:
            return
        path = self.file(name)
        temporary = path.with_name(f".tmp-{name}")
        with _written(path):
            temporary.write_text(text, encoding="utf-8")
            sync(temporary)
            os.replace(temporary, path)

    def compare_config(self, config: RunConfig) -> None:
        """Raise CheckpointError when the run was started with another configuration."""
        before = _read_json(self.file(".config.json"))
        now = config.model_dump(mode="json")
        if before is not None:
            before = _filled(before, RunConfig(name=config.name).model_dump(mode="json"))
            for key, old, new in _differences(before, now):
                if not key.startswith(MAY_CHANGE):
                    raise CheckpointError(
                        f"Run {self.path} was started with {key} = {old!r}, and now {key} = {new!r}. A run keeps its "
                        f"settings (steps, evaluation, saving and device may change). Type `name=NEW_NAME` for a new "
                        f"run, or put {key} back."
                    )

    def keep_config(self, config: RunConfig) -> None:
        """Write config.toml, once it is sure that the run goes on: it tells what the model was made with."""
        self.write(".config.json", json.dumps(config.model_dump(mode="json")))
        self.write("config.toml", to_toml(config))

    def keep_or_compare_plan(self, plan: Mapping[str, Any]) -> None:
        """Write plan.json, or raise CheckpointError when the data of the run's tasks are not the same."""
        before = _read_json(self.file("plan.json"))
        if before is not None and before["tasks"] != plan["tasks"]:
            changed = sorted(
                task
                for task in before["tasks"].keys() | plan["tasks"].keys()
                if before["tasks"].get(task) != plan["tasks"].get(task)
            )
            raise CheckpointError(
                f"Run {self.path} was started on other data: {some_of_names(changed, 5)} changed since. Put the data "
                "back, or type `name=NEW_NAME` for a new run."
            )
        if before is None:
            self.write("plan.json", json.dumps(plan, indent=1))

    def planned_steps(self) -> int | None:
        """Return how many steps the run was begun with, or None for a new one."""
        plan = _read_json(self.file("plan.json"))
        return None if plan is None else int(plan["steps"])

    def resume_log(self, step: int, *, evaluation_is_due: bool = False) -> None:
        """Drop the log lines after `step`, so that the log reads as if the run had never stopped.

        With `evaluation_is_due` that of the evaluation of `step` goes, too, since it is made again.
        """
        path = self.file("log.jsonl")
        if not path.exists():
            return
        last = (step, not evaluation_is_due)
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= last]
        self.write("log.jsonl", "".join(f"{line}\n" for line in lines))
        self._seconds_before = max((json.loads(line)["time"] for line in lines), default=0.0)

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl, with the seconds spent in the run so far."""
        if not self.writes:
            return
        seconds = self._seconds_before + time.monotonic() - self._started
        path = self.file("log.jsonl")
        with _written(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": entry["step"], "time": round(seconds, 3)} | dict(entry)) + "\n")


@contextmanager
def open_run(config: RunConfig, *, writes: bool = True) -> Iterator[RunFolder]:
    """Open the folder of `config`'s run for this process alone; raises CheckpointError when another one has it.

    Of several processes that train together one writes, and holds the lock for all.
    """
    path = Path(config.output.folder) / config.name
    if not writes:
        yield RunFolder(path, writes=False)
        return
    path.mkdir(parents=True, exist_ok=True)
    busy = CheckpointError(f"Run {path} is in use by another process. Wait for it, or type `name=NEW_NAME`.")
    with locked(path / ".lock", busy=busy):
        run = RunFolder(path)
        run.checkpoints.mkdir(exist_ok=True)
        for folder in (run.checkpoints, run.best):
            remove_temporary(folder)
        remove_temporary(path)
        yield run


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say in one message what to do when a file of the run cannot be written."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error}). The checkpoints of the run are whole. Make room, then type the same "
            "command again: it goes on behind the newest of them."
        ) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged ({error}). Remove the file, or the run's folder to start anew."
        ) from error
    return dict(found)


def _filled(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the defaults of keys that they lack: those that came with a later version."""
    missing = {key: default for key, default in defaults.items() if key not in values}
    inner = {
        key: _filled(value, defaults[key])
        for key, value in values.items()
        if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping)
    }
    return {**values, **missing, **inner}


def _step_of(line: str) -> tuple[float, bool]:
    """Return the step of a log line, and whether it tells of the evaluation after it."""
    try:
        entry = json.loads(line)
        return float(entry["step"]), "evaluation" in entry
    except (ValueError, KeyError):
        return float("inf"), False  # the torn last line of a killed process


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", old, new
