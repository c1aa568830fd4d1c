"""Tasks beyond the 420: named by name, in heads with those that ask the same, an unknown label an error."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Features, Value

from taskloom.data.source import RawTask
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.errors import UserError
from taskloom.recipes.catalog import collections_of, judgments, reasoning, tasksource_420
from taskloom.recipes.facts import without_entry
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recipe import Classification, Held, Task
from taskloom.recipes.select import get_task

TASKS = {task.id: task for task in (*reasoning.TASKS, *judgments.TASKS)}


def made(task: Task, labels: list[Any], label_type: Any = None) -> CanonicalTask:
    """Return what a recipe makes of rows with these labels, in every split that it reads; other columns are text."""
    assert isinstance(task.kind, Classification)
    count, answer = 40, str(task.kind.label)  # so many texts that a held-out tenth has some
    columns: dict[str, list[Any]] = {name: [f"{name} {row}" for row in range(count)] for name in task.columns()}
    columns[answer] = [labels[row % len(labels)] for row in range(count)]
    features = Features(dict.fromkeys(columns, Value("string")))
    features[answer] = label_type or Value("int64" if isinstance(labels[0], int) else "string")
    used = {split.of if isinstance(split, Held) else split for split in task.splits.roles().values()}
    table = pa.table(columns)
    return standardize(task, RawTask(dict.fromkeys(used, table), features.to_dict(), "made rows", "made"))


def test_they_are_beyond_the_collection() -> None:
    """None of them is one of the 420, all are in `extra`, and at least fifty are new."""
    assert not TASKS.keys() & tasksource_420()
    assert all("extra" in collections_of(task) for task in TASKS.values())
    assert len(TASKS) >= 50


@pytest.mark.parametrize("task_id", TASKS)
def test_each_is_described(task_id: str) -> None:
    """A question, on what it rests, and an entry for whom it cites."""
    task = TASKS[task_id]
    assert task.question.endswith(("?", "?)"))
    assert task.rests_on
    assert without_entry([task]) == []


def test_inference_meets_in_the_known_heads() -> None:
    """Two-way and three-way sets share the heads of RTE and of MNLI; what asks something else does not."""
    two, three = (get_task(name) for name in ("glue/rte", "glue/mnli"))
    two_key = sharing_key(two, ("entailment", "not_entailment"))
    three_key = sharing_key(three, ("entailment", "neutral", "contradiction"))
    assert sharing_key(TASKS["babi_nli/counting"], made(TASKS["babi_nli/counting"], ["entailed"]).labels) == two_key
    assert sharing_key(TASKS["monli"], made(TASKS["monli"], ["neutral"]).labels) == two_key
    assert sharing_key(TASKS["FOL-nli"], made(TASKS["FOL-nli"], ["neutral"]).labels) == three_key
    figurative = made(TASKS["FLUTE"], ["Entailment", "Contradiction"])
    assert sharing_key(TASKS["FLUTE"], figurative.labels) not in (two_key, three_key)
    assert sharing_key(TASKS["scinli"], ("reasoning", "entailment", "contrasting", "neutral")) == sharing_key(
        TASKS["MSciNLI"], ("neutral", "contrasting", "reasoning", "entailment")
    )


@pytest.mark.parametrize(
    ("task_id", "labels", "expected"),
    [
        ("babi_nli/path-finding", ["entailed", "not-entailed"], ("entailment", "not_entailment")),
        ("ruletaker", ["not entailment", "entailment"], ("not_entailment", "entailment")),
        ("scone", ["entailment", "neutral"], ("entailment", "not_entailment")),
        ("semantic_fragments_nli", ["ENTAILMENT", "CONTRADICTION"], ("entailment", "contradiction")),
        ("FLD.v2/star", ["UNKNOWN", "PROVED"], ("neither proved nor disproved", "proved")),
        ("proofwriter", ["False", "Unknown"], ("disproved", "neither proved nor disproved")),
        ("dynahate", ["hate", "nothate"], ("hate speech", "not hate speech")),
        ("olid/offensive", ["OFF", "NOT"], ("offensive", "not offensive")),
        ("args_me", ["CON", "PRO"], ("opposes", "supports")),
        ("hover", [1, 0], ("refutes the claim", "supports the claim")),
        ("PromptShield", [0, 1], ("benign", "prompt injection")),
        ("CREAK", ["true", "false"], ("true claim", "false claim")),
    ],
)
def test_labels_become_what_they_say(task_id: str, labels: list[Any], expected: tuple[str, ...]) -> None:
    """Each source label gives its own class."""
    canonical = made(TASKS[task_id], labels)
    for row in canonical.splits["train"].to_pylist():
        assert canonical.labels[row["label"]] == expected[row["row"] % len(expected)]


def test_class_labels_go_by_name_in_any_order() -> None:
    """A copy with class labels in another order gives the same classes."""
    canonical = made(TASKS["ruletaker"], [1, 0], ClassLabel(names=["not entailment", "entailment"]))
    rows = canonical.splits["train"].to_pylist()
    assert {row["row"] % 2: canonical.labels[row["label"]] for row in rows} == {0: "entailment", 1: "not_entailment"}


@pytest.mark.parametrize("task_id", ["babi_nli/counting", "FOL-nli", "CREAK", "dynahate", "args_me"])
def test_an_unknown_label_is_an_error(task_id: str) -> None:
    """A label that nobody listed stops the task; it never becomes another class."""
    with pytest.raises(UserError, match="maybe"):
        made(TASKS[task_id], ["maybe"])
