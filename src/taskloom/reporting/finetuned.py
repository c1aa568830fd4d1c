"""What a fine-tuned model's card says of what it came from and how.

Everything in that section is in results.json too, under `training`, from which it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskloom.evaluation.across import mean_interval
from taskloom.evaluation.table import number

SEED_COLUMNS = ("seed", "train rows", "validation rows", "validation", "step", "head", "scored on", "score", "")


def origin_section(training: Mapping[str, Any]) -> str:
    """Return the section of the card: start, rows, settings, and a line for each seed."""
    known = training["start_tasks"]
    start = f"Fine-tuned from `{training['start']}`"
    start += f", a taskloom model of {known} tasks" if known else ", an encoder that was no taskloom model"
    shots = training["shots"]
    rows = "all train rows" if shots is None else f"{shots} train rows a class (in all, for kinds without classes)"
    settings = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in training["settings"].items())
    lines = [
        "## Where it comes from",
        f"{start}, with {rows}; {settings}. The step is the best of several by validation score; this folder has the "
        f"weights of seed {training['kept_seed']}, the best by that score.",
        "\n".join("| " + " | ".join(cells) + " |" for cells in _seed_rows(training["seeds"])),
    ]
    scores = [one["score"] for one in training["seeds"] if one["score"] is not None]
    if training.get("seen"):
        lines.append(
            f"The start had been {training['seen']}: the scores are not those of the rows given here alone, and say "
            "nothing of rows that it was trained on."
        )
    if len(scores) > 1:
        mean, low, high = mean_interval(scores)
        lines.append(f"Mean over {len(scores)} seeds {mean:.3f}, 95 % interval over seeds {low:.3f} to {high:.3f}.")
    return "\n\n".join(lines) + "\n"


def _seed_rows(seeds: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [SEED_COLUMNS, tuple("---" for _ in SEED_COLUMNS)]
    for one in seeds:
        note = "these rows also chose the step" if one["chosen_on"] else ""
        rows.append((
            str(one["seed"]), str(one["train_rows"]), str(one["validation_rows"]), number(one["validation_score"]),
            f"{one['step']} of {one['steps']}", one["head"], one["split"], number(one["score"]), note,
        ))  # fmt: skip
    return rows
