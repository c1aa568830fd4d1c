"""Recipes of recasts: ids, what can be recast, label names in plain words, selecting, sharing."""

from __future__ import annotations

import dataclasses

import pytest

from taskloom.config import make_config
from taskloom.errors import ConfigError, RecastError, RecipeError, UnknownTaskError
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.own import own_task
from taskloom.recipes.recasts import check_known_names, readable_labels, recast_task, split_recast
from taskloom.recipes.recipe import RECASTS, Task
from taskloom.recipes.select import get_task, matches, select
from taskloom.workflows.preparing import choose

OWN = {"id": "own/tone", "kind": "classification", "files": {"train": "t.csv"}, "text": "a", "label": "b"}


def named(*names: str) -> tuple[str | None, ...]:
    """Return what names are in plain words."""
    return readable_labels(recast_task(get_task("trec"), "label-nli"), names)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("very_negative", "very_positive"), ("very negative", "very positive")),
        (("MeanOfTransportation", "EducationalInstitution"), ("Mean Of Transportation", "Educational Institution")),
        (("comp.graphics", "rec.autos"), ("comp graphics", "rec autos")),
        (("JOY", "DEEP_ANGER"), ("joy", "deep anger")),
        (("NASA", "World"), ("NASA", "World")),
        (("joy", "other", "fear", "3"), ("joy", None, "fear", None)),
        (("1 star", "5 stars"), ("1 star", "5 stars")),
        (("non-toxic", "McDonald"), ("non-toxic", "McDonald")),
        (("政治", "體育"), ("政治", "體育")),
        (("neutral", "positive"), ("neutral", "positive")),
    ],
)
def test_label_names_are_made_readable(names: tuple[str, ...], said: tuple[str | None, ...]) -> None:
    """Underscores, dots, run-together words and capitals become plain words; what says nothing becomes None."""
    assert named(*names) == said


def test_a_recast_keeps_what_belongs_to_its_data() -> None:
    """License, role, splits and version stay; the head is never the task's own, and the content is another one."""
    task = dataclasses.replace(get_task("trec"), head="mine", weight=2.0)
    found = {form: recast_task(task, form) for form in RECASTS}
    for form, one in found.items():
        assert one.versioned == f"trec+{form}@{task.version}"
        assert (one.license, one.role, one.splits, one.weight) == (task.license, task.role, task.splits, 2.0)
        assert one.head == ("one-pass" if form == "one-pass" else None)
    assert found["label-nli"].kind.name == "classification"
    assert found["instruction"].kind.name == found["multiple-choice"].kind.name == "multiple_choice"
    assert len({one.fingerprint() for one in (task, *found.values())}) == 1 + len(RECASTS)


def test_the_fingerprint_of_a_recast_follows_task_and_question() -> None:
    """Another version or another question of the task is another content, since prompts quote the question."""
    task = get_task("trec")
    kept = recast_task(task, "instruction").fingerprint()
    assert recast_task(dataclasses.replace(task, weight=3.0), "instruction").fingerprint() == kept
    for change in ({"question": "What is asked for?"}, {"version": 9}, {"row_weight": "w"}):
        assert recast_task(dataclasses.replace(task, **change), "instruction").fingerprint() != kept  # type: ignore[arg-type]


def test_label_nli_reads_the_head_of_three_way_nli() -> None:
    """Catalog tasks and one's own alike: entailment means the same whatever the labels are."""
    labels = ("entailment", "neutral", "contradiction")
    wanted = sharing_key(get_task("builtin/label_nli"), labels)
    for task in (get_task("trec"), get_task("go_emotions/simplified"), own_task(OWN)):
        assert sharing_key(recast_task(task, "label-nli"), labels) == wanted


def test_ids_are_taken_apart() -> None:
    """Only a known form after the last + is one; a form that is nearly right is told."""
    assert split_recast("glue/*+label-nli") == ("glue/*", "label-nli")
    assert split_recast("lexical_relation_classification/K&H+N") == ("lexical_relation_classification/K&H+N", None)
    assert split_recast("+label-nli") == ("+label-nli", None)
    with pytest.raises(UnknownTaskError, match="Did you mean 'label-nli'"):
        split_recast("trec+label_nli")


def test_get_task_knows_recasts() -> None:
    """By id, by id and version, and the recipe is the one that a mixture makes."""
    assert get_task("trec+label-nli") == get_task("trec+label-nli@1") == recast_task(get_task("trec"), "label-nli")
    with pytest.raises(UnknownTaskError, match="trec"):
        get_task("trek+label-nli")
    with pytest.raises(RecipeError, match="kind regression"):
        get_task("glue/stsb+label-nli")
    with pytest.raises(RecipeError, match="is a recast of trec"):
        get_task("trec+label-nli+instruction")


