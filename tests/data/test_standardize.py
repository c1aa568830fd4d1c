"""Raw rows -> canonical rows: each node, each kind, each reason for leaving a row out."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskloom.data import standardize as standardizing
from taskloom.data.columns import COMPUTE, column, row_permutation, text_column
from taskloom.data.kept import capped, gathered
from taskloom.data.source import RawTask
from taskloom.data.standardize import standardize, to_dataset_dict
from taskloom.errors import DataError, RecipeError
from taskloom.recipes import expressions as nodes
from taskloom.recipes.expressions import (
    Above,
    Cases,
    Code,
    Constant,
    Expression,
    IndexIn,
    Lines,
    Listed,
    Nested,
    OneBased,
    PrefixEach,
    Shuffled,
    Sole,
    SplitOptions,
    Template,
)
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
    Where,
)
from taskloom.recipes.schema import schema_from_features

TEXT = {"dtype": "string", "_type": "Value"}
INTEGER = {"dtype": "int64", "_type": "Value"}
FLOAT = {"dtype": "float64", "_type": "Value"}
BOOLEAN = {"dtype": "bool", "_type": "Value"}
TEXTS = {"feature": TEXT, "_type": "List"}


def class_label(*names: str) -> dict[str, Any]:
    """The JSON feature of a ClassLabel."""
    return {"names": list(names), "_type": "ClassLabel"}


def raw(features: dict[str, Any], **splits: list[dict[str, Any]]) -> RawTask:
    """Raw rows made in the test, as a source would give them."""
    tables = {
        split: pa.table({name: pa.array([row[name] for row in rows]) for name in features})
        for split, rows in splits.items()
    }
    return RawTask(tables, features, "made in a test", "fingerprint")


def task(kind: Kind, **changes: Any) -> Task:
    """A task over the split "train"."""
    values = {"id": "made/task", "source": Hub("o/n"), "kind": kind, "splits": Splits(train="train"), "family": "topic"}
    return Task(**(values | changes))


ROWS = pa.table(
    {
        "text": ["one", "two", None],
        "number": pa.array([1, 2, 3], pa.int64()),
        "digits": ["1", " 2 ", "x"],
        "flag": [True, False, None],
        "label": pa.array([0, 1, -1], pa.int64()),
        "letter": ["B", "1", "Z"],
        "options": [["x", "y"], ["z"], []],
        "choices": [
            {"label": ["A", "B"], "text": ["red", "blue"]},
            {"label": ["1", "2"], "text": ["red", "blue"]},
            {"label": ["A"], "text": ["red"]},
        ],
        "records": [[{"name": "p"}, {"name": "q"}], [], None],
        "scores": [[0.0, 1.0], [1.0, 1.0], [0.5]],
        "joy": [0.9, 0.1, 0.5],
        "anger": [0.6, 0.2, None],
        "listed": ["a) 1, b) 2", "a) 3", None],
    }
)
SCHEMA = schema_from_features(
    {"text": TEXT, "number": INTEGER, "digits": TEXT, "flag": BOOLEAN,
     "label": class_label("no", "yes"), "letter": TEXT,
     "options": TEXTS, "choices": {"label": TEXTS, "text": TEXTS}, "records": [{"name": TEXT}],
     "scores": {"feature": FLOAT, "_type": "List"}, "joy": FLOAT, "anger": FLOAT, "listed": TEXT}
)  # fmt: skip


NODES = (
    (Nested("choices", "text"), [["red", "blue"], ["red", "blue"], ["red"]]),
    (Nested("records", "name"), [["p", "q"], [], None]),
    (Template("{number}. {text} {label} {flag}"), ["1. one no True", "2. two yes False", None]),
    (Template("always"), ["always"] * 3),
    (Lines("text", Cases("label", {"no": "No?", "yes": "Yes?"})), ["one\nNo?", "two\nYes?", None]),
    (Listed("text", Template("{number}")), [["one", "1"], ["two", "2"], [None, "3"]]),
    (IndexIn("letter", Nested("choices", "label")), [1, 0, None]),
    (Code("letter", {"B": 7, "1": 8}), [7, 8, None]),
    (Code("flag", {"True": 1, "False": 0}), [1, 0, None]),
    (OneBased("number"), [0, 1, 2]),
    (OneBased("digits"), [0, 1, None]),
    (Sole("scores"), [1, None, 0]),
    (Above(("joy", "anger"), 0.5), [[0, 1], [], None]),
    (PrefixEach("text", "options"), [["one x", "one y"], ["two z"], []]),
    (SplitOptions("listed", r",?\s*[a-e]\)"), [["1", "2"], ["3"], None]),
    (Constant(0), [0, 0, 0]),
)


@pytest.mark.parametrize(("field", "expected"), NODES, ids=str)
def test_nodes(field: Expression, expected: list[Any]) -> None:
    """Each node's values, with null where a part is null or unknown."""
    assert column(field, ROWS, SCHEMA).to_pylist() == expected


