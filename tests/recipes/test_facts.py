"""Recorded facts: rows, who states a license, BibTeX; and that the recipes agree with them."""

from __future__ import annotations

import re

import pytest

from taskloom.recipes.catalog import catalog, collections_of
from taskloom.recipes.facts import (
    bibliography,
    facts_of,
    license_source,
    recorded,
    rows_of,
    size_of,
    without_entry,
)
from taskloom.recipes.recipe import Builtin, Classification, Files, Held, Hub, Splits, Task
from taskloom.recipes.select import get_task, select

OF_2022 = [task for task in catalog() if "tasksource-420" in collections_of(task)]


def made(**changes: object) -> Task:
    """A task over the source of WANLI, whose rows are recorded."""
    values = {
        "id": "WANLI", "source": Hub("alisawuffles/WANLI"), "kind": Classification(text="t", label="l"),
        "splits": Splits(train="train"), "family": "nli",
    } | changes  # fmt: skip
    return Task(**values)  # type: ignore[arg-type]


def test_license_use_agrees_with_what_is_recorded() -> None:
    """A recipe says the same of what its license allows as the facts, which come from elsewhere."""
    wrong = [
        (task.id, task.license_use, facts_of(task).license_use)
        for task in catalog()
        if facts_of(task).license_use not in (None, task.license_use)
    ]
    assert wrong == []


def test_a_license_or_its_use_has_a_source() -> None:
    """Who names a license, or allows a use, can be told who says so."""
    claims = [task for task in catalog() if task.license or task.license_use != "unspecified"]
    assert len(claims) > 300
    assert [task.id for task in claims if license_source(task).startswith("nobody")] == []


def test_commercial_runs_have_commercial_tasks_alone() -> None:
    """license_use = "commercial" keeps no task whose use is non-commercial or unspecified."""
    kept = select(("tasksource-420",), license_use="commercial").tasks
    assert {task.license_use for task in kept} == {"commercial"}
    assert {"anli/r1", "glue/rte"} & {task.id for task in kept} == set()
    assert len(kept) == sum(task.license_use == "commercial" for task in OF_2022)


def test_every_set_of_the_collection_has_its_entry() -> None:
    """Each citation key of the 420 resolves to a BibTeX entry; the tasks without a key are these."""
    assert without_entry(OF_2022) == []
    assert {task.id for task in OF_2022 if task.citation is None} == {
        "gpt3_nli", "enfever_nli", "contrast_nli", "EffectiveFeedbackStudentWriting", "promptSentiment",
        "promptNLI", "promptSpoke", "promptProficiency", "promptGrammar", "promptCoherence",
    }  # fmt: skip


@pytest.mark.parametrize("key", sorted(bibliography()))
def test_entries_are_whole(key: str) -> None:
    """An entry has its key, author, title and year, and its braces match: BibTeX reads a file of all of them."""
    entry = bibliography()[key]
    kind = re.match(rf"@[a-z]+\{{{key},\n", entry)
    assert kind is not None
    depth = 0
    for at, mark in enumerate(re.sub(r"\\.", "  ", entry)):
        depth += (mark == "{") - (mark == "}")
        assert depth > 0 or at in (*range(kind.end()), len(entry) - 1)
    assert depth == 0
    fields = dict(re.findall(r"^  (\w+) = \{(.+)\},$", entry, re.MULTILINE))
    assert {"author", "title", "year"} <= fields.keys()
    assert re.search(r"[12]\d{3}", fields["year"])


def test_keys_name_the_first_author_and_nobody_else() -> None:
    """ANLI's paper is not that of abductive inference, which called itself anli too; one's own entries win."""
    known = bibliography()
    assert "Abductive" in known["bhagavatula2020abductive"]
    assert "Adversarial NLI" in known["nie2020anli"]
    assert "SemEval 2018 Task 2" in known["barbieri2018emoji"]
    assert "SemEval-2020 Task 7" in known["hossain2020semeval"]


def test_rows_by_role() -> None:
    """Rows follow the recipe's splits; carved parts take their share away; what is not recorded is None."""
    counted = recorded()["WANLI"].rows["train"]
    assert rows_of(made()) == {"train": counted}
    carved = Splits(train="train", validation=Held(0.1), test=Held(0.2, of="train"))
    assert rows_of(made(splits=carved)) == {
        "train": round(counted * 0.7), "validation": round(counted * 0.1), "test": round(counted * 0.2)
    }  # fmt: skip
    assert rows_of(made(splits=Splits(train="train", test="nothing")))["test"] is None
    assert rows_of(made(source=Builtin("agreement"))) == {"train": 2000}


def test_size_is_what_is_trained_on_or_the_largest_split() -> None:
    """A train split that nobody has counted is not replaced by a smaller one."""
    assert size_of(get_task("glue/rte")) == 2490
    assert size_of(get_task("glue_diagnostics/diagnostics")) == 1104
    assert size_of(made(splits=Splits(train="nothing", test="test"))) is None


def test_ones_own_task_has_no_facts_of_a_namesake() -> None:
    """An id of the catalog over other rows says nothing about them."""
    own = made(source=Files((("train", ("x.csv",)),)), family="own", license="mit")
    assert rows_of(own) == {"train": None}
    assert license_source(own) == "the run file"
    assert license_source(made(source=Files((("train", ("x.csv",)),)), family="own")).startswith("nobody")
    assert license_source(made(source=Builtin("agreement"))) == "made by taskloom itself"


def test_facts_are_about_tasks_that_exist() -> None:
    """No line is left of a task that went away."""
    assert set(recorded()) <= {task.id for task in catalog()}
