"""Which tasks share head rows, and which only look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskloom.recipes.labels import is_generic, normalize_label, sharing_key
from taskloom.recipes.recipe import (
    Classification,
    Hub,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
)

CLASSES = Classification(text="text", label="label")


def _task(name: str, kind: Kind = CLASSES, **changes: object) -> Task:
    values = {"id": name, "source": Hub("o/n"), "kind": kind, "splits": Splits(train="train"), "family": "nli"}
    return Task(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given_name, expected",
    [
        ("Not-Entailed", "not_entailment"),
        ("non entailment", "not_entailment"),
        ("pos", "positive"),
        ("positive", "positive"),
        ("opposed", "opposed"),
        ("Negation", "negation"),
        (" very  GOOD_ ", "very_good"),
    ],
)
def test_normalizing_works_on_whole_names(given_name: str, expected: str) -> None:
    """ "positive" stays itself and "opposed" is not touched: no part of a word is replaced."""
    assert normalize_label(given_name) == expected


@given(st.text(max_size=20))
def test_normalizing_twice_changes_nothing(name: str) -> None:
    """A normalized name is its own normalized name."""
    assert normalize_label(normalize_label(name)) == normalize_label(name)


@given(st.permutations(["entailment", "neutral", "contradiction"]))
def test_order_does_not_matter(order: list[str]) -> None:
    """All six orders of the NLI labels share one head."""
    assert sharing_key(_task("a"), order) == sharing_key(_task("b"), ("entailment", "neutral", "contradiction"))


@pytest.mark.parametrize(
    "labels", [("yes", "no"), ("false", "true"), ("0", "1"), ("1", "2", "3"), ("low", "high"), ("A", "B")]
)
def test_generic_sets_do_not_share(labels: tuple[str, ...]) -> None:
    """Digits, yes/no and the like say nothing about the question, unless a head is named."""
    assert is_generic(labels)
    assert sharing_key(_task("a"), labels) != sharing_key(_task("b"), labels)
    assert sharing_key(_task("a", head="h"), labels) == sharing_key(_task("b", head="h"), labels)


def test_own_tasks_do_not_share_by_name() -> None:
    """A user's positive/negative stays apart from the catalog's, unless a head is named."""
    labels = ("positive", "negative")
    assert sharing_key(_task("mine", family="own"), labels) != sharing_key(_task("theirs"), labels)


def test_a_named_head_keeps_false_friends_apart() -> None:
    """The same words under another head name are other rows."""
    labels = ("positive", "negative")
    assert sharing_key(_task("a", head="phrase"), labels) != sharing_key(_task("b"), labels)


def test_kinds_do_not_mix() -> None:
    """A multi-label task never reads the rows of a single-label one; all multiple choice reads one row."""
    labels = ("joy", "anger")
    assert sharing_key(_task("a"), labels) != sharing_key(_task("b", Multilabel(text="t", labels="l")), labels)
    choice = MultipleChoice(prompt="p", choices="c", label="l")
    assert sharing_key(_task("a", choice), ()) == sharing_key(_task("b", choice), ())
    score = Regression(text="t", score="s", low=0, high=1)
    assert sharing_key(_task("a", score), ()) != sharing_key(_task("b", score), ())


def test_sharing_can_be_switched_off() -> None:
    """With share=False every task but multiple choice has rows of its own."""
    labels = ("entailment", "neutral")
    assert sharing_key(_task("a"), labels, share=False) != sharing_key(_task("b"), labels, share=False)
