"""Where a run can be watched: TensorBoard events in the run folder always, other trackers by `output.track`.

The log of a run is log.jsonl; a tracker is a copy for looking at. TensorBoard is written where the package is installed
(extra `track`); trackio and wandb are asked for by name, and missing ones are an error before the first step.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from taskloom.errors import ConfigError

FOLDER = "tensorboard"


class Tracker(Protocol):
    """Takes the numbers of a step, by name."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of one step."""

    def close(self) -> None:
        """Write what is still in memory."""


class TensorBoard:
    """Event files below the run folder; those after `step` are purged when a run goes on from there."""

    def __init__(self, folder: Path, *, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)  # type: ignore[no-untyped-call]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


class Hosted:
    """trackio or wandb, whose calls are the same: `init`, `log`, `finish`. A run that goes on keeps its name there."""

    def __init__(self, package: str, *, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        self._library: Any = importlib.import_module(package)
        known = {"id": run_id(folder)} if package == "wandb" else {}
        self._library.init(project="taskloom", name=name, config=dict(config), resume="allow", **known)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send scalars."""
        self._library.log(dict(values), step=step)

    def close(self) -> None:
        """End the run there."""
        self._library.finish()


def open_trackers(
    names: Sequence[str], *, folder: Path, name: str, config: Mapping[str, Any], step: int
) -> list[Tracker]:
    """Return the trackers of a run that has done `step` steps; raises ConfigError for one that is not installed."""
    for package in names:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"output.track names {package!r}, which is not installed. Type: pip install {package}, or take it out."
            )
    found: list[Tracker] = [Hosted(package, folder=folder, name=name, config=config) for package in names]
    if importlib.util.find_spec("tensorboard") is not None:
        found.append(TensorBoard(folder / FOLDER, step=step))
    return found


def close_trackers(trackers: Sequence[Tracker], *, warn: Callable[[str], None]) -> None:
    """Close all of them; one that has no room to write is told, and hides no error that ended the run."""
    for tracker in trackers:
        try:
            tracker.close()
        except OSError as error:
            warn(f"A tracker could not write its last values ({error}); log.jsonl has them.")


def run_id(folder: Path) -> str:
    """Return what tells a run from all others: runs of one name in two folders are two."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def flat(entry: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a log entry under names such as "families/nli"; other values are left out."""
    values: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name != "step":
            values[prefix + name] = float(value)
    return values
