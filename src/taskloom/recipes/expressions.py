"""The closed vocabulary in which a recipe says what a field is made of.

A field is a column name or one of these frozen nodes. They hold only strings, numbers, tuples and other nodes: no
lambda and no string of code, so a recipe can be compared, hashed, fingerprinted and checked against a recorded schema
without a single row. How a node is computed over Arrow columns is said once, in `taskloom.data.columns`.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskloom.errors import RecipeError, did_you_mean
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Record, Schema, Text, Type

Scalar = str | int | float | bool


class Expression:
    """Base of all nodes."""

    def columns(self) -> tuple[str, ...]:
        """Return the source columns this node reads, in order, each once."""
        parts = (getattr(self, field.name) for field in dataclasses.fields(self))  # type: ignore[arg-type]
        found = [column for part in parts for column in (part.columns() if isinstance(part, Expression) else ())]
        return tuple(dict.fromkeys(found))

    def type_in(self, schema: Schema) -> Type:
        """Return the type of this node's value under `schema`; raises RecipeError naming the column."""
        raise NotImplementedError


Field = str | Expression


def columns_of(field: Field) -> tuple[str, ...]:
    """Return the source columns of a field."""
    return (field,) if isinstance(field, str) else field.columns()


def type_of(field: Field, schema: Schema) -> Type:
    """Return the type of a field under `schema`; raises RecipeError when a column is missing or unfit."""
    if not isinstance(field, str):
        return field.type_in(schema)
    if field not in schema:
        hint = did_you_mean(field, schema)
        raise RecipeError(f"column {field!r} is missing; there are: {', '.join(schema)}.{hint}")
    return schema[field]


def _expect(field: Field, schema: Schema, *allowed: type, what: str) -> Type:
    found = type_of(field, schema)
    if not isinstance(found, allowed):
        raise RecipeError(f"{field!r} is {found}, but {what} is needed.")
    return found


def _expect_list(field: Field, schema: Schema) -> ListOf:
    found = _expect(field, schema, ListOf, what="a list")
    assert isinstance(found, ListOf)
    return found


def _frozen_pairs(node: object, name: str) -> None:
    """Let a mapping be written as a dict and be kept as a tuple of pairs."""
    given = getattr(node, name)
    if isinstance(given, Mapping):
        object.__setattr__(node, name, tuple(given.items()))


@dataclass(frozen=True, init=False)
class Nested(Expression):
    """A field inside a record column: Nested("choices", "text"). Over a list of records it gives the list."""

    column: str
    path: tuple[str, ...]

    def __init__(self, column: str, *path: str) -> None:
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "path", path)

    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def type_in(self, schema: Schema) -> Type:
        found = type_of(self.column, schema)
        for name in self.path:
            found = self._step(found, name)
        return found

    def _step(self, found: Type, name: str) -> Type:
        if isinstance(found, ListOf):
            return ListOf(self._step(found.item, name))
        parts = dict(found.fields) if isinstance(found, Record) else {}
        if name not in parts:
            raise RecipeError(f"column {self.column!r} has no part {name!r}; there are: {', '.join(parts) or 'none'}.")
        return parts[name]


@dataclass(frozen=True)
class Template(Expression):
    """Columns put into a text: Template("Word: {word}\\n{sentence}"). A null column makes the text null."""

    text: str

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(self.text) if name))

    def type_in(self, schema: Schema) -> Type:
        for column in self.columns():
            _expect(column, schema, Text, Integer, Number, Class, Boolean, what="a text or a number")
        return Text()


@dataclass(frozen=True, init=False)
class Listed(Expression):
    """Several text fields as one list: Listed("option1", "option2")."""

    fields: tuple[Field, ...]

    def __init__(self, *fields: Field) -> None:
        object.__setattr__(self, "fields", fields)

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column for field in self.fields for column in columns_of(field)))

    def type_in(self, schema: Schema) -> Type:
        for field in self.fields:
            _expect(field, schema, Text, what="a text")
        return ListOf(Text())


@dataclass(frozen=True)
class IndexIn(Expression):
    """The place of a value in a row's list: IndexIn("answerKey", Nested("choices", "label"))."""

    value: Field
    choices: Field

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(columns_of(self.value) + columns_of(self.choices)))

    def type_in(self, schema: Schema) -> Type:
        _expect(self.value, schema, Text, Integer, what="a text or an integer")
        _expect_list(self.choices, schema)
        return Integer()


