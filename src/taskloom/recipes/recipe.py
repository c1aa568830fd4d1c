"""A task recipe: where the rows are and which column is what, as one frozen value.

Recipes hold only strings, numbers and tuples, so they compare, hash, pickle and print by themselves, and their
fingerprint is the sha256 of their canonical JSON. A corrected recipe gets a new `version`; the id stays, so that
published numbers never change their meaning.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from taskloom.errors import RecipeError, did_you_mean
from taskloom.recipes.expressions import Expression, Field, columns_of

KINDS = ("classification", "multilabel", "regression", "multiple_choice", "token_classification")
ROLES = ("train", "evaluation")
LICENSE_USES = ("commercial", "non-commercial", "unspecified")
DEFECTS = ("unsound", "duplicate", "unavailable", "impractical", "low_value")
RECASTS = ("label-nli", "multiple-choice", "instruction", "one-pass", "matching")
BLIND_RECASTS = ("label-nli", "one-pass", "matching")
"""The recasts that teach a way to classify by label names alone, which never reads a task embedding."""
RECAST_VERSION = 2
"""Raised whenever the same rows would be recast otherwise: prepared recasts are then made anew."""
OWN_FAMILY = "own"
FAMILIES = (
    "nli", "commonsense", "probing", "discourse", "science", "sentiment", "math", "reading", "topic", "paraphrase",
    "emotion", "ethics", "hate", "ner", "code", "preference", "intent", "pos", "procedural", "other", OWN_FAMILY,
)  # fmt: skip
FORMATS = ("csv", "tsv", "jsonl", "parquet")

Names = tuple[str, ...] | tuple[tuple[str, str | None], ...] | None
"""Label names: None takes the source's own; a tuple of strings is positional, for bare integers; pairs map a source
name to ours, and None leaves rows with that label out."""


def _frozen_names(names: Any) -> Any:
    if isinstance(names, Mapping):
        return tuple((str(source), ours) for source, ours in names.items())
    return tuple(names) if isinstance(names, list) else names


class _WithNames:
    """Lets a recipe be written with a dict of names and be frozen all the same."""

    def __post_init__(self) -> None:
        names = _frozen_names(getattr(self, "names", None))
        object.__setattr__(self, "names", names)
        if names is not None and not names:
            raise RecipeError(f"{type(self).__name__}: `names` is empty; leave it out to take the source's names.")


@dataclass(frozen=True, kw_only=True)
class Classification(_WithNames):
    """One label out of several for a text or a pair of texts."""

    name: ClassVar[str] = "classification"
    text: Field
    label: Field
    pair: Field | None = None
    names: Any = None


@dataclass(frozen=True, kw_only=True)
class Multilabel(_WithNames):
    """Any number of labels for a text or a pair; `labels` is a list of class ids or names."""

    name: ClassVar[str] = "multilabel"
    text: Field
    labels: Field
    pair: Field | None = None
    names: Any = None


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A score between `low` and `high`, in the source's units."""

    name: ClassVar[str] = "regression"
    text: Field
    score: Field
    low: float
    high: float
    pair: Field | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise RecipeError(f"Regression: low={self.low} must be below high={self.high}.")


@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    """One of a row's own choices; any number of them, which may differ from row to row."""

    name: ClassVar[str] = "multiple_choice"
    prompt: Field
    choices: Field
    label: Field


@dataclass(frozen=True, kw_only=True)
class TokenClassification(_WithNames):
    """A label for each word."""

    name: ClassVar[str] = "token_classification"
    tokens: Field
    labels: Field
    names: Any = None


Kind = Classification | Multilabel | Regression | MultipleChoice | TokenClassification


@dataclass(frozen=True)
class Hub:
    """A data set repository of the Hugging Face hub, or its copy in a mirror folder.

    `files` are pairs of (split, path in the repository), for one whose rows are plain files without a configuration;
    `config` then only says which of a mirror's to take.
    """

    repo: str
    config: str | None = None
    revision: str | None = None
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Files:
    """One's own files: pairs of (split, paths); the format follows the file ending unless given."""

    splits: tuple[tuple[str, tuple[str, ...]], ...]
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise RecipeError(f"Files: format {self.format!r} is not one of {', '.join(FORMATS)}.")


@dataclass(frozen=True)
class Builtin:
    """A built-in generator, all its levels of difficulty or one."""

    name: str
    level: int | None = None


Source = Hub | Files | Builtin


@dataclass(frozen=True)
class Held:
    """A split carved out of the source split `of`: a `share` of the groups with equal `by` (default: equal text).

    The choice is a hash of the group alone, free of seeds, so duplicates stay together and no run sees another cut.
    """

    share: float
    by: str | None = None
    of: str = "train"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise RecipeError(f"Held: share {self.share} must lie between 0 and 1.")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Which split of the source plays which role; only labelled splits belong here."""

    train: str | Held | None = None
    validation: str | Held | None = None
    test: str | Held | None = None

    def roles(self) -> dict[str, str | Held]:
        """Return the splits that are named, in the order train, validation, test."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {role: split for role, split in named.items() if split is not None}


