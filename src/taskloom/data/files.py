"""One's own files as raw rows: csv, tsv, jsonl and parquet, read with pyarrow.

A csv has no types: every column is read as text, and `standardize` turns scores into numbers. So "007" stays a label
and a column of digits stays usable as text.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from taskloom.data.mirror import features_of
from taskloom.data.spilled import read_parquet
from taskloom.errors import SourceError
from taskloom.recipes.recipe import FORMATS, Files

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}


def read_files(source: Files) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Return the rows of every split and the JSON features; raises SourceError naming the file."""
    splits = {}
    for split, paths in source.splits:
        tables = [read_file(path, source.format) for given in paths for path in _expanded(Path(given))]
        try:
            splits[split] = pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowInvalid as error:
            raise SourceError(f"The files of split {split!r} do not have the same columns: {error}") from error
    return splits, features_of(next(iter(splits.values())))


def files_of_source(source: Files) -> tuple[Path, ...]:
    """Return the files that are read for a source, in order; those that are not there are left out."""
    named = (path for _, paths in source.splits for given in paths for path in _expanded(Path(given)))
    return tuple(path for path in named if path.is_file())


def read_file(path: Path, given_format: str | None = None) -> pa.Table:
    """Return the rows of one file; raises SourceError for a missing, unreadable or unknown one."""
    kind = given_format or ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise SourceError(
            f"{path}: the ending {path.suffix!r} is not one of {', '.join(ENDINGS)}. "
            f"Give format = one of {', '.join(FORMATS)}."
        )
    try:
        if kind == "parquet":
            return read_parquet([path])
        return pa.json.read_json(path) if kind == "jsonl" else _delimited(path, "\t" if kind == "tsv" else ",")
    except FileNotFoundError as error:
        raise SourceError(
            f"There is no file {path}. Check `files` of the task; paths are relative to the run file."
        ) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path} cannot be read as {kind}: {error}. Allowed are {', '.join(FORMATS)}, encoded in UTF-8."
        ) from error


def _delimited(path: Path, delimiter: str) -> pa.Table:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    names = next(csv.reader([header], delimiter=delimiter))
    return pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )


def _expanded(path: Path) -> list[Path]:
    """A folder stands for the files in it that have a known ending."""
    if not path.is_dir():
        return [path]
    found = sorted(child for child in path.iterdir() if child.suffix.lower() in ENDINGS)
    if not found:
        raise SourceError(f"The folder {path} holds no file that ends in {', '.join(ENDINGS)}.")
    return found
