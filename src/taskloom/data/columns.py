"""How each expression of a recipe is computed over an Arrow table: one function a node, column-wise.

No Python loop over decoded rows where Arrow or numpy has the operation. A value that cannot be computed becomes null,
and `standardize` counts it; nothing unknown turns into a label.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskloom.recipes import expressions as nodes
from taskloom.recipes.expressions import Expression, Field
from taskloom.recipes.functions import column_function
from taskloom.recipes.schema import Class, Schema


def column(field: Field, table: pa.Table, schema: Schema) -> pa.Array:
    """Return the values of a field over the rows of `table`."""
    if isinstance(field, str):
        return _combined(table[field])
    return COMPUTE[type(field)](field, table, schema)


def text_column(field: Field, table: pa.Table, schema: Schema) -> pa.Array:
    """Return a field as strings; class ids become their names, and null stays null."""
    values = column(field, table, schema)
    found = schema.get(field) if isinstance(field, str) else None
    if isinstance(found, Class):
        return _class_names(values, found)
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "True", "False")
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def distinct_texts(values: pa.ChunkedArray | pa.Array) -> set[str]:
    """Return the distinct values of a column, or of its lists' elements, as text; null and empty ones are none."""
    values = _combined(values)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = values.flatten()
    return {str(value) for value in pc.unique(values).to_pylist() if value not in (None, "")}


def _combined(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):  # combining copies even a single chunk
        values = values.chunk(0) if values.num_chunks == 1 else pa.concat_arrays(values.chunks or [_empty(values.type)])
    if pa.types.is_large_string(values.type):
        return values.cast(pa.string())
    return values


def _empty(kind: pa.DataType) -> pa.Array:
    return pa.array([], kind)


def _class_names(values: pa.Array, found: Class) -> pa.Array:
    ids = values.cast(pa.int64())
    valid = pc.and_(pc.greater_equal(ids, 0), pc.less(ids, len(found.names)))
    return pa.array(found.names, pa.string()).take(pc.if_else(valid, ids, None))


def _nested(node: nodes.Nested, table: pa.Table, schema: Schema) -> pa.Array:
    values = column(node.column, table, schema)
    for name in node.path:
        values = _part(values, name)
    return values


def _part(values: pa.Array, name: str) -> pa.Array:
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        inner = _part(values.flatten(), name)
        return pa.ListArray.from_arrays(_offsets(values), inner, mask=pc.is_null(values))
    return pc.struct_field(values, name)


def _offsets(values: pa.Array) -> pa.Array:
    """Return list offsets that start at 0, whatever slice of a larger array `values` is."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _template(node: nodes.Template, table: pa.Table, schema: Schema) -> pa.Array:
    parts: list[Any] = []
    for literal, name, _, _ in string.Formatter().parse(node.text):
        parts += [literal] if literal else []
        parts += [text_column(name, table, schema)] if name else []
    if not any(isinstance(part, pa.Array) for part in parts):
        return pa.array([node.text] * len(table), pa.string())
    return pc.binary_join_element_wise(*parts, "", null_handling="emit_null")


def _lines(node: nodes.Lines, table: pa.Table, schema: Schema) -> pa.Array:
    return reduce(_below, (text_column(field, table, schema) for field in node.fields))


def _below(above: pa.Array, text: pa.Array) -> pa.Array:
    """`text` on a line of its own below `above`; whichever of the two is blank takes no line."""
    both = pc.binary_join_element_wise(above, text, "\n", null_handling="emit_null")
    return pc.if_else(_blank(above), text, pc.if_else(_blank(text), above, both))


def _blank(texts: pa.Array) -> pa.Array:
    return pc.equal(pc.utf8_trim_whitespace(texts), "")


def _listed(node: nodes.Listed, table: pa.Table, schema: Schema) -> pa.Array:
    parts = [text_column(field, table, schema) for field in node.fields]
    rows, width = len(table), len(parts)
    order = (np.arange(width)[None, :] * rows + np.arange(rows)[:, None]).ravel()
    values = pa.concat_arrays(parts).take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * width), values)


def _index_in(node: nodes.IndexIn, table: pa.Table, schema: Schema) -> pa.Array:
    """The first place of the value among the row's choices: compare the flat list with the value repeated."""
    choices = column(node.choices, table, schema)
    values = text_column(node.value, table, schema)
    flat = choices.flatten().cast(pa.string())
    parents = pc.list_parent_indices(choices).to_numpy()
    equal = pc.fill_null(pc.equal(flat, values.take(pa.array(parents))), False).to_numpy(zero_copy_only=False)
    starts = _offsets(choices).to_numpy()
    found = np.full(len(table), -1, dtype=np.int64)
    hits = np.flatnonzero(equal)[::-1]  # the first hit is written last
    found[parents[hits]] = hits - starts[parents[hits]]
    return pa.array(found, mask=found < 0)


