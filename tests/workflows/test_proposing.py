"""What is proposed can be pasted: our own parser takes the block, the catalog the recipe, and rows standardize."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from taskloom import cli
from taskloom.data.source import read
from taskloom.data.standardize import standardize
from taskloom.errors import ConfigError, SourceError, UserError
from taskloom.recipes import expressions, recipe
from taskloom.recipes.own import own_task
from taskloom.workflows.proposing import proposed

LETTERS = "ABC"
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "classes": (
        {"kind": "classification", "text": "body", "label": "priority"},
        lambda n: {"id": n, "body": f"this is row {n}", "priority": f"p{n % 3}", "label_confidence": n / 7},
    ),
    "pair": (
        {"kind": "classification", "text": "premise", "pair": "hypothesis", "label": "gold_label"},
        lambda n: {"premise": f"it was {n} then", "hypothesis": f"it is {n} now", "gold_label": "yn"[n % 2]},
    ),
    "list of labels": (
        {"kind": "multilabel", "text": "body", "labels": "topics"},
        lambda n: {"body": f"this is row {n}", "topics": ["a", "b"][: 1 + n % 2]},
    ),
    "columns of 0 and 1": (
        {"kind": "multilabel", "text": "body", "labels": ["toxic", "rude", "spam"]},
        lambda n: {"body": f"this is row {n}", "toxic": n % 2, "rude": n // 2 % 2, "spam": n // 4 % 2},
    ),
    "score": (
        {"kind": "regression", "text": "body", "score": "score"},
        lambda n: {"body": f"this is row {n}", "score": n * 0.37},
    ),
    "place": (
        {"kind": "multiple_choice", "prompt": "question", "choices": "options", "label": "answer", "answer": "place"},
        lambda n: {"question": f"which is {n} of", "options": [f"x{n}", f"y{n}", f"z{n}"], "answer": n % 3},
    ),
    "number in columns": (
        {"kind": "multiple_choice", "prompt": ["context", "question"], "choices": ["option1", "option2"],
         "label": "answer", "answer": "number"},
        lambda n: {"question": f"which is {n} of", "context": f"we have {n} of them", "option1": f"x {n}",
                   "option2": f"y {n}", "answer": 1 + n % 2},
    ),
    "letter": (
        {"kind": "multiple_choice", "prompt": "question", "choices": ["A", "B", "C"], "label": "answer",
         "answer": "letter"},
        lambda n: {"question": f"which is {n} of", "A": f"x {n}", "B": f"y {n}", "C": f"z {n}",
                   "answer": LETTERS[n % 3]},
    ),
    "text": (
        {"kind": "multiple_choice", "prompt": "question", "choices": "options", "label": "answer", "answer": "text"},
        lambda n: {"question": f"which is {n} of", "options": [f"x {n}", f"y {n}"], "answer": f"{'xy'[n % 2]} {n}"},
    ),
    "right by name": (
        {"kind": "multiple_choice", "prompt": "question", "choices": ["correct_answer", "distractor1"],
         "answer": "first"},
        lambda n: {"question": f"which is {n} of", "correct_answer": f"x {n}", "distractor1": f"y {n}"},
    ),
    "tags": (
        {"kind": "token_classification", "tokens": "tokens", "labels": "ner_tags"},
        lambda n: {"tokens": [f"a{n}", f"b{n}", "c"], "ner_tags": ["O", "B-X", "I-X"], "pos": ["x", "y", "z"]},
    ),
}  # fmt: skip


def write(path: Path, row: Any, count: int = 60) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row(n)) + "\n" for n in range(count)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_block_can_be_pasted(name: str, tmp_path: Path) -> None:
    """It names kind and columns, our own parser takes it, and all of its rows are usable."""
    expected, row = CASES[name]
    (entry,) = tomllib.loads(proposed(str(write(tmp_path / "rows.jsonl", row))))["task"]
    assert {key: entry.get(key) for key in expected} == expected
    task = own_task(entry)
    made = standardize(task, read(task))
    assert sum(len(table) for table in made.splits.values()) == 60
    if name in ("number in columns", "letter", "text"):
        for line in made.splits["train"].to_pylist():
            assert line["label"] == line["row"] % len(line["choices"])
    if name == "right by name":
        rows = made.splits["train"].to_pylist()
        assert all(line["choices"][line["label"]].startswith("x") for line in rows)
        assert {line["label"] for line in rows} == {0, 1}


def test_doubts_are_told(tmp_path: Path) -> None:
    """Another column that could be the label, and a second text, are said above the block."""
    path = write(
        tmp_path / "rows.jsonl",
        lambda n: {"first": f"one text {n}", "other": f"two text {n}", "label": n % 2, "sort": f"k{n % 3}"},
    )
    told = [line for line in proposed(str(path)).splitlines() if line.startswith("# DOUBT")]
    assert any("sort could be the label" in line for line in told)
    assert any("other is taken as the second text" in line for line in told)
    assert any("bare numbers" in line for line in told)


def test_a_folder_gives_its_splits(tmp_path: Path) -> None:
    """Files called train and test are what they say."""
    for split in ("train", "test"):
        write(tmp_path / f"{split}.jsonl", CASES["classes"][1])
    (entry,) = tomllib.loads(proposed(str(tmp_path)))["task"]
    assert set(entry["files"]) == {"train", "test"}
    assert own_task(entry).splits.test == "test"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with a set of two configurations, each with class labels and two splits."""
    home = tmp_path / "somebody" / "stances"
    features = Features({"text": Value("string"), "label": ClassLabel(names=["for", "against"])})
    configs = []
    for config in ("cats", "dogs"):
        files = []
        for split in ("train", "test"):
            path = home / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"text": f"this is {config} row {n}", "label": n % 2} for n in range(60)]
            Dataset.from_list(rows, features=features).to_parquet(str(path))
            files.append({"split": split, "path": f"{config}/{split}.parquet"})
        configs.append({"config_name": config, "data_files": files})
    (home / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n", encoding="utf-8")
    monkeypatch.setenv("TASKLOOM_MIRROR", str(tmp_path))
    return tmp_path


def test_a_repository_gives_a_recipe(mirror: Path) -> None:
    """The printed Task is valid Python over the recipe vocabulary, and its rows standardize."""
    printed = proposed("somebody/stances", config="dogs")
    task = eval(printed, {**vars(expressions), **vars(recipe)})
    assert isinstance(task, recipe.Task)
    assert (task.id, task.source) == ("stances/dogs", recipe.Hub("somebody/stances", "dogs"))
    assert task.splits == recipe.Splits(train="train", test="test")
    made = standardize(task, read(task))
    assert made.labels == ("for", "against")
    assert len(made.splits["test"]) == 60


def test_a_configuration_has_to_be_chosen(mirror: Path) -> None:
    """Without one the message lists them."""
    with pytest.raises(SourceError, match="cats, dogs"):
        proposed("somebody/stances")


@pytest.mark.parametrize("name", ["absent.csv", "no/such/place", "./nowhere"])
def test_no_such_file(name: str) -> None:
    """What is neither there nor OWNER/NAME is told with what may be given."""
    with pytest.raises(SourceError, match="OWNER/NAME"):
        proposed(name)


def test_nothing_fits(tmp_path: Path) -> None:
    """Columns without a label are a user's mistake, and the message lists them."""
    path = tmp_path / "rows.csv"
    path.write_text("body\n" + "".join(f"text number {n}\n" for n in range(9)))
    with pytest.raises(UserError, match="body"):
        proposed(str(path))


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`taskloom propose FILE` prints the block; a missing file exits with 2 and one message."""
    assert cli.main(["propose", str(write(tmp_path / "rows.jsonl", CASES["classes"][1]))]) == 0
    assert "[[task]]" in capsys.readouterr().out
    assert cli.main(["propose", str(tmp_path / "absent.csv")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"answer": "leter"}, "Did you mean 'letter'"),
        ({"answer": "first"}, "then it has none"),
        ({"label": None}, "needs"),
    ],
)
def test_mistakes_in_how_an_answer_is_written(changed: dict[str, Any], told: str) -> None:
    """The message says what is allowed."""
    entry = {
        "id": "own/x",
        "kind": "multiple_choice",
        "files": "x.csv",
        "prompt": "q",
        "choices": ["a", "b"],
        "label": "c",
    }
    with pytest.raises(ConfigError, match=told):
        own_task({key: value for key, value in (entry | changed).items() if value is not None})
