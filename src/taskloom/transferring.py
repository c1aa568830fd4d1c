"""`taskloom transfer`: the same protocol for any set of encoders, so that what is compared is the encoders alone.

For each model, the settings of each method are chosen on one half of the train rows, learned from there and scored
there; what is reported is learned from the other half and scored on test rows (else validation), the same rows and the
same seeds for every model. docs/transfer.md is the protocol in words.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import ConfigError, DataError, UserError, did_you_mean
from taskloom.progress import Progress
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import select

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taskloom.evaluation.transfer_report import Cell, Cells, Choice, ModelFacts, Refused, Shots, TransferReport
    from taskloom.inference.finetuning import Start
    from taskloom.inference.measuring import Bench, Measured

    Places = NDArray[np.int64]

METHODS = ("probe", "finetune", "zero-shot")
PROTOCOL_VERSION = 1
TUNING_TASKS = 4
"""Tasks on which fine-tuning settings are chosen, of as many families as there are; probes and zero-shot take all."""
TOUCHED = 0.05
"""Share of a task's rows that stand in a model's train rows from which the task counts as seen."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured: everything that decides rows and scores, and so stands in every line by its fingerprint."""

    tasks: tuple[str, ...]
    shots: tuple[Shots, ...] = (16, 64)
    seeds: int = 5
    methods: tuple[str, ...] = METHODS
    max_rows: int = 500
    max_length: int = 128
    seen: bool = False

    def fingerprint(self) -> str:
        """Return what lines of one file must agree in; tasks, shots, seeds and methods may grow from run to run."""
        parts = [PROTOCOL_VERSION, self.max_rows, self.max_length]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def parse_shots(text: str) -> tuple[Shots, ...]:
    """Return "8,16,all" as numbers and "all"; raises ConfigError."""
    found: list[Shots] = []
    for part in (part.strip() for part in text.split(",")):
        if part != "all" and not (part.isdecimal() and int(part) > 0):
            raise ConfigError(f"--shots {text}: {part!r} is neither a number above 0 nor all. Type e.g. 8,16,64,all.")
        found.append("all" if part == "all" else int(part))
    return tuple(dict.fromkeys(found))


def parse_methods(text: str) -> tuple[str, ...]:
    """Return "probe,zero-shot" as a tuple; raises ConfigError."""
    given = tuple(part.strip() for part in text.split(","))
    for part in given:
        if part not in METHODS:
            raise ConfigError(
                f"--methods {text}: there is no method {part!r}.{did_you_mean(part, METHODS)} Allowed: "
                f"{', '.join(METHODS)}."
            )
    return given


@dataclass
class Transfer:
    """A measurement of several models that is under way."""

    protocol: Protocol
    tasks: tuple[Task, ...]
    cells: Cells
    tried: Cells
    progress: Progress
    mirror: str = ""
    choices: list[Choice] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def transfer(
    models: Sequence[str],
    protocol: Protocol,
    *,
    output: Path | None = None,
    mirror: str = "",
    device: str = "auto",
    progress: Progress | None = None,
) -> TransferReport:
    """Measure models and return the report; with `output`, lines and report are written there and kept measurements
    are not made again.

    Raises UserError for models or tasks that cannot be had, and DataError when nothing at all can be measured.
    """
    from taskloom.evaluation.transfer_report import Cells

    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise ConfigError(f"{', '.join(twice)} is given twice. Give each model once.")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    fingerprint = protocol.fingerprint()
    run = Transfer(
        protocol=protocol, tasks=select(protocol.tasks).tasks, progress=progress or Progress(), mirror=mirror,
        cells=Cells(output and output / "transfer.jsonl", protocol=fingerprint),
        tried=Cells(output and output / "selection.jsonl", protocol=fingerprint),
    )  # fmt: skip
    facts: list[ModelFacts] = []
    kept: list[Cell] = []
    for model in models:
        facts.append(_measure_model(run, model, device, kept))
    if not kept:
        raise DataError(
            "Nothing could be measured. "
            + " ".join(f"{one.model}, {one.task}: {one.reason}." for one in run.refused[:5])
            + " ".join(f"{task}: {reason}." for task, reason in list(run.skipped.items())[:5])
        )
    report = _report(run, facts, kept)
    if output is not None:
        report.write(output / "transfer.json")
    return report