@dataclass(frozen=True)
class Where:
    """Keeps the rows whose `column` is one of `values` (or, with keep=False, is none of them).

    A list of words is compared as one text, its words joined by blanks.
    """

    column: str
    values: tuple[str | int | float | bool, ...]
    keep: bool = True


@dataclass(frozen=True)
class Defect:
    """Why a task is left out of training unless asked for by id."""

    kind: str
    reason: str

    def __post_init__(self) -> None:
        if self.kind not in DEFECTS:
            raise RecipeError(f"Defect: {self.kind!r} is not one of {', '.join(DEFECTS)}.")


@dataclass(frozen=True)
class Recast:
    """Says that a task's rows are made of the canonical rows of another one, as one of RECASTS."""

    form: str
    of: Task


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: a source, a kind with its fields, splits, and what a person wants to know about it.

    `question` is for people (show, card, recasts) and never enters the encoder. `head` names a head of its own for a
    label set that would otherwise be shared by false friends. `row_weight` is a column of loss weights. `rests_on` says
    where columns and labels were taken from when no schema that fits is recorded; `taskloom check` asks. `recast`
    is for `taskloom.recipes.recasts` alone.
    """

    id: str
    source: Source
    kind: Kind
    splits: Splits
    question: str = ""
    family: str
    license: str | None = None
    license_use: str = "unspecified"
    citation: str | None = None
    version: int = 1
    role: str = "train"
    head: str | None = None
    defect: Defect | None = None
    weight: float = 1.0
    max_rows: int | None = None
    language: str = "en"
    where: tuple[Where, ...] = ()
    row_weight: str | None = None
    recast: Recast | None = None
    rests_on: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\s@:*?\[\]]+", self.id):
            raise RecipeError(
                f"Task id {self.id!r} must not hold blanks or any of @ : * ? [ ]; type e.g. 'support/priority'."
            )
        self._check_choice("family", FAMILIES)
        self._check_choice("role", ROLES)
        self._check_choice("license_use", LICENSE_USES)
        if not self.splits.roles():
            raise RecipeError(f"Task {self.id}: no split is named; give at least one of train, validation, test.")
        if self.weight <= 0:
            raise RecipeError(f"Task {self.id}: weight {self.weight} must be above 0; leave the task out instead.")

    def _check_choice(self, field: str, allowed: Sequence[str]) -> None:
        given = getattr(self, field)
        if given not in allowed:
            hint = did_you_mean(str(given), allowed)
            raise RecipeError(f"Task {self.id}: {field} {given!r} is not one of {', '.join(allowed)}.{hint}")

    @property
    def versioned(self) -> str:
        """The id with its version, as results, plans and heads carry it: "glue/rte@1"."""
        return f"{self.id}@{self.version}"

    def fields(self) -> dict[str, Field]:
        """Return the kind's fields that are filled: name -> column or expression."""
        plain = (field.name for field in dataclasses.fields(self.kind) if field.name not in ("names", "low", "high"))
        return {name: getattr(self.kind, name) for name in plain if getattr(self.kind, name) is not None}

    def columns(self) -> tuple[str, ...]:
        """Return every source column that the recipe reads, each once, in order."""
        names = [column for field in self.fields().values() for column in columns_of(field)]
        names += [condition.column for condition in self.where]
        names += [split.by for split in self.splits.roles().values() if isinstance(split, Held) and split.by]
        return tuple(dict.fromkeys(names + ([self.row_weight] if self.row_weight else [])))

    @property
    def apart(self) -> bool:
        """Whether prompt and choices are read apart and compared by their vectors, instead of read together."""
        return self.recast is not None and self.recast.form == "matching"

    def fingerprint(self) -> str:
        """Return the sha256 of what decides the rows: id, version, source, kind, splits, filters and recast."""
        parts: tuple[Any, ...] = (
            self.id, self.version, self.source, self.kind, self.splits, self.where, self.row_weight,
        )  # fmt: skip
        if self.recast is not None:  # its prompts quote the question, which decides no row otherwise
            parts += (RECAST_VERSION, self.recast.form, self.question, self.recast.of.fingerprint())
        return hashlib.sha256(json.dumps(to_json(parts), sort_keys=True).encode()).hexdigest()


def to_json(value: Any) -> Any:
    """Return `value` (recipes, expressions, tuples, plain values) as JSON-ready data; a dataclass names its type."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__} | fields
    if isinstance(value, (tuple, list)):
        return [to_json(part) for part in value]
    return value


__all__ = [
    "Builtin", "Classification", "Defect", "Expression", "Files", "Held", "Hub", "Kind", "Multilabel",
    "MultipleChoice", "Recast", "Regression", "Splits", "Task", "TokenClassification", "Where", "to_json",
]  # fmt: skip
