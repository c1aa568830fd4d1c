"""When do two tasks mean the same labels? Their head rows are shared only then.

The key is (kind, head name, set of normalized names). Normalizing works on whole names: the system of 2022 replaced
parts of words ("pos" inside "positive") and compared ordered tuples, so that most equal label sets did not meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from taskloom.recipes.recipe import OWN_FAMILY, Task

MATCHING = "matching"
"""The sharing key of all matching recasts: one row of weights of the dimensions of two vectors."""

SYNONYMS = {
    "entailed": "entailment",
    "not_entailed": "not_entailment",
    "non_entailment": "not_entailment",
    "duplicate": "equivalent",
    "not_duplicate": "not_equivalent",
    "neg": "negative",
    "pos": "positive",
}
"""Whole normalized names that mean the same wherever they occur."""

GENERIC_SETS = tuple(
    frozenset(names)
    for names in (
        {"yes", "no"},
        {"true", "false"},
        {"low", "high"},
        {"none", "other"},
        {"low", "medium", "high"},
        {"yes", "no", "maybe"},
    )
)
"""Sets that say nothing about what is asked: BoolQ, WiC and MultiRC answer true or false, about different things."""


def normalize_label(name: str) -> str:
    """Return `name` in lower case with blanks, dashes and underscores unified, and synonyms replaced."""
    folded = re.sub(r"[-_\s]+", "_", name.strip().casefold()).strip("_")
    return SYNONYMS.get(folded, folded)


def is_generic(labels: Iterable[str]) -> bool:
    """Tell whether these labels are too general to share a head by name alone."""
    names = frozenset(map(normalize_label, labels))
    return names in GENERIC_SETS or all(re.fullmatch(r"[\W\d_]*|[a-z]", name) for name in names)


def sharing_key(task: Task, labels: Iterable[str], *, share: bool = True) -> str:
    """Return the key of the head rows that `task` reads; tasks with equal keys share weight and bias.

    All multiple-choice tasks share one row, all matching recasts another. Regression scales, generic label sets and a
    user's own tasks share only when the recipe names a `head`.
    """
    labels = tuple(labels)
    kind = task.kind.name
    if kind == "multiple_choice":
        return MATCHING if task.apart else kind
    own = task.family == OWN_FAMILY and task.recast is None  # entailment means the same whoever's labels it is about
    private = not labels or is_generic(labels) or own
    if not share or (private and task.head is None):
        return f"{kind} of {task.id}"
    return f"{kind} {task.head or 'by name'}: {' | '.join(sorted(map(normalize_label, labels)))}"