def _measure_model(run: Transfer, model: str, device: str, kept: list[Cell]) -> ModelFacts:
    """Choose a model's settings and measure it on every task that it has not seen."""
    from taskloom.evaluation.transfer_report import ModelFacts
    from taskloom.inference.finetuning import open_start

    start = open_start(model, device=device, precision="auto", length=run.protocol.max_length)
    weights = weights_of(start.folder)
    measure = _Measure(run, model, weights, start)
    measure.benches = dict(_benches(run, model, start))
    for method in run.protocol.methods:
        kept += measure.blind() if method == "zero-shot" else measure.learned(method)
    known = start.lineage.known
    return ModelFacts(
        model=model, weights=weights, trained_tasks=len(start.lineage.trained) if known else None,
        held_out=start.lineage.held_out,
    )  # fmt: skip


def weights_of(folder: Path) -> str:
    """Return a fingerprint of a model's weights: the sha256 of its safetensors files (about 1 GB/s)."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _benches(run: Transfer, model: str, start: Start) -> Iterator[tuple[str, Bench]]:
    """Yield the tasks that a model may be measured on, prepared; what is refused or cannot be read is noted."""
    from taskloom.evaluation.transfer_report import Refused
    from taskloom.inference.measuring import Bench
    from taskloom.workflows import rows_of

    reasons = _seen(run, model, start)
    for task in run.tasks:
        seen, reason = reasons.get(task.id, (False, ""))
        if reason:
            measured = run.protocol.seen or not seen
            run.refused.append(Refused(model=model, task=task.versioned, reason=reason, measured=measured))
            if not measured:
                run.progress.say(f"{model} is not measured on {task.id}: {reason} (--seen measures all the same)")
                continue
        try:
            store = _prepared(run, task, start)
            canonical = rows_of(task, mirror=run.mirror)
        except UserError as error:
            run.skipped[task.versioned] = str(error)
            run.progress.say(f"{task.id} cannot be used: {error}")
            continue
        if not {"test", "validation"} & set(store.splits):
            run.skipped[task.versioned] = f"it has no test or validation rows, only {', '.join(store.splits)}"
            continue
        yield task.versioned, Bench(start, task, store, canonical)


def _prepared(run: Transfer, task: Task, start: Start) -> Any:
    from taskloom.tuning import prepare_for

    return prepare_for(task, start, mirror=run.mirror, max_length=run.protocol.max_length)


def _seen(run: Transfer, model: str, start: Start) -> dict[str, tuple[bool, str]]:
    """Return by task id whether it counts as seen, and why or what else is to be told.

    By id or data set where the model records it; a task that the record does not hold out is looked for, row by row, in
    what the model was trained on. Nothing is known of an encoder that is no model of ours.
    """
    from taskloom.overlapping import touched_rows
    from taskloom.recipes.select import get_task
    from taskloom.workflows import rows_of

    lineage = start.lineage
    if not lineage.known:
        return {}
    found = {task.id: (True, reason) for task in run.tasks if (reason := lineage.seen(task))}
    unsure = [task for task in run.tasks if task.id not in found and task.id not in lineage.held_out]
    if not unsure or (run.protocol.seen and not lineage.trained):
        return found
    trained, unknown = [], []
    for name in lineage.trained:
        try:
            trained.append(get_task(name))
        except UserError:
            unknown.append(name)  # a task of somebody's own, whose files may be anywhere
    run.progress.say(f"{model} does not record that {len(unsure)} tasks were held out: their rows are looked for")
    touched = touched_rows(trained, unsure, lambda task: rows_of(task, mirror=run.mirror), progress=run.progress)
    for task in unsure:
        share, told = touched.of(task)
        told += f"; not looked through: {', '.join(unknown)}" if unknown else ""
        if told:
            found[task.id] = (share > TOUCHED, told)
    return found


class _Measure:
    """The measurements of one model; each is made once, and its line kept."""

    def __init__(self, run: Transfer, model: str, weights: str, start: Start) -> None:
        self.run, self.model, self.weights, self.start = run, model, weights, start
        self.benches: dict[str, Bench] = {}

    def learned(self, method: str) -> Iterator[Cell]:
        """Choose the settings of a method for each number of shots, and yield its reported cells."""
        from taskloom.evaluation.transfer_report import Choice
        from taskloom.inference.choosing import SELECTION_SEED, best_setting, reported_rows, selection_rows
        from taskloom.inference.measuring import PROBES, TUNINGS

        protocol = self.run.protocol
        settings = {str(one): one for one in (PROBES if method == "probe" else TUNINGS)}
        shown = list(self.benches) if method == "probe" else tuning_tasks(self.benches)
        for shots in protocol.shots if self.benches else ():
            scores: dict[str, list[float]] = {}
            with self.run.progress.bar(f"{self.model}: settings, {method}, {shots} shots", len(settings)) as bar:
                for name, setting in settings.items():
                    scores[name] = [
                        self._cell(self.run.tried, task, method, shots, SELECTION_SEED, setting,
                                   lambda bench, shots=shots: selection_rows(bench.store, bench.task.id, shots)).score
                        for task in shown
                    ]  # fmt: skip
                    bar.advance(note=name)
            best, means = best_setting(scores)
            self.run.choices.append(
                Choice(model=self.model, method=method, shots=shots, setting=best, score=means[best], tried=means)
            )
            title = f"{self.model}: {method}, {shots} shots, {best}"
            with self.run.progress.bar(title, len(self.benches) * protocol.seeds) as bar:
                for task in self.benches:
                    for seed in range(protocol.seeds):
                        yield self._cell(
                            self.run.cells, task, method, shots, seed, settings[best],
                            lambda bench, shots=shots, seed=seed: reported_rows(
                                bench.store, bench.task.id, shots, seed=seed, max_rows=protocol.max_rows),
                        )  # fmt: skip
                        bar.advance(note=task)

    def blind(self) -> Iterator[Cell]:
        """Choose a way for each task by the other tasks, and yield the cells of the chosen and of every way."""
        from taskloom.evaluation.transfer_report import Choice
        from taskloom.inference.choosing import SELECTION_SEED, advantages, best_way, blind_rows, selection_rows

        tried: dict[str, dict[str, float]] = {}
        with self.run.progress.bar(f"{self.model}: ways without a label", len(self.benches)) as bar:
            for task, bench in self.benches.items():
                rows = selection_rows(bench.store, bench.task.id, "all")
                places = blind_rows(bench.store, rows.score, bench.task.id, "train")
                found = self._blind_cells(self.run.tried, task, SELECTION_SEED, "train", places)
                tried[task] = {cell.setting: cell.score for cell in found}
                bar.advance(note=task)
        worth = advantages(tried)
        if worth:
            best = max(worth, key=lambda way: worth[way])
            self.run.choices.append(
                Choice(model=self.model, method="zero-shot", shots=0, setting=best, score=worth[best], tried=worth)
            )
        with self.run.progress.bar(f"{self.model}: zero-shot", len(self.benches)) as bar:
            for task in self.benches:
                yield from self._blind_task(
                    task, tried[task], best_way(task, tried[task], tried) if tried[task] else ""
                )
                bar.advance(note=task)

    def _blind_task(self, task: str, ways: Mapping[str, float], chosen: str) -> Iterator[Cell]:
        """Yield one task's cells: every way under its own name, and the chosen one as what the model can do."""
        from taskloom.inference.choosing import blind_rows, reported_places, reported_split

        bench = self.benches[task]
        if not ways:
            self.run.skipped[f"{task}, zero-shot"] = "its label names say nothing by themselves, and no head fits"
            return
        split = reported_split(bench.store)
        places = reported_places(bench.store, bench.task.id, self.run.protocol.max_rows)
        places = blind_rows(bench.store, places, bench.task.id, split)
        for cell in self._blind_cells(self.run.cells, task, 0, split, places):
            yield cell.model_copy(update={"method": f"zero-shot/{cell.setting}"})
            if cell.setting == chosen:
                yield cell

    def _blind_cells(self, cells: Cells, task: str, seed: int, split: str, places: Places) -> list[Cell]:
        """Return the cells of all ways on some rows; those that have no line yet are measured together."""
        bench = self.benches[task]
        keys = {way: (self.model, task, "zero-shot", 0, seed, way, self.weights) for way in bench.ways()}
        missing = [way for way, key in keys.items() if key not in cells]
        started = time.monotonic()
        for way, found in (bench.blind(missing, split, places) if missing else {}).items():
            cells.add(self._made(task, "zero-shot", 0, seed, way, found, started, (0, len(places), split)))
        return [cells.found[key] for key in keys.values()]

    def _cell(
        self,
        cells: Cells,
        task: str,
        method: str,
        shots: Shots,
        seed: int,
        setting: Any,
        rows_of: Callable[[Bench], Any],
    ) -> Cell:
        """Return the cell of one measurement, made unless its line is there."""
        key = (self.model, task, method, shots, seed, str(setting), self.weights)
        if key not in cells:
            bench, started = self.benches[task], time.monotonic()
            rows = rows_of(bench)
            if method == "probe":
                found = bench.probe(rows.learn, setting, rows.split, rows.score)
            else:
                found = bench.tune(rows.learn, setting, seed, rows.split, rows.score)
            sizes = (len(rows.learn), len(rows.score), rows.split)
            cells.add(self._made(task, method, shots, seed, str(setting), found, started, sizes))
        return cells.found[key]

    def _made(
        self, task: str, method: str, shots: Shots, seed: int, setting: str, found: Measured, started: float,
        sizes: tuple[int, int, str],
    ) -> Cell:  # fmt: skip
        from taskloom.evaluation.transfer_report import Cell

        recipe, (train_rows, rows, split) = self.benches[task].task, sizes
        return Cell(
            model=self.model, task=task, shots=shots, seed=seed, method=method, setting=setting, metric=found.metric,
            score=round(found.score, 6), metrics=found.metrics.values, family=recipe.family, kind=recipe.kind.name,
            train_rows=train_rows, rows=rows, split=split, seconds=round(time.monotonic() - started, 2),
            weights=self.weights, protocol=self.run.cells.protocol, undefined=found.undefined,
        )  # fmt: skip


