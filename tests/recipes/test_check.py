"""Recipes against recorded schemas: each way to be wrong is found, with faulty recipes made for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from taskloom.recipes.catalog import catalog, tasksource_420
from taskloom.recipes.check import BUILT_IN, NEITHER, check_types
from taskloom.recipes.expressions import Cases, Code, IndexIn, Lines, Listed, Nested, Shuffled, Template
from taskloom.recipes.recipe import (
    Builtin,
    Classification,
    Held,
    Hub,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
    Where,
)
from taskloom.recipes.recorded import MIRROR, PUBLISHED, Recorded
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Record, Schema, Text

COLUMNS: Schema = {
    "text": Text(), "other": Text(), "number": Integer(), "share": Number(), "flag": Boolean(), "words": ListOf(Text()),
    "label": Class(("no", "yes")), "three": Class(("a", "b", "c")), "tags": ListOf(Class(("O", "B"))),
    "options": Record((("text", ListOf(Text())), ("label", ListOf(Text())))), "numbers": ListOf(Number()),
}  # fmt: skip
NAMES = {"no": "refused", "yes": "granted"}
RIGHT = Classification(text="text", pair="other", label="label", names=NAMES)


def made(kind: Kind = RIGHT, **changes: object) -> Task:
    """A task over COLUMNS, right unless changed."""
    values = {
        "id": "made/task", "source": Hub("made/set"), "kind": kind, "family": "other",
        "splits": Splits(train="train", validation=Held(0.1, by="other")),
    } | changes  # fmt: skip
    return Task(**values)  # type: ignore[arg-type]


def finds(**schemas: Schema | None) -> Callable[[Hub, str], Recorded | None]:
    """Recorded schemas by evidence: `published` and `mirror`, both with a train and a test split."""
    by_evidence = {PUBLISHED: schemas.get("published"), MIRROR: schemas.get("mirror")}

    def find(source: Hub, evidence: str) -> Recorded | None:
        schema = by_evidence[evidence]
        return Recorded(evidence, source.repo, (), ("default",), (), ("train", "test"), schema) if schema else None

    return find


def faults(task: Task, schema: Schema = COLUMNS) -> list[str]:
    """Names of the faults that a recipe has under a published schema."""
    return [fault.name for fault in check_types(task, finds(published=schema)).faults]


@pytest.mark.parametrize(
    "kind",
    [
        RIGHT,
        Classification(text=Template("{text} {number}"), label="label"),
        Classification(text="text", label="number", names=("low", "high")),
        Classification(text="text", label="flag", names={"False": "no", "True": "sure"}),
        Classification(text="text", label="three", names={"a": "x", "b": "y", "c": None}),
        Multilabel(text="text", labels="tags"),
        Regression(text="text", score="share", low=0, high=1),
        MultipleChoice(prompt="text", choices=Shuffled(Listed("text", "other")), label="label"),
        MultipleChoice(
            prompt="text", choices=Nested("options", "text"), label=IndexIn("other", Nested("options", "label"))
        ),
        TokenClassification(tokens="words", labels="tags"),
    ],
)
def test_right_recipes_pass(kind: Kind) -> None:
    """A recipe of each kind that fits its schema has no fault, and the schema counts as its evidence."""
    report = check_types(made(kind), finds(published=COLUMNS))
    assert report.faults == report.differences == ()
    assert report.evidence == (PUBLISHED,)


@pytest.mark.parametrize(
    "task, names",
    [
        (made(Classification(text="txt", label="label")), ["column txt"]),
        (made(where=(Where("txet", ("a",)),)), ["column txet"]),
        (made(splits=Splits(train="train", validation=Held(0.1, by="group"))), ["column group"]),
        (made(row_weight="wieght"), ["column wieght"]),
        (made(Classification(text="words", label="label")), ["field text"]),
        (made(Classification(text="text", label="share")), ["field label"]),
        (made(Classification(text="text", label="words")), ["field label"]),
        (made(Classification(text=Template("{words}"), label="label")), ["field text"]),
        (made(Multilabel(text="text", labels="label")), ["field labels"]),
        (made(Multilabel(text="text", labels="numbers")), ["field labels"]),
        (made(Regression(text="text", score="label", low=0, high=1)), ["field score"]),
        (made(MultipleChoice(prompt="text", choices="text", label="number")), ["field choices"]),
        (made(MultipleChoice(prompt="text", choices="numbers", label="number")), ["field choices"]),
        (made(MultipleChoice(prompt="text", choices="words", label="text")), ["field label"]),
        (made(MultipleChoice(prompt="text", choices=Nested("options", "txt"), label="number")), ["field choices"]),
        (made(TokenClassification(tokens="text", labels="tags")), ["field tokens"]),
        (made(MultipleChoice(prompt="text", choices=Listed("text", "other"), label="three")), ["label count"]),
        (made(Classification(text="text", label="label", names={"no": "refused"})), ["label yes", "label count"]),
        (made(Classification(text="text", label="label", names={**NAMES, "may be": "x"})), ["label may be"]),
        (made(Classification(text="text", label="label", names=("refused", "granted"))), ["names"]),
        (made(Classification(text="text", label="number")), ["names"]),
        (made(Classification(text="text", label="number", names=("a", "b", "a"))), ["names"]),
        (made(Classification(text="text", label="number", names={"one": "a", "2": "b"})), ["label one"]),
        (made(Classification(text="text", label="flag", names={"yes": "a", "False": "b"})), ["label yes"]),
        (made(Classification(text="text", label="three", names={"a": "x", "b": "x", "c": None})), ["label count"]),
        (made(splits=Splits(train="train", test="tset")), ["split tset"]),
        (made(where=(Where("three", ("d",)),)), ["value d"]),
        (made(Classification(text=Cases("label", {"perhaps": "?"}), label="label")), ["value perhaps"]),
        (made(Classification(text=Lines("text", Cases("label", {"perhaps": "?"})), label="label")), ["value perhaps"]),
        (made(MultipleChoice(prompt="text", choices="words", label=Code("flag", {"yes": 1}))), ["value yes"]),
    ],
)
def test_faulty_recipes_are_found(task: Task, names: list[str]) -> None:
    """Each recipe is wrong in one way, and that way is named."""
    assert faults(task) == names


def test_the_message_says_what_there_is() -> None:
    """A wrong column is told with those that exist and the one that was meant; a wrong label likewise."""
    (column,) = check_types(made(Classification(text="txt", label="label")), finds(published=COLUMNS)).faults
    assert "there are: text, other" in column.message
    assert "Did you mean 'text'" in column.message
    label = Classification(text="text", label="label", names={"no": "refused", "yess": "granted"})
    assert "Did you mean 'yess'" in check_types(made(label), finds(published=COLUMNS)).faults[0].message


def test_bare_ids_beside_names_are_allowed() -> None:
    """Some copies of a set hold the class ids as integers: digits may stand in names beside the class names."""
    both = Classification(text="text", label="label", names={"no": "refused", "yes": "granted", "0": "refused"})
    assert faults(made(both)) == []


def test_a_sample_may_lack_a_split_but_not_all() -> None:
    """A mirror's sample without the validation split is no fault; one without any split that is named is."""
    some = made(splits=Splits(train="train", validation="validation"))
    assert check_types(some, finds(mirror=COLUMNS)).faults == ()
    assert faults(some) == ["split validation"]
    none = made(splits=Splits(validation="validation"))
    assert [fault.name for fault in check_types(none, finds(mirror=COLUMNS)).faults] == ["split validation"]


