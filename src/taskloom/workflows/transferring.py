"""`taskloom transfer`: the same protocol for any set of encoders, so that what is compared is the encoders alone.

For each model, the settings of each method are chosen on one half of the train rows, learned from there and scored
there; what is reported is learned from the other half and scored on test rows (else validation), the same rows and the
same seeds for every model. docs/transfer.md is the protocol in words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import DataConfig, RunConfig
from taskloom.data.locks import locked
from taskloom.data.whole import write_whole
from taskloom.errors import ConfigError, DataError, UserError
from taskloom.progress import Progress
from taskloom.recipes.recipe import Files, Task
from taskloom.recipes.select import select

if TYPE_CHECKING:
    from taskloom.adapting.measuring import Bench
    from taskloom.adapting.start import Start
    from taskloom.data.standardize import CanonicalTask
    from taskloom.data.store import TaskStore
    from taskloom.evaluation.protocol import Protocol
    from taskloom.evaluation.transfer_report import Cell, Cells, Choice, ModelFacts, Refused, TransferReport

TOUCHED = 0.05
"""Share of a task's rows that stand in a model's train rows from which the task counts as seen."""


@dataclass
class Transfer:
    """A measurement of several models that is under way."""

    protocol: Protocol
    tasks: tuple[Task, ...]
    cells: Cells
    tried: Cells
    progress: Progress
    output: Path | None = None
    mirror: str = ""
    choices: list[Choice] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def transfer(
    models: Sequence[str],
    protocol: Protocol,
    *,
    own: Sequence[Task] = (),
    output: Path | None = None,
    mirror: str = "",
    device: str = "auto",
    progress: Progress | None = None,
) -> TransferReport:
    """Measure models and return the report; with `output`, every measurement is kept there and not made again.

    Measured are the catalog's tasks that the protocol names, and `own`, tasks of one's own files.
    `measurements.jsonl` and `selection.jsonl` grow line by line; `transfer.jsonl`, what is reported, and
    `transfer.json`, the report, are written at the end.

    Raises UserError for models or tasks that cannot be had or an `output` that another process writes to, and DataError
    when nothing at all can be measured.
    """
    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise ConfigError(f"{', '.join(twice)} is given twice. Give each model once.")
    tasks = (*(select(protocol.tasks).tasks if protocol.tasks else ()), *own)
    busy = UserError(f"{output} is in use by another process. Wait for it, or give another --output.")
    with nullcontext() if output is None else locked(output / ".lock", busy=busy):
        return _measured(_begun(protocol, tasks, output, mirror, progress or Progress()), models, device)


def _begun(
    protocol: Protocol, tasks: tuple[Task, ...], output: Path | None, mirror: str, progress: Progress
) -> Transfer:
    """Return a measurement with what was measured before."""
    from taskloom.evaluation.transfer_report import Cells

    fingerprint = protocol.fingerprint()
    return Transfer(
        protocol=protocol, tasks=tasks, progress=progress, mirror=mirror, output=output,
        cells=Cells(output and output / "measurements.jsonl", protocol=fingerprint),
        tried=Cells(output and output / "selection.jsonl", protocol=fingerprint),
    )  # fmt: skip


def _measured(run: Transfer, models: Sequence[str], device: str) -> TransferReport:
    from taskloom.evaluation.transfer_report import write_cells

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
    if run.output is not None:
        write_cells(kept, run.output / "transfer.jsonl")
        report.write(run.output / "transfer.json")
    return report


def own_tasks(run_file: Path) -> tuple[Task, ...]:
    """Return the tasks of one's own that a run file describes; raises ConfigError where it has none."""
    from taskloom.recipes.own import own_task
    from taskloom.run_file import load_config

    found = tuple(own_task(entry) for entry in load_config(run_file).task)
    if not found:
        raise ConfigError(f"{run_file} has no [[task]]. Describe your files there (docs/recipes.md), or give --tasks.")
    return found


def _measure_model(run: Transfer, model: str, device: str, kept: list[Cell]) -> ModelFacts:
    """Choose a model's settings and measure it on every task that it has not seen."""
    from taskloom.adapting.measurements import Measurements
    from taskloom.adapting.start import open_start
    from taskloom.evaluation.transfer_report import ModelFacts

    start = open_start(model, device=device, precision="auto", length=run.protocol.max_length)
    weights = weights_of(start.folder)
    measurements = Measurements(
        model, weights, run.protocol, dict(_benches(run, model, weights, start)), run.cells, run.tried, run.progress,
        run.choices, run.skipped,
    )  # fmt: skip
    for method in run.protocol.methods:
        kept += measurements.of(method)
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