def tuning_tasks(benches: Mapping[str, Bench]) -> list[str]:
    """Return the tasks that fine-tuning settings are chosen on: the first of each family, then the second, ..."""
    turns: dict[str, int] = {}
    order = []
    for place, (task, bench) in enumerate(benches.items()):
        turn = turns[bench.task.family] = turns.get(bench.task.family, -1) + 1
        order.append((turn, place, task))
    return [task for _, _, task in sorted(order)[:TUNING_TASKS]]


def _report(run: Transfer, facts: Sequence[ModelFacts], kept: Sequence[Cell]) -> TransferReport:
    from taskloom.evaluation.transfer_report import TransferReport, comparisons_of, means_of

    protocol = run.protocol
    return TransferReport(
        protocol={
            "version": PROTOCOL_VERSION, "fingerprint": run.cells.protocol, "tasks": list(protocol.tasks),
            "shots": [str(shots) for shots in protocol.shots], "seeds": protocol.seeds,
            "methods": list(protocol.methods), "max_rows": protocol.max_rows, "max_length": protocol.max_length,
            "seen": protocol.seen,
        },
        models=tuple(facts), settings=tuple(run.choices), means=means_of(kept), comparisons=comparisons_of(kept),
        refused=tuple(run.refused), skipped=run.skipped,
    )  # fmt: skip
