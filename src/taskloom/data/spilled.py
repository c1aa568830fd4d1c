"""Large parquet files as tables that stay on disk: decoded once into an unnamed file and mapped from there.

A parquet file cannot be mapped, since its pages are compressed. The copy is in the folder for temporary files (TMPDIR),
and gone with the process, also one that is killed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LARGE = 2**28
"""Bytes of decoded rows from which they are kept on disk: what four processes at once can hold anywhere."""
BATCH = 20_000


def read_parquet(paths: Sequence[Path]) -> pa.Table:
    """Return the rows of several files, one after the other; files whose columns differ are read into memory.

    Raises pyarrow.ArrowInvalid or OSError for files that cannot be read, or a disk without room.
    """
    files = [pq.ParquetFile(path) for path in paths]
    schema = files[0].schema_arrow
    alike = all(file.schema_arrow.equals(schema) for file in files)
    if os.name == "nt" or not alike or sum(map(_decoded_size, files)) < LARGE:  # Windows keeps names of mapped files
        return pa.concat_tables([pq.read_table(path) for path in paths], promote_options="default")
    with tempfile.NamedTemporaryFile(prefix="taskloom-", suffix=".arrow") as spill:
        with pa.OSFile(spill.name, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for file in files:
                for batch in file.iter_batches(batch_size=BATCH):
                    writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(spill.name)).read_all()


def _decoded_size(file: pq.ParquetFile) -> int:
    metadata = file.metadata
    return sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