def test_todays_rows_decide() -> None:
    """Where a mirror's schema fits, differences from 2022 are told and no fault; the other way round they are one."""
    changed = {**COLUMNS, "headline": Text()}
    task = made(Classification(text="headline", label="label"))
    report = check_types(task, finds(published=COLUMNS, mirror=changed))
    assert report.evidence == (MIRROR,)
    assert report.faults == ()
    assert "'headline' is missing" in report.differences[0]
    report = check_types(task, finds(published=changed, mirror=COLUMNS))
    assert [fault.name for fault in report.faults] == ["column headline"]


def test_without_a_schema_a_recipe_says_on_what_it_rests() -> None:
    """Silence is a fault, and so is a statement that a recorded schema has made needless."""
    report = check_types(made(), finds())
    assert (report.evidence, [fault.name for fault in report.faults]) == ((NEITHER,), ["rests_on nothing"])
    stated = made(rests_on="the paper")
    assert check_types(stated, finds()).faults == ()
    assert [fault.name for fault in check_types(stated, finds(mirror=COLUMNS)).faults] == ["rests_on out of date"]


def test_a_statement_does_not_hide_a_difference() -> None:
    """With rests_on a recipe may differ from 2022, and the differences are told; from the mirror it may not."""
    task = made(Classification(text="headline", label="label"), rests_on="today's copy")
    report = check_types(task, finds(published=COLUMNS))
    assert (report.evidence, report.faults) == ((NEITHER,), ())
    assert "'headline' is missing" in report.differences[0]
    assert [fault.name for fault in check_types(task, finds(mirror=COLUMNS)).faults] == ["column headline"]


def test_built_in_tasks_are_counted_apart() -> None:
    """A generator needs no recorded schema."""
    assert check_types(made(source=Builtin("topic_mentions"))).evidence == (BUILT_IN,)


def test_the_whole_catalog_is_right() -> None:
    """Every recipe of the catalog agrees with what is recorded, and most of the 420 have evidence."""
    reports = [check_types(task) for task in catalog()]
    assert [fault for report in reports for fault in report.faults] == []
    of_2022 = [report for report in reports if report.task.id in tasksource_420()]
    assert sum(report.evidence == (NEITHER,) for report in of_2022) < len(of_2022) / 5


def test_a_wrong_column_in_the_catalog_would_be_found() -> None:
    """The check is not empty: each hub recipe with a schema fails when a column of it is renamed."""
    passed = []
    for task in catalog():
        report = check_types(task)
        if isinstance(task.kind, Classification) and report.evidence[0] in (PUBLISHED, MIRROR):
            wrong = dataclasses.replace(task, kind=dataclasses.replace(task.kind, label="no such column"))
            passed += [task.id] if not check_types(wrong).faults else []
    assert passed == []
