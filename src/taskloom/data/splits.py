"""Held-out parts: which rows of a source split are carved out, by a hash of their group alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from taskloom.data.columns import text_column
from taskloom.data.source import RawTask
from taskloom.recipes.recipe import Held, Task


def held_mask(task: Task, held: Held, raw: RawTask, *, salt: str) -> NDArray[np.bool_]:
    """Return which rows of the split `held.of` are held out; rows with equal groups always go together.

    `salt` keeps two parts carved from one split (validation and test) from being the same rows.
    """
    groups = _groups(task, held, raw)
    encoded = groups.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    chosen = np.array([_hash_share(f"{salt}/{value}") < held.share for value in values], dtype=bool)
    places = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return chosen[places] if len(values) else np.zeros(len(groups), dtype=bool)


def _groups(task: Task, held: Held, raw: RawTask) -> pa.Array:
    """The group column as text; without one, the first field of the task (text, prompt or tokens)."""
    table = raw.splits[held.of]
    field = held.by or next(iter(task.fields().values()))
    if isinstance(field, str) and pa.types.is_list(table.schema.field(field).type):
        return pa.array([" ".join(map(str, words or ())) for words in table[field].to_pylist()], pa.string())
    return pc.fill_null(text_column(field, table, raw.schema), "")


def _hash_share(text: str) -> float:
    """Return a number in 0..1 that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
