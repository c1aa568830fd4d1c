"""`taskloom evaluate` as a function: which tasks and splits, by which head, and where the results are kept.

Answers to every row stay in `predictions/` and scores in `results.json`, in the run's folder, or for a model that has
left its run in a folder of its own. Typed again, or after a kill, what is kept is not asked again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import DataError, ModelError, UnknownTaskError, UserError, some_of_names
from taskloom.progress import Progress
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import matches, select
from taskloom.workflows.own_rows import SPLIT, OwnRows, task_of_rows
from taskloom.workflows.preparing import choose, prepare
from taskloom.workflows.subject import Place, Subject, claim, locate, open_subject

if TYPE_CHECKING:
    from taskloom.data.store import TaskStore
    from taskloom.evaluation.comparison import Comparison
    from taskloom.evaluation.engine import Engine, Job
    from taskloom.evaluation.report import HeadCalibration, RunReport, TaskReport

SPLITS = ("validation", "test", "all")


def evaluate(
    path: Path,
    *,
    split: str | None = None,
    tasks: Sequence[str] = (),
    data: OwnRows | None = None,
    quick: bool = False,
    calibrate: bool = False,
    out: Path | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """Score a model on `split` of its tasks, or of those that `tasks` matches, or on rows of one's own.

    `split` is validation, test or "all" (both); None: validation, else test. `tasks` may name tasks that were not
    trained: they are answered by a head that fits, or skipped with the reason. `quick` leaves out the scores without
    task embedding and the TF-IDF baseline. `calibrate` fits a temperature for each head on validation rows and writes
    it to the model's heads.json. Returns what was asked for; results.json keeps what was evaluated before, too. Raises
    UserError for mistakes, DataError when nothing at all could be scored.
    """
    from taskloom.data.locks import locked
    from taskloom.evaluation.report import merged, read_report

    if split not in (None, *SPLITS):
        raise UserError(f"--split {split!r} is not one of {', '.join(SPLITS)}.")
    if data is not None and tasks:
        raise UserError("--data and --tasks do not go together: the file is the task. Leave one of the two out.")
    progress = progress or Progress()
    place = _claimed(path, out)
    busy = UserError(f"{place.results} is in use by another process. Wait for it, or give another folder with --out.")
    with locked(place.results / ".lock", busy=busy):
        before = read_report(results) if (results := place.results / "results.json").is_file() else None
        subject = open_subject(place)
        engine = subject.engine(quick=quick)
        jobs, skipped = find_jobs(subject, split=split, tasks=tasks, data=data, quick=quick, progress=progress)
        _tell_seen(subject, jobs, progress)
        reports = _reports(engine, jobs, skipped, progress)
        if not reports:
            told = "".join(f"\n  {task}: {reason}" for task, reason in skipped.items())
            raise DataError(
                f"Nothing to score: of {', '.join(tasks) or 'all tasks'} none can be answered and has the split "
                f"{split or 'validation or test'}.{told}"
            )
        calibration = _calibrate(subject, engine, jobs, progress) if calibrate else {}
        found = _as_report(subject, engine, jobs, reports, skipped, calibration)
        same = before is not None and before.model in ("", found.model)
        whole = merged(before, found) if before is not None and same else found
        whole.write(results)
        if place.is_run and place.results == place.run:
            _renew_cards(place, subject, whole, progress)
    return found


def _tell_seen(subject: Subject, jobs: Sequence[Job], progress: Progress) -> None:
    """Say which tasks without a head of their own the model, or what it started from, was trained on all the same."""
    from taskloom.modeling.lineage import lineage_of

    lineage, known = lineage_of(subject.place.model), subject.model.table.places
    for task in {job.task.versioned: job.task for job in jobs if job.task.versioned not in known}.values():
        if seen := lineage.seen(task):
            progress.say(f"{task.id} is no unseen task: the model was {seen}")


def _renew_cards(place: Place, subject: Subject, report: RunReport, progress: Progress) -> None:
    """Let the card and the list of tasks say what is known now; a run whose recipes are gone keeps its old ones."""
    from taskloom.workflows.publishing import planned_tasks, write_cards

    try:
        trained = planned_tasks(place.run, choose(subject.config).tasks)
    except DataError as error:
        progress.say(f"The model card stays as it was: {error}")
        return
    write_cards(place.run, report, trained, subject.config)


def _claimed(path: Path, out: Path | None = None) -> Place:
    """Return the places of a model whose results can be written, and keep others of its name out of them."""
    place = locate(path, out=out)
    _check_writable(place.results)
    claim(place)
    return place


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}. Give a folder for results with --out.") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written to. Give another folder for results with --out.")


def compare_runs(
    path: Path,
    against: Path,
    *,
    split: str | None = None,
    tasks: Sequence[str] = (),
    data: OwnRows | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Evaluate two models on the same tasks and splits and return the paired tests between their answers.

    Differences are what `path` has more than `against`. The comparison is written to `against-NAME.json` beside the
    results of `path`. Raises UserError when the two have no task and split in common.
    """
    from taskloom.evaluation.comparison import compare
    from taskloom.evaluation.predictions import predictions_file, read_predictions

    folders = [_claimed(one).results for one in (against, path)]
    if folders[0].resolve() == folders[1].resolve():
        raise UserError(
            f"{path} and {against} keep their results in one place, {folders[0]}. Give one of the model folders "
            "another name, or compare two runs."
        )
    options: dict[str, Any] = {"split": split, "tasks": tasks, "data": data, "quick": True, "progress": progress}
    reports = [evaluate(one, **options) for one in (against, path)]
    done = [{(task, name) for task, splits in _every(report) for name in splits} for report in reports]
    files = [
        [predictions_file(folder / "predictions", task, name) for folder in folders]
        for task, name in sorted(done[0] & done[1])
    ]
    only = {f"{task} ({name})": "only one of the two answers it" for task, name in sorted(done[0] ^ done[1])}
    other, mine = (report.run for report in reports)
    names = (f"{other} (other)" if other == mine else other, mine)
    pairs = ((read_predictions(first), read_predictions(second)) for first, second in files)
    found = compare(pairs, names=names, not_compared=only)
    target = folders[1] / f"against-{other}.json"
    target.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return found