def test_every_node_is_computed() -> None:
    """The vocabulary and its implementation are the same set."""
    vocabulary = {
        value for value in vars(nodes).values() if isinstance(value, type) and issubclass(value, Expression)
    } - {Expression}
    assert set(COMPUTE) == vocabulary


def test_empty_texts_take_no_line() -> None:
    """An empty or blank part of Lines leaves no empty line, wherever it stands; a null part makes the text null."""
    table = pa.table({"title": ["Good", "", " ", "", None], "text": ["Buy it.", "Buy it.", "Buy it.", "", "Buy it."]})
    schema = schema_from_features({"title": TEXT, "text": TEXT})
    assert column(Lines("title", "text"), table, schema).to_pylist() == [
        "Good\nBuy it.", "Buy it.", "Buy it.", "", None,
    ]  # fmt: skip
    assert column(Lines("text", "title"), table, schema).to_pylist()[1] == "Buy it."


def test_class_ids_read_as_names_in_texts() -> None:
    """A ClassLabel in a text is its name; an id of -1 is null, not the last name."""
    assert text_column("label", ROWS, SCHEMA).to_pylist() == ["no", "yes", None]


@pytest.mark.parametrize("field", [field for field, _ in NODES], ids=str)
def test_nodes_work_on_slices(field: Expression) -> None:
    """A slice of a table gives the same values as the rows alone: list offsets of slices are a trap."""
    assert column(field, ROWS.slice(1), SCHEMA).to_pylist() == column(field, ROWS, SCHEMA).to_pylist()[1:]


PAIR = {"premise": TEXT, "hypothesis": TEXT}


def test_labels_are_mapped_by_name() -> None:
    """Source ids become ours through names, in the order of the recipe; None leaves rows out; -1 is hidden."""
    rows = [{"premise": f"p{n}", "hypothesis": "h", "label": n} for n in (0, 1, 2, -1)]
    kind = Classification(
        text="premise", pair="hypothesis", label="label",
        names={"contradiction": "contradiction", "entailment": "entailment", "odd": None},
    )  # fmt: skip
    found = standardize(
        task(kind), raw(PAIR | {"label": class_label("odd", "entailment", "contradiction")}, train=rows)
    )
    assert found.labels == ("contradiction", "entailment")
    assert found.splits["train"].to_pylist() == [
        {"text": "p1", "pair": "h", "label": 1, "row": 1},
        {"text": "p2", "pair": "h", "label": 0, "row": 2},
    ]
    assert found.unused["train"] == {"label_left_out": 1, "hidden_label": 1}


@given(
    some.lists(some.integers(0, 30), max_size=8), some.integers(1, 40), some.sampled_from(["glue/rte", "own/a", "b"])
)
def test_rows_in_pieces_are_the_rows_of_the_whole(sizes: list[int], most: int, task_id: str) -> None:
    """However rows come, those are gathered that the store keeps of all, in their order."""
    whole = pa.table({"row": np.arange(sum(sizes))})
    pieces = [whole.slice(start, size) for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False)]
    found = gathered([whole[:0], *pieces], task_id, most)
    assert found.equals(capped(whole, task_id, most))
    assert gathered([whole[:0], *pieces], task_id, None).equals(whole)