def _code(node: nodes.Code, table: pa.Table, schema: Schema) -> pa.Array:
    keys = pa.array([str(key) for key, _ in node.values], pa.string())
    places = pc.index_in(text_column(node.field, table, schema), value_set=keys)
    return pa.array([value for _, value in node.values], pa.int64()).take(places)


def _one_based(node: nodes.OneBased, table: pa.Table, schema: Schema) -> pa.Array:
    values = column(node.field, table, schema)
    if pa.types.is_string(values.type):
        digits = pc.match_substring_regex(values, r"^\s*\d+\s*$")
        values = pc.if_else(digits, pc.utf8_trim_whitespace(values), None)
    elif isinstance(node.field, str) and isinstance(schema.get(node.field), Class):
        return _one_based_names(values, schema[node.field])
    return pc.subtract(values.cast(pa.int64()), 1)


def _one_based_names(values: pa.Array, found: Any) -> pa.Array:
    return pc.subtract(_class_names(values, found).cast(pa.int64()), 1)


def _sole(node: nodes.Sole, table: pa.Table, schema: Schema) -> pa.Array:
    scores = column(node.scores, table, schema)
    flat = scores.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    offsets = _offsets(scores).to_numpy()
    parents = np.repeat(np.arange(len(scores)), np.diff(offsets))
    best = np.full(len(scores), -np.inf)
    np.maximum.at(best, parents, flat)
    hits = np.flatnonzero(flat == best[parents])
    count = np.bincount(parents[hits], minlength=len(scores))
    found = np.full(len(scores), -1, dtype=np.int64)
    found[parents[hits]] = hits - offsets[parents[hits]]
    return pa.array(found, mask=count != 1)


def _above(node: nodes.Above, table: pa.Table, schema: Schema) -> pa.Array:
    columns = [column(name, table, schema).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in node.names]
    values = np.stack(columns, axis=1)
    chosen = values >= node.threshold
    _, ids = np.nonzero(chosen)
    lists = pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)), pa.array(ids, pa.int64())
    )
    undefined = np.isnan(values).any(axis=1)
    return lists if not undefined.any() else pc.if_else(pa.array(~undefined), lists, None)


def _prefix_each(node: nodes.PrefixEach, table: pa.Table, schema: Schema) -> pa.Array:
    choices = column(node.choices, table, schema)
    prefix = text_column(node.prefix, table, schema).take(pc.list_parent_indices(choices))
    joined = pc.binary_join_element_wise(prefix, choices.flatten(), " ", null_handling="emit_null")
    return pa.ListArray.from_arrays(_offsets(choices), joined)


def _split_options(node: nodes.SplitOptions, table: pa.Table, schema: Schema) -> pa.Array:
    pattern = re.compile(node.pattern)
    cut = [
        None if text is None else [part.strip() for part in pattern.split(text) if part and part.strip()]
        for text in column(node.field, table, schema).to_pylist()
    ]
    return pa.array(cut, pa.list_(pa.string()))


def _cases(node: nodes.Cases, table: pa.Table, schema: Schema) -> pa.Array:
    keys = pa.array([str(key) for key, _ in node.texts], pa.string())
    places = pc.index_in(text_column(node.field, table, schema), value_set=keys)
    return pa.array([text for _, text in node.texts], pa.string()).take(places)


def _shuffled(node: nodes.Shuffled, table: pa.Table, schema: Schema) -> pa.Array:
    return column(node.choices, table, schema)  # the order is drawn where the label is known, in `standardize`


def _constant(node: nodes.Constant, table: pa.Table, schema: Schema) -> pa.Array:
    return pa.array([node.value] * len(table))


def _function(node: nodes.Function, table: pa.Table, schema: Schema) -> pa.Array:
    arguments = [column(name, table, schema).to_pylist() for name in node.arguments]
    return pa.array(column_function(node.name).call(*arguments))


COMPUTE: dict[type[Expression], Callable[[Any, pa.Table, Schema], pa.Array]] = {
    nodes.Nested: _nested,
    nodes.Template: _template,
    nodes.Lines: _lines,
    nodes.Listed: _listed,
    nodes.IndexIn: _index_in,
    nodes.Code: _code,
    nodes.OneBased: _one_based,
    nodes.Sole: _sole,
    nodes.Above: _above,
    nodes.PrefixEach: _prefix_each,
    nodes.SplitOptions: _split_options,
    nodes.Cases: _cases,
    nodes.Shuffled: _shuffled,
    nodes.Constant: _constant,
    nodes.Function: _function,
}
"""One entry for every node of the vocabulary."""


def row_permutation(task: str, row: int, length: int) -> list[int]:
    """Return an order of `length` choices drawn from a hash of task and row: the same on every machine."""

    def key(place: int) -> bytes:
        return hashlib.blake2b(f"{task}/{row}/{place}".encode(), digest_size=8).digest()

    return sorted(range(length), key=key)
