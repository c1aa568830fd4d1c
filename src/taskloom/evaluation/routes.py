"""Which head answers a task: its own, or one that fits though the task was never trained.

A task that was not trained has no embedding, so it is answered without one: by the head of its label set, a two-way
entailment task by the three-way head (neutral and contradiction together are not-entailment), a multiple-choice task by
the row that scores all choices. For all others there is no honest answer, and the reason says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import ModelError, UnknownTaskError, did_you_mean, some_of_names
from taskloom.evaluation.report import Through
from taskloom.modeling.head_table import NLI, TWO_WAY_NLI, Head, HeadTable
from taskloom.recipes.labels import is_generic, normalize_label, sharing_key
from taskloom.recipes.recipe import OWN_FAMILY, Task

Array = NDArray[Any]


@dataclass(frozen=True)
class Route:
    """Whose head answers: rows of `head` in the order of its labels, as if the rows were of the task at `place`.

    `merged` has for each label of the task the columns of the head whose probabilities are added; None: one each.
    """

    head: Head
    place: int
    through: Through = "trained"
    labels: tuple[str, ...] = ()
    merged: tuple[tuple[int, ...], ...] | None = None

    @property
    def trained(self) -> bool:
        """Whether the task itself was trained, so that it has an embedding."""
        return self.through == "trained"

    def of_labels(self, probabilities: Array) -> Array:
        """Return the probabilities of the task's labels (rows, labels) from those of the head's (rows, columns)."""
        if self.merged is None:
            return probabilities
        return np.stack([probabilities[:, list(columns)].sum(1) for columns in self.merged], axis=1)


def own_route(table: HeadTable, name: str) -> Route:
    """Return the route of a trained task by id or id@version; raises UnknownTaskError with the nearest ids."""
    place = place_of(table, name)
    head = table.heads[place]
    return Route(head, place, labels=head.labels)


def place_of(table: HeadTable, name: str) -> int:
    """Return the place of a trained task given by id or id@version; raises UnknownTaskError with the nearest ids."""
    if name in table.places:
        return table.places[name]
    bare, _, version = name.partition("@")
    if version and bare in table.places:
        trained = table.heads[table.places[bare]].task
        raise UnknownTaskError(f"The model was trained on {trained}, not on {name}. Type {bare!r} for what it knows.")
    ids = [known.id for known in table.heads]
    raise UnknownTaskError(
        f"The model was not trained on {name!r}.{did_you_mean(bare, ids)} It answers {len(ids)} trained tasks; they "
        "stand in its heads.json, and in tasks.md of its run."
    )


def find_route(table: HeadTable, task: Task, labels: tuple[str, ...]) -> Route:
    """Return how a model answers a task with these labels; raises ModelError with the reason when no head fits."""
    kind = task.kind.name
    if task.versioned in table.places:
        place = table.places[task.versioned]
        head = table.heads[place].with_labels(labels) if table.heads[place].kind == kind else None
        if head is not None:
            return Route(head, place, labels=labels)
    if kind == "multiple_choice":
        alike = [head for head in table.heads if head.kind == kind and head.apart == task.apart]
        return _first(table, alike, "choices", labels, task)
    shared = _sharing(table, task, labels)
    if shared:
        return _first(table, shared, "same labels", labels, task)
    if kind == "classification" and sorted(map(normalize_label, labels)) == sorted(TWO_WAY_NLI):
        return _two_way(table, task, labels)
    raise ModelError(_reason(task, labels))


def _sharing(table: HeadTable, task: Task, labels: tuple[str, ...]) -> list[Head]:
    """Return the heads, rows in the order of `labels`, that this task would share if it were trained."""
    key = sharing_key(task, labels)
    found = [head for head in table.heads if head.key == key]
    if not found and labels and task.head is None and task.family != OWN_FAMILY and not is_generic(labels):
        # A run without shared heads keeps a head a task; equal names mean the same there, too.
        found = [head for head in table.heads if head.key == f"{head.kind} of {head.id}"]
    same_kind = [head for head in found if head.kind == task.kind.name]
    return [fitting for head in same_kind if (fitting := head.with_labels(labels)) is not None]


def _two_way(table: HeadTable, task: Task, labels: tuple[str, ...]) -> Route:
    three_way = [head for head in table.heads if head.nli_names() == NLI]
    if not three_way:
        raise ModelError(
            f"{task.versioned} is two-way entailment, and the model has neither a two-way nor an NLI head."
        )
    head = _most_read(table, three_way)
    names = [normalize_label(label) for label in head.labels]
    entailment = (names.index("entailment"),)
    others = (names.index("neutral"), names.index("contradiction"))
    merged = tuple(entailment if normalize_label(label) == "entailment" else others for label in labels)
    return Route(head, table.places[head.task], "three-way NLI", labels, merged)


def _first(table: HeadTable, heads: list[Head], through: Through, labels: tuple[str, ...], task: Task) -> Route:
    if not heads:
        raise ModelError(_reason(task, labels))
    head = _most_read(table, heads)
    return Route(head, table.places[head.task], through, labels)


def _most_read(table: HeadTable, heads: list[Head]) -> Head:
    """Return the head whose rows most trained tasks read; of several the first."""
    readers = Counter(frozenset(head.rows) for head in table.heads)
    return max(heads, key=lambda head: readers[frozenset(head.rows)])


def _reason(task: Task, labels: tuple[str, ...]) -> str:
    kind = task.kind.name
    if kind == "multiple_choice":
        return f"{task.versioned} was not trained, and neither was any other multiple-choice task."
    if kind == "regression":
        return f"{task.versioned} was not trained, and no trained task has its scale."
    shown = some_of_names(labels, 8)
    why = " (names too general to share a head)" if is_generic(labels) and task.head is None else ""
    return f"{task.versioned} was not trained, and no trained task of kind {kind} shares its labels {shown}{why}."