def test_only_kept_train_rows_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cap, the train rows are those that the store would keep; all are looked at and counted, and the other
    splits are whole."""
    monkeypatch.setattr(standardizing, "CHUNK", 7)
    rows = [{"t": f"text {n}" if n % 5 else "", "l": n % 2} for n in range(100)]
    kind, splits = Classification(text="t", label="l"), Splits(train="train", test="test")
    source = raw({"t": TEXT, "l": class_label("a", "b")}, train=rows, test=rows)
    made, few = (standardize(task(kind, splits=splits), source, max_rows=most) for most in (None, 9))
    assert len(made.splits["train"]) == 80 and made.unused == few.unused and made.fingerprint == few.fingerprint
    assert few.splits["train"].equals(capped(made.splits["train"], made.task.id, 9))
    assert few.splits["test"].equals(made.splits["test"])


def test_two_source_names_may_be_one_of_ours() -> None:
    """Many to one: the order of our labels is that of first appearance."""
    kind = Classification(text="t", label="l", names={"very good": "good", "bad": "bad", "good": "good"})
    rows = [{"t": "a", "l": "good"}, {"t": "b", "l": "bad"}, {"t": "c", "l": "very good"}]
    found = standardize(task(kind), raw({"t": TEXT, "l": TEXT}, train=rows))
    assert found.labels == ("good", "bad")
    assert found.splits["train"]["label"].to_pylist() == [0, 1, 0]


@pytest.mark.parametrize("feature, value", [(TEXT, "new"), (class_label("a", "new"), 1)])
def test_an_unlisted_name_is_an_error(feature: dict[str, Any], value: object) -> None:
    """A label that the recipe does not know is named, never dropped."""
    kind = Classification(text="t", label="l", names={"a": "A"})
    with pytest.raises((DataError, RecipeError), match=r"made/task.*'new'"):
        standardize(task(kind), raw({"t": TEXT, "l": feature}, train=[{"t": "x", "l": value}]))


def test_positional_names_are_for_bare_integers() -> None:
    """Integers map by place, out of range is counted; names of a ClassLabel must be mapped by name."""
    kind = Classification(text="t", label="l", names=("zero", "one"))
    rows = [{"t": f"x{n}", "l": n} for n in (0, 1, 1, 0, 5, -1)]
    found = standardize(task(kind), raw({"t": TEXT, "l": INTEGER}, train=rows))
    assert found.splits["train"]["label"].to_pylist() == [0, 1, 1, 0]
    assert found.unused["train"] == {"label_out_of_range": 1, "hidden_label": 1}
    with pytest.raises(RecipeError, match="bare integers"):
        standardize(task(kind), raw({"t": TEXT, "l": class_label("a", "b")}, train=rows[:2]))


def test_eight_bit_labels_do_not_wrap() -> None:
    """-1 in an int8 column is a hidden label, not 255."""
    table = pa.table({"t": ["a", "b"], "l": pa.array([-1, 1], pa.int8())})
    features = {"t": TEXT, "l": class_label("x", "y")}
    found = standardize(task(Classification(text="t", label="l")), RawTask({"train": table}, features, "made", "f"))
    assert found.splits["train"]["label"].to_pylist() == [1]
    assert found.unused["train"] == {"hidden_label": 1}


def test_labels_of_ones_own_rows_are_those_of_all_splits() -> None:
    """A label that train rows lack is one all the same; -1 is hidden where they lack it."""
    rows = {
        "train": [{"t": "p", "l": "b"}, {"t": "q", "l": "a"}],
        "validation": [{"t": "r", "l": "c"}, {"t": "s", "l": "-1"}, {"t": "u", "l": ""}],
    }
    features = {"t": TEXT, "l": TEXT}
    splits = Splits(train="train", validation="validation")
    given = dataclasses.replace(task(Classification(text="t", label="l")), splits=splits)
    found = standardize(given, raw(features, **rows))
    assert found.labels == ("a", "b", "c")
    assert found.splits["validation"]["label"].to_pylist()[0] == 2
    assert found.unused["validation"]["hidden_label"] >= 1
    rows["train"].append({"t": "v", "l": "-1"})
    found = standardize(given, raw(features, **rows))
    assert found.labels == ("-1", "a", "b", "c")
    assert found.splits["train"]["label"].to_pylist() == [2, 1, 0]


def test_texts_that_cannot_be_read_are_counted() -> None:
    """Null and blank texts and pairs are left out under their own reasons, one reason a row."""
    rows = [
        {"premise": "p", "hypothesis": "h", "label": 0}, {"premise": None, "hypothesis": "h", "label": 0},
        {"premise": " \n", "hypothesis": "h", "label": -1}, {"premise": "p", "hypothesis": "", "label": 1},
        {"premise": "p", "hypothesis": "h", "label": 1}, {"premise": "q", "hypothesis": "h", "label": 1},
    ]  # fmt: skip
    kind = Classification(text="premise", pair="hypothesis", label="label")
    found = standardize(task(kind), raw(PAIR | {"label": class_label("a", "b")}, train=rows))
    assert found.splits["train"]["row"].to_pylist() == [0, 4, 5]
    assert found.unused["train"] == {"null_text": 1, "empty_text": 2}


def test_blank_is_any_white_space() -> None:
    """Spaces that are no ASCII are blank too; a zero-width joiner or a lone accent is a text."""
    texts = ["", " ", "\t\n", "\u00a0", "\u3000\u2003", "\u200d", "\u0301", " a", "a "]
    rows = [{"t": text, "l": 0} for text in [*texts, *"bcdefgh"]]
    found = standardize(task(Classification(text="t", label="l")), raw({"t": TEXT, "l": class_label("a")}, train=rows))
    assert found.unused["train"] == {"empty_text": 5}
    assert found.splits["train"]["text"].to_pylist()[:4] == ["\u200d", "\u0301", " a", "a "]


LETTERS = "ABCD"


def random_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows with now and then a null, a blank or an answer that is none."""
    source = random.Random(seed)
    made = []
    for number in range(count):
        letters = LETTERS[: source.randint(2, 4)]
        text = source.choice([f"text {number}", f"text {number}", f"text {number}", None, " "])
        words = [source.choice(["x", "y"]) for _ in letters]
        record = {"label": list(letters), "text": [f"{letter} {number}" for letter in letters]}
        key = source.choice(letters + letters + "Z")
        made.append(
            {"t": text, "l": source.choice([0, 1, 2, 2, -1]), "c": record, "key": key,
             "tags": words[: source.choice([len(words)] * 4 + [1])], "w": list(letters)}
        )  # fmt: skip
    return made


