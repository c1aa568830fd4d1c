"""Labelled rows in a file of one's own -> a task to evaluate, its labels matched to those of a trained head.

The file's labels may be written as the head's are or otherwise in case, dashes and blanks; a label that the head does
not have is an error, never another class. Without a named head, one is looked for whose labels these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from taskloom.errors import DataError, ModelError, UserError, did_you_mean, some_of_names
from taskloom.recipes.labels import is_generic, normalize_label
from taskloom.recipes.own import LETTERS, own_task
from taskloom.recipes.recipe import Task

if TYPE_CHECKING:
    from taskloom.evaluation.routes import Route
    from taskloom.modeling.head_table import Head, HeadTable

SPLIT = "test"
SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class OwnRows:
    """A csv, tsv, jsonl or parquet file: which columns are the text, its pair and the label, and whose head answers.

    For tags `text` and `label` are columns of lists; for a regression head `label` holds the scores; for choices `pair`
    is the column of their lists, and `label` the right one's place from 0, its letter or its text.
    """

    file: Path
    text: str
    label: str
    pair: str | None = None
    head: str | None = None


def own_rows(
    data: Path | None, *, text: str | None, pair: str | None, label: str | None, head: str | None
) -> OwnRows | None:
    """Return the rows that the options describe; raises UserError for options that do not go together."""
    if data is None:
        given = {"--text": text, "--pair": pair, "--label": label, "--head": head}
        wrong = [option for option, value in given.items() if value is not None]
        if wrong:
            raise UserError(f"{', '.join(wrong)} describe the columns of a file. Give it with --data FILE.")
        return None
    if text is None or label is None:
        raise UserError(
            "--data needs the names of its columns: --text COLUMN --label COLUMN, and --pair if there is one."
        )
    return OwnRows(file=data, text=text, pair=pair, label=label, head=head)


def task_of_rows(rows: OwnRows, table: HeadTable) -> tuple[Task, Route]:
    """Return the file as a task with one split, and the route that answers it.

    Raises UserError for a file or a column that is not there, DataError for a label that the head does not have, and
    ModelError when no trained head has these labels.
    """
    from taskloom.data.columns import distinct_texts
    from taskloom.data.files import read_file
    from taskloom.evaluation.routes import own_route

    columns = read_file(rows.file)
    _check_columns(rows, columns.column_names)
    found = sorted(distinct_texts(columns[rows.label]))
    route = _route_by_labels(rows, found, table) if rows.head is None else own_route(table, rows.head)
    return _task(rows, route.head, route.labels, found), route


def _check_columns(rows: OwnRows, there: Sequence[str]) -> None:
    for option, name in (("--text", rows.text), ("--pair", rows.pair), ("--label", rows.label)):
        if name is not None and name not in there:
            raise UserError(
                f"{rows.file} has no column {name!r} for {option}.{did_you_mean(name, there)} It has: "
                f"{', '.join(there)}."
            )


def _task(rows: OwnRows, head: Head, labels: Sequence[str], found: Sequence[str]) -> Task:
    """Return the recipe; `names` maps the file's spelling of each label to that of `labels`, the ones to answer."""
    entry: dict[str, Any] = {
        "id": f"own/{quote(rows.file.stem, safe='-_.')}", "kind": head.kind, "files": {SPLIT: str(rows.file.resolve())},
    }  # fmt: skip
    if head.kind == "multiple_choice":
        if rows.pair is None:
            raise UserError(
                f"{head.task} is multiple choice: --text is the column of prompts and --pair that of the lists of "
                "choices, in a jsonl or parquet file."
            )
        choices = {"prompt": rows.text, "choices": rows.pair, "label": rows.label, "answer": _written(found)}
        return own_task(entry | choices)
    if head.kind == "token_classification":
        entry |= {"tokens": rows.text, "labels": rows.label}
    else:
        entry |= {"text": rows.text} | ({"pair": rows.pair} if rows.pair else {})
        entry["score" if head.kind == "regression" else "labels" if head.kind == "multilabel" else "label"] = rows.label
    if head.kind == "regression":
        return own_task(entry | {"low": head.low, "high": head.high})
    return own_task(entry | {"names": _names(rows, head.task, labels, found)})


def _written(found: Sequence[str]) -> str:
    """Return how the right choice is written: its place from 0, its letter, or its text."""
    if all(value.isdecimal() for value in found):
        return "place"
    return "letter" if all(value in LETTERS for value in found) else "text"


def _names(rows: OwnRows, task: str, labels: Sequence[str], found: Sequence[str]) -> dict[str, str]:
    """Return each spelling in the file -> our label, all of `labels` in their order among them."""
    ours = {normalize_label(label): label for label in labels}
    if len(ours) < len(labels):  # "+" and "-" normalize alike
        ours = {label: label for label in labels}
    names = {label: label for label in labels}
    for label in found:
        known = label if label in names else ours.get(normalize_label(label))
        if known is None:
            raise DataError(
                f"{rows.file}: label {label!r} in column {rows.label!r} is none of {task}'s."
                f"{did_you_mean(label, labels)} Allowed: {_shown(labels)}."
            )
        names[label] = known
    return names


def _route_by_labels(rows: OwnRows, found: Sequence[str], table: HeadTable) -> Route:
    """Return the route to a classification head with these labels; equal sets before larger ones."""
    from taskloom.evaluation.routes import Route, find_route

    asked = frozenset(map(normalize_label, found))
    if is_generic(found) or not asked:
        raise ModelError(
            f"The labels {_shown(found)} of {rows.file} do not tell what is asked. Name the trained task that shall "
            "answer: --head TASK."
        )
    fitting = [
        head for head in table.heads
        if head.kind == "classification" and asked <= frozenset(map(normalize_label, head.labels))
    ]  # fmt: skip
    if fitting:
        head = min(fitting, key=lambda head: len(head.labels))
        return Route(head, table.places[head.task], "same labels", head.labels)
    two_way = own_task({"id": "own/rows", "kind": "classification", "files": {SPLIT: "rows.csv"}, "text": "text",
                        "label": "label"})  # fmt: skip
    try:
        return find_route(table, two_way, tuple(found))
    except ModelError as error:
        raise ModelError(
            f"No trained task has the labels {_shown(found)} of {rows.file}. Name the one that shall answer with "
            "--head TASK, whose labels they must be; `taskloom classify` takes any labels."
        ) from error


def _shown(labels: Sequence[str]) -> str:
    return some_of_names(labels, SHOWN)