def _benches(run: Transfer, model: str, weights: str, start: Start) -> Iterator[tuple[str, Bench]]:
    """Yield the tasks that a model may be measured on, prepared; what is refused or cannot be read is noted."""
    from taskloom.adapting.measuring import Bench
    from taskloom.evaluation.transfer_report import Refused
    from taskloom.workflows.preparing import rows_of

    reasons = _seen(run, model, weights, start)
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
        if "train" not in store.splits or not {"test", "validation"} & set(store.splits):
            run.skipped[task.versioned] = f"it has only {', '.join(store.splits)} rows: none to learn from or to score"
            continue
        yield _name(task, canonical), Bench(start, task, store, canonical)


def _name(task: Task, canonical: CanonicalTask) -> str:
    """Return what stands in the lines of a task, whatever the model; one's own files may change under the same id."""
    if not isinstance(task.source, Files):
        return task.versioned
    rows = hashlib.sha256(f"{task.fingerprint()} {canonical.fingerprint}".encode()).hexdigest()
    return f"{task.versioned}-{rows[:8]}"


def _prepared(run: Transfer, task: Task, start: Start) -> TaskStore:
    from taskloom.data.store import cache_folder
    from taskloom.workflows.preparing import prepare_task

    length = min(run.protocol.max_length, start.positions)
    config = RunConfig(data=DataConfig(max_length=length, mirror=run.mirror))
    return prepare_task(task, config, start.tokenizer, cache_folder())


def _seen(run: Transfer, model: str, weights: str, start: Start) -> dict[str, tuple[bool, str]]:
    """Return by task id whether it counts as seen, and why or what else is to be told.

    By id or data set where the model records it; a task that the record does not hold out is looked for, row by row, in
    what the model was trained on. Nothing is known of an encoder that is no model of ours.
    """
    lineage = start.lineage
    if not lineage.known:
        return {}
    found = {task.id: (True, reason) for task in run.tasks if (reason := lineage.seen(task))}
    unsure = [task for task in run.tasks if task.id not in found and task.id not in lineage.held_out]
    for task, (share, told) in zip(unsure, _touched(run, model, weights, start, unsure), strict=True):
        if told:
            found[task.id] = (share > TOUCHED, told)
    return found


def _touched(run: Transfer, model: str, weights: str, start: Start, tasks: Sequence[Task]) -> list[tuple[float, str]]:
    """Return for each task the share of its rows that stand in a model's train rows, and what is to be told of it.

    It is looked for once for the same weights and tasks, and kept beside the measurements.
    """
    from taskloom.recipes.select import get_task
    from taskloom.workflows.overlapping import touched_rows
    from taskloom.workflows.preparing import rows_of

    path = run.output and run.output / "overlap.json"
    kept = kept_overlap(path) if path else {}
    keys = [f"{weights} {task.versioned}" for task in tasks]
    missing = [task for task, key in zip(tasks, keys, strict=True) if key not in kept]
    if missing:
        trained, unknown = [], []
        for name in start.lineage.trained:
            try:
                trained.append(get_task(name))
            except UserError:
                unknown.append(name)  # a task of somebody's own, whose files may be anywhere
        run.progress.say(f"{model} does not record that {len(missing)} tasks were held out: their rows are looked for")
        touched = touched_rows(trained, missing, lambda task: rows_of(task, mirror=run.mirror), progress=run.progress)
        for task in missing:
            share, told = touched.of(task)
            also = f"not looked through: {', '.join(unknown)}" if unknown else ""
            kept[f"{weights} {task.versioned}"] = [share, "; ".join(part for part in (told, also) if part)]
        if path:
            write_whole(path, json.dumps(kept, indent=1))
    return [(float(kept[key][0]), str(kept[key][1])) for key in keys]


def kept_overlap(path: Path) -> dict[str, list[Any]]:
    """Return what was found before; nothing where that cannot be read: it is then looked for again."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _report(run: Transfer, facts: Sequence[ModelFacts], kept: Sequence[Cell]) -> TransferReport:
    from taskloom.evaluation.transfer_report import TransferReport, comparisons_of, means_of

    return TransferReport(
        protocol=run.protocol.to_json(), models=tuple(facts), settings=tuple(run.choices), means=means_of(kept),
        comparisons=comparisons_of(kept), refused=tuple(run.refused), skipped=run.skipped,
    )  # fmt: skip
