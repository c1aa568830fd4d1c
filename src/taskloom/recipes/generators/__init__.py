"""Built-in tasks with exact labels: the offline default and a diagnostic suite.

Rows are made, not stored: a pure function of (generator, split, seed, level), the same on each machine. Words and
templates of test and validation rows never occur in training rows. docs/generators.md says what each one tests and how
far shallow classifiers get.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from taskloom.errors import DataError, RecipeError, UnknownTaskError, did_you_mean
from taskloom.recipes.generators import (
    agreement,
    numbers,
    ordering,
    overlap,
    propositions,
    quantifiers,
    similarity,
    tagging,
    topic_labels,
    tracking,
)
from taskloom.recipes.generators.base import SPLITS, Generator, Row, seeded
from taskloom.recipes.generators.topic_labels import zero_shot_examples

DEFAULT_ROWS = {"train": 2000, "validation": 400, "test": 400}
"""Rows of each split unless asked otherwise."""

_FAMILIES = (
    topic_labels, quantifiers, propositions, numbers, ordering, overlap, agreement, tracking, tagging, similarity,
)  # fmt: skip
_MAX_FRUITLESS = 2000
"""Groups in a row that bring nothing new before a generator counts as exhausted."""


def generators() -> dict[str, Generator]:
    """Return every built-in generator by name."""
    return {generator.name: generator for family in _FAMILIES for generator in family.GENERATORS}


def generate(name: str, *, split: str, rows: int, seed: int = 0, level: int | None = None) -> list[Row]:
    """Return `rows` different rows in canonical columns, labels by name, plus `level`.

    level=None mixes all levels evenly. Fewer rows are a prefix of more rows. Raises UnknownTaskError for an unknown
    name, RecipeError for a split or level that is not there, DataError when there are not that many different rows.
    """
    groups = generate_groups(name, split=split, rows=rows, seed=seed, level=level)
    return list(itertools.chain.from_iterable(groups))[:rows]


def generate_groups(name: str, *, split: str, rows: int, seed: int = 0, level: int | None = None) -> list[list[Row]]:
    """Return the rows of `generate` in their groups; the last one whole, so there may be a few rows more.

    The rows of a group are balanced against each other: cross-validation must keep a group in one fold.
    """
    generator = _checked(name, split, level)
    levels = generator.levels if level is None else (level,)
    seen: set[str] = set()
    sources = {each: _distinct_groups(generator, split, seed, each, seen) for each in levels}
    made = dict.fromkeys(levels, 0)
    found: list[list[Row]] = []
    while sum(made.values()) < rows:
        scarcest = min(levels, key=made.__getitem__)
        group = next(sources[scarcest], None)
        if group is None:
            raise DataError(
                f"builtin/{name}: {split} has fewer than {rows} different rows (level {scarcest} ends after "
                f"{made[scarcest]}). Ask for fewer rows."
            )
        made[scarcest] += len(group)
        found.append(group)
    return found


def _distinct_groups(generator: Generator, split: str, seed: int, level: int, seen: set[str]) -> Iterator[list[Row]]:
    """Yield groups of which no row is in `seen`, and add theirs to it; ends when nothing new turns up."""
    fruitless = 0
    for index in itertools.count():
        random = seeded(generator.name, split, seed, level, index)
        group = generator.make_group(random, split, level)
        keys = {json.dumps(row, sort_keys=True) for row in group}
        if len(keys) == len(group) and not keys & seen:
            seen |= keys
            fruitless = 0
            random.shuffle(group)
            yield [row | {"level": level} for row in group]
        elif (fruitless := fruitless + 1) > _MAX_FRUITLESS:
            return


def _checked(name: str, split: str, level: int | None) -> Generator:
    known = generators()
    if name not in known:
        raise UnknownTaskError(
            f"There is no built-in generator {name!r}; there are: {', '.join(known)}.{did_you_mean(name, known)}"
        )
    if split not in SPLITS:
        hint = did_you_mean(split, SPLITS)
        raise RecipeError(f"builtin/{name}: split {split!r} is not one of {', '.join(SPLITS)}.{hint}")
    if level is not None and level not in known[name].levels:
        allowed = ", ".join(map(str, known[name].levels))
        raise RecipeError(f"builtin/{name}: level {level} is not one of {allowed}; leave it out to mix them.")
    return known[name]


__all__ = ["DEFAULT_ROWS", "Generator", "Row", "generate", "generate_groups", "generators", "zero_shot_examples"]
