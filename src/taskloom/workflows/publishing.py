"""What a finished run shows: the model card, tasks.md, citations.bib and report.html, written into its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.data.whole import write_whole
from taskloom.errors import DataError, some_of_names
from taskloom.recipes.recipe import Task

if TYPE_CHECKING:
    from taskloom.config import RunConfig
    from taskloom.evaluation.report import RunReport
    from taskloom.reporting.task_list import TrainedTask
    from taskloom.training.plan import Plan

REPORT = "report.html"


def trained_tasks(plan: Plan) -> list[TrainedTask]:
    """Return the tasks of a plan with their labels and the rows that the run uses."""
    from taskloom.reporting.task_list import TrainedTask

    pairs = zip(plan.tasks, plan.stores, strict=True)
    return [TrainedTask(task, store.labels, plan.rows(at)) for at, (task, store) in enumerate(pairs)]


def pages_of(
    plan: Plan, report: RunReport, config: RunConfig, zero_shot: str | None, *, before: Sequence[str] = ()
) -> dict[str, str]:
    """Return the pages that go with the run and with its model: file name -> text.

    `before` are the tasks of the model that the run started from.
    """
    left_out = {task: len(places) for task, places in plan.left_out.items()}
    return _pages(trained_tasks(plan), report, config, zero_shot, left_out=left_out, before=before)


def write_cards(folder: Path, report: RunReport, trained: Sequence[TrainedTask], config: RunConfig) -> None:
    """Write the card and the list of tasks of a finished run anew, in its folder and in that of its model, which may
    leave without it: scores and calibration may have come after training."""
    from taskloom.modeling.head_table import HeadTable
    from taskloom.modeling.lineage import lineage_of
    from taskloom.modeling.model import read_record

    model = folder / "model"
    head = HeadTable.from_json(read_record(model)["tasks"]).zero_shot()
    before = lineage_of(model).besides(one.task for one in trained)
    kept = folder / "left_out.json"
    left_out = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    counts = {task: len(places) for task, places in left_out.items()}
    pages = _pages(trained, report, config, head.task if head else None, left_out=counts, before=before)
    for name, page in pages.items():
        for place in (folder, model):
            write_whole(place / name, page)


def _pages(
    trained: Sequence[TrainedTask],
    report: RunReport,
    config: RunConfig,
    zero_shot: str | None,
    *,
    left_out: Mapping[str, int],
    before: Sequence[str],
) -> dict[str, str]:
    from taskloom.recipes.held_out import held_out_tasks
    from taskloom.reporting.card import model_card
    from taskloom.reporting.task_list import citations, task_list

    card = model_card(
        trained,
        report,
        zero_shot=zero_shot,
        max_length=config.data.max_length,
        left_out_rows=left_out if config.data.drop_overlap else None,
        held_out=[task.id for task in held_out_tasks(config.data.held_out)],
        before=before,
    )
    return {
        "README.md": card,
        "tasks.md": task_list(trained, report, left_out=report.not_trained),
        "citations.bib": citations([one.task for one in trained]),
    }


def write_report(
    folder: Path,
    report: RunReport,
    trained: Sequence[TrainedTask],
    config: RunConfig,
    *,
    texts: bool = True,
    transfer: Path | None = None,
) -> Path:
    """Write report.html from what the run folder holds and return its path.

    With `texts`, the worst rows show theirs; `transfer` is a file of transfer results outside of the run folder.
    """
    from taskloom.data.store import cache_folder
    from taskloom.reporting.material import gather
    from taskloom.reporting.page import page

    cache = cache_folder(config.data.cache) if texts else None
    path = folder / REPORT
    write_whole(path, page(gather(folder, report, trained, cache=cache, transfer=transfer)))
    return path


def planned_tasks(folder: Path, known: Sequence[Task]) -> list[TrainedTask]:
    """Return the tasks of a run's plan with their recipes, which are looked for in `known`.

    Raises DataError for a task of the plan without a recipe: the catalog is another one than that of the run.
    """
    from taskloom.reporting.task_list import TrainedTask

    planned: Mapping[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))["tasks"]
    recipes = {task.versioned: task for task in known}
    missing = sorted(planned.keys() - recipes.keys())
    if missing:
        raise DataError(
            f"{folder} was trained on {some_of_names(missing, 5)}, and there is no such recipe now. Type the "
            "command with the taskloom that trained the run."
        )
    return [TrainedTask(recipes[name], tuple(one["labels"]), one["rows"]) for name, one in planned.items()]
