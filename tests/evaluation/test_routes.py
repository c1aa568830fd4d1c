"""Which head answers a task, trained or not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from taskloom.errors import ModelError
from taskloom.evaluation.routes import find_route, own_route
from taskloom.modeling.head_table import HeadTable
from taskloom.recipes.expressions import Listed
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recasts import recast_task
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
NLI = ("entailment", "neutral", "contradiction")


def task(name: str, kind: Kind = CLASSES, **more) -> Task:
    """Return a recipe."""
    return Task(id=name, source=Hub("o/n"), kind=kind, splits=Splits(train="train"), family="nli", **more)


def table(*tasks: tuple[Task, tuple[str, ...]], share: bool = True) -> HeadTable:
    """Return the heads of trained tasks."""
    return HeadTable.make(
        [
            {"task": one.versioned, "id": one.id, "kind": one.kind.name, "labels": labels,
             "key": sharing_key(one, labels, share=share),
             "low": 0.0 if one.kind.name == "regression" else None,
             "high": 1.0 if one.kind.name == "regression" else None}
            for one, labels in tasks
        ]
    )  # fmt: skip


def test_a_trained_task_reads_its_own_head() -> None:
    """Id and version decide; the rows come in the order of the labels asked for."""
    trained = table((task("a"), NLI), (task("b"), ("x", "y")))
    route = find_route(trained, task("a"), ("contradiction", "entailment", "neutral"))
    assert (route.through, route.place, route.trained) == ("trained", 0, True)
    assert route.head.rows == (2, 0, 1)
    assert own_route(trained, "b").head.labels == ("x", "y")


def test_a_new_version_with_other_labels_is_not_the_trained_task() -> None:
    """A recipe whose labels changed since training is not answered by its old head in silence."""
    trained = table((task("a"), ("x", "y")))
    with pytest.raises(ModelError, match="was not trained"):
        find_route(trained, dataclasses.replace(task("a"), version=2), ("x", "z"))


@pytest.mark.parametrize("share", [True, False])
def test_the_head_of_the_same_labels_answers(share: bool) -> None:
    """Names in other spelling and order, from a run that shares heads or not."""
    trained = table((task("other"), ("up", "down")), (task("mnli"), NLI), (task("snli"), NLI), share=share)
    route = find_route(trained, task("anli"), ("Contradiction", "NEUTRAL", "entailed"))
    assert (route.through, route.trained, route.head.task) == ("same labels", False, "mnli@1")
    assert [trained.heads[1].labels[trained.heads[1].rows.index(row)] for row in route.head.rows] == list(NLI)[::-1]


def test_two_way_entailment_from_the_three_way_head() -> None:
    """Neutral and contradiction are added up, in whatever order the heads name them; a two-way head goes first."""
    order = ("neutral", "entailment", "contradiction")
    route = find_route(table((task("mnli"), order)), task("rte"), ("not_entailment", "entailment"))
    assert route.through == "three-way NLI"
    assert route.of_labels(np.array([[0.2, 0.5, 0.3]])).tolist() == [[0.5, 0.5]]
    assert route.of_labels(np.array([[0.1, 0.7, 0.2]]))[0] == pytest.approx([0.3, 0.7])
    both = table((task("mnli"), order), (task("qnli"), ("entailment", "not_entailment")))
    assert find_route(both, task("rte"), ("not_entailment", "entailment")).through == "same labels"


def test_any_choices_read_the_shared_row() -> None:
    """Multiple choice that was never trained is scored by the row that all choices share."""
    choices = MultipleChoice(prompt="prompt", choices="choices", label="label")
    route = find_route(table((task("a"), NLI), (task("codah", choices), ())), task("arc", choices), ())
    assert (route.through, route.head.task) == ("choices", "codah@1")


REFUSED = {
    "generic names": (task("boolq"), ("true", "false"), "names too general"),
    "other names": (task("x"), ("cat", "dog"), "shares its labels cat, dog"),
    "a scale": (task("r", Regression(text="text", score="score", low=0, high=9)), (), "no trained task has its scale"),
    "another kind": (task("m", Multilabel(text="text", labels="labels")), NLI, "of kind multilabel"),
    "no choices": (
        task("c", MultipleChoice(prompt="p", choices="c", label="l")),
        (),
        "neither was any other multiple-choice task",
    ),
    "one's own": (dataclasses.replace(task("own/nli"), family="own"), ("x", "y"), "was not trained"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_head_is_guessed(name: str) -> None:
    """Where nothing fits, the reason is told and no other head answers."""
    asked, labels, message = REFUSED[name]
    trained = table(
        (task("wic"), ("true", "false")), (task("mnli"), NLI), (task("t"), ("x", "y")),
        (task("s", Regression(text="text", score="score", low=0, high=1)), ()),
    )  # fmt: skip
    with pytest.raises(ModelError, match=message):
        find_route(trained, asked, labels)


def test_choices_are_not_answered_by_a_cosine() -> None:
    """The rows of a matching head weigh the products of two vectors; an untrained task of choices reads the plain one,
    however many matching tasks there are, and no head where that is the only one."""
    choices = MultipleChoice(prompt="p", choices=Listed(("a", "b")), label="l")
    matching = [recast_task(task(name), "matching") for name in ("x", "y", "z")]
    both = table(*((one, ()) for one in matching), (task("plain", choices), ()))
    route = find_route(both, task("new", choices), ())
    assert route.head.rows == both.heads[3].rows
    assert find_route(both, recast_task(task("other"), "matching"), ()).head.rows == both.heads[0].rows
    with pytest.raises(ModelError):
        find_route(table(*((one, ()) for one in matching)), task("new", choices), ())
