"""Canonical rows -> token segments on disk: prepared once, memory-mapped, shared by runs.

A task is one folder, named by the fingerprint of everything that decides its content. It is built under a lock that
dies with its process, in a temporary folder, with the manifest last; what has no manifest does not exist. Segments hold
no special tokens and no padding: a prompt is stored once for all its choices, and batches assemble sequences from them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.locks import locked
from taskloom.data.standardize import CanonicalTask
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import StoreError
from taskloom.recipes.recipe import Regression

FORMAT = 1
MANIFEST = "manifest.json"
CHUNK = 20_000
"""Rows that are tokenized at once; memory stays flat whatever the size of a task."""

Array = NDArray[Any]


@dataclass(frozen=True)
class SplitStore:
    """One split of one task as memory-mapped arrays.

    `tokens` holds all segments, one after the other; segment s is tokens[offsets[s]:offsets[s + 1]]. Row r owns the
    segments first_segment[r] up to first_segment[r + 1]: text (and pair); prompt and choices; or the words.
    `lengths` is the longest assembled and truncated sequence of a row, `sequences` how many it has.
    """

    kind: str
    folder: Path
    max_length: int

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Array:
        """The index of each row in its source split (int64)."""
        return self._array("rows")

    @cached_property
    def tokens(self) -> Array:
        """All tokens (uint16 or uint32)."""
        return self._array("tokens")

    @cached_property
    def offsets(self) -> Array:
        """Where each segment begins, and the end (int64)."""
        return self._array("offsets")

    @cached_property
    def first_segment(self) -> Array:
        """The first segment of each row, and the end (int64)."""
        return self._array("first_segment")

    @cached_property
    def lengths(self) -> Array:
        """Tokens of a row's longest sequence, special tokens included (int32)."""
        return self._array("lengths")

    @cached_property
    def sequences(self) -> Array:
        """Sequences of each row: one, or one a choice (int32)."""
        return np.diff(self.first_segment) - 1 if self.kind == "multiple_choice" else np.ones(len(self), np.int64)

    @cached_property
    def labels(self) -> Array:
        """Class ids (rows,); 0/1 (rows, labels); scores (rows,); right choices (rows,); or the labels of all words."""
        return self._array("labels")

    @cached_property
    def word_offsets(self) -> Array:
        """Where the words of each row begin, and the end (int64); token classification only."""
        return self._array("word_offsets")

    @cached_property
    def word_starts(self) -> Array:
        """The place of each word's first token in its row's segment, -1 for a word without one (int32)."""
        return self._array("word_starts")

    @cached_property
    def weight(self) -> Array | None:
        """Loss weights (float32, (rows,)), or None where all are 1."""
        return self._array("weight") if (self.folder / "weight.npy").exists() else None

    def _array(self, name: str) -> Array:
        found: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return found


@dataclass(frozen=True)
class TaskStore:
    """A prepared task; `low` and `high` are the ends of a regression scale."""

    id: str
    task: str
    kind: str
    labels: tuple[str, ...]
    low: float | None
    high: float | None
    splits: dict[str, SplitStore]
    unused: dict[str, dict[str, int]]
    truncated: dict[str, int]
    fingerprint: str
    folder: Path


def cache_folder(setting: str = "") -> Path:
    """Return where prepared tasks are kept: the setting, else TASKLOOM_CACHE, else the user's cache folder."""
    if chosen := setting or os.environ.get("TASKLOOM_CACHE", ""):
        return Path(chosen)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "taskloom"


def build(canonical: CanonicalTask, tokenizer: Tokenizer, *, cache: Path, max_length: int, max_rows: int) -> TaskStore:
    """Return the store of a task, building it first where it does not exist. Raises StoreError when it is damaged."""
    key = store_key(canonical, tokenizer, max_length=max_length, max_rows=max_rows)
    folder = cache / "tasks" / f"{_file_name(canonical.task.id)}-{key[:20]}"
    if not (folder / MANIFEST).exists():
        with locked(cache / "locks" / f"{folder.name}.lock"):
            if not (folder / MANIFEST).exists():  # another process may have built it while we waited
                _build(folder, canonical, tokenizer, key=key, max_length=max_length, max_rows=max_rows)
    return open_store(folder)


