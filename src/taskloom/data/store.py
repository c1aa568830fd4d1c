"""Canonical rows -> token segments on disk: prepared once, memory-mapped, shared by runs.

A task is one folder, named by the fingerprint of everything that decides its content. It is built under a lock that
dies with its process, in a temporary folder, with the manifest last; what has no manifest does not exist. Segments hold
no special tokens and no padding: a prompt is stored once for all its choices, and batches assemble sequences from them.
The price of the fingerprint in the name: another max_length is another folder, and the old one stays until
`taskloom cache --clear`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.arrays import MANIFEST, REMEDY, ArrayFolder, open_array, read_manifest, seal
from taskloom.data.kept import capped
from taskloom.data.locks import locked
from taskloom.data.segments import APART, answers, full_lengths, tokenized, trimmed
from taskloom.data.standardize import CanonicalTask
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import StoreError
from taskloom.recipes.recipe import Regression

FORMAT = 2
"""Raised whenever the same rows would be stored otherwise; an old folder is then passed over."""
CHUNK = 20_000
"""Rows that are tokenized and written at once; memory stays flat whatever the size of a task."""

Array = NDArray[Any]


@dataclass(frozen=True)
class SplitStore:
    """One split of one task as memory-mapped arrays, each opened when it is first asked for.

    `tokens` holds all segments, one after the other; segment s is tokens[offsets[s]:offsets[s + 1]]. Row r owns the
    segments first_segment[r] up to first_segment[r + 1]: text (and pair); prompt and choices; or the words. Where
    prompt and choices stand `apart`, each is a sequence of its own.
    """

    kind: str
    folder: Path
    max_length: int
    apart: bool = False

    @classmethod
    def in_memory(
        cls, kind: str, max_length: int, arrays: Mapping[str, Array | None], *, apart: bool = False
    ) -> SplitStore:
        """Return a split of arrays that never were on disk: all of those below, as far as the kind has them."""
        split = cls(kind, Path(), max_length, apart)
        vars(split).update({"weight": None, **arrays})  # a cached property reads no file once its value stands here
        return split

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Array:
        """The index of each row in its source split (int64, (rows,))."""
        return self._array("rows")

    @cached_property
    def tokens(self) -> Array:
        """All tokens (uint16 or uint32)."""
        return self._array("tokens")

    @cached_property
    def offsets(self) -> Array:
        """Where each segment begins, and the end (int64, (segments + 1,))."""
        return self._array("offsets")

    @cached_property
    def first_segment(self) -> Array:
        """The first segment of each row, and the end (int64, (rows + 1,))."""
        return self._array("first_segment")

    @cached_property
    def lengths(self) -> Array:
        """Tokens of a row's longest sequence after the cut, special tokens included (int32, (rows,))."""
        return self._array("lengths")

    @cached_property
    def sequences(self) -> Array:
        """Sequences of each row: one, or one a choice and one more for a prompt that stands apart (int64, (rows,))."""
        if self.kind != "multiple_choice":
            return np.ones(len(self), np.int64)
        return np.asarray(np.diff(self.first_segment) - (not self.apart))

    @cached_property
    def segment_tokens(self) -> Array:
        """Tokens of all of a row's segments, special ones left out (int64, (rows,))."""
        return np.diff(np.asarray(self.offsets)[self.first_segment])

    @cached_property
    def choices(self) -> Array:
        """Choices of each row; multiple choice only (int64, (rows,))."""
        return np.diff(self.first_segment) - 1

    @cached_property
    def labels(self) -> Array:
        """Class ids (rows,); 0/1 (rows, labels); scores (rows,); right choices (rows,); or the labels of all words."""
        return self._array("labels")

    @cached_property
    def word_offsets(self) -> Array:
        """Where the words of each row begin, and the end (int64, (rows + 1,)); token classification only."""
        return self._array("word_offsets")

    @cached_property
    def word_starts(self) -> Array:
        """The place of each word's first token in its row's segment, -1 for a word without one or cut off (int32)."""
        return self._array("word_starts")

    @cached_property
    def weight(self) -> Array | None:
        """Loss weights (float32, (rows,)), or None where all are 1."""
        return self._array("weight") if (self.folder / "weight.npy").exists() else None

    def _array(self, name: str) -> Array:
        return open_array(self.folder / f"{name}.npy")


@dataclass(frozen=True)
class TaskStore:
    """A prepared task; `low` and `high` are the ends of a regression scale, `truncated` the cut rows of each split."""

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
        return Path(chosen).expanduser()
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "taskloom"