def ids(*patterns: str, **more: object) -> list[str]:
    """Return the ids that patterns select."""
    return [task.id for task in select(patterns, **more).tasks]  # type: ignore[arg-type]


def test_a_mixture_gets_recasts_of_what_can_be_recast() -> None:
    """Recasts come after all tasks, which keep their places; other kinds are as they are."""
    plain = ids("trec", "glue/stsb", "go_emotions/simplified")
    found = ids("trec", "glue/stsb", "go_emotions/simplified", recast=["label-nli", "instruction"])
    assert found[:3] == plain
    assert sorted(found[3:]) == sorted(
        f"{task}+{form}" for task in ("trec", "go_emotions/simplified") for form in ("label-nli", "instruction")
    )


def test_patterns_choose_recasts_alone() -> None:
    """A form after a pattern gives the recasts without the tasks; exclusions see ids, kinds and roles of recasts."""
    assert ids("trec+label-nli") == ["trec+label-nli"]
    assert all(
        one.startswith("tweet_eval/") and one.endswith("+instruction") for one in ids("tweet_eval/*+instruction")
    )
    assert ids("trec", recast=["label-nli", "instruction"], exclude=["*+label-nli"]) == ["trec", "trec+instruction"]
    assert ids("trec", recast=["label-nli"], exclude=["trec"]) == []
    assert ids("trec", "trec+label-nli", recast=["label-nli"]) == ["trec", "trec+label-nli"]
    assert select(["trec+label-nli"], exclude=["*+label-nli"]).excluded_by_name == ("trec+label-nli",)
    with pytest.raises(RecipeError, match="Only classification and multilabel"):
        ids("glue/stsb+label-nli")


def test_recasts_are_in_the_collections_of_their_tasks() -> None:
    """`exclude = ["extra"]` takes away no recast of the 420."""
    assert matches("tasksource-420", get_task("trec+label-nli"))
    assert not matches("extra", get_task("trec+label-nli"))


def test_known_names_are_refused_before_reading() -> None:
    """A recipe whose names say nothing is refused without its rows; names that the data give wait for them."""
    plain = dataclasses.replace(get_task("trec"), kind=dataclasses.replace(get_task("trec").kind, names=["0", "1"]))  # type: ignore[call-arg]
    with pytest.raises(RecastError, match="say nothing"):
        check_known_names(recast_task(plain, "label-nli"))
    check_known_names(recast_task(own_task(OWN), "label-nli"))
    check_known_names(plain)


def chosen(**values: object) -> list[Task]:
    """Return what a configuration selects."""
    return list(choose(make_config({"task": [OWN], **values})).tasks)


def test_run_files_ask_for_recasts() -> None:
    """In [data] for all chosen tasks, in [[task]] for one; once is enough."""
    assert [task.id for task in chosen(data={"tasks": [], "recast": "label-nli"})] == ["own/tone", "own/tone+label-nli"]
    entry = OWN | {"recast": ["label-nli", "multiple-choice"]}
    found = choose(make_config({"task": [entry], "data": {"tasks": ["trec"], "recast": ["label-nli"]}})).tasks
    assert [task.id for task in found] == [
        "own/tone", "trec", "own/tone+label-nli", "own/tone+multiple-choice", "trec+label-nli",
    ]  # fmt: skip


def test_mistakes_in_run_files_are_told() -> None:
    """Each message names what was given and what is allowed."""
    with pytest.raises(ConfigError, match=r"data\.recast.*Did you mean 'label-nli'"):
        make_config({"data": {"recast": ["label_nli"]}})
    with pytest.raises(ConfigError, match="Did you mean 'label-nli'"):
        choose(make_config({"task": [OWN | {"recast": "label_nli"}], "data": {"tasks": []}}))
    with pytest.raises(ConfigError, match="Allowed: one or a list of"):
        choose(make_config({"task": [OWN | {"recast": True}], "data": {"tasks": []}}))
    score = {"id": "own/s", "kind": "regression", "files": "t.csv", "text": "a", "score": "b", "low": 0, "high": 1}
    with pytest.raises(ConfigError, match="no key 'recast' for regression"):
        choose(make_config({"task": [score | {"recast": "label-nli"}], "data": {"tasks": []}}))


def test_config_and_recipes_know_the_same_forms() -> None:
    """The forms stand in the configuration and in the recipes; neither imports the other."""
    for form in RECASTS:
        assert make_config({"data": {"recast": form}}).data.recast == (form,)
