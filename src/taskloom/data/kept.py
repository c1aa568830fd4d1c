"""Which train rows of a task are kept where there are more than a run takes: those of lowest hash.

The choice hangs on task and row alone, so it is the same in every run, and rows may come in pieces: memory is that of
the rows kept, whatever the size of the task.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of

Array = NDArray[Any]


def kept_rows(task_id: str, rows: Array, most: int) -> Array:
    """Return the places of at most `most` rows, chosen by a hash of task and row: never the first, free of seeds."""
    if len(rows) <= most:
        return np.arange(len(rows))
    return np.sort(np.argsort(hashed(key_of(task_id), rows), kind="stable")[:most])


def capped(table: pa.Table, task_id: str, most: int) -> pa.Table:
    """Return at most `most` rows of a table, in their order, chosen as `kept_rows` says."""
    chosen = np.zeros(len(table), dtype=bool)
    chosen[kept_rows(task_id, table["row"].to_numpy(), most)] = True
    return table.filter(pa.array(chosen))  # a filter goes chunk by chunk; take() would join texts beyond 2 GB


def gathered(pieces: Iterable[pa.Table], task_id: str, most: int | None) -> pa.Table:
    """Return at most `most` rows of a table that comes in pieces, in their order; None for all of them.

    Whenever twice as many have come, those that cannot be among the kept ones any more are dropped.
    """
    found: list[pa.Table] = []
    for piece in pieces:
        found.append(piece)
        if most is not None and sum(map(len, found)) > 2 * most:
            found = [capped(pa.concat_tables(found), task_id, most)]
    whole = pa.concat_tables(found)
    return whole if most is None else capped(whole, task_id, most)
