"""Rows to predict: from Python values, plain lines, csv or JSON lines, and results out in the same order.

Canonical columns: `text` and optionally `pair`; `prompt` and `choices`; `tokens`. A plain file is one text a line, an
empty line is an empty text, so that line n of the input is row n of the output.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from taskloom.errors import DataError, SourceError, did_you_mean

FORMATS = ("lines", "csv", "tsv", "jsonl")
SEPARATORS = {"csv": ",", "tsv": "\t"}
LONGEST_CELL = 2**27
"""Characters of a csv cell; Python's own limit of 131,072 is less than a long document."""
ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
COLUMNS = {
    "classification": ("text", "pair"),
    "multilabel": ("text", "pair"),
    "regression": ("text", "pair"),
    "multiple_choice": ("prompt", "choices"),
    "token_classification": ("tokens",),
}
OPTIONAL = ("pair",)


@dataclass(frozen=True)
class TextRow:
    """A text, or a pair of texts."""

    text: str
    pair: str | None = None


@dataclass(frozen=True)
class ChoiceRow:
    """A prompt and at least one choice."""

    prompt: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class WordsRow:
    """The words of a text, to be tagged one by one."""

    tokens: tuple[str, ...]


def text_row(given: Any, number: int = 0) -> TextRow:
    """Return a row of one or two texts from "text", ("text", "pair") or {"text": ..., "pair": ...}."""
    if isinstance(given, str):
        return TextRow(given)
    values = _values(given, "classification", number)
    if 1 <= len(values) <= 2 and isinstance(values[0], str) and isinstance(values[-1], (str, type(None))):
        return TextRow(values[0], (values[1] or None) if len(values) == 2 else None)
    raise _misfit(given, number, 'a text, ("text", "pair") or {"text": ..., "pair": ...}')


def choice_row(given: Any, number: int = 0) -> ChoiceRow:
    """Return a row from ("prompt", ["a", "b"]) or {"prompt": ..., "choices": [...]}."""
    values = () if isinstance(given, str) else _values(given, "multiple_choice", number)
    if len(values) == 2 and isinstance(values[0], str):
        choices = _strings(values[1])
        if choices:
            return ChoiceRow(values[0], choices)
    raise _misfit(given, number, '("prompt", ["first choice", "second choice"]) or {"prompt": ..., "choices": [...]}')


def words_row(given: Any, number: int = 0) -> WordsRow:
    """Return a row from ["one", "word"] or {"tokens": [...]}; a plain string, or {"text": ...}, is cut at blanks."""
    value = given
    if isinstance(given, Mapping) and "tokens" not in given and isinstance(given.get("text"), str):
        return WordsRow(tuple(given["text"].split()))
    if isinstance(given, Mapping):
        (value,) = _values(given, "token_classification", number)
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return WordsRow(tuple(value.split()))
    words = _strings(value)
    if words is None:
        raise _misfit(given, number, '["a", "list", "of", "words"] or {"tokens": [...]}')
    return WordsRow(words)


ROW_OF = {
    "classification": text_row,
    "multilabel": text_row,
    "regression": text_row,
    "multiple_choice": choice_row,
    "token_classification": words_row,
}
"""The reader of one row for each kind of task."""


def read_rows(source: str | Path, *, format: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, or of standard input for "-", as dicts of canonical columns.

    Without `format` it follows the file ending (csv, tsv, jsonl, ndjson; anything else is plain lines). Standard input
    has no ending: it is read as JSON lines if its first line begins with a brace, else as plain lines. Raises
    SourceError for a file that cannot be read, DataError for a line that is no JSON object.
    """
    if format is not None and format not in FORMATS:
        raise DataError(f"Format {format!r} is not one of {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}")
    if str(source) == "-":
        yield from readable(_parsed(sys.stdin, format, "standard input"), "standard input")
        return
    path = Path(source)
    if not path.is_file():
        raise SourceError(f"There is no file {path}. Give a file of lines, csv or JSON lines, or - for standard input.")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        kind = format or ENDINGS.get(path.suffix.lower(), "lines")
        yield from readable(_parsed(stream, kind, str(path)), str(path))


def readable(rows: Iterable[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Yield rows that are read on the way; raises SourceError where the bytes are no UTF-8 or no csv."""
    count = 0
    try:
        for row in rows:
            count += 1
            yield row
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1]
        raise SourceError(
            f"{name}, after row {count}: the byte {byte!r} is no UTF-8. Write the file anew in UTF-8, for example with "
            "iconv."
        ) from error
    except csv.Error as error:
        raise SourceError(f"{name}, after row {count}: not csv ({error}). Give JSON lines instead.") from error


