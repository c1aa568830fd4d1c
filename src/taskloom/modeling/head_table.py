"""Which rows of the one head matrix each task reads: a table of numbers, built before any weight exists.

Tasks with the same sharing key read the same rows, each in its own label order; multiple choice has one row for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import ModelError
from taskloom.recipes.labels import MATCHING, normalize_label
from taskloom.recipes.recasts import OPTION_LABELS, split_recast
from taskloom.recipes.recipe import BLIND_RECASTS, KINDS

Integers = NDArray[np.int64]
NLI = ("entailment", "neutral", "contradiction")
TWO_WAY_NLI = ("entailment", "not_entailment")
ONE_ROW = ("regression", "multiple_choice")
"""Kinds whose head is a single row: the score, or how good a choice is."""


@dataclass(frozen=True)
class Head:
    """What one task reads: `rows` in the order of its `labels` (one row for a score or a choice)."""

    task: str
    id: str
    kind: str
    labels: tuple[str, ...]
    key: str
    rows: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    threshold: float = 0.5
    """The probability from which on a label of a multilabel task is a yes."""

    @property
    def apart(self) -> bool:
        """Whether prompt and choices are read apart, and the row weighs the product of their vectors."""
        return self.key == MATCHING

    @property
    def embedded(self) -> bool:
        """Whether the task has an embedding: zero-shot classification has none, so what teaches it has none either."""
        return split_recast(self.id)[1] not in BLIND_RECASTS

    def row_of(self, name: str) -> int | None:
        """Return the row of the label with this normalized name, or None."""
        found = [row for label, row in zip(self.labels, self.rows, strict=False) if normalize_label(label) == name]
        return found[0] if found else None

    def with_labels(self, labels: Sequence[str]) -> Head | None:
        """Return this head with its rows in the order of `labels`, or None when these are not the same names."""
        if self.kind in ONE_ROW or tuple(labels) == self.labels:
            return self
        try:
            asked = _row_names(self.task, self.kind, labels)
        except ModelError:
            return None
        mine = dict(zip(row_names(self), self.rows, strict=True))
        if mine.keys() != set(asked):
            return None
        return replace(self, labels=tuple(labels), rows=tuple(mine[name] for name in asked))

    def nli_names(self) -> tuple[str, ...] | None:
        """Return the labels of entailment in the order of Hugging Face pipelines if these are the head's, else None."""
        if self.kind != "classification":
            return None
        mine = sorted(map(normalize_label, self.labels))
        return next((names for names in (NLI, TWO_WAY_NLI) if sorted(names) == mine), None)


@dataclass(frozen=True)
class HeadTable:
    """The heads of all tasks, in the order of the run."""

    heads: tuple[Head, ...]

    @classmethod
    def make(cls, tasks: Sequence[Mapping[str, Any]]) -> HeadTable:
        """Return the table for tasks given as {task, id, kind, labels, key, low, high}.

        Rows are numbered in the order in which their labels first appear. Raises ModelError for a label given twice.
        """
        rows: dict[tuple[str, str], int] = {}
        heads = []
        for task in tasks:
            names = _row_names(task["task"], task["kind"], task["labels"])
            mine = tuple(rows.setdefault((task["key"], name), len(rows)) for name in names)
            heads.append(Head(**{**task, "labels": tuple(task["labels"])}, rows=mine))
        return cls(tuple(heads))

    @cached_property
    def size(self) -> int:
        """The number of rows of the head matrix."""
        return 1 + max((row for head in self.heads for row in head.rows), default=-1)

    @cached_property
    def flat_rows(self) -> Integers:
        """The rows of all tasks, one task after the other."""
        return np.array([row for head in self.heads for row in head.rows], dtype=np.int64)

    @cached_property
    def starts(self) -> Integers:
        """Where each task's rows begin in `flat_rows`, and the end."""
        return np.concatenate([[0], np.cumsum([len(head.rows) for head in self.heads])]).astype(np.int64)

    @cached_property
    def kinds(self) -> Integers:
        """The kind of each task, as its place in KINDS."""
        return np.array([KINDS.index(head.kind) for head in self.heads], dtype=np.int64)

    @cached_property
    def embedded(self) -> Integers:
        """1 for each task that has an embedding, else 0."""
        return np.array([head.embedded for head in self.heads], dtype=np.int64)

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each task, by id and by id with version."""
        return {name: place for place, head in enumerate(self.heads) for name in (head.id, head.task)}

    def zero_shot(self) -> Head | None:
        """Return the head for zero-shot classification: three-way NLI, else two-way, else None.

        Of several the one whose rows most tasks read, then the first.
        """
        readers = Counter(frozenset(head.rows) for head in self.heads)
        for names in (NLI, TWO_WAY_NLI):
            found = [head for head in self.heads if head.nli_names() == names]
            if found:
                return max(found, key=lambda head: readers[frozenset(head.rows)])
        return None

    def one_pass(self) -> Head | None:
        """Return the head that scores many labels in one pass, or None; of several the one that most tasks read."""
        readers = Counter(frozenset(head.rows) for head in self.heads)
        found = [head for head in self.heads if head.kind == "token_classification" and head.labels == OPTION_LABELS]
        return max(found, key=lambda head: readers[frozenset(head.rows)], default=None)

    def matching(self) -> Head | None:
        """Return the head that compares the vectors of a text and of label names, or None."""
        return next((head for head in self.heads if head.apart), None)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> HeadTable:
        """Return the same table with these thresholds, given by id with version."""
        return HeadTable(
            tuple(replace(head, threshold=thresholds.get(head.task, head.threshold)) for head in self.heads)
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Return the table as plain values, for heads.json."""
        return [
            {"task": head.task, "id": head.id, "kind": head.kind, "labels": list(head.labels), "key": head.key,
             "rows": list(head.rows), "low": head.low, "high": head.high,
             **({"threshold": head.threshold} if head.kind == "multilabel" else {})}
            for head in self.heads
        ]  # fmt: skip

    @classmethod
    def from_json(cls, values: Sequence[Mapping[str, Any]]) -> HeadTable:
        """Return the table that `to_json` wrote."""
        return cls(tuple(Head(**{**one, "labels": tuple(one["labels"]), "rows": tuple(one["rows"])}) for one in values))


def row_names(head: Head) -> list[str]:
    """Return what each row of a head is called among those of its key: its normalized label, "" for the only row."""
    return _row_names(head.task, head.kind, head.labels)


def _row_names(task: str, kind: str, labels: Sequence[str]) -> list[str]:
    if kind in ONE_ROW:
        return [""]
    names = [normalize_label(label) for label in labels]
    if len(set(names)) < len(names):
        names = list(labels)  # "+" and "-" normalize alike: keep them apart by their own spelling
    if not names or len(set(names)) < len(names):
        shown = ", ".join(labels) or "none"
        raise ModelError(f"Task {task} has the labels {shown}. Each label must be there once, and at least one.")
    return names
