"""Results of transfer: a line a measurement, and the report made of all lines, both typed and versioned.

A line is written as soon as its measurement is done, and what has a line is not measured again; a line that a killed
process left half written is dropped. The report is a pure function of the lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from taskloom.data.whole import write_whole
from taskloom.errors import DataError
from taskloom.evaluation.across import Comparison, Pairs, compare, mean_interval
from taskloom.evaluation.report import Frozen

VERSION = 1
Shots = int | Literal["all"]
Key = tuple[str, str, str, Shots, int, str, str]


class Cell(Frozen):
    """One measurement: a model on a task by one method, from the shots of one seed (0 shots: zero-shot).

    `score` is the metric `metric`; an undefined correlation, which says that the answers know nothing, counts 0 and
    has its reason in `undefined`. `setting` names the settings, and `weights` and `protocol` are fingerprints of the
    model's files and of everything that decides the rows.
    """

    version: int = VERSION
    model: str
    task: str
    shots: Shots
    seed: int
    method: str
    setting: str
    metric: str
    score: float
    metrics: dict[str, float | None]
    family: str
    kind: str
    train_rows: int
    rows: int
    split: str
    seconds: float
    weights: str
    protocol: str
    undefined: str = ""

    @property
    def key(self) -> Key:
        """What tells a measurement from the others."""
        return self.model, self.task, self.method, self.shots, self.seed, self.setting, self.weights


class Cells:
    """The lines of one file, in memory and on disk."""

    def __init__(self, path: Path | None, *, protocol: str) -> None:
        self.path, self.protocol = path, protocol
        self.found: dict[Key, Cell] = {}
        if path is not None and path.exists():
            self._read(path)

    def __contains__(self, key: Key) -> bool:
        return key in self.found

    def add(self, cell: Cell) -> None:
        """Keep a measurement and write its line."""
        self.found[cell.key] = cell
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(cell.model_dump_json() + "\n")

    def _read(self, path: Path) -> None:
        *whole, torn = path.read_bytes().split(b"\n")  # bytes: a torn line may end within a character
        for number, line in enumerate(whole, start=1):
            try:
                cell = Cell.model_validate_json(line)
            except ValidationError as error:
                raise DataError(
                    f"{path}, line {number} is not a measurement of version {VERSION}: {error.errors()[0]['msg']}. "
                    "Take the line out, or give another --output."
                ) from error
            if cell.protocol != self.protocol:
                raise DataError(
                    f"{path} was begun with other rows or another length (its lines have the protocol {cell.protocol}, "
                    f"now it is {self.protocol}). Give the same options, or another --output."
                )
            self.found[cell.key] = cell
        if torn:  # by a killed process
            write_whole(path, "".join(f"{line.decode()}\n" for line in whole))


def write_cells(cells: Sequence[Cell], path: Path) -> None:
    """Write what a report is made of, a line a cell."""
    write_whole(path, "".join(f"{cell.model_dump_json()}\n" for cell in cells))


class Mean(Frozen):
    """A model's mean score on one task by one method and number of shots, and its 95 % interval over seeds."""

    model: str
    method: str
    shots: Shots
    task: str
    family: str
    metric: str
    seeds: int
    mean: float
    low: float | None
    high: float | None


class Compared(Frozen):
    """Two models by one method and number of shots, over the tasks and seeds that both have."""

    method: str
    shots: Shots
    first: str
    second: str
    comparison: Comparison


class Refused(Frozen):
    """A task that a model is not measured on, or was measured on although it was seen, and why."""

    model: str
    task: str
    reason: str
    measured: bool = False


class ModelFacts(Frozen):
    """What is known of a model: how many tasks it was trained on (None: no record) and which it kept away from."""

    model: str
    weights: str
    trained_tasks: int | None
    held_out: tuple[str, ...] = ()


class Choice(Frozen):
    """The setting chosen for a model, a method and a number of shots; `score` is the mean that decided."""

    model: str
    method: str
    shots: Shots
    setting: str
    score: float
    tried: dict[str, float]


class TransferReport(Frozen):
    """The content of transfer.json."""

    version: int = VERSION
    protocol: dict[str, str | int | float | bool | list[str]]
    models: tuple[ModelFacts, ...]
    settings: tuple[Choice, ...]
    means: tuple[Mean, ...]
    comparisons: tuple[Compared, ...]
    refused: tuple[Refused, ...]
    skipped: dict[str, str] = {}

    def write(self, path: Path) -> None:
        """Write transfer.json."""
        write_whole(path, json.dumps(self.model_dump(mode="json"), indent=1) + "\n")


def means_of(cells: Sequence[Cell]) -> tuple[Mean, ...]:
    """Return the mean over seeds of each model, method, number of shots and task, in the order of the cells."""
    groups: dict[tuple[str, str, Shots, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.model, cell.method, cell.shots, cell.task), []).append(cell)
    found = []
    for (model, method, shots, task), some in groups.items():
        mean, low, high = mean_interval([cell.score for cell in some])
        found.append(Mean(model=model, method=method, shots=shots, task=task, family=some[0].family, seeds=len(some),
                          metric=some[0].metric, mean=mean, low=low, high=high))  # fmt: skip
    return tuple(found)


def comparisons_of(cells: Sequence[Cell]) -> tuple[Compared, ...]:
    """Return every pair of models under every method and number of shots where both have a cell."""
    families = {cell.task: cell.family for cell in cells}
    groups: dict[tuple[str, Shots], dict[str, dict[tuple[str, int], float]]] = {}
    for cell in cells:
        by_model = groups.setdefault((cell.method, cell.shots), {})
        by_model.setdefault(cell.model, {})[cell.task, cell.seed] = cell.score
    return tuple(
        Compared(method=method, shots=shots, first=first, second=second, comparison=compare(pairs, families))
        for (method, shots), by_model in groups.items()
        for first, second, pairs in _pairs(by_model)
    )


def _pairs(by_model: dict[str, dict[tuple[str, int], float]]) -> Iterable[tuple[str, str, Pairs]]:
    models = list(by_model)
    for at, first in enumerate(models):
        for second in models[at + 1 :]:
            common = [key for key in by_model[first] if key in by_model[second]]
            if common:
                yield first, second, {key: (by_model[first][key], by_model[second][key]) for key in common}