@dataclass(frozen=True)
class Code(Expression):
    """Values to numbers: Code("correct", {"a": 0, "b": 1}). A value that is not listed becomes null and is counted."""

    field: Field
    values: Any

    def __post_init__(self) -> None:
        _frozen_pairs(self, "values")

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.field)

    def type_in(self, schema: Schema) -> Type:
        _expect(self.field, schema, Text, Integer, Boolean, Class, what="a text or an integer")
        return Integer()


@dataclass(frozen=True)
class OneBased(Expression):
    """A number, or its digits as text, counted from one; gives it counted from zero."""

    field: Field

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.field)

    def type_in(self, schema: Schema) -> Type:
        _expect(self.field, schema, Integer, Text, Class, what="an integer or digits")
        return Integer()


@dataclass(frozen=True)
class Sole(Expression):
    """The place of the one highest score in a list; null when there is no single highest one."""

    scores: Field

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.scores)

    def type_in(self, schema: Schema) -> Type:
        _expect_list(self.scores, schema)
        return Integer()


@dataclass(frozen=True)
class Above(Expression):
    """The names of the columns whose value reaches a threshold: Above(("anger", "joy"), 0.5) gives a list of names."""

    names: tuple[str, ...]
    threshold: float

    def columns(self) -> tuple[str, ...]:
        return self.names

    def type_in(self, schema: Schema) -> Type:
        for column in self.names:
            _expect(column, schema, Integer, Number, Boolean, Class, Text, what="a number or a boolean")
        return ListOf(Class(self.names))


@dataclass(frozen=True)
class PrefixEach(Expression):
    """A text before each element of a list: PrefixEach("connective", "options") gives "because ...", and so on.

    `prefix` is a field; the parts are joined by a blank.
    """

    prefix: Field
    choices: Field

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(columns_of(self.prefix) + columns_of(self.choices)))

    def type_in(self, schema: Schema) -> Type:
        _expect(self.prefix, schema, Text, what="a text")
        _expect_list(self.choices, schema)
        return ListOf(Text())


@dataclass(frozen=True)
class SplitOptions(Expression):
    """A text cut into a list at each match of `pattern`; empty parts fall away: "a ) 1 , b ) 2" -> ["1", "2"]."""

    field: Field
    pattern: str

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.field)

    def type_in(self, schema: Schema) -> Type:
        _expect(self.field, schema, Text, what="a text")
        return ListOf(Text())


@dataclass(frozen=True)
class Cases(Expression):
    """A text chosen by a column's value: Cases("question", {"cause": "What was the cause?", ...})."""

    field: Field
    texts: Any

    def __post_init__(self) -> None:
        _frozen_pairs(self, "texts")

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.field)

    def type_in(self, schema: Schema) -> Type:
        _expect(self.field, schema, Text, Integer, Class, Boolean, what="a text or an integer")
        return Text()


@dataclass(frozen=True, init=False)
class Lines(Expression):
    """Several text fields, one below the other: Lines("context", Cases("question", {...})).

    A field with an empty text takes no line (a review without a title starts with its content); a null one makes the
    text null.
    """

    fields: tuple[Field, ...]

    def __init__(self, *fields: Field) -> None:
        object.__setattr__(self, "fields", fields)

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column for field in self.fields for column in columns_of(field)))

    def type_in(self, schema: Schema) -> Type:
        for field in self.fields:
            _expect(field, schema, Text, what="a text")
        return Text()


@dataclass(frozen=True)
class Shuffled(Expression):
    """Choices in an order drawn from a hash of task and row, the label moved along: for sets whose right answer is
    always first. The same order on every machine, in every version."""

    choices: Field

    def columns(self) -> tuple[str, ...]:
        return columns_of(self.choices)

    def type_in(self, schema: Schema) -> Type:
        return _expect_list(self.choices, schema)


@dataclass(frozen=True)
class Constant(Expression):
    """The same value in each row: the label of a set whose first option is always right, or an empty prompt."""

    value: Scalar

    def columns(self) -> tuple[str, ...]:
        return ()

    def type_in(self, schema: Schema) -> Type:
        if isinstance(self.value, bool):
            return Boolean()
        if isinstance(self.value, int):
            return Integer()
        return Number() if isinstance(self.value, float) else Text()


@dataclass(frozen=True)
class Function(Expression):
    """What the vocabulary cannot say: a named function of `taskloom.recipes.functions` over named columns."""

    name: str
    arguments: tuple[str, ...]

    def columns(self) -> tuple[str, ...]:
        return self.arguments

    def type_in(self, schema: Schema) -> Type:
        from taskloom.recipes.functions import declared_type  # the functions import these types

        for column in self.arguments:
            type_of(column, schema)
        return declared_type(self.name)
