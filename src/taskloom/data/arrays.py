"""A folder of arrays on disk: written piece by piece, sealed by a manifest, read by memory-mapping.

The format is NumPy's own .npy, which any tool reads; its header leaves room for the final length, so that arrays grow
without being held in memory. The manifest comes last: a folder without one does not exist.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, DTypeLike, NDArray

from taskloom.errors import StoreError

Array = NDArray[Any]

MANIFEST = "manifest.json"
REMEDY = "Type `taskloom cache --clear`, then the same command again."


def open_array(path: Path) -> Array:
    """Return an array on disk, memory-mapped, as a plain ndarray: np.memmap is ten times as slow to index.

    The file is closed: numpy's mappings hold a descriptor each, and those of 420 tasks are five times the 1,024 that
    most systems allow. Raises OSError for a file that is not there and ValueError for one that is no array.
    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        start, count = file.tell(), math.prod(shape)
    if fortran or dtype.hasobject or start + count * dtype.itemsize > path.stat().st_size:
        raise ValueError(f"{path} is cut off, or no array of numbers in rows.")
    if not count:
        return np.zeros(shape, dtype)
    with pa.memory_map(str(path)) as mapped:  # the buffer keeps the mapping when the file is closed
        return np.frombuffer(mapped.read_buffer(), dtype, count, start).reshape(shape)


class Growing:
    """One array that is written piece by piece along its first axis."""

    def __init__(self, path: Path, dtype: DTypeLike, row: tuple[int, ...] = ()) -> None:
        self.dtype = np.dtype(dtype)
        self.row = row
        self.length = 0
        self.file: BinaryIO = path.open("wb")
        self._write_header()

    def append(self, values: ArrayLike) -> None:
        """Add values, (length, *row)."""
        piece = np.ascontiguousarray(values, dtype=self.dtype)
        self.length += len(piece)
        self.file.write(piece.data)

    def close(self) -> None:
        """Write the final length and make sure that all of it is on disk."""
        self.file.seek(0)
        self._write_header()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def _write_header(self) -> None:
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length, *self.row)}
        np.lib.format.write_array_header_1_0(self.file, described)


class ArrayFolder:
    """Arrays growing side by side in one folder; each gets its type and its row's shape from its first piece."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: dict[str, Growing] = {}
        self.ends: dict[str, int] = {}
        folder.mkdir(parents=True)

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Add a piece to each of these arrays."""
        for name, values in arrays.items():
            if name not in self.arrays:
                self.arrays[name] = Growing(self.folder / f"{name}.npy", values.dtype, values.shape[1:])
            self.arrays[name].append(values)

    def append_lengths(self, lengths: Mapping[str, Array]) -> None:
        """Add the lengths of further pieces to these arrays of offsets."""
        for name, values in lengths.items():
            begin = self.ends.get(name, 0)
            ends = begin + np.cumsum(values, dtype=np.int64)
            self.append({name: ends if name in self.ends else np.concatenate([[np.int64(0)], ends])})
            self.ends[name] = int(ends[-1]) if len(ends) else begin

    def __enter__(self) -> ArrayFolder:
        return self

    def __exit__(self, *error: object) -> None:
        for array in self.arrays.values():
            array.close()


def seal(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the manifest: `values`, and the size and sha256 of every file in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump({**values, "files": listed}, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path, *, thorough: bool = False) -> dict[str, Any]:
    """Return the manifest when every file has the size, and with `thorough` the content, that it had when written.

    Raises StoreError, which says what to type.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {name: (int(known["bytes"]), str(known["sha256"])) for name, known in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"The prepared task in {folder} has no readable manifest ({error!r}). {REMEDY}") from error
    for name, (size, digest) in files.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found:,} bytes, not {size:,}"
            raise StoreError(f"The prepared task in {folder} is damaged: {name} {state}. {REMEDY}")
        if thorough and _sha256(path) != digest:
            raise StoreError(f"The prepared task in {folder} is damaged: {name} has other content. {REMEDY}")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
