"""One piece of raw rows -> canonical columns, and one reason for each row that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from taskloom.data.columns import column, distinct_texts, row_permutation, text_column
from taskloom.data.source import RawTask
from taskloom.errors import DataError, RecipeError, did_you_mean
from taskloom.recipes.expressions import Field, Shuffled, type_of
from taskloom.recipes.recipe import (
    Classification,
    Multilabel,
    MultipleChoice,
    Regression,
    Task,
    TokenClassification,
)
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Schema, Type

REASONS = (
    "", "null_text", "empty_text", "hidden_label", "label_left_out", "label_out_of_range", "null_score",
    "score_out_of_range", "too_few_choices", "answer_not_in_choices", "length_mismatch",
)  # fmt: skip
HIDDEN = ("-1", "")
"""What a source writes for a label that it keeps to itself, or has not got."""


@dataclass(frozen=True)
class LabelMap:
    """Our label names in order, and for each source value (as text) our id, or None to leave its rows out."""

    names: tuple[str, ...] = ()
    ids: tuple[tuple[str, int | None], ...] = ()
    strict: bool = False
    """Whether a value that is not listed is an error; else it is counted as out of range (bare integers)."""


class Unusable:
    """Collects one reason a row; the first one counts."""

    def __init__(self, rows: int) -> None:
        self.codes = np.zeros(rows, dtype=np.int8)

    def mark(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Give `reason` to the rows that have none yet."""
        self.codes[rows & (self.codes == 0)] = REASONS.index(reason)

    def add(self, codes: NDArray[np.int8]) -> None:
        """Give the rows that have no reason yet that of `codes`, 0 being none."""
        self.codes = np.where(self.codes == 0, codes, self.codes)

    def counts(self) -> dict[str, int]:
        """Return reason -> number of rows."""
        return {reason: int((self.codes == code).sum()) for code, reason in enumerate(REASONS) if code}


def label_map(task: Task, raw: RawTask) -> LabelMap:
    """Return the label names of a task and how source values map to them; raises RecipeError for unlisted names."""
    kind = task.kind
    if not isinstance(kind, (Classification, Multilabel, TokenClassification)):
        return LabelMap()
    field = kind.label if isinstance(kind, Classification) else kind.labels
    found = type_of(field, raw.schema)
    found = found.item if isinstance(found, ListOf) else found
    source_names = found.names if isinstance(found, Class) else None
    if kind.names is None:
        names = source_names or _distinct(task, field, raw)
        return LabelMap(names, tuple((name, at) for at, name in enumerate(names)), strict=True)
    if isinstance(kind.names[0], str):
        if not isinstance(found, Integer):
            raise RecipeError(
                f"Task {task.id}: positional names are for bare integers only; {field!r} is {found}. Map names."
            )
        return LabelMap(tuple(kind.names), tuple((str(at), at) for at in range(len(kind.names))))
    return _mapped(task, kind.names, source_names)


def _mapped(task: Task, pairs: tuple[tuple[str, str | None], ...], source_names: tuple[str, ...] | None) -> LabelMap:
    given = [source for source, _ in pairs]
    if source_names is not None:
        for name in source_names:
            if name not in given:
                raise RecipeError(
                    f"Task {task.id}: the source's label {name!r} is not listed in names.{did_you_mean(name, given)}"
                )
    names = tuple(dict.fromkeys(ours for _, ours in pairs if ours is not None))
    ids = tuple((source, None if ours is None else names.index(ours)) for source, ours in pairs)
    return LabelMap(names, ids, strict=True)


def _distinct(task: Task, field: Field, raw: RawTask) -> tuple[str, ...]:
    """The label names of one's own task: the distinct values of all of its splits, sorted.

    A rare label that only validation or test rows have is a label all the same: these rows count as answered wrongly.
    A hidden one is a label only where train rows have it.
    """
    declared = task.splits.train or task.splits.validation or task.splits.test
    first = declared if isinstance(declared, str) else declared.of  # type: ignore[union-attr]
    found: set[str] = set()
    for split, table in raw.splits.items():
        names = distinct_texts(column(field, table, raw.schema))
        found |= names if split == first else names.difference(HIDDEN)
    return tuple(sorted(found))