PIECES = {"t": TEXT, "l": class_label("no", "odd", "yes"), "c": {"label": TEXTS, "text": TEXTS}, "key": TEXT,
          "tags": TEXTS, "w": TEXTS}  # fmt: skip
KINDS_IN_PIECES: tuple[Kind, ...] = (
    Classification(text=Template("{t}!"), pair="t", label="l", names={"yes": "yes", "no": "no", "odd": None}),
    MultipleChoice(prompt="key", choices=Nested("c", "text"), label=IndexIn("key", Nested("c", "label"))),
    MultipleChoice(prompt="key", choices=Shuffled(Nested("c", "text")), label=Constant(0)),
    TokenClassification(tokens="w", labels="tags", names={"x": "x", "y": "y"}),
    Multilabel(text="key", labels="tags", names={"x": "x", "y": None}),
    Regression(text="key", score="l", low=0, high=1),
)


@pytest.mark.parametrize("kind", KINDS_IN_PIECES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_pieces_give_what_single_rows_give(monkeypatch: pytest.MonkeyPatch, kind: Kind, held: bool, seed: int) -> None:
    """Rows and counts do not depend on where a split is cut: pieces of 7 rows, of 1 row, and the whole are equal."""
    monkeypatch.setattr("taskloom.data.standardize.TOO_MANY", 1.0)
    splits = Splits(train="train", test=Held(0.3, by="key")) if held else Splits(train="train")
    rows = raw(PIECES, train=random_rows(60, seed))
    found = []
    for size in (1, 7, 100):
        monkeypatch.setattr("taskloom.data.standardize.CHUNK", size)
        made = standardize(task(kind, splits=splits), rows)
        found.append(({role: table.to_pylist() for role, table in made.splits.items()}, made.unused))
    assert found[0] == found[1] == found[2]
    assert sum(map(len, found[0][0].values())) + sum(sum(counts.values()) for counts in found[0][1].values()) == 60


def test_a_recipe_that_loses_most_rows_is_an_error() -> None:
    """Over half of a split unusable names task, split and reasons."""
    rows = [{"t": None, "l": 0}, {"t": None, "l": 0}, {"t": "x", "l": 0}]
    with pytest.raises(DataError, match=r"made/task, split train: 2 of 3 rows .*null_text 2"):
        standardize(task(Classification(text="t", label="l")), raw({"t": TEXT, "l": class_label("a", "b")}, train=rows))


def test_multilabel_from_lists_and_from_columns() -> None:
    """Lists of ids or names, or columns over a threshold, give the same lists of our ids."""
    names = {"joy": "joy", "anger": "anger"}
    rows = [{"t": "x", "ids": [0, 1], "joy": 0.9, "anger": 0.7}, {"t": "y", "ids": [], "joy": 0.1, "anger": 0.2}]
    features = {
        "t": TEXT,
        "ids": {"feature": class_label("anger", "joy"), "_type": "List"},
        "joy": FLOAT,
        "anger": FLOAT,
    }
    for labels in ("ids", Above(("joy", "anger"), 0.5)):
        kind = Multilabel(text="t", labels=labels, names=names)
        found = standardize(task(kind), raw(features, train=rows))
        assert found.labels == ("joy", "anger")
        assert [sorted(row) for row in found.splits["train"]["labels"].to_pylist()] == [[0, 1], []]


def test_scores_stay_in_their_units_and_range() -> None:
    """Text digits become numbers; null and out-of-range scores are counted; words are an error."""
    kind = Regression(text="t", score="s", low=0, high=5)
    rows = [
        {"t": "a", "s": "2.5"},
        {"t": "b", "s": "5"},
        {"t": "c", "s": None},
        {"t": "d", "s": "7"},
        {"t": "e", "s": "0"},
    ]
    found = standardize(task(kind), raw({"t": TEXT, "s": TEXT}, train=rows))
    assert found.splits["train"]["score"].to_pylist() == [2.5, 5.0, 0.0]
    assert found.unused["train"] == {"null_score": 1, "score_out_of_range": 1}
    with pytest.raises(DataError, match="not numbers"):
        standardize(task(kind), raw({"t": TEXT, "s": TEXT}, train=[{"t": "a", "s": "high"}]))


def test_choices_of_any_number() -> None:
    """Rows keep all of their choices; no answer among them, one choice, or a blank one is counted."""
    kind = MultipleChoice(prompt="q", choices="c", label="l")
    rows = [
        {"q": "", "c": ["a", "b", "c"], "l": 2}, {"q": "x", "c": ["a", "b"], "l": 0},
        {"q": "x", "c": ["a", "b"], "l": 2},
        {"q": "x", "c": ["a"], "l": 0}, {"q": "x", "c": ["a", " "], "l": 0}, {"q": "x", "c": ["a", "b"], "l": 1},
        {"q": "y", "c": ["a", "b"], "l": 1},
    ]  # fmt: skip
    found = standardize(task(kind), raw({"q": TEXT, "c": TEXTS, "l": INTEGER}, train=rows))
    assert found.splits["train"].to_pylist()[0] == {"prompt": "", "choices": ["a", "b", "c"], "label": 2, "row": 0}
    assert found.unused["train"] == {"answer_not_in_choices": 1, "too_few_choices": 1, "empty_text": 1}


def test_shuffled_moves_the_label_along() -> None:
    """The right choice stays right, its place is spread evenly, and the order depends on task and row alone."""
    rows = [{"good": f"good {n}", "bad": f"bad {n}", "worse": f"worse {n}"} for n in range(300)]
    kind = MultipleChoice(prompt=Constant(""), choices=Shuffled(Listed("good", "bad", "worse")), label=Constant(0))
    found = standardize(task(kind), raw({"good": TEXT, "bad": TEXT, "worse": TEXT}, train=rows)).splits["train"]
    right = [row["choices"][row["label"]] for row in found.to_pylist()]
    assert right == [f"good {n}" for n in range(300)]
    assert np.bincount(found["label"].to_numpy()).min() > 70
    assert row_permutation("made/task", 7, 5) == row_permutation("made/task", 7, 5) != row_permutation("other", 7, 5)


def test_tags_must_fit_their_words() -> None:
    """A row with more labels than words is counted; string tags are mapped by name."""
    kind = TokenClassification(tokens="w", labels="l", names={"O": "O", "PER": "B-PER"})
    rows = [{"w": ["a", "b"], "l": ["O", "PER"]}, {"w": ["a"], "l": ["O", "O"]}, {"w": ["c"], "l": ["O"]}]
    found = standardize(task(kind), raw({"w": TEXTS, "l": TEXTS}, train=rows))
    assert found.labels == ("O", "B-PER")
    assert found.splits["train"]["labels"].to_pylist() == [[0, 1], [0]]
    assert found.unused["train"] == {"length_mismatch": 1}


def test_filters_are_counted_and_not_held_against_the_recipe() -> None:
    """Where keeps or drops rows by value before anything else."""
    kind = Classification(text="t", label="l")
    rows = [{"t": f"x{n}", "l": n % 2, "from": "a" if n < 2 else "b"} for n in range(10)]
    features = {"t": TEXT, "l": class_label("no", "yes"), "from": TEXT}
    kept = standardize(task(kind, where=(Where("from", ("a",)),)), raw(features, train=rows))
    dropped = standardize(task(kind, where=(Where("from", ("a",), keep=False),)), raw(features, train=rows))
    assert kept.splits["train"]["row"].to_pylist() == [0, 1] and kept.unused["train"] == {"filtered": 8}
    assert dropped.splits["train"]["row"].to_pylist() == list(range(2, 10))


def test_a_filter_compares_words_as_a_sentence() -> None:
    """A row whose only word is a mark between documents is filtered; the same word inside a sentence is not."""
    kind = TokenClassification(tokens="w", labels="l", names=("O", "B"))
    rows = [{"w": ["-DOC-"], "l": [0]}, {"w": ["a", "-DOC-"], "l": [0, 1]}, {"w": ["b"], "l": [1]}]
    features = {"w": TEXTS, "l": {"feature": INTEGER, "_type": "List"}}
    made = standardize(task(kind, where=(Where("w", ("-DOC-",), keep=False),)), raw(features, train=rows))
    assert made.splits["train"]["row"].to_pylist() == [1, 2]
    assert made.unused["train"] == {"filtered": 1}


def test_held_out_rows_keep_groups_together() -> None:
    """A tenth of the groups goes to validation and test, equal texts together, nothing in both, the rest trains."""
    rows = [{"t": f"text {n % 400}", "l": n % 2} for n in range(2000)]
    splits = Splits(train="train", validation=Held(0.1), test=Held(0.1))
    made = task(Classification(text="t", label="l"), splits=splits)
    found = standardize(made, raw({"t": TEXT, "l": class_label("a", "b")}, train=rows)).splits
    texts = {split: set(table["text"].to_pylist()) for split, table in found.items()}
    assert not texts["train"] & texts["validation"] and not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]
    assert sum(len(table) for table in found.values()) == 2000
    assert 20 < len(texts["validation"]) < 60 and 20 < len(texts["test"]) < 60


