"""The catalog: tasks as plain values, a file a family, two to five lines a task."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.resources import files

from taskloom.recipes.recipe import Builtin, Task

MODULES = (
    "glue", "nli", "paraphrase", "sentiment", "tweets", "discourse", "topic", "probing",
    "commonsense", "ethics", "lexical", "science", "reading", "benchmarks", "tagging", "scores", "parked",
    "reasoning", "judgments", "utterances", "passages", "plausibility", "gradings", "procedural",
)  # fmt: skip
"""The family files, in the order in which their tasks are listed."""

STARTER = (
    "glue/sst2", "glue/rte", "glue/mnli", "glue/cola", "glue/stsb", "tweet_eval/emotion", "tweet_eval/irony", "trec",
    "super_glue/copa", "codah/codah", "go_emotions/simplified", "conll2003/ner_tags",
)  # fmt: skip
"""A dozen small and well-known tasks of all five kinds, for a first run on real data."""

HELD_OUT = (
    "ag_news", "trec", "tweet_eval/emotion", "emo/emo2019", "banking77", "financial_phrasebank/sentences_allagree",
    "poem_sentiment", "amazon_polarity/amazon_polarity", "ethos/binary", "pragmeval/verifiability/single_input",
    "conj_nli", "glue/rte", "glue/mrpc", "super_glue/copa", "openbookqa", "wnut_17/wnut_17", "twitter_pos/ritter",
    "google_wellformed_query",
)  # fmt: skip
"""The development set of transfer: topics, emotion, intent, sentiment and reviews, hate, verifiability, inference,
paraphrase, multiple choice, tagging and a score. docs/transfer.md says why these."""


@cache
def catalog() -> tuple[Task, ...]:
    """Return every task of the catalog; the family files are imported on the first call."""
    found = tuple(task for name in MODULES for task in import_module(f"{__name__}.{name}").TASKS)
    assert len({task.id for task in found}) == len(found), "two recipes have the same id"
    return found


@cache
def tasksource_420() -> frozenset[str]:
    """Return the 420 ids of the collection of December 2022; each has a recipe."""
    return frozenset(files(__name__).joinpath("tasksource_420.txt").read_text(encoding="utf-8").split())


def collections_of(task: Task) -> tuple[str, ...]:
    """Return the names of the collections that hold `task`, or what it is a recast of; every task is in `all`."""
    task = task.recast.of if task.recast else task
    if isinstance(task.source, Builtin):
        return ("procedural", "all")
    main = "tasksource-420" if task.id in tasksource_420() else "extra"
    lists = {"starter": STARTER, "held-out": HELD_OUT}
    return (main, *(name for name, ids in lists.items() if task.id in ids), "all")


COLLECTIONS = ("tasksource-420", "starter", "held-out", "procedural", "extra", "all")
