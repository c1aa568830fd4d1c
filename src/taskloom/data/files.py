"""One's own files as raw rows: csv, tsv, jsonl and parquet, read with pyarrow.

A csv has no types: every column is read as text, and `standardize` turns scores into numbers. So "007" stays a label
and a column of digits stays usable as text.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from taskloom.data.mirror import features_of
from taskloom.data.spilled import read_parquet, spill, stays_on_disk
from taskloom.errors import SourceError
from taskloom.recipes.recipe import FORMATS, Files

ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
BLOCK = 2**20
"""Bytes of a text file that are parsed at once. A million rows of 300 MB, read by blocks, take 82 MB of memory with
1 MiB and 347 MB with 16 MiB, since blocks are parsed ahead, and 345 MB at once."""


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
        return _json_lines(path) if kind == "jsonl" else _delimited(path, "\t" if kind == "tsv" else ",")
    except FileNotFoundError as error:
        raise SourceError(
            f"There is no file {path}. Check `files` of the task; paths are relative to the run file."
        ) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path} cannot be read as {kind}: {error}. Allowed are {', '.join(FORMATS)}, encoded in UTF-8."
        ) from error


def _json_lines(path: Path) -> pa.Table:
    def reading(block: int) -> pa.json.ReadOptions:
        return pa.json.ReadOptions(block_size=block)

    return _read(
        path,
        lambda block: pa.json.read_json(path, read_options=reading(block)),
        lambda block: pa.json.open_json(path, read_options=reading(block)),
    )


def _delimited(path: Path, delimiter: str) -> pa.Table:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    names = next(csv.reader([header], delimiter=delimiter))
    parsing = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    converting = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    return _read(
        path,
        lambda block: pa.csv.read_csv(path, pa.csv.ReadOptions(block_size=block), parsing, converting),
        lambda block: pa.csv.open_csv(path, pa.csv.ReadOptions(block_size=block), parsing, converting),
    )


def _read(path: Path, whole: Callable[[int], pa.Table], blocks: Callable[[int], pa.RecordBatchReader]) -> pa.Table:
    """Read a large file block by block into a table on disk, unless later blocks have other columns or types.

    Where a row is longer than a block, the whole file is one.
    """
    if stays_on_disk(path.stat().st_size):
        with suppress(pa.ArrowInvalid):
            reader = blocks(BLOCK)
            return spill(reader.schema, reader)
    try:
        return whole(BLOCK)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        return whole(min(path.stat().st_size + 1, 2**31 - 1))


def _expanded(path: Path) -> list[Path]:
    """A folder stands for the files in it that have a known ending."""
    if not path.is_dir():
        return [path]
    found = sorted(child for child in path.iterdir() if child.suffix.lower() in ENDINGS)
    if not found:
        raise SourceError(f"The folder {path} holds no file that ends in {', '.join(ENDINGS)}.")
    return found
