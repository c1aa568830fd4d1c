"""The pages of a distilled model's folder: the card of a run, with a section on its teacher and their agreement.

Everything in that section is in results.json too, under `training`, from which it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskloom.evaluation.report import RunReport
from taskloom.reporting.card import model_card
from taskloom.reporting.task_list import TrainedTask, citations, task_list


def pages(
    trained: TrainedTask,
    report: RunReport,
    *,
    max_length: int,
    folder: str,
    zero_shot: str | None = None,
    before: Sequence[str] = (),
) -> dict[str, str]:
    """Return the files of a distilled model's folder by name; `before` are the tasks of the model it started from."""
    card = model_card(
        [trained], report, zero_shot=zero_shot, max_length=max_length, folder=folder,
        before=[task for task in before if task != trained.task.id],
    )  # fmt: skip
    return {
        "README.md": f"{card}\n{origin_section(report.training)}",
        "tasks.md": task_list([trained], report),
        "citations.bib": citations([trained.task]),
        "results.json": report.model_dump_json(indent=1) + "\n",
    }


def origin_section(training: Mapping[str, Any]) -> str:
    """Return the section of the card: teacher, texts, agreement, and disagreement by the teacher's confidence."""
    found = training["agreement"]
    low, high = found["interval"]
    asked = ", ".join(name if name == said else f"{name} ({said})" for name, said in training["labels"].items())
    bands = [
        f"| {band['low']:.1f} to {band['high']:.1f} | {band['rows']} | {band['disagreed'] / band['rows']:.1%} |"
        for band in found["bands"]
        if band["rows"]
    ]
    return "\n\n".join([
        "## Where it comes from",
        f"Distilled from the zero-shot answers (way: {training['way']}) of `{training['teacher']}` to "
        f"{training['texts']} texts without labels. Labels: {asked}. No person labelled anything: **the scores above "
        "and below are agreement with the teacher, not accuracy**, and where the teacher is wrong, a perfect student "
        "is wrong with it.",
        f"On {found['rows']} texts that it was not trained on, the student gives the teacher's label in "
        f"{found['agreed']}: {found['share']:.3f}, 95 % interval {low:.3f} to {high:.3f}. The teacher's most frequent "
        f"label alone would get {found['most_frequent'] / found['rows']:.3f}.",
        "\n".join(["| teacher's best score | texts | disagreement |", "| --- | --- | --- |", *bands]),
        "Before the student is relied on, label some texts by hand and run `taskloom evaluate` on them.",
    ]) + "\n"  # fmt: skip
