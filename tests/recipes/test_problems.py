"""Every defect of the mapping of December 2022, task by task: mended, or told by the task itself.

`problems.jsonl` lists which task had which problem. For each pair there is a check of the recipe, and beside it what
the recipe was like in 2022: the check holds today, and it must fail on that, or it would prove nothing. Rows made for
the single tasks are in test_catalog_*.py; here it is counted that no task was forgotten.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from taskloom.recipes.catalog import catalog, tasksource_420
from taskloom.recipes.cautions import cautions_of
from taskloom.recipes.expressions import Code, Constant, Expression, Function, IndexIn, OneBased, Shuffled, Sole
from taskloom.recipes.expressions import columns_of as columns
from taskloom.recipes.facts import rows_of
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Defect, Held, Hub, Multilabel, Regression, Splits, Task

BY_ID = {task.id: task for task in catalog()}
PAIRS = [
    (line["id"], code)
    for line in map(json.loads, (Path(__file__).parent / "problems.jsonl").read_text(encoding="utf-8").splitlines())
    for code in line["problems"]
]
OF_2022 = "of-2022/"
"""Before the id of a recipe as it was, so that nothing said of the task today is found for it."""
Check = Callable[[Task], bool]
Relapse = Callable[[Task], Task]


@dataclass(frozen=True)
class Mended:
    """A check that holds today, and the recipe as it was in 2022, on which it fails."""

    code: str
    tasks: tuple[str, ...]
    check: Check
    relapse: Relapse


def with_kind(task: Task, **fields: Any) -> Task:
    """Return the task with some fields of its kind changed."""
    return dataclasses.replace(task, kind=dataclasses.replace(task.kind, **fields))


def with_splits(task: Task, **splits: Any) -> Task:
    """Return the task with some of its splits changed."""
    return dataclasses.replace(task, splits=dataclasses.replace(task.splits, **splits))


def shown(task: Task) -> set[str]:
    """Return the source columns that the model sees: text, pair, prompt and choices."""
    fields = task.fields()
    return {
        column for name in ("text", "pair", "prompt", "choices", "tokens") if name in fields
        for column in columns(fields[name])
    }  # fmt: skip


def shows(*needed: str) -> Check:
    """The model sees these columns."""
    return lambda task: set(needed) <= shown(task)


def shows_only(**fields: Any) -> Relapse:
    """The texts of 2022."""
    return lambda task: with_kind(task, **fields)


def has_defect(kind: str) -> tuple[Check, Relapse]:
    """The task is out of training, for this kind of reason, and says it; in 2022 it was in."""
    return (
        lambda task: task.defect is not None and task.defect.kind == kind and len(task.defect.reason) > 10,
        lambda task: dataclasses.replace(task, defect=None),
    )


def used_splits(task: Task) -> set[str]:
    """Return the source splits that a recipe reads."""
    return {split.of if isinstance(split, Held) else split for split in task.splits.roles().values()}


def names_of(task: Task) -> list[str]:
    """Return the label names of a recipe, those of left-out classes not among them."""
    given = getattr(task.kind, "names", None) or ()
    return [name for name in (one if isinstance(one, str) else one[1] for one in given) if name is not None]


DULL = {"0", "1", "true", "false", "low", "high", "negative", "positive", "entailed", "o", "i", "c", "nn", "nns"}


def named(task: Task) -> bool:
    """The recipe names its classes, in words that say what they are."""
    names = names_of(task)
    dull = DULL - {"o"} if task.kind.name == "token_classification" else DULL  # O marks words outside of any span
    return len(names) >= 2 and not any(name.lower() in dull or name.isdigit() for name in names)


def named_or_told(task: Task) -> bool:
    """The classes have names that speak, or the task says whose names they are."""
    return named(task) or any("class names" in text for text in cautions_of(task))


def without_names(task: Task) -> Task:
    """In 2022 the classes were what the source had; and nothing told of them."""
    return dataclasses.replace(with_kind(task, names=None), id=f"{OF_2022}{task.id}")


def answer_read(task: Task) -> bool:
    """Which choice is right is read from the row, or the choices are shuffled and the first of the source is right."""
    kind: Any = task.kind
    return not isinstance(kind.label, Constant) or isinstance(kind.choices, Shuffled)


def first_is_right(task: Task) -> Task:
    """In 2022 the first option was right in every row."""
    kind: Any = task.kind
    choices = kind.choices.choices if isinstance(kind.choices, Shuffled) else kind.choices
    return with_kind(task, choices=choices, label=Constant(0))


def looked_up(task: Task) -> bool:
    """The answer's key is looked up among the options, or counted from where the source counts."""
    return isinstance(getattr(task.kind, "label", None), (IndexIn, OneBased, Code, Sole))


