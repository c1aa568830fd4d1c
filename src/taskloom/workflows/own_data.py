"""A file of labelled rows with columns named or guessed -> the recipe of a task.

What is named is taken; the rest is guessed as `propose` guesses it, and every guess is returned to be told. The kind
follows from the label column: lists beside lists of words are tags, lists are several labels, fractions or many numbers
a score, everything else one label.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskloom.errors import ConfigError, DataError, did_you_mean
from taskloom.recipes.columns import MOST_CLASSES, Column, columns_in
from taskloom.recipes.own import own_task
from taskloom.recipes.propose import propose
from taskloom.recipes.recipe import KINDS, Files, Task
from taskloom.recipes.schema import ListOf, Text, schema_from_features
from taskloom.workflows.proposing import entry_of, files_of, sample


@dataclasses.dataclass(frozen=True)
class Columns:
    """What a user says of a file: its columns by what they hold, and the kind; None is guessed."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    kind: str | None = None


def task_of_file(path: Path, said: Columns) -> tuple[Task, tuple[str, ...]]:
    """Return the recipe of a file's (or folder's) rows and what was guessed, in sentences.

    No split is held out here. Raises SourceError for a file that cannot be read and ConfigError for a column that is
    not there or rows that fit no kind, DataError for scores that are no numbers.
    """
    from taskloom.data.files import read_files

    files = files_of(path)
    splits, features = read_files(Files((("train", (files["train"],)),)))
    table = splits["train"]
    schema, rows = schema_from_features(features), sample(table)
    for column in (said.text, said.pair, said.label):
        if column is not None and column not in schema:
            raise ConfigError(
                f"{path} has no column {column!r}.{did_you_mean(column, schema)} It has {', '.join(schema)}."
            )
    entry, told = _entry(columns_in(schema, rows), said, schema, rows)
    if entry["kind"] == "regression":
        low, high = _scale(table[entry["score"]].to_pylist(), f"{path}, column {entry['score']!r}")
        entry |= {"low": low, "high": high}
        told += (f"the scale is that of the rows, {low:g} to {high:g}",)
    name = "-".join(path.stem.split()) or "rows"
    return own_task({**entry, "id": f"own/{name}", "files": files, "validation_share": 0}), told


def _scale(values: list[Any], name: str) -> tuple[float, float]:
    """Return the lowest and the highest score; raises DataError for a value that is none, or where there is none."""
    scores = []
    for number, value in enumerate(values):
        if value in (None, ""):
            continue
        try:
            scores.append(float(value))
        except (TypeError, ValueError):
            scores.append(math.nan)
        if not math.isfinite(scores[-1]):
            raise DataError(
                f"{name}, row {number}: {value!r} is no number. A regression learns numbers; for words as labels type "
                "--kind classification."
            )
    if not scores:
        raise DataError(f"{name} is empty: there is no score to learn from. Name another column with --label.")
    return min(scores), max(scores)


def _entry(
    columns: Mapping[str, Column], said: Columns, schema: Mapping[str, Any], rows: list[dict[str, Any]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a [[task]] entry without id and files, and what was guessed."""
    if said.text is None or said.label is None or said.kind == "multiple_choice":
        return _guessed(columns, said, schema, rows)
    kind = said.kind or kind_of(columns[said.text], columns[said.label])
    names = {"multilabel": "labels", "regression": "score", "token_classification": "labels"}
    entry = {"kind": kind, "tokens" if kind == "token_classification" else "text": said.text}
    entry[names.get(kind, "label")] = said.label
    if said.pair is not None:
        entry["pair"] = said.pair
    return entry, () if said.kind else (f"{said.label} is taken for a {kind} label",)


def _guessed(
    columns: Mapping[str, Column], said: Columns, schema: Mapping[str, Any], rows: list[dict[str, Any]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    named = {name for name in (said.text, said.pair) if name is not None}
    if said.label is not None:  # every other column that could be a label is out of the way
        schema = {name: kind for name, kind in schema.items() if name == said.label or not columns[name].can_be_class}
    if named and said.label is None:
        schema = {name: kind for name, kind in schema.items() if name in named or not columns[name].is_text}
    proposal = propose(schema, rows)
    entry = {"kind": proposal.kind.name, **entry_of(proposal)}
    if said.kind is not None and said.kind != entry["kind"]:
        raise ConfigError(
            f"--kind {said.kind} does not fit what the columns look like ({entry['kind']}: "
            f"{'; '.join(proposal.reasons)}). Name the columns with --text and --label, or describe the task as a "
            "[[task]] of a run file (docs/recipes.md)."
        )
    return entry, (*proposal.reasons, *proposal.doubts)


def kind_of(text: Column, label: Column) -> str:
    """Return the kind that a text column and a label column make."""
    if isinstance(label.type, ListOf):
        words = isinstance(text.type, ListOf) and isinstance(text.type.item, Text) and text.lengths == label.lengths
        return "token_classification" if words else "multilabel"
    scores = label.numbers and label.distinct >= 3 and (not label.is_whole or label.distinct > MOST_CLASSES)
    return "regression" if scores else "classification"


def check_kind(kind: str | None) -> None:
    """Raise ConfigError for a kind that there is not."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"There is no kind {kind!r}.{did_you_mean(kind, KINDS)} Allowed: {', '.join(KINDS)}.")