def canonical_piece(task: Task, table: pa.Table, schema: Schema, labels: LabelMap) -> tuple[pa.Table, dict[str, int]]:
    """Return the usable rows of a piece in canonical columns, and how many are unusable by reason."""
    unusable = Unusable(len(table))
    kind = task.kind
    if isinstance(kind, MultipleChoice):
        columns = _choice_columns(task, kind, table, schema, unusable)
    elif isinstance(kind, TokenClassification):
        columns = _token_columns(task, kind, table, schema, labels, unusable)
    else:
        columns = _text_columns(kind.text, kind.pair, table, schema, unusable)
        columns |= _answer(task, kind, table, schema, labels, unusable)
    columns["row"] = table["__row"].combine_chunks()
    if task.row_weight:
        columns["weight"] = pc.fill_null(column(task.row_weight, table, schema).cast(pa.float32()), 1.0)
    made = pa.table(columns)
    return made.filter(pa.array(unusable.codes == 0)) if unusable.codes.any() else made, unusable.counts()


def _answer(
    task: Task,
    kind: Classification | Multilabel | Regression,
    table: pa.Table,
    schema: Schema,
    labels: LabelMap,
    unusable: Unusable,
) -> dict[str, pa.Array]:
    if isinstance(kind, Regression):
        return {"score": _scores(kind, table, schema, unusable)}
    if isinstance(kind, Multilabel):
        return {"labels": _label_lists(task, kind.labels, table, schema, labels, unusable)}
    ids, codes = _label_ids(task, column(kind.label, table, schema), type_of(kind.label, schema), labels)
    unusable.add(codes)
    return {"label": ids}


def _text_columns(
    text: Field, pair: Field | None, table: pa.Table, schema: Schema, unusable: Unusable
) -> dict[str, pa.Array]:
    columns = {"text": _usable_text(text, table, schema, unusable)}
    columns["pair"] = pa.nulls(len(table), pa.string()) if pair is None else _usable_text(pair, table, schema, unusable)
    return columns


def _usable_text(field: Field, table: pa.Table, schema: Schema, unusable: Unusable) -> pa.Array:
    values = text_column(field, table, schema)
    unusable.mark(_numpy(pc.is_null(values)), "null_text")
    unusable.mark(_blank(values), "empty_text")
    return values


def _blank(values: pa.Array) -> NDArray[np.bool_]:
    """Return which texts are null, empty or white space alone, without copying them as trimming would."""
    return _numpy(pc.fill_null(pc.or_(pc.utf8_is_space(values), pc.equal(pc.binary_length(values), 0)), True))


def _label_ids(task: Task, values: pa.Array, found: Type, labels: LabelMap) -> tuple[pa.Array, NDArray[np.int8]]:
    """Return our ids, 0 where there is none, and a reason code for each value; raises DataError for an unlisted name.

    Labels have few distinct values, so each is looked up once and its id and reason are handed to its rows.
    """
    encoded = pc.dictionary_encode(values, null_encoding="encode")
    texts = _label_texts(encoded.dictionary, found)
    keys = pa.array([source for source, _ in labels.ids], pa.string())
    places = pc.index_in(texts, value_set=keys)
    ids = pa.array([ours for _, ours in labels.ids], pa.int32()).take(places)
    listed = ~_numpy(pc.is_null(places))
    hidden = _numpy(pc.fill_null(pc.is_in(texts, value_set=pa.array(HIDDEN)), False)) | _numpy(pc.is_null(texts))
    unknown = ~listed & ~hidden
    if labels.strict and unknown.any():
        value = texts[int(np.flatnonzero(unknown)[0])].as_py()
        raise DataError(
            f"Task {task.id}: label {value!r} is not listed in names. Listed: {', '.join(keys.to_pylist()[:30])}."
        )
    distinct = Unusable(len(texts))
    distinct.mark(hidden & ~listed, "hidden_label")
    distinct.mark(unknown, "label_out_of_range")
    distinct.mark(_numpy(pc.is_null(ids)), "label_left_out")
    return pc.fill_null(ids, 0).take(encoded.indices), distinct.codes[encoded.indices.to_numpy()]


def _label_texts(values: pa.Array, found: Type) -> pa.Array:
    """Return labels as text: class names, digits or words; a class id of -1 becomes "-1", not null."""
    if isinstance(found, Class):
        ids = values.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(ids, 0), pc.less(ids, len(found.names)))
        return pc.if_else(
            inside, pa.array(found.names, pa.string()).take(pc.if_else(inside, ids, 0)), ids.cast(pa.string())
        )
    if isinstance(found, Boolean):
        return pc.if_else(values, "True", "False")
    return values.cast(pa.string())