def all_options(task: Task) -> bool:
    """The whole list of options is shown: a list column, or all of its columns."""
    choices: Any = getattr(task.kind, "choices", None)
    inner = choices.choices if isinstance(choices, Shuffled) else choices
    whole = isinstance(inner, str) or (isinstance(inner, Expression) and not isinstance(inner, Function))
    return whole and inner is not None


def cut_to_four(task: Task) -> Task:
    """In 2022 a function kept the right one and some others."""
    return with_kind(task, choices=Function("replies", ("a", "b")))


def in_words(scale: str) -> Relapse:
    """In 2022 the classes were low and high, whatever the scale."""
    return lambda task: with_kind(task, names=(("low", f"low{scale}"), ("high", f"high{scale}")))


def own_key(task: Task) -> bool:
    """No task about something else shares the head."""
    key = sharing_key(task, names_of(task))
    others = [one for one in catalog() if one.id != task.id and names_of(one) and one.kind.name == task.kind.name]
    return all(sharing_key(one, names_of(one)) != key or one.question == task.question for one in others)


def false_true(task: Task) -> Task:
    """In 2022 the source's two names stood for a class: here those of a head that others have."""
    return dataclasses.replace(with_kind(task, names=(("a", "negative"), ("b", "positive"))), head=None)


def mended(code: str, tasks: str | tuple[str, ...], check: Check, relapse: Relapse) -> Mended:
    """Return a case for these ids or patterns."""
    return Mended(code, (tasks,) if isinstance(tasks, str) else tasks, check, relapse)


def told(code: str, *tasks: str) -> Mended:
    """A fault of the data that no recipe mends: the task says so."""
    return mended(
        code, tasks, lambda task: bool(cautions_of(task)) or task.defect is not None or task.role == "evaluation",
        lambda task: dataclasses.replace(task, id=f"{OF_2022}{task.id}", defect=None, role="train"),
    )  # fmt: skip


