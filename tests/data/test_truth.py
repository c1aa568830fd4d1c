"""Figures and faults of rows: each fault is found in rows made for it, and right rows have none."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from taskloom.data.source import RawTask
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.data.truth import SplitStats, TaskStats, examine
from taskloom.recipes.expressions import Shuffled
from taskloom.recipes.recipe import (
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
)

TEXT = {"dtype": "string", "_type": "Value"}
INTEGER = {"dtype": "int64", "_type": "Value"}
TEXTS = {"feature": TEXT, "_type": "List"}
CLASS = {"names": ["no", "yes"], "_type": "ClassLabel"}
FEATURES: dict[str, dict[str, Any]] = {
    "classification": {"text": TEXT, "pair": TEXT, "label": CLASS},
    "multilabel": {"text": TEXT, "labels": {"feature": CLASS, "_type": "List"}},
    "regression": {"text": TEXT, "score": {"dtype": "float64", "_type": "Value"}},
    "multiple_choice": {"prompt": TEXT, "choices": TEXTS, "label": INTEGER},
    "token_classification": {"tokens": TEXTS, "labels": {"feature": CLASS, "_type": "List"}},
}
KINDS: dict[str, Kind] = {
    "classification": Classification(text="text", pair="pair", label="label"),
    "multilabel": Multilabel(text="text", labels="labels"),
    "regression": Regression(text="text", score="score", low=0, high=5),
    "multiple_choice": MultipleChoice(prompt="prompt", choices="choices", label="label"),
    "token_classification": TokenClassification(tokens="tokens", labels="labels"),
}
Rows = Sequence[Mapping[str, Any]]


def made(kind: str, splits: Mapping[str, Rows], /, **changes: object) -> tuple[RawTask, CanonicalTask]:
    """Raw and canonical rows of a made task."""
    values = {
        "id": "made/task", "source": Hub("made/set"), "kind": KINDS[kind], "family": "other",
        "splits": Splits(**{role: role for role in splits}),
    } | changes  # fmt: skip
    raw = RawTask(
        {name: pa.Table.from_pylist([*map(dict, rows)]) for name, rows in splits.items()}, FEATURES[kind], "made", "0"
    )
    return raw, standardize(Task(**values), raw)  # type: ignore[arg-type]


def examined(kind: str, **splits: Rows) -> tuple[TaskStats, list[str]]:
    """Figures, and names of faults."""
    stats, faults = examine(*made(kind, splits))
    return stats, [fault.name for fault in faults]


def right_rows(kind: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Different rows whose answers are spread."""
    draw = random.Random(seed)
    texts = [f"text {seed} {n}" for n in range(count)]
    by_kind: dict[str, Any] = {
        "classification": lambda n: {"text": texts[n], "pair": "p", "label": n % 2},
        "multilabel": lambda n: {"text": texts[n], "labels": [[0], [1], [0, 1]][n % 3]},
        "regression": lambda n: {"text": texts[n], "score": float(n % 6)},
        "multiple_choice": lambda n: {"prompt": texts[n], "choices": list("abc"), "label": draw.randrange(3)},
        "token_classification": lambda n: {"tokens": texts[n].split(), "labels": [0, n % 2, 1]},
    }
    return [by_kind[kind](n) for n in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_right_rows_have_no_fault(kind: str) -> None:
    """Rows of each kind pass, and their figures say how many there are of what."""
    stats, faults = examined(kind, train=right_rows(kind, 90), test=right_rows(kind, 60, seed=1))
    assert faults == []
    train = stats.splits["train"]
    assert (train.rows, train.duplicates, train.contradictions, train.unused) == (90, 0, 0, {})
    assert stats.splits["test"].also_in == {}


def test_figures_of_classes() -> None:
    """Rows by label, and median, 95th percentile and longest text with its pair."""
    rows = [{"text": "a" * (n + 1), "pair": "b", "label": n == 9} for n in range(10)]
    stats, _ = examined("classification", train=rows)
    assert stats.splits["train"].labels == (9, 1)
    assert stats.splits["train"].characters == (7, 11, 12)
    assert stats.labels == ("no", "yes")


def test_figures_of_places_and_chance() -> None:
    """Rows with two and with four choices give each place its own chance."""
    rows = [{"prompt": f"{n}", "choices": ["a", "b"], "label": n % 2} for n in range(10)]
    rows += [{"prompt": f"x{n}", "choices": list("abcd"), "label": 3} for n in range(10)]
    stats, _ = examined("multiple_choice", test=rows)
    assert stats.splits["test"].labels == (5, 5, 0, 10)
    assert stats.splits["test"].chance == (7.5, 7.5, 2.5, 2.5)


def test_figures_of_words_labels_and_scores() -> None:
    """Words are counted by tag, a row with two labels counts for both, scores by lowest, median and highest."""
    stats, _ = examined("token_classification", train=[{"tokens": ["a", "b", "c"], "labels": [0, 1, 0]}])
    assert stats.splits["train"].labels == (2, 1)
    stats, _ = examined("multilabel", train=[{"text": "a", "labels": [0, 1]}, {"text": "b", "labels": [1]}])
    assert stats.splits["train"].labels == (1, 2)
    stats, _ = examined("regression", train=[{"text": str(score), "score": score} for score in (0.5, 2.0, 5.0)])
    assert stats.splits["train"].scores == (0.5, 2.0, 5.0)


@pytest.mark.parametrize("kind", KINDS)
def test_duplicates(kind: str) -> None:
    """A row that stands there again counts as a duplicate: more than one in twenty is a fault."""
    rows = right_rows(kind, 100)
    stats, faults = examined(kind, train=rows + rows[:6])
    assert stats.splits["train"].duplicates == 6
    assert faults == ["train: duplicates"]
    assert examined(kind, train=rows + rows[:5])[1] == []


@pytest.mark.parametrize(
    "kind, other", [("classification", {"label": 1}), ("multilabel", {"labels": [1]}), ("regression", {"score": 5.0}),
                    ("multiple_choice", {"label": None}), ("token_classification", {"labels": [1, 1, 1]})],
)  # fmt: skip
def test_contradictions(kind: str, other: dict[str, Any]) -> None:
    """The same text with another answer is a contradiction, of which one in a hundred is too many."""
    rows = right_rows(kind, 100)
    change = other if other.get("label", 0) is not None else {"label": (rows[0]["label"] + 1) % 3}
    odd = [{**rows[0], **change}, {**rows[0], **change}]
    stats, faults = examined(kind, train=rows + odd)
    assert (stats.splits["train"].contradictions, stats.splits["train"].duplicates) == (2, 0)
    assert faults == ["train: contradictions"]


def test_choices_in_another_order_are_the_same_row() -> None:
    """A question whose choices are shuffled is a duplicate when the same text is right, else a contradiction."""
    rows = right_rows("multiple_choice", 90)
    again = {"prompt": "once more", "choices": ["a", "b", "c"], "label": 0}
    turned, wrong = {**again, "choices": ["c", "b", "a"], "label": 2}, {**again, "choices": ["b", "a", "c"], "label": 0}
    stats, _ = examined("multiple_choice", train=[*rows, again, turned, wrong])
    assert (stats.splits["train"].duplicates, stats.splits["train"].contradictions) == (1, 1)


def test_rows_in_two_splits() -> None:
    """A test row that stands in train, whatever its label, is counted; so is one that stands in validation."""
    train = right_rows("classification", 100)
    shared = [{**row, "label": 1 - row["label"]} for row in train[:2]]
    validation, test = right_rows("classification", 100, 1), right_rows("classification", 98, 2)
    stats, faults = examined("classification", train=train, validation=validation, test=test + shared)
    assert stats.splits["test"].also_in == {"train": 2}
    assert faults == ["test: also in train"]
    _, faults = examined("classification", train=train, validation=validation, test=test + validation[:9])
    assert faults == ["test: also in validation"]


def test_constant_labels() -> None:
    """A split whose rows all have one answer is a fault, except where it is too small to tell."""
    rows = [{**row, "label": 1} for row in right_rows("classification", 60)]
    good = right_rows("classification", 60, 1)
    assert examined("classification", train=good, test=rows)[1] == ["test: constant label"]
    assert examined("classification", train=good, test=rows[:49])[1] == []
    same = [{**row, "score": 2.0} for row in right_rows("regression", 60)]
    assert examined("regression", train=same)[1] == ["train: constant label"]


def test_a_telling_place() -> None:
    """An answer that is always first is a fault, and shuffling mends it; with three choices a third is no sign."""
    rows = [{**row, "label": 0} for row in right_rows("multiple_choice", 100)]
    assert examined("multiple_choice", train=rows)[1] == ["train: telling place"]
    kind = MultipleChoice(prompt="prompt", choices=Shuffled("choices"), label="label")
    assert examine(*made("multiple_choice", {"train": rows}, kind=kind))[1] == ()


def test_a_place_beyond_most_rows_choices() -> None:
    """The last of many choices is told by its place even if most rows have two: chance is counted by row."""
    rows = [{"prompt": f"{n}", "choices": ["a", "b"], "label": n % 2} for n in range(300)]
    rows += [{"prompt": f"x{n}", "choices": list("abcdefgh"), "label": 7} for n in range(100)]
    assert examined("multiple_choice", train=rows)[1] == ["train: telling place"]


@pytest.mark.parametrize(
    "kind, row, reason",
    [
        ("multiple_choice", {"prompt": "p", "choices": ["a", "b"], "label": 2}, "answer_not_in_choices"),
        ("regression", {"text": "t", "score": 7.0}, "score_out_of_range"),
        ("token_classification", {"tokens": ["a", "b"], "labels": [0]}, "length_mismatch"),
    ],
)
def test_what_a_right_recipe_never_meets(kind: str, row: dict[str, Any], reason: str) -> None:
    """One row in a thousand whose answer cannot be is a fault."""
    stats, faults = examined(kind, train=[*right_rows(kind, 999), row])
    assert faults == [f"train: {reason}"]
    assert stats.splits["train"].unused == {reason: 1}


def test_a_bare_label_out_of_range() -> None:
    """Three bare integers under two names: the third is a fault, -1 is a hidden label and none."""
    kind = Classification(text="text", label="number", names=("no", "yes"))
    rows = [{"text": f"{n}", "number": n % 2} for n in range(100)]
    for value, expected in ((2, ["train: label_out_of_range"]), (-1, [])):
        raw = RawTask(
            {"train": pa.Table.from_pylist([*rows, {"text": "x", "number": value}])},
            {"text": TEXT, "number": INTEGER}, "made", "0",
        )  # fmt: skip
        task = Task(id="t", source=Hub("a/b"), kind=kind, family="other", splits=Splits(train="train"))
        assert [fault.name for fault in examine(raw, standardize(task, raw))[1]] == expected


def test_unused_rows_by_reason() -> None:
    """Texts that are missing are a fault above one in a hundred; hidden labels are not."""
    rows = right_rows("classification", 98)
    missing = [{"text": None, "pair": "p", "label": 0}, {"text": " ", "pair": "p", "label": 0}]
    hidden = [{"text": f"h{n}", "pair": "p", "label": -1} for n in range(20)]
    stats, faults = examined("classification", train=rows + missing + hidden)
    assert stats.splits["train"].unused == {"null_text": 1, "empty_text": 1, "hidden_label": 20}
    assert faults == []
    assert examined("classification", train=rows + missing[:1] * 2)[1] == ["train: null_text"]


def test_a_split_without_a_usable_row() -> None:
    """A test split whose labels are all hidden does not belong into the recipe; one that is not there is no fault."""
    hidden = [{"text": f"h{n}", "pair": "p", "label": -1} for n in range(20)]
    assert examined("classification", train=right_rows("classification", 60), test=hidden)[1] == ["test: no usable row"]
    raw, canonical = made("classification", {"train": right_rows("classification", 60)})
    lacking = dataclasses.replace(canonical.task, splits=Splits(train="train", test="test"))
    assert examine(raw, dataclasses.replace(canonical, task=lacking))[1] == ()


@pytest.mark.parametrize(
    "kind, column, values, name",
    [
        ("classification", "label", pa.array([0, 1, 2], pa.int32()), "answer beyond labels"),
        ("classification", "label", pa.array([0, 1, -1], pa.int32()), "answer beyond labels"),
        ("multilabel", "labels", pa.array([[0], [1, 2], [0]], pa.list_(pa.int32())), "answer beyond labels"),
        ("token_classification", "labels", pa.array([[5, 0, 0]] * 3, pa.list_(pa.int32())), "answer beyond labels"),
        ("multiple_choice", "label", pa.array([0, 3, 1], pa.int32()), "answer beyond choices"),
        ("classification", "text", pa.array(["a", " ", "c"]), "empty text"),
        ("classification", "pair", pa.array(["a", "", "c"]), "empty text"),
        ("token_classification", "tokens", pa.array([["a"], [], ["b"]]), "empty text"),
        ("multiple_choice", "choices", pa.array([["a", "b", "c"], ["a", "b", " "], ["a", "b", "c"]]), "empty text"),
    ],
)
def test_promises_of_standardizing_are_not_taken_on_trust(kind: str, column: str, values: pa.Array, name: str) -> None:
    """Canonical rows that are broken by hand, after standardizing, are found out."""
    raw, canonical = made(kind, {"train": right_rows(kind, 3)})
    table = canonical.splits["train"]
    broken = table.set_column(table.column_names.index(column), column, values)
    faults = examine(raw, dataclasses.replace(canonical, splits={"train": broken}))[1]
    assert [fault.name for fault in faults] == [f"train: {name}"]


def test_held_out_rows_share_no_text_with_the_rest() -> None:
    """What is carved out by text is never found in train again, whatever duplicates there are."""
    rows = [{"text": f"text {n % 150}", "pair": "p", "label": n % 2} for n in range(300)]
    splits = Splits(train="train", validation=Held(0.2))
    stats, _ = examine(*made("classification", {"train": rows}, splits=splits))
    assert stats.splits["validation"].rows > 20
    assert stats.splits["validation"].also_in == {}


def test_figures_hold_no_texts() -> None:
    """The line that is published has ids, label names and numbers; what is empty is left out."""
    line = examined("classification", train=right_rows("classification", 60))[0].to_json()
    assert "text 0" not in json.dumps(line)
    assert line["splits"]["train"]["labels"] == (30, 30)
    assert set(line["splits"]["train"]) == {"rows", "labels", "characters"}
    assert SplitStats(rows=0).unused == {}