def test_missing_splits_are_reported() -> None:
    """A declared split that is not there is listed; with none left it is an error."""
    kind = Classification(text="t", label="l")
    features, rows = {"t": TEXT, "l": class_label("a", "b")}, [{"t": "x", "l": 0}]
    found = standardize(task(kind, splits=Splits(train="train", test="test")), raw(features, train=rows))
    assert found.missing_splits == ("test",)
    with pytest.raises(DataError, match="no row can be used"):
        standardize(task(kind), raw(features, validation=rows))


def test_a_split_with_hidden_labels_is_left_out() -> None:
    """A test split of -1 labels is not a split, and is listed as missing."""
    kind = Classification(text="t", label="l")
    features = {"t": TEXT, "l": class_label("a", "b")}
    found = standardize(
        task(kind, splits=Splits(train="train", test="test")),
        raw(features, train=[{"t": "x", "l": 0}], test=[{"t": "y", "l": -1}]),
    )
    assert list(found.splits) == ["train"] and found.missing_splits == ("test",)


def test_wrong_columns_are_found_before_rows() -> None:
    """A field that names no column says so, with task, field and the nearest column."""
    with pytest.raises(RecipeError, match=r"made/task, field text: column 'txt' is missing.*Did you mean 'text'"):
        standardize(
            task(Classification(text="txt", label="l")),
            raw({"text": TEXT, "l": INTEGER}, train=[{"text": "a", "l": 0}]),
        )