def _label_lists(
    task: Task, field: Field, table: pa.Table, schema: Schema, labels: LabelMap, unusable: Unusable
) -> pa.Array:
    """Return lists of our ids; a row with a null list or an element that has no id is unusable."""
    lists = column(field, table, schema)
    found = type_of(field, schema)
    assert isinstance(found, ListOf)
    ids, codes = _label_ids(task, lists.flatten(), found.item, labels)
    missing = np.zeros(len(lists), dtype=bool)
    missing[pc.list_parent_indices(lists).to_numpy()[codes > 0]] = True
    unusable.mark(_numpy(pc.is_null(lists)), "hidden_label")
    unusable.mark(missing, "label_left_out")
    return pa.ListArray.from_arrays(list_offsets(lists), ids)


def list_offsets(lists: pa.Array) -> pa.Array:
    """Return offsets from 0 of a list column, nulls counting as empty."""
    lengths = _numpy(pc.fill_null(pc.list_value_length(lists), 0))
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _scores(kind: Regression, table: pa.Table, schema: Schema, unusable: Unusable) -> pa.Array:
    values = column(kind.score, table, schema)
    try:
        scores = values.cast(pa.float32())
    except pa.ArrowInvalid as error:
        raise DataError(f"Column {kind.score!r} holds scores that are not numbers: {error}") from error
    numbers = scores.to_numpy(zero_copy_only=False)
    unusable.mark(np.isnan(numbers), "null_score")
    with np.errstate(invalid="ignore"):
        unusable.mark((numbers < kind.low) | (numbers > kind.high), "score_out_of_range")
    return scores


def _choice_columns(
    task: Task, kind: MultipleChoice, table: pa.Table, schema: Schema, unusable: Unusable
) -> dict[str, pa.Array]:
    prompt = text_column(kind.prompt, table, schema)
    unusable.mark(_numpy(pc.is_null(prompt)), "null_text")
    choices = column(kind.choices, table, schema)
    label = _integers(task, kind.label, table, schema)
    counts = _numpy(pc.fill_null(pc.list_value_length(choices), 0))
    with_blank = np.zeros(len(table), dtype=bool)
    with_blank[pc.list_parent_indices(choices).to_numpy()[_blank(choices.flatten())]] = True
    unusable.mark(with_blank, "empty_text")
    right = pc.fill_null(label, -2).to_numpy(zero_copy_only=False)
    unusable.mark(right == -1, "hidden_label")
    unusable.mark(counts < 2, "too_few_choices")
    unusable.mark((right < 0) | (right >= counts), "answer_not_in_choices")
    right = np.where(unusable.codes == 0, right, 0)
    if isinstance(kind.choices, Shuffled):
        choices, right = _shuffle(task, choices, right, table["__row"].to_numpy())
    return {"prompt": prompt, "choices": choices.cast(pa.list_(pa.string())), "label": pa.array(right.astype(np.int32))}


def _integers(task: Task, field: Field, table: pa.Table, schema: Schema) -> pa.Array:
    try:
        return column(field, table, schema).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Task {task.id}: label {field!r} must count the choices from 0: {error}. Use a column of whole numbers."
        ) from error


def _shuffle(
    task: Task, choices: pa.Array, right: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[pa.Array, NDArray[np.int64]]:
    """Permute each row's choices, and move the right one's place along."""
    offsets = list_offsets(choices).to_numpy()
    orders = [row_permutation(task.id, int(row), int(count)) for row, count in zip(rows, np.diff(offsets), strict=True)]
    flat = np.concatenate(
        [np.asarray(order, dtype=np.int64) + start for order, start in zip(orders, offsets, strict=False)] or [[]]
    )
    moved = np.array([order.index(place) if order else 0 for order, place in zip(orders, right.tolist(), strict=True)])
    return pa.ListArray.from_arrays(pa.array(offsets), choices.flatten().take(pa.array(flat.astype(np.int64)))), moved


def _token_columns(
    task: Task, kind: TokenClassification, table: pa.Table, schema: Schema, labels: LabelMap, unusable: Unusable
) -> dict[str, pa.Array]:
    tokens = column(kind.tokens, table, schema)
    ids = _label_lists(task, kind.labels, table, schema, labels, unusable)
    counts = _numpy(pc.fill_null(pc.list_value_length(tokens), 0))
    unusable.mark(_numpy(pc.is_null(tokens)), "null_text")
    unusable.mark(counts == 0, "empty_text")
    unusable.mark(counts != _numpy(pc.list_value_length(ids)), "length_mismatch")
    return {"tokens": tokens.cast(pa.list_(pa.string())), "labels": ids}


def _numpy(values: pa.Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return found