def store_key(canonical: CanonicalTask, tokenizer: Tokenizer, *, max_length: int, max_rows: int) -> str:
    """Return the sha256 of everything that decides what a store holds."""
    task = canonical.task
    parts = (
        FORMAT,
        task.fingerprint(),
        canonical.fingerprint,
        tokenizer.fingerprint,
        max_length,
        max_rows,
        canonical.labels,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def open_store(folder: Path) -> TaskStore:
    """Open a built store; raises StoreError when a file is missing or has another size than when it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"The prepared task in {folder} has no readable manifest ({error}). {_REMEDY}") from error
    for name, size in manifest["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise StoreError(f"The prepared task in {folder} is damaged: {name} should have {size} bytes. {_REMEDY}")
    splits = {
        split: SplitStore(manifest["kind"], folder / split, manifest["max_length"]) for split in manifest["splits"]
    }
    fields = {
        name: manifest[name] for name in ("id", "task", "kind", "low", "high", "unused", "truncated", "fingerprint")
    }
    return TaskStore(**fields, labels=tuple(manifest["labels"]), splits=splits, folder=folder)


_REMEDY = "Type `taskloom cache --clear`, then the same command again."


def kept_rows(task_id: str, rows: Array, most: int) -> Array:
    """Return the places of at most `most` rows, chosen by a hash of task and row: never the first, free of seeds."""
    if len(rows) <= most:
        return np.arange(len(rows))
    keys = [hashlib.blake2b(f"{task_id}/{row}".encode(), digest_size=8).digest() for row in rows]
    return np.sort(np.argsort(np.array(keys, dtype="S8"), kind="stable")[:most])


def _build(
    folder: Path, canonical: CanonicalTask, tokenizer: Tokenizer, *, key: str, max_length: int, max_rows: int
) -> None:
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    truncated = {}
    for split, table in canonical.splits.items():
        if split == "train":
            table = table.take(pa.array(kept_rows(canonical.task.id, table["row"].to_numpy(), max_rows)))
        (temporary / split).mkdir(parents=True)
        truncated[split] = _write_split(temporary / split, table, canonical, tokenizer, max_length)
    kind = canonical.task.kind
    scale = (kind.low, kind.high) if isinstance(kind, Regression) else (None, None)
    files = sorted(path for path in temporary.rglob("*") if path.is_file())
    manifest = {
        "format": FORMAT, "id": canonical.task.id, "task": canonical.task.versioned, "kind": kind.name,
        "labels": canonical.labels, "low": scale[0], "high": scale[1], "max_length": max_length,
        "splits": list(canonical.splits), "unused": canonical.unused, "truncated": truncated, "fingerprint": key,
        "files": {path.relative_to(temporary).as_posix(): path.stat().st_size for path in files},
    }  # fmt: skip
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    with (temporary / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def _write_split(folder: Path, table: pa.Table, canonical: CanonicalTask, tokenizer: Tokenizer, max_length: int) -> int:
    """Write the arrays of one split and return how many rows had to be cut."""
    kind = canonical.task.kind.name
    arrays = _tokenized(table, kind, tokenizer)
    lengths, cut = _lengths(arrays, kind, tokenizer, max_length)
    arrays |= {"rows": table["row"].to_numpy(), "lengths": lengths.astype(np.int32)}
    arrays |= _labels(table, kind, len(canonical.labels))
    if "weight" in table.column_names:
        arrays["weight"] = table["weight"].to_numpy().astype(np.float32)
    arrays["tokens"] = arrays["tokens"].astype(np.uint16 if tokenizer.vocabulary <= 2**16 else np.uint32)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    return int(cut)


def _tokenized(table: pa.Table, kind: str, tokenizer: Tokenizer) -> dict[str, Array]:
    """Tokenize a table in chunks and return tokens, offsets, first_segment (and the words' arrays)."""
    tokens, counts, per_row, starts, words = [], [], [], [], []
    for start in range(0, len(table), CHUNK):
        chunk = table.slice(start, CHUNK)
        if kind == "token_classification":
            ids, offsets, first, word_offsets = tokenizer.words(chunk["tokens"].to_pylist())
            starts.append(first)
            words.append(np.diff(word_offsets))
            per_row.append(np.ones(len(chunk), np.int64))
        else:
            texts, segments = _segments(chunk, kind)
            ids, offsets = tokenizer.segments(texts)
            per_row.append(segments)
        tokens.append(ids.astype(np.uint32))
        counts.append(np.diff(offsets))
    arrays = {"tokens": _joined(tokens), "offsets": _offsets(counts), "first_segment": _offsets(per_row)}
    if kind == "token_classification":
        arrays |= {"word_starts": _joined(starts).astype(np.int32), "word_offsets": _offsets(words)}
    return arrays


def _segments(chunk: pa.Table, kind: str) -> tuple[list[str], Array]:
    """Return the texts of all segments in row order, and how many each row has."""
    if kind == "multiple_choice":
        choices = chunk["choices"].to_pylist()
        texts = [
            text
            for prompt, several in zip(chunk["prompt"].to_pylist(), choices, strict=True)
            for text in (prompt, *several)
        ]
        return texts, np.array([len(several) + 1 for several in choices])
    pairs = chunk["pair"].to_pylist()
    texts = [
        text for first, second in zip(chunk["text"].to_pylist(), pairs, strict=True) for text in _given(first, second)
    ]
    return texts, np.array([1 if second is None else 2 for second in pairs])


def _given(first: str, second: str | None) -> Iterator[str]:
    yield first
    if second is not None:
        yield second


def _lengths(arrays: dict[str, Array], kind: str, tokenizer: Tokenizer, max_length: int) -> tuple[Array, int]:
    """Return each row's longest sequence after truncation, and the number of rows that are cut."""
    first, segments = arrays["first_segment"], np.diff(arrays["offsets"])
    parent = np.repeat(np.arange(len(first) - 1), np.maximum(1, np.diff(first) - 1))
    second_place = first[parent] + 1 + _within(np.maximum(1, np.diff(first) - 1))
    has_second = second_place < first[parent + 1]
    one = segments[first[parent]]
    two = np.where(has_second, segments[np.minimum(second_place, len(segments) - 1)], 0)
    paired = has_second & ((one > 0) | (kind != "multiple_choice"))
    whole = one + two + np.where(paired, tokenizer.pair.specials, tokenizer.single.specials)
    longest = np.zeros(len(first) - 1, np.int64)
    np.maximum.at(longest, parent, whole)
    return np.minimum(longest, max_length), int((longest > max_length).sum())


def _within(counts: Array) -> Array:
    places: Array = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return places


def _labels(table: pa.Table, kind: str, width: int) -> dict[str, Array]:
    if kind == "regression":
        return {"labels": table["score"].to_numpy().astype(np.float32)}
    if kind == "multilabel":
        column = table["labels"].combine_chunks()
        marks = np.zeros((len(table), width), np.uint8)
        marks[column.value_parent_indices().to_numpy(), column.flatten().to_numpy()] = 1
        return {"labels": marks}
    if kind == "token_classification":
        return {"labels": table["labels"].combine_chunks().flatten().to_numpy().astype(np.int32)}
    return {"labels": table["label"].to_numpy().astype(np.int32)}


def _joined(parts: Iterable[Array]) -> Array:
    parts = list(parts)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _offsets(counts: Iterable[Array]) -> Array:
    offsets: Array = np.concatenate([[0], np.cumsum(_joined(counts), dtype=np.int64)]).astype(np.int64)
    return offsets


def _file_name(task_id: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "%" for letter in task_id)[:60]