TEST_USED: Relapse = lambda task: with_splits(task, test="test")  # noqa: E731
CASES = (
    mended(
        "evaluation-only", "*", lambda task: task.role == "evaluation",
        lambda task: dataclasses.replace(task, role="train"),
    ),
    mended("answer-not-read", "*", answer_read, first_is_right),
    mended("answer-place-tells", "*", answer_read, first_is_right),
    mended("options-cut", "*", all_options, cut_to_four),
    mended("answer-key", "*", looked_up, lambda task: with_kind(task, label=columns(task.fields()["label"])[0])),
    mended(
        "splits-rotated", "hendrycks_test/*",
        lambda task: task.role == "evaluation" and task.splits.test == "test" and task.splits.train != "test",
        lambda task: dataclasses.replace(task, role="train", splits=Splits(train="test", validation="dev")),
    ),
    mended(
        "list-from-the-web", "blimp/*",
        lambda task: isinstance(task.source, Hub) and task.source.config == task.id.split("/")[1],
        lambda task: dataclasses.replace(task, source=Hub("nyu-mll/blimp")),
    ),
    mended(
        "hidden-test", "*", lambda task: not used_splits(task) & {"test", "test_core", "test_all"}, TEST_USED,
    ),
    mended("names-lost", "*", lambda task: bool(names_of(task)) or task.defect is not None,
           lambda task: dataclasses.replace(with_kind(task, names=None), defect=None)),
    mended("names-are-codes", "*", named_or_told, without_names),
    mended("false-friends", "pragmeval/*", lambda task: named(task) and own_key(task), in_words("")),
    mended("false-friends", ("super_glue/wic", "phrase_similarity"), named, false_true),
    mended(
        "templated", "*", lambda task: task.max_rows is not None and task.max_rows <= 1000,
        lambda task: dataclasses.replace(task, max_rows=None),
    ),
    mended("unsound", "*", *has_defect("unsound")),
    mended("unavailable", "*", *has_defect("unavailable")),
    mended("duplicate", tuple(task_id for task_id, code in PAIRS if code == "duplicate"
                              if task_id != "financial_phrasebank/sentences_allagree"), *has_defect("duplicate")),
    mended(
        "duplicate", "financial_phrasebank/sentences_allagree",
        lambda task: all(
            (BY_ID[f"financial_phrasebank/sentences_{share}agree"].defect or Defect("unsound", "-")).kind == "duplicate"
            for share in (50, 66, 75)
        ) and not task.id.startswith(OF_2022),
        lambda task: dataclasses.replace(task, id=f"{OF_2022}{task.id}"),
    ),
    mended("low-value", "*", *has_defect("low_value")),
    mended("impractical", "*", *has_defect("impractical")),
    mended("large", "discovery/discovery", lambda task: (task.max_rows or 10**9) <= 30_000,
           lambda task: dataclasses.replace(task, max_rows=None)),
    mended("rows-without-label", ("snli", "health_fact", "circa", "dynasent/*"),
           lambda task: bool(names_of(task)) and "-1" not in dict(task.kind.names),  # type: ignore[union-attr,arg-type]
           lambda task: with_kind(task, names=(*task.kind.names, ("-1", "no majority")))),  # type: ignore[union-attr,misc]
    mended("rows-without-label", "hate_speech18", lambda task: len(names_of(task)) == 2,
           lambda task: with_kind(task, names=tuple((a, b or a) for a, b in task.kind.names))),  # type: ignore[union-attr,misc]
    mended("dev-split", "*", lambda task: task.splits.validation == "dev",
           lambda task: with_splits(task, validation="test", test="test")),
    mended("sides-swapped", "sick/entailment_BA", lambda task: task.fields()["text"] == "sentence_B",
           shows_only(text="sentence_A", pair="sentence_B")),
    mended("sides-swapped", "art", lambda task: "observation_1" in columns(task.fields()["prompt"]),
           shows_only(prompt="hypothesis_1", choices="observation_1")),
    mended("wrong-column", "wiki_hop", lambda task: "query" in shown(task), shows_only(prompt="question")),
    mended("wrong-column", "codah/codah", shows("question_propmt"), shows_only(prompt="question_prompt")),
    mended("wrong-column", "blog_authorship_corpus/job", lambda task: task.fields()["label"] == "topic",
           lambda task: with_kind(task, label="job")),
    mended("one-name-for-one-relation", "lexical_relation_classification/*",
           lambda task: not {name.lower() for name in names_of(task)} & {"coord", "sibl", "random", "false", "hyper"},
           lambda task: with_kind(task, names=(("coord", "coord"), ("random", "false")))),
    mended("class-order", ("glue/wnli", "super_glue/cb"),
           lambda task: names_of(task)[0] == "entailment" and named(task),
           lambda task: with_kind(task, names=("not_entailment", "entailment"))),
    mended("class-order", "liar", lambda task: names_of(task)[0] == "pants on fire" and names_of(task)[-1] == "true",
           lambda task: with_kind(task, names=("false", "half-true", "mostly-true", "true", "barely-true", "x"))),
    mended("class-order", "code_x_glue_cc_clone_detection_big_clone_bench",
           lambda task: dict(task.kind.names)["True"] == "same function",  # type: ignore[union-attr,arg-type]
           lambda task: with_kind(task, names=(("False", "same function"), ("True", "different function")))),
    mended("class-without-rows", "poem_sentiment", lambda task: "mixed" in names_of(task), without_names),
    mended("class-without-rows", ("app_reviews", "blog_authorship_corpus/age"),
           lambda task: looked_up(task) and named(task), lambda task: with_kind(task, label="star", names=None)),
    mended("label-squeezed", "joci", lambda task: len(names_of(task)) == 5,
           lambda task: with_kind(task, label="label", names=("contradiction", "neutral", "entailment"))),
    mended("label-squeezed", "ethos/multilabel", lambda task: "directed at a person" in names_of(task), without_names),
    mended("label-squeezed", "go_emotions/simplified", lambda task: isinstance(task.kind, Multilabel),
           lambda task: dataclasses.replace(task, kind=BY_ID["glue/sst2"].kind)),
    mended("label-squeezed", "quarel", lambda task: task.kind.name == "multiple_choice",
           lambda task: dataclasses.replace(task, kind=BY_ID["glue/sst2"].kind)),
    mended("configurations-merged", "hh-rlhf",
           lambda task: isinstance(task.source, Hub) and task.source.config == "helpful-base",
           lambda task: dataclasses.replace(task, source=Hub("Anthropic/hh-rlhf"))),
    mended("defined-twice", "banking77", lambda task: sum(one.id == task.id for one in catalog()) == 1,
           lambda task: dataclasses.replace(task, id=f"{OF_2022}{task.id}")),
    mended("split-unused", "quail", lambda task: task.splits.test == "challenge",
           lambda task: with_splits(task, test="validation")),
    mended("split-unused", "humicroedit/subtask-1",
           lambda task: isinstance(task.kind, Regression) and named_splits(task),
           lambda task: with_splits(task, validation=Held(0.1, of="test"))),
    mended("splits-overlap", "Sarcasm_News_Headline", lambda task: used_splits(task) == {"train"},
           lambda task: with_splits(task, test="test")),
    mended("no-train", "mc_taco", lambda task: task.splits.train == "validation" and task.splits.test == "test",
           lambda task: with_splits(task, train="test")),
    mended("no-validation", "lexical_relation_classification/CogALexV", lambda task: task.splits.validation is None,
           lambda task: with_splits(task, validation="val")),
    mended("no-home", "hope_edi/english", lambda task: isinstance(task.source, Hub) and "/" in task.source.repo,
           lambda task: dataclasses.replace(task, source=Hub("hope_edi", "english"))),
    mended("nothing-is-an-answer", "lex_glue/unfair_tos", lambda task: isinstance(task.kind, Multilabel),
           lambda task: dataclasses.replace(task, kind=BY_ID["glue/sst2"].kind)),
    mended("odd-id", "ai2_arc/*", lambda task: isinstance(task.source, Hub) and task.source.config in task.id,
           lambda task: dataclasses.replace(task, source=Hub("allenai/ai2_arc", "challenge-of-2022"))),
    mended("text-garbled", "hellaswag", lambda task: not isinstance(task.fields()["choices"], str)
           and not isinstance(task.fields()["prompt"], str), shows_only(prompt="ctx_a", choices="endings")),
    mended("text-garbled", "yelp_review_full/*", lambda task: isinstance(task.fields()["text"], Function),
           shows_only(text="text")),
    mended("text-garbled", "humicroedit/subtask-2", lambda task: isinstance(task.fields()["text"], Function)
           and task.fields()["text"].name == "edited", shows_only(text="original1", pair="original2")),
    mended("text-garbled", "ethics/deontology", shows("scenario", "excuse"), shows_only(text="input", pair=None)),
    mended("text-garbled", "mc_taco", lambda task: task.fields().get("pair") == "answer", shows_only(pair=None)),
    mended("text-left-out", "hh-rlhf", lambda task: not isinstance(task.fields()["prompt"], Constant),
           shows_only(prompt=Constant(""))),
    mended("text-left-out", "quartz", shows("para", "question"), shows_only(prompt="question")),
    mended("text-left-out", "sciq", shows("support", "question"), shows_only(prompt="question")),
    mended("text-left-out", "social_i_qa", shows("context", "question"), shows_only(prompt="question")),
    mended("text-left-out", "wiki_hop", shows("supports", "query"), shows_only(prompt="query")),
    mended("text-left-out", "wiqa", shows("question_para_step"), shows_only(prompt="question_stem")),
    mended("text-left-out", "super_glue/copa", shows("premise", "question"), shows_only(prompt="premise")),
    mended("text-left-out", ("glue/qnli", "adv_glue/adv_qnli"), shows("question", "sentence"), shows_only(pair=None)),
    mended("text-left-out", "super_glue/boolq", shows("passage", "question"), shows_only(text="question", pair=None)),
    mended("text-left-out", "super_glue/multirc", shows("paragraph", "question", "answer"),
           shows_only(text="question", pair=None)),
    mended("text-left-out", "tweet_eval/stance_*", lambda task: not isinstance(task.fields()["text"], str),
           shows_only(text="text")),
    mended("text-left-out", "humicroedit/subtask-1", shows("headline", "edited"),
           shows_only(text="original", pair="edit")),
    mended("text-left-out", "hyperpartisan_news_detection/byarticle", shows("title", "text"),
           shows_only(text="text", pair=None)),
    mended("text-left-out", "liar", shows("statement", "speaker", "context"), shows_only(pair=None)),
    mended("text-left-out", "health_fact", shows("claim", "main_text"), shows_only(pair=None)),
    mended("text-left-out", "discosense", shows("context", "marker"), shows_only(prompt="context")),
    told("few-rows", "*"),
    told("noisy-labels", "*"),
    told("no-context", "*"),
    told("long-texts", "*"),
    told("uneven", "*"),
    told("style-tells", "*"),
)  # fmt: skip


