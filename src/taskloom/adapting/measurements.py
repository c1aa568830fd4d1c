"""All measurements of one model: its settings chosen, its cells made once and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.adapting import measuring
from taskloom.adapting.choosing import (
    SELECTION_SEED,
    Rows,
    advantages,
    best_setting,
    best_way,
    blind_rows,
    reported_places,
    reported_rows,
    reported_split,
    selection_rows,
)
from taskloom.adapting.measuring import Bench, Measured
from taskloom.evaluation.protocol import Protocol
from taskloom.evaluation.transfer_report import Cell, Cells, Choice, Shots
from taskloom.progress import Progress

Places = NDArray[np.int64]
TUNING_TASKS = 4
"""Tasks on which fine-tuning settings are chosen, of as many families as there are; probes and zero-shot take all."""


@dataclass
class Measurements:
    """The measurements of one model on the tasks of `benches`, by id with version.

    `cells` keeps reported ones and `tried` those that settings are chosen by; `choices` and `skipped` tell what was
    chosen and what could not be measured.
    """

    model: str
    weights: str
    protocol: Protocol
    benches: dict[str, Bench]
    cells: Cells
    tried: Cells
    progress: Progress
    choices: list[Choice] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def of(self, method: str) -> Iterator[Cell]:
        """Yield the reported cells of a method, made or found."""
        if not self.benches:
            return
        if method == "zero-shot":
            yield from self._blind()
            return
        for shots in self.protocol.shots:
            yield from self._learned(method, shots)

    def _learned(self, method: str, shots: Shots) -> Iterator[Cell]:
        settings = {str(one): one for one in (measuring.PROBES if method == "probe" else measuring.TUNINGS)}
        best = self._choose(method, shots, settings)
        every = [(task, seed) for task in self.benches for seed in range(self.protocol.seeds)]
        with self.progress.bar(f"{self.model}: {method}, {shots} shots, {best}", len(every)) as bar:
            for task, seed in every:
                bench = self.benches[task]
                rows = partial(
                    reported_rows, bench.store, bench.task.id, shots, seed=seed, max_rows=self.protocol.max_rows
                )
                yield self._cell(self.cells, task, method, shots, seed, settings[best], rows)
                bar.advance(note=task)

    def _choose(self, method: str, shots: Shots, settings: Mapping[str, Any]) -> str:
        """Return the setting that is best on the rows kept for choosing."""
        tasks = list(self.benches) if method == "probe" else tuning_tasks(self.benches)
        scores: dict[str, list[float]] = {}
        with self.progress.bar(f"{self.model}: settings of {method}, {shots} shots", len(settings)) as bar:
            for name, setting in settings.items():
                for task in tasks:
                    bench = self.benches[task]
                    rows = partial(selection_rows, bench.store, bench.task.id, shots)
                    cell = self._cell(self.tried, task, method, shots, SELECTION_SEED, setting, rows)
                    scores.setdefault(name, []).append(cell.score)
                bar.advance(note=name)
        best, means = best_setting(scores)
        self.choices.append(
            Choice(model=self.model, method=method, shots=shots, setting=best, score=means[best], tried=means)
        )
        return best

    def _cell(
        self, cells: Cells, task: str, method: str, shots: Shots, seed: int, setting: Any, rows_of: Callable[[], Rows]
    ) -> Cell:
        """Return the cell of one measurement, made unless its line is there."""
        key = (self.model, task, method, shots, seed, str(setting), self.weights)
        if key not in cells:
            bench, started, rows = self.benches[task], time.monotonic(), rows_of()
            if method == "probe":
                found = bench.probe(rows.learn, setting, rows.split, rows.score)
            else:
                found = bench.tune(rows.learn, setting, seed, rows.split, rows.score)
            cells.add(self._made(key, found, started, rows))
        return cells.found[key]

    def _blind(self) -> Iterator[Cell]:
        """Yield for each task the cell of every way of answering without a label, and of the one chosen."""
        tried: dict[str, dict[str, float]] = {}
        with self.progress.bar(f"{self.model}: ways without a label", len(self.benches)) as bar:
            for task, bench in self.benches.items():
                rows = selection_rows(bench.store, bench.task.id, "all")
                places = blind_rows(bench.store, rows.score, bench.task.id, "train")
                found = self._blind_cells(self.tried, task, SELECTION_SEED, Rows(places[:0], "train", places))
                tried[task] = {cell.setting: cell.score for cell in found}
                bar.advance(note=task)
        worth = advantages(tried)
        if worth:
            best = max(worth, key=lambda way: worth[way])
            self.choices.append(
                Choice(model=self.model, method="zero-shot", shots=0, setting=best, score=worth[best], tried=worth)
            )
        with self.progress.bar(f"{self.model}: zero-shot", len(self.benches)) as bar:
            for task, ways in tried.items():
                yield from self._blind_task(task, best_way(task, ways, tried) if ways else None)
                bar.advance(note=task)

    def _blind_task(self, task: str, chosen: str | None) -> Iterator[Cell]:
        bench = self.benches[task]
        if chosen is None:
            self.skipped[f"{task}, zero-shot"] = "its label names say nothing by themselves, and no head fits"
            return
        split = reported_split(bench.store)
        places = reported_places(bench.store, bench.task.id, self.protocol.max_rows)
        places = blind_rows(bench.store, places, bench.task.id, split)
        for cell in self._blind_cells(self.cells, task, 0, Rows(places[:0], split, places)):
            yield cell
            if cell.setting == chosen:
                yield cell.model_copy(update={"method": "zero-shot"})

    def _blind_cells(self, cells: Cells, task: str, seed: int, rows: Rows) -> list[Cell]:
        """Return the cells of all ways on some rows; those that have no line yet are measured together."""
        bench, started = self.benches[task], time.monotonic()
        keys = {way: (self.model, task, f"zero-shot/{way}", 0, seed, way, self.weights) for way in bench.ways()}
        missing = [way for way, key in keys.items() if key not in cells]
        for way, found in (bench.blind(missing, rows.split, rows.score) if missing else {}).items():
            cells.add(self._made(keys[way], found, started, rows))
        return [cells.found[key] for key in keys.values()]

    def _made(self, key: tuple[Any, ...], found: Measured, started: float, rows: Rows) -> Cell:
        model, task, method, shots, seed, setting, weights = key
        recipe = self.benches[task].task
        return Cell(
            model=model, task=task, shots=shots, seed=seed, method=method, setting=setting, metric=found.metric,
            score=round(found.score, 6), metrics=found.metrics.values, family=recipe.family, kind=recipe.kind.name,
            train_rows=len(rows.learn), rows=len(rows.score), split=rows.split, weights=weights,
            seconds=round(time.monotonic() - started, 2), protocol=self.cells.protocol, undefined=found.undefined,
        )  # fmt: skip


def tuning_tasks(benches: Mapping[str, Bench]) -> list[str]:
    """Return the tasks that fine-tuning settings are chosen on: the first of each family, then the second, ..."""
    turns: dict[str, int] = {}
    order = []
    for place, (task, bench) in enumerate(benches.items()):
        turn = turns[bench.task.family] = turns.get(bench.task.family, -1) + 1
        order.append((turn, place, task))
    return [task for _, _, task in sorted(order)[:TUNING_TASKS]]