def find_jobs(
    subject: Subject,
    *,
    split: str | None,
    tasks: Sequence[str],
    data: OwnRows | None,
    quick: bool,
    progress: Progress,
) -> tuple[list[Job], dict[str, str]]:
    """Return what is to be scored, and the tasks that cannot be, with the reason."""
    from taskloom.evaluation.engine import Job, scored_splits
    from taskloom.evaluation.routes import find_route

    if data is not None:
        task, route = task_of_rows(data, subject.model.table)
        return [Job(task, subject.prepared(task), SPLIT, route)], {}
    prepared, skipped, left_out = _chosen(subject, tasks, quick=quick, progress=progress)
    jobs = []
    for task, store in prepared:
        splits = scored_splits(task, store.splits, split)
        if not splits:
            wanted = "validation or test" if split in (None, "all") else split
            skipped[task.versioned] = f"no {wanted} split; it has {', '.join(store.splits)}"
            continue
        try:
            route = find_route(subject.model.table, task, store.labels)
        except ModelError as error:
            skipped[task.versioned] = str(error)
            continue
        jobs += [Job(task, store, name, route, left_out.get(task.id)) for name in splits]
    return jobs, skipped


def _chosen(
    subject: Subject, patterns: Sequence[str], *, quick: bool, progress: Progress
) -> tuple[list[tuple[Task, TaskStore]], dict[str, str], Mapping[str, Any]]:
    """Return the prepared tasks that the patterns match, those without rows, and the train rows that were left out."""
    if not patterns and not subject.place.is_run:
        raise UserError(
            f"{subject.place.model} has no run beside it that says which tasks to read. Name some with "
            "--tasks 'glue/*', or give rows of your own with --data FILE --text COLUMN --label COLUMN."
        )
    mine, others = _selected(subject, patterns)
    failed: dict[str, str] = {}
    done: list[tuple[Task, TaskStore]] = []
    asks = bool(mine) and not quick and subject.config.evaluation.baselines  # only TF-IDF asks which rows were left out
    left_out = _left_out(subject) if asks else {}
    if mine and (left_out is None or not patterns):
        run = prepare(subject.config, progress=progress, to_train=left_out is None)
        left_out, ids = left_out or run.left_out_rows, {task.id for task in mine}
        done = [pair for pair in zip(run.tasks, run.stores, strict=True) if pair[0].id in ids]
        failed = {failure.task: failure.reason for failure in run.failed if failure.task in ids}
    there = {task.id for task, _ in done} | failed.keys()
    remaining = [task for task in (*mine, *others) if task.id not in there]
    with (progress if remaining else Progress()).bar("preparing tasks", len(remaining)) as bar:
        for task in remaining:
            try:
                done.append((task, subject.prepared(task)))
            except UserError as error:
                failed[task.id] = str(error)
            bar.advance(note=task.id)
    return done, failed, left_out or {}


