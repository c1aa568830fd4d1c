"""Recipes are frozen values that check themselves."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from taskloom.errors import RecipeError
from taskloom.recipes.expressions import Cases, Lines, Template
from taskloom.recipes.recipe import (
    Classification,
    Defect,
    Files,
    Held,
    Hub,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    Where,
)


def _task(**changes: object) -> Task:
    values = {
        "id": "set/config",
        "source": Hub("owner/set", "config"),
        "kind": Classification(text="text", label="label", names={"a": "first", "b": None}),
        "splits": Splits(train="train", validation=Held(0.1)),
        "family": "topic",
    }
    return Task(**(values | changes))  # type: ignore[arg-type]


def test_equal_recipes_are_equal_values() -> None:
    """Two recipes written alike compare, hash and fingerprint alike, and survive pickling."""
    first, second = _task(), _task()
    assert first == second and hash(first) == hash(second)
    assert first.fingerprint() == second.fingerprint()
    assert pickle.loads(pickle.dumps(first)) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"source": Hub("owner/set", "config", revision="abc")},
        {"kind": Classification(text="text", label="label", names={"a": "first", "b": "second"})},
        {"splits": Splits(train="train", validation=Held(0.2))},
        {"where": (Where("kept", ("yes",)),)},
    ],
)
def test_fingerprint_follows_what_decides_the_rows(changes: dict[str, object]) -> None:
    """Anything that changes rows changes the fingerprint."""
    assert _task(**changes).fingerprint() != _task().fingerprint()


@pytest.mark.parametrize(
    "changes", [{"weight": 2.0}, {"question": "Which?"}, {"license": "mit"}, {"role": "evaluation"}]
)
def test_fingerprint_ignores_the_rest(changes: dict[str, object]) -> None:
    """What people read, and how often the task is drawn, leaves prepared rows valid."""
    assert _task(**changes).fingerprint() == _task().fingerprint()


def test_recipes_cannot_be_changed() -> None:
    """Assigning to a field is an error."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        _task().version = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"id": "two words"}, "blanks"),
        ({"id": "a@2"}, "blanks or any of"),
        ({"family": "topik"}, "Did you mean 'topic'"),
        ({"role": "test"}, "train, evaluation"),
        ({"license_use": "free"}, "commercial"),
        ({"splits": Splits()}, "no split"),
        ({"weight": 0.0}, "above 0"),
    ],
)
def test_mistakes_are_refused_when_made(changes: dict[str, object], message: str) -> None:
    """A wrong value names itself and what is allowed."""
    with pytest.raises(RecipeError, match=message):
        _task(**changes)


def test_unknown_fields_are_refused() -> None:
    """There is no field that is quietly ignored."""
    with pytest.raises(TypeError, match="lable"):
        Classification(text="a", lable="b")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Held(1.5), "between 0 and 1"),
        (lambda: Defect("odd", "because"), "unsound"),
        (lambda: Regression(text="a", score="b", low=1, high=1), "below"),
        (lambda: Files((("train", ("a.xls",)),), "xls"), "csv"),
        (lambda: Classification(text="a", label="b", names={}), "empty"),
    ],
)
def test_parts_check_themselves(make: object, message: str) -> None:
    """Each part of a recipe refuses what cannot be meant."""
    with pytest.raises(RecipeError, match=message):
        make()  # type: ignore[operator]


def test_columns_are_all_that_a_recipe_reads() -> None:
    """Fields, templates, filters and groups are among the columns, each once."""
    task = _task(
        kind=MultipleChoice(
            prompt=Lines("context", Cases("ask", {"cause": "Why?"})), choices="options", label=Template("{answer}")
        ),
        splits=Splits(train=Held(0.5, by="group")),
        where=(Where("kind", ("x",)), Where("context", ("",), keep=False)),
        row_weight="votes",
    )
    assert task.columns() == ("context", "ask", "options", "answer", "kind", "group", "votes")
