"""Expressions know their types from a schema, without a row."""

from __future__ import annotations

import pytest

from taskloom.errors import RecipeError
from taskloom.recipes.expressions import (
    Above,
    Cases,
    Code,
    Constant,
    Expression,
    IndexIn,
    Lines,
    Listed,
    Nested,
    OneBased,
    PrefixEach,
    Shuffled,
    Sole,
    SplitOptions,
    Template,
    type_of,
)
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Record, Text, Type, schema_from_features

SCHEMA = schema_from_features(
    {
        "text": {"dtype": "string", "_type": "Value"},
        "number": {"dtype": "int64", "_type": "Value"},
        "score": {"dtype": "float32", "_type": "Value"},
        "flag": {"dtype": "bool", "_type": "Value"},
        "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
        "words": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
        "scores": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"},
        "old": {"feature": {"text": {"dtype": "string", "_type": "Value"}}, "_type": "Sequence"},
        "records": [{"text": {"dtype": "string", "_type": "Value"}}],
    }
)


def test_features_become_types() -> None:
    """The JSON of datasets.Features, old and new forms, gives our types."""
    assert {
        "text": Text(),
        "number": Integer(),
        "score": Number(),
        "flag": Boolean(),
        "label": Class(("no", "yes")),
        "words": ListOf(Text()),
        "scores": ListOf(Number()),
        "old": Record((("text", ListOf(Text())),)),
        "records": ListOf(Record((("text", Text()),))),
    } == SCHEMA


@pytest.mark.parametrize(
    "field, expected",
    [
        ("text", Text()),
        (Nested("old", "text"), ListOf(Text())),
        (Nested("records", "text"), ListOf(Text())),
        (Template("{text}: {number} {label}"), Text()),
        (Listed("text", Template("{number}")), ListOf(Text())),
        (Lines("text", Cases("label", {"no": "No?"})), Text()),
        (IndexIn("text", "words"), Integer()),
        (Code("text", {"A": 0}), Integer()),
        (OneBased("number"), Integer()),
        (Sole("scores"), Integer()),
        (Above(("number", "flag"), 0.5), ListOf(Class(("number", "flag")))),
        (PrefixEach("text", "words"), ListOf(Text())),
        (SplitOptions("text", ","), ListOf(Text())),
        (Shuffled("words"), ListOf(Text())),
        (Constant(0), Integer()),
        (Constant(""), Text()),
        (Constant(True), Boolean()),
    ],
)
def test_types(field: str | Expression, expected: Type) -> None:
    """Each node gives its declared type."""
    assert type_of(field, SCHEMA) == expected


@pytest.mark.parametrize(
    "field, named",
    [
        ("txt", "Did you mean 'text'"),
        (Nested("old", "label"), "no part 'label'"),
        (Nested("text", "x"), "no part 'x'"),
        (Template("{words}"), "words"),
        (Listed("words"), "words"),
        (IndexIn("words", "words"), "words"),
        (IndexIn("text", "text"), "a list is needed"),
        (Sole("score"), "a list is needed"),
        (Above(("words",), 0.5), "words"),
        (SplitOptions("words", ","), "words"),
        (Code("score", {"A": 0}), "score"),
    ],
)
def test_wrong_types_are_found_without_rows(field: str | Expression, named: str) -> None:
    """A recipe that does not fit its schema is refused, with the column's name."""
    with pytest.raises(RecipeError, match=named):
        type_of(field, SCHEMA)


def test_nodes_are_values() -> None:
    """Dicts given to nodes are kept as tuples, so nodes hash and compare."""
    assert Code("a", {"x": 1}) == Code("a", {"x": 1})
    assert len({Cases("a", {"x": "X"}), Cases("a", {"x": "X"}), Cases("a", {"x": "Y"})}) == 2