def _left_out(subject: Subject) -> Mapping[str, Any] | None:
    """Return the places of train rows that a run left out, by task; None where an older run does not say."""
    path = subject.place.run / "left_out.json"
    if not subject.config.data.drop_overlap:
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # found anew, from all tasks of the run


def _selected(subject: Subject, patterns: Sequence[str]) -> tuple[list[Task], list[Task]]:
    """Return the tasks of the run that any pattern matches (all without one), and others of the catalog.

    Known defects are among the others only by name. Raises UnknownTaskError for a pattern that matches nothing.
    """
    run = choose(subject.config).tasks if subject.place.is_run else ()
    if not patterns:
        return [task for task in run if task.recast is None or subject.config.evaluation.recasts], []
    mine = [task for task in run if any(matches(pattern, task) for pattern in patterns)]
    others: dict[str, Task] = {}
    for pattern in patterns:
        try:
            others |= {task.id: task for task in select([pattern]).tasks}
        except UnknownTaskError:
            if not any(matches(pattern, task) for task in run):
                raise
    ids = {task.id for task in mine}
    named = [task for task in others.values() if task.defect is None or {task.id, task.versioned} & set(patterns)]
    return mine, [task for task in named if task.id not in ids]


def _reports(
    engine: Engine, jobs: Sequence[Job], skipped: dict[str, str], progress: Progress
) -> dict[str, dict[str, TaskReport]]:
    """Score every job; one that fails goes to `skipped` and the others go on."""
    reports: dict[str, dict[str, TaskReport]] = {}
    with progress.bar("evaluating", len(jobs)) as bar:
        for job in jobs:
            try:
                reports.setdefault(job.task.versioned, {})[job.split] = engine.evaluate(job)
            except UserError as error:
                skipped[f"{job.task.versioned} ({job.split})"] = str(error)
            bar.advance(note=job.task.id)
    return {task: splits for task, splits in reports.items() if splits}


def _calibrate(subject: Subject, engine: Engine, jobs: Sequence[Job], progress: Progress) -> dict[str, HeadCalibration]:
    """Fit a temperature for each head of the jobs' trained tasks on their validation rows, and write them."""
    import dataclasses

    from taskloom.evaluation.calibration import KINDS, calibrate_head, write_temperatures

    heads: dict[str, list[Any]] = {}
    for job in {job.task.id: job for job in jobs if job.route.trained}.values():
        if job.store.kind in KINDS and "validation" in job.store.splits:
            answers = engine.answers(dataclasses.replace(job, split="validation"), use_task_embedding=True)
            heads.setdefault(job.route.head.key, []).append(answers)
        else:
            why = "no validation rows" if job.store.kind in KINDS else f"{job.store.kind} answers have no probabilities"
            progress.say(f"{job.task.versioned} is not calibrated: {why}")
    found = {}
    for key, several in heads.items():
        readers = [head for head in subject.model.table.heads if head.key == key and "+" not in head.id]  # no recasts
        others = {head.task for head in readers} - {job.task.versioned for job in jobs}
        if others:
            progress.say(
                f"{', '.join(one.task for one in several)}: not calibrated: the head is shared with "
                f"{some_of_names(sorted(others), 3)}, which --tasks leaves out"
            )
            continue
        try:
            found[key] = calibrate_head(several)
        except DataError as error:
            progress.say(f"{', '.join(one.task for one in several)}: not calibrated: {error}")
    write_temperatures(subject.place.model, {key: one.temperature for key, one in found.items()})
    return found


def _as_report(
    subject: Subject,
    engine: Engine,
    jobs: Sequence[Job],
    reports: dict[str, dict[str, TaskReport]],
    skipped: dict[str, str],
    calibration: dict[str, HeadCalibration],
) -> RunReport:
    from taskloom.evaluation.report import RunReport, summarize
    from taskloom.training.plan import library_versions

    known = subject.model.table.places
    trained = {job.task.versioned for job in jobs if job.route.trained and job.task.versioned in known}
    mine = {task: splits for task, splits in reports.items() if task in trained}
    others = {task: splits for task, splits in reports.items() if task not in trained}
    return RunReport(
        run=subject.name,
        seed=subject.config.seed,
        step=-1,
        encoder=subject.config.encoder,
        libraries=library_versions(),
        tasks=mine,
        aggregate=summarize(mine),
        untrained=others,
        untrained_aggregate=summarize(others) if others else None,
        skipped=skipped,
        calibration=calibration,
        model=engine.model_key,
    )


def _every(report: RunReport) -> Iterable[tuple[str, dict[str, TaskReport]]]:
    yield from (report.tasks | report.untrained).items()