def text_of(row: Mapping[str, Any], number: int) -> str:
    """Return the text of a row that was read; raises DataError for a row without one."""
    text = row.get("text")
    if not isinstance(text, str):
        raise DataError(f"Row {number} has no 'text'; it has {', '.join(map(str, row))}. Rename the column to 'text'.")
    return text


def count_rows(source: str | Path, *, format: str | None = None) -> int | None:
    """Return how many rows a file has, without taking them apart; None for standard input and what cannot be read."""
    path = Path(source)
    if str(source) == "-" or not path.is_file():
        return None
    try:
        return _count(path, format or ENDINGS.get(path.suffix.lower(), "lines"))
    except (UnicodeDecodeError, csv.Error):
        return None  # whoever reads the rows says where it is wrong


def _count(path: Path, kind: str) -> int:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if kind in SEPARATORS:
            return max(0, sum(1 for row in csv.reader(stream, delimiter=SEPARATORS[kind]) if row) - 1)
        return sum(1 for line in stream if kind == "lines" or line.strip())


def numbered(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each result as a line of JSON with its row number added, in order."""
    for row, result in enumerate(results):
        yield json.dumps({"row": row, **result}, ensure_ascii=False)


def _parsed(stream: IO[str], format: str | None, name: str) -> Iterator[dict[str, Any]]:
    first = [next(stream, "").removeprefix("\ufeff")]  # standard input is no file, which drops its byte order mark
    lines = (line for line in chain(first, stream) if line)
    if format in SEPARATORS:
        yield from _csv_rows(lines, name, SEPARATORS[format])
        return
    for number, line in enumerate(lines):
        if format is None:
            format = "jsonl" if line.lstrip().startswith("{") else "lines"
        line = line.rstrip("\r\n")
        if format == "lines":
            yield {"text": line}
        elif line.strip():
            yield _json_row(line, name, number)


def _json_row(line: str, name: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {number + 1}: not JSON ({error.msg}). Give one JSON object a line.") from error
    if not isinstance(row, dict):
        raise DataError(f'{name}, line {number + 1}: {type(row).__name__} is not an object. Write {{"text": ...}}.')
    return row


def _csv_rows(lines: Iterable[str], name: str, separator: str) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    reader = csv.DictReader(lines, delimiter=separator, restkey="(more)")
    known = {column for columns in COLUMNS.values() for column in columns}
    if not known & set(reader.fieldnames or ()):
        raise DataError(
            f"{name}: the header {list(reader.fieldnames or ())} names none of the columns {', '.join(sorted(known))}. "
            "Rename a column, or give the texts as plain lines."
        )
    for row in reader:
        if "(more)" in row:
            raise DataError(f"{name}, line {reader.line_num}: more cells than the header has columns.")
        yield dict(row)


def _values(given: Any, kind: str, number: int) -> Sequence[Any]:
    columns = COLUMNS[kind]
    if isinstance(given, Mapping):
        missing = [column for column in columns if column not in OPTIONAL and column not in given]
        if missing:
            raise DataError(f"Row {number} has no {missing[0]!r}; it has {', '.join(map(str, given)) or 'no columns'}.")
        return [given[column] for column in columns if column in given]
    return given if isinstance(given, Sequence) else ()


def _strings(value: Any) -> tuple[str, ...] | None:
    """Return a list of strings, also one written as JSON in a csv cell; None if it is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return None
    is_list = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value)
    return tuple(value) if is_list else None


def _misfit(given: Any, number: int, wanted: str) -> DataError:
    shown = repr(given)
    return DataError(f"Row {number} is {shown if len(shown) < 80 else shown[:77] + '...'}. Give {wanted}.")