def test_datasets_get_class_labels() -> None:
    """The public form has ClassLabel features whose names are ours."""
    kind = Classification(text="t", label="l", names={"b": "second", "a": "first"})
    found = to_dataset_dict(
        standardize(task(kind), raw({"t": TEXT, "l": TEXT}, train=[{"t": "x", "l": "a"}, {"t": "y", "l": "b"}]))
    )
    assert found["train"].features["label"].names == ["second", "first"]
    assert found["train"][0] == {"text": "x", "pair": None, "label": 1, "row": 0}


def test_datasets_are_told_apart_by_what_is_in_them() -> None:
    """Equal rows under an equal recipe have one fingerprint; another split, recipe or source has another."""
    kind = Classification(text="t", label="l", names={"a": "a", "b": "b"})
    rows = raw({"t": TEXT, "l": TEXT}, train=[{"t": "x", "l": "a"}, {"t": "y", "l": "b"}])
    splits = Splits(train="train", test=Held(0.5))
    marks = [
        to_dataset_dict(standardize(made, source))[role]._fingerprint
        for made, source, role in (
            (task(kind), rows, "train"),
            (task(kind), rows, "train"),
            (task(kind, version=2), rows, "train"),
            (task(kind), dataclasses.replace(rows, fingerprint="other"), "train"),
            (task(kind, splits=splits), rows, next(iter(standardize(task(kind, splits=splits), rows).splits))),
        )
    ]
    assert marks[0] == marks[1]
    assert len(set(marks)) == 4
