"""The types of columns, as far as a recipe needs them: enough to refuse a wrong recipe without reading a row.

`datasets.Features` is the source of truth, but importing `datasets` costs more than a second; its JSON form is stored
in every hub parquet file, and these seven types are what that JSON says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """A string."""


@dataclass(frozen=True)
class Integer:
    """A whole number without names."""


@dataclass(frozen=True)
class Number:
    """A floating-point number."""


@dataclass(frozen=True)
class Boolean:
    """True or false."""


@dataclass(frozen=True)
class Class:
    """An integer that stands for one of `names`."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    """A list whose elements all have the type `item`."""

    item: Type


@dataclass(frozen=True)
class Record:
    """A nested record: pairs of field name and type."""

    fields: tuple[tuple[str, Type], ...]


Type = Text | Integer | Number | Boolean | Class | ListOf | Record
Schema = Mapping[str, Type]


def schema_from_features(features: Mapping[str, Any]) -> dict[str, Type]:
    """Return column name -> type for the JSON form of `datasets.Features`."""
    return {name: _type_of(feature) for name, feature in features.items()}


def _type_of(feature: Any) -> Type:
    if isinstance(feature, list):
        return ListOf(_type_of(feature[0]))
    match feature.get("_type"):
        case "ClassLabel":
            return Class(tuple(feature["names"]))
        case "Sequence":
            return _sequence_type(feature["feature"])
        case "List" | "LargeList":
            return ListOf(_type_of(feature["feature"]))
        case "Value":
            return _value_type(str(feature["dtype"]))
        case _:
            return Record(tuple((name, _type_of(part)) for name, part in feature.items() if name != "_type"))


def _sequence_type(item: Any) -> Type:
    """The older Sequence of records is stored as a record of lists; one of anything else is a list."""
    inner = _type_of(item)
    if isinstance(inner, Record):
        return Record(tuple((name, ListOf(part)) for name, part in inner.fields))
    return ListOf(inner)


def _value_type(dtype: str) -> Type:
    if dtype.startswith(("int", "uint")):
        return Integer()
    if dtype.startswith(("float", "double")):
        return Number()
    return Boolean() if dtype.startswith("bool") else Text()
