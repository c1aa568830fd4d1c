"""What a finished run shows: the model card, tasks.md, citations.bib and report.html, written into its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import DataError
from taskloom.recipes.recipe import Task

if TYPE_CHECKING:
    from taskloom.config import RunConfig
    from taskloom.evaluation.report import RunReport
    from taskloom.reporting.task_list import TrainedTask

REPORT = "report.html"


def write_report(
    folder: Path, report: RunReport, trained: Sequence[TrainedTask], config: RunConfig, *, texts: bool = True
) -> Path:
    """Write report.html from what the run folder holds; with `texts`, the worst rows show theirs. Returns its path."""
    from taskloom.data.store import cache_folder
    from taskloom.reporting.material import gather
    from taskloom.reporting.page import page

    cache = cache_folder(config.data.cache) if texts else None
    path = folder / REPORT
    temporary = path.with_name(f".tmp-{REPORT}")
    temporary.write_text(page(gather(folder, report, trained, cache=cache)), encoding="utf-8")
    temporary.replace(path)
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
            f"{folder} was trained on {', '.join(missing[:5])}"
            f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}, and there is no such recipe now. Type the "
            "command with the taskloom that trained the run."
        )
    return [TrainedTask(recipes[name], tuple(one["labels"]), one["rows"]) for name, one in planned.items()]
