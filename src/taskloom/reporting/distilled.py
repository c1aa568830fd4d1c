"""What a distilled model's card says of its teacher and of their agreement.

Everything in that section is in results.json too, under `training`, from which it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
