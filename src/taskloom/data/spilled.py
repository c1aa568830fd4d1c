"""Large files of rows as tables that stay on disk: decoded once into an unnamed file and mapped from there.

A parquet file cannot be mapped, since its pages are compressed, nor can text. The copy is in the folder for temporary
files (TMPDIR), and gone with the process, also one that is killed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LARGE = 2**28
"""Bytes of decoded rows from which they are kept on disk: what four processes at once can hold anywhere."""
BATCH = 20_000


def stays_on_disk(size: int) -> bool:
    """Tell whether so many bytes of rows are mapped; never on Windows, where names of mapped files are kept."""
    return os.name != "nt" and size >= LARGE


def spill(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return the rows as a table that is mapped from disk; raises OSError for a disk without room."""
    with tempfile.NamedTemporaryFile(prefix="taskloom-", suffix=".arrow") as file:
        with pa.OSFile(file.name, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(file.name)).read_all()


def read_parquet(paths: Sequence[Path]) -> pa.Table:
    """Return the rows of several files, one after the other; files whose columns differ are read into memory.

    Raises pyarrow.ArrowInvalid or OSError for files that cannot be read, or a disk without room.
    """
    files = [pq.ParquetFile(path) for path in paths]
    schema = files[0].schema_arrow
    alike = all(file.schema_arrow.equals(schema) for file in files)
    if not alike or not stays_on_disk(sum(map(_decoded_size, files))):
        return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="default")
    return spill(schema, (batch for file in files for batch in file.iter_batches(batch_size=BATCH)))


def _decoded_size(file: pq.ParquetFile) -> int:
    metadata = file.metadata
    return sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