def build(canonical: CanonicalTask, tokenizer: Tokenizer, *, cache: Path, max_length: int, max_rows: int) -> TaskStore:
    """Return the store of a task, building it first where it does not exist.

    Train has at most `max_rows` rows. Raises StoreError when a store is damaged or cannot be written.
    """
    key = store_key(canonical, tokenizer, max_length=max_length, max_rows=max_rows)
    folder = cache / "tasks" / f"{quote(canonical.task.id, safe='')[:80]}-{key[:20]}"
    try:
        if not (folder / MANIFEST).exists():
            with locked(cache / "locks" / f"{folder.name}.lock"):
                if not (folder / MANIFEST).exists():  # another process may have built it while we waited
                    _build(folder, canonical, tokenizer, key=key, max_length=max_length, max_rows=max_rows)
    except OSError as error:
        raise StoreError(
            f"Task {canonical.task.id} cannot be stored in {cache}: {error}. Set data.cache or TASKLOOM_CACHE to a "
            "folder that you may write to and that has room."
        ) from error
    store = open_store(folder)
    if store.fingerprint != key:
        raise StoreError(f"{folder} holds something else than its name says: {store.task}. {REMEDY}")
    return store


def store_key(canonical: CanonicalTask, tokenizer: Tokenizer, *, max_length: int, max_rows: int) -> str:
    """Return the sha256 of everything that decides what a store holds."""
    parts = (
        FORMAT,
        canonical.task.fingerprint(),
        canonical.fingerprint,
        tokenizer.fingerprint,
        max_length,
        max_rows,
        canonical.labels,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def open_store(folder: Path, *, thorough: bool = False) -> TaskStore:
    """Open a built store; raises StoreError when a file is missing or has another size than when it was written.

    `thorough` compares contents too, by sha256 (about 1 GB/s).
    """
    manifest = read_manifest(folder, thorough=thorough)
    if manifest.get("format") != FORMAT:
        raise StoreError(f"{folder} has format {manifest.get('format')}, this version reads {FORMAT}. {REMEDY}")
    kind, length, apart = manifest["kind"], manifest["max_length"], manifest.get("apart", False)
    splits = {split: SplitStore(kind, folder / split, length, apart) for split in manifest["splits"]}
    names = ("id", "task", "kind", "low", "high", "unused", "truncated", "fingerprint")
    fields = {name: manifest[name] for name in names}
    return TaskStore(**fields, labels=tuple(manifest["labels"]), splits=splits, folder=folder)


def _build(
    folder: Path, canonical: CanonicalTask, tokenizer: Tokenizer, *, key: str, max_length: int, max_rows: int
) -> None:
    temporary = folder.with_name(f".tmp-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    truncated = {}
    for split, table in canonical.splits.items():
        if split == "train":
            table = capped(table, canonical.task.id, max_rows)
        truncated[split] = _write_split(temporary / split, table, canonical, tokenizer, max_length)
    kind = canonical.task.kind
    scale = (kind.low, kind.high) if isinstance(kind, Regression) else (None, None)
    described = {
        "format": FORMAT, "id": canonical.task.id, "task": canonical.task.versioned, "kind": kind.name,
        "apart": canonical.task.apart, "labels": canonical.labels, "low": scale[0], "high": scale[1],
        "max_length": max_length, "max_rows": max_rows,
        "splits": list(canonical.splits), "unused": canonical.unused, "truncated": truncated, "fingerprint": key,
        "versions": {name: importlib.metadata.version(name) for name in ("tokenizers", "numpy", "pyarrow")},
    }  # fmt: skip
    seal(temporary, described)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def _write_split(folder: Path, table: pa.Table, canonical: CanonicalTask, tokenizer: Tokenizer, max_length: int) -> int:
    """Write the arrays of one split, chunk by chunk, and return how many rows had to be cut."""
    kind = canonical.task.kind.name
    form = APART if canonical.task.apart else kind
    token_type = np.uint16 if tokenizer.vocabulary <= 2**16 else np.uint32
    truncated = 0
    with ArrayFolder(folder) as arrays:
        for start in range(0, max(1, len(table)), CHUNK):
            chunk = table.slice(start, CHUNK)
            whole = tokenized(chunk, form, tokenizer)
            full = full_lengths(whole, form, tokenizer)
            truncated += int((full > max_length).sum())
            kept = trimmed(whole, form, tokenizer, max_length)
            arrays.append_lengths({"offsets": kept.sizes, "first_segment": kept.counts})
            arrays.append({
                "rows": chunk["row"].to_numpy(),
                "tokens": kept.tokens.astype(token_type),
                "lengths": np.minimum(full, max_length).astype(np.int32),
                "labels": answers(chunk, kind, len(canonical.labels)),
            })  # fmt: skip
            if kind == "token_classification":
                arrays.append_lengths({"word_offsets": kept.word_counts})
                arrays.append({"word_starts": kept.word_starts.astype(np.int32)})
            if "weight" in chunk.column_names:
                arrays.append({"weight": chunk["weight"].to_numpy().astype(np.float32)})
    return truncated
