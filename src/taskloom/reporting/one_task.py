"""The pages of a model that answers one task: the card of a run, with a section on where the model comes from."""

from __future__ import annotations

from collections.abc import Sequence

from taskloom.evaluation.report import RunReport
from taskloom.reporting.card import model_card
from taskloom.reporting.task_list import TrainedTask, citations, task_list


def pages(
    trained: TrainedTask,
    report: RunReport,
    *,
    origin: str,
    max_length: int,
    folder: str,
    zero_shot: str | None = None,
    before: Sequence[str] = (),
) -> dict[str, str]:
    """Return the files of a model's folder by name; `origin` is the section, the others are those of `model_card`."""
    card = model_card([trained], report, zero_shot=zero_shot, max_length=max_length, before=before, folder=folder)
    return {
        "README.md": f"{card}\n{origin}",
        "tasks.md": task_list([trained], report),
        "citations.bib": citations([trained.task]),
        "results.json": report.model_dump_json(indent=1) + "\n",
    }
