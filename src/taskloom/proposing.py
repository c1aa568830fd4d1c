"""`taskloom propose`: figures of a file's columns -> a [[task]] block to paste into a run file.

The first rows are looked at, not all: a rare label may be missed, which does no harm, since a block names no labels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import SourceError
from taskloom.recipes.propose import Column, Proposal, propose
from taskloom.recipes.schema import Schema, schema_from_features
from taskloom.toml import toml_value

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 5000


def propose_file(path: Path) -> str:
    """Return a [[task]] block for a file; raises SourceError if unreadable, ConfigError if nothing fits."""
    from taskloom.data.files import read_files
    from taskloom.recipes.recipe import Files

    if not path.exists():
        raise SourceError(f"There is no file or folder {path}. Give a csv, tsv, jsonl or parquet file, or a folder.")
    splits, features = read_files(Files((("train", (str(path),)),)))
    return block(path, propose(describe(splits["train"], schema_from_features(features))))


def describe(table: pa.Table, schema: Schema) -> dict[str, Column]:
    """Return the figures of every column over the first rows."""
    rows = table.slice(0, ROWS)
    return {name: _column(schema[name], rows[name].to_pylist()) for name in rows.column_names}


def block(path: Path, proposal: Proposal) -> str:
    """Write a proposal as TOML, its reasons and doubts as comments above it."""
    notes = [*proposal.reasons, *(f"DOUBT: {doubt}" for doubt in proposal.doubts)]
    entry = {
        "id": f"own/{path.stem}",
        "files": {"train": str(path.resolve())},
        "kind": proposal.kind,
        **proposal.fields,
    }
    lines = [*(f"# {json.dumps(note, ensure_ascii=False)[1:-1]}" for note in notes), "[[task]]"]
    return "\n".join([*lines, *(f"{key} = {toml_value(value)}" for key, value in entry.items())]) + "\n"


def _column(type_: Any, values: list[Any]) -> Column:
    filled = [value for value in values if value is not None]
    texts = [value for value in filled if isinstance(value, str)]
    numbers = _numbers(filled)
    return Column(
        type=type_,
        filled=len(filled),
        distinct=len({json.dumps(value, default=str, sort_keys=True) for value in filled}),
        words=sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0,
        low=min(numbers, default=None),
        high=max(numbers, default=None),
        whole=all(number == int(number) for number in numbers),
    )


def _numbers(values: list[Any]) -> list[float]:
    """The values as finite numbers, if every one is one; else none."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return []
    return numbers if all(abs(number) < float("inf") for number in numbers) else []