def named_splits(task: Task) -> bool:
    """The source's own validation and test rows are used, and no extra split."""
    return (task.splits.train, task.splits.validation, task.splits.test) == ("train", "validation", "test")


def cases_of(task_id: str, code: str) -> list[Mended]:
    """Return what there is about one problem of one task."""
    return [case for case in CASES if case.code == code and any(fnmatchcase(task_id, one) for one in case.tasks)]


@pytest.mark.parametrize(("task_id", "code"), PAIRS)
def test_each_problem_is_mended_and_the_check_would_see_it(task_id: str, code: str) -> None:
    """The check holds for the recipe and fails on what it was in 2022."""
    task = BY_ID[task_id]
    (case,) = cases_of(task_id, code)
    assert case.check(task)
    assert not case.check(case.relapse(task))


def test_every_case_is_of_use() -> None:
    """No case is left of a problem that no task has."""
    assert [case for case in CASES if not any(case in cases_of(*pair) for pair in PAIRS)] == []


def test_problems_are_of_the_collection() -> None:
    """The list speaks of tasks of 2022 alone, each once."""
    ids = [line.split('"')[3] for line in (Path(__file__).parent / "problems.jsonl").read_text("utf-8").splitlines()]
    assert len(ids) == len(set(ids)) == 358
    assert set(ids) <= tasksource_420()


def test_few_rows_are_few() -> None:
    """What is called small is small, as far as rows were counted."""
    counted = [rows_of(BY_ID[task_id])["train"] for task_id, code in PAIRS if code == "few-rows" and task_id in BY_ID
               if "train" in rows_of(BY_ID[task_id])]  # fmt: skip
    assert all(count < 1000 for count in counted if count is not None)
