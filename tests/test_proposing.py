"""What is proposed for a file can be pasted: our own parser takes it, and its rows standardize."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from taskloom.data.source import read
from taskloom.data.standardize import standardize
from taskloom.errors import UserError
from taskloom.proposing import propose_file
from taskloom.recipes.own import own_task

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classification": ({"text": "body", "label": "priority"}, {"id": 0, "body": "w {i} is here", "priority": "p{m}"}),
    "multilabel": ({"text": "body", "labels": "labels"}, {"body": "w {i} is here", "labels": ["a", "b{m}"]}),
    "regression": ({"text": "body", "score": "score"}, {"body": "w {i} is here", "score": 0.5}),
    "multiple_choice": (
        {"prompt": "question", "choices": "options", "label": "answer"},
        {"question": "which is {i} of", "options": ["x{i}", "y{i}"], "answer": 0},
    ),
    "token_classification": (
        {"tokens": "tokens", "labels": "ner_tags"},
        {"tokens": ["a", "b"], "ner_tags": ["O", "B-X"]},
    ),
}


def filled(value: Any, i: int) -> Any:
    """Return a pattern's value for row i: numbers in text by {i} and {m}; an integer alternates; a float grows."""
    if isinstance(value, list):
        return [filled(part, i) for part in value]
    if isinstance(value, str):
        return value.format(i=i, m=i % 2)
    return i * 0.37 if isinstance(value, float) else i % 2


@pytest.mark.parametrize("kind", ROWS)
def test_round_trip(kind: str, tmp_path: Path) -> None:
    """For each kind the block names the right columns, parses, and all of its rows are usable."""
    expected, pattern = ROWS[kind]
    path = tmp_path / "rows.jsonl"
    rows = [{name: filled(value, i) for name, value in pattern.items()} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entry = tomllib.loads(propose_file(path))["task"][0]
    assert entry["kind"] == kind
    assert {name: entry[name] for name in expected} == expected
    task = own_task(entry)
    assert standardize(task, read(task))


def test_nothing_fits(tmp_path: Path) -> None:
    """Columns without a label are a user's mistake, and the message lists them."""
    path = tmp_path / "rows.csv"
    path.write_text("body\n" + "".join(f"text number {i}\n" for i in range(9)))
    with pytest.raises(UserError, match="body"):
        propose_file(path)
