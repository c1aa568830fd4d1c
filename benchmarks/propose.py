"""How often `taskloom propose` guesses what the catalog says: kind, label and texts, by kind.

TASKLOOM_MIRROR=DIR python benchmarks/propose.py [--misses]

Every hub task whose rows the mirror holds is one case, one a repository and configuration; where several tasks read the
same rows, any of them counts as right. The truth of a field is the set of columns that the recipe reads for it. A
choice whose right option is told by its column (good, bad) has no label column: there the options stand for it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from typing import Any

from taskloom.data.source import read
from taskloom.errors import TaskloomError
from taskloom.recipes.expressions import columns_of
from taskloom.recipes.propose import propose
from taskloom.recipes.recipe import Hub, Kind
from taskloom.recipes.select import select
from taskloom.workflows.proposing import sample

Truth = tuple[str, frozenset[str], frozenset[str]]


def columns(kind: Kind) -> Truth:
    """Return the kind, the columns of its answer and those of its texts."""
    fields = {
        name: getattr(kind, name, None) for name in ("label", "labels", "score", "text", "pair", "prompt", "tokens")
    }
    read_by = {name: frozenset(columns_of(field)) for name, field in fields.items() if field is not None}
    answer = read_by.get("label", frozenset()) | read_by.get("labels", frozenset()) | read_by.get("score", frozenset())
    options = frozenset(columns_of(kind.choices)) if kind.name == "multiple_choice" else frozenset()
    texts = frozenset().union(*(read_by.get(name, frozenset()) for name in ("text", "pair", "prompt", "tokens")))
    return kind.name, (answer - options) or answer or options, texts


def cases() -> dict[tuple[str, str | None], tuple[Any, list[tuple[str, Truth]]]]:
    """Return (repository, configuration) -> its rows as read, and what the catalog says of them."""
    found: dict[tuple[str, str | None], tuple[Any, list[tuple[str, Truth]]]] = {}
    for task in select(("all",)).tasks:
        if not isinstance(task.source, Hub):
            continue
        key = task.source.repo, task.source.config
        try:
            raw = found[key][0] if key in found else read(task)
        except TaskloomError:
            continue  # not in the mirror
        found.setdefault(key, (raw, []))[1].append((task.id, columns(task.kind)))
    return found


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # what the mirror does not have is no case
    if not os.environ.get("TASKLOOM_MIRROR"):
        print("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/propose.py")
        return
    hits: dict[str, Counter[str]] = defaultdict(Counter)
    for raw, truths in cases().values():
        try:
            guess = columns(propose(raw.schema, sample(next(iter(raw.splits.values())))).kind)
        except TaskloomError:
            guess = ("nothing", frozenset(), frozenset())
        name, truth = max(truths, key=lambda one: [mine == true for mine, true in zip(guess, one[1], strict=True)])
        right = dict(
            zip(("kind", "label", "text"), (mine == true for mine, true in zip(guess, truth, strict=True)), strict=True)
        )
        for group in (truth[0], "all"):
            hits[group]["cases"] += 1
            hits[group].update(part for part, ok in right.items() if ok)
        if not (right["kind"] and right["label"]) and "--misses" in sys.argv:
            print(f"{name}: guessed {guess[0]} {set(guess[1])}, is {truth[0]} {set(truth[1])}")
    print(f"{'':22} {'cases':>5}   kind  label   text")
    for group in (*sorted(set(hits) - {"all"}), "all"):
        count = hits[group]["cases"]
        rates = "  ".join(f"{hits[group][part] / count:5.1%}" for part in ("kind", "label", "text"))
        print(f"{group:22} {count:5}  {rates}")


if __name__ == "__main__":
    main()
