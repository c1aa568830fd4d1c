"""`taskloom finetune` and `taskloom.finetune`: from a file or a task to a model folder like any other."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModel, AutoModelForSequenceClassification

import taskloom
from made_models import MAX_LENGTH, made_model
from taskloom import cli
from taskloom.adapting.finetuning import Settings
from taskloom.adapting.start import open_start
from taskloom.data.shots import content_keys
from taskloom.data.store import TaskStore
from taskloom.errors import ConfigError, DataError
from taskloom.modeling.model import new_folder
from taskloom.recipes.select import get_task
from taskloom.workflows import tuning
from taskloom.workflows.own_data import Columns, task_of_file
from taskloom.workflows.tuning import Request, Rows, finetune, recipe_of, rows_of_seed, scored_rows

QUICK = Settings(learning_rate=3e-3, head_learning_rate=1e-2, least_steps=12, most_steps=12)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Forty rows of two classes that words tell apart, with a column that nobody asks for."""
    words = ("cat", "dog", "bird", "house", "river")
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "what they said", "mood"])
        for n in range(40):
            mood = ("happy and good", "sad and bad")[n % 2]
            writer.writerow([n, f"the {words[n % 5]} is {mood} for {n} men", ("pleased", "angry")[n % 2]])
    return path


def table(folder: Path, name: str, columns: dict[str, list[object]]) -> Path:
    """Write a JSON lines file."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def quick(model: Path, task: Path | str, **options: object) -> Request:
    """Return a request that takes a second."""
    recipe, told = recipe_of(task)
    return Request(model=str(model), task=recipe, told=told, settings=QUICK, device="cpu", **options)  # type: ignore[arg-type]


def test_a_file_becomes_a_model_folder(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """The folder opens with taskloom and with transformers, exports, answers by the labels of the file, and its card
    says what it came from."""
    out = tmp_path / "out"
    done = finetune(quick(tiny_bert, reviews, seeds=(0, 1)), output=out)
    assert [one.seed for one in done.seeds] == [0, 1]
    model = taskloom.load_model(out, device="cpu")
    rows = ["the dog is happy and good for 9 men", "the river is sad and bad for 2 men"]
    assert [one["label"] for one in model.predict("own/reviews", rows)] == ["pleased", "angry"]
    assert model.predict("own/reviews", rows) == done.model.predict("own/reviews", rows)
    assert AutoModel.from_pretrained(str(out)).config.hidden_size == 32
    exported = taskloom.export(out, tmp_path / "exported", head="own/reviews")
    labels = AutoModelForSequenceClassification.from_pretrained(str(exported)).config.id2label
    assert sorted(labels.values()) == ["angry", "pleased"]
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"Fine-tuned from `{tiny_bert}`, an encoder that was no taskloom model, with all train rows" in card
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [one["seed"] for one in results["training"]["seeds"]] == [0, 1]
    record = json.loads((out / "heads.json").read_text(encoding="utf-8"))
    assert record["training"] == {"tasks": {"own/reviews": "files of own/reviews"}, "held_out": []}


def test_a_fine_tuned_model_is_a_start_like_any_other(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """A second round starts from the first one's head and knows what was trained before."""
    finetune(quick(tiny_bert, reviews), output=tmp_path / "first")
    second = finetune(quick(tmp_path / "first", reviews, shots=4), output=tmp_path / "second")
    assert second.seeds[0].head == "reuse"
    assert second.seeds[0].train_rows == 8
    card = (tmp_path / "second" / "README.md").read_text(encoding="utf-8")
    assert "a taskloom model of 1 tasks, with 4 train rows a class" in card
    assert "The start had been trained on own/" in card


@pytest.mark.parametrize(
    ("columns", "said", "kind"),
    [
        ({"text": ["a b c", "d e f"] * 20, "label": ["x", "y"] * 20}, Columns(text="text", label="label"),
         "classification"),
        ({"t": ["a b c d"] * 40, "s": [n / 7 for n in range(40)]}, Columns(text="t", label="s"), "regression"),
        ({"t": ["a b c d"] * 40, "l": [["x"], ["x", "y"]] * 20}, Columns(text="t", label="l"), "multilabel"),
        ({"w": [["a", "b"], ["c"]] * 20, "t": [["O", "B-x"], ["O"]] * 20}, Columns(text="w", label="t"),
         "token_classification"),
        ({"question": [f"what is {n} about then" for n in range(40)], "a": [f"one {n}" for n in range(40)],
          "b": [f"two {n}" for n in range(40)], "answer": [n % 2 for n in range(40)]}, Columns(), "multiple_choice"),
        ({"n": [f"word {n} of some more" for n in range(40)], "c": ["1", "2"] * 20}, Columns(label="c"),
         "classification"),
        ({"t": ["a b c"] * 40, "stars": [n % 5 for n in range(40)]}, Columns("t", None, "stars", "regression"),
         "regression"),
    ],
)  # fmt: skip
def test_kinds_follow_from_columns(columns: dict[str, list[object]], said: Columns, kind: str, tmp_path: Path) -> None:
    """Named or guessed, each of the five kinds is found; what is named is what is read."""
    task, told = task_of_file(table(tmp_path, "rows.jsonl", columns), said)
    assert task.kind.name == kind
    assert told or said.kind
    for column in (said.text, said.label):
        assert column is None or column in task.columns()


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (["1", "", "good"], "rows.csv, column 'b', row 2: 'good' is no number"),
        (["1", "nan", "2"], "rows.csv, column 'b', row 1: 'nan' is no number"),
        (["", "", ""], "rows.csv, column 'b' is empty"),
    ],
)
def test_scores_that_are_no_numbers_are_named(scores: list[str], message: str, tmp_path: Path) -> None:
    """The file, the row, counted from 0, and the value; or that there is no value at all."""
    lines = [f"some words {number},{score}" for number, score in enumerate(scores)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b", *lines]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        task_of_file(tmp_path / "rows.csv", Columns("a", None, "b", "regression"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "glue/rte", "--data", "rows.jsonl"], "either --task TASK or --data FILE"),
        ([], "either --task TASK or --data FILE"),
        (["--task", "glue/rte", "--text", "x"], "a task knows its own columns"),
        (["--data", "nothing.csv"], "There is no file nothing.csv"),
        (["--data", "rows.jsonl", "--text", "txt", "--label", "label"], "Did you mean 'text'"),
        (["--data", "rows.jsonl", "--kind", "clasification"], "Did you mean 'classification'"),
        (["--task", "glue/rtee"], "Did you mean 'glue/rte'"),
        (["--data", "rows.jsonl", "--output", "full"], "is there and not empty"),
    ],
)
def test_mistakes_are_told_in_one_message(
    arguments: list[str],
    message: str,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is wrong, what is allowed, what to type; exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    table(tmp_path, "full/rows.jsonl", {"text": ["a"]})
    table(tmp_path, "rows.jsonl", {"text": ["a b c", "d e f"] * 20, "label": ["x", "y"] * 20})
    assert cli.main(["finetune", str(tiny_bert), *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["finetune", "distil", "export"])
def test_the_current_folder_is_refused_at_once(
    command: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty folder that the command is typed in cannot be replaced; that is said before anything is computed."""
    made_model(tiny_bert).save(
        tmp_path / "made", tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts.txt").write_text("\n".join(f"text {number}" for number in range(60)), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "empty")
    arguments = {
        "finetune": ["../made", "--task", "builtin/agreement", "--output", "."],
        "distil": ["../made", "../texts.txt", "--labels", "car,bee", "--output", "../empty"],
        "export": ["../made", "."],
    }
    assert cli.main([command, *arguments[command]]) == 2
    assert "is the folder that you are in" in capsys.readouterr().err
    assert list(tmp_path.glob("empty/*")) == list(tmp_path.glob(".tmp-*")) == []


def test_a_new_folder_may_be_named_by_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that ends in dots is the folder that it leads to."""
    (tmp_path / "out" / "in").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out" / "in")
    with new_folder(Path("../new/.")) as temporary:
        (temporary / "file").touch()
    with new_folder(Path("../new/in/../../other")) as temporary:
        assert temporary.parent == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["in", "new", "other"]


def test_the_command_writes_and_tells(
    reviews: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what was guessed, a line a seed with the trivial answer beside the score, and where the model is."""
    monkeypatch.chdir(reviews.parent)
    arguments = ["finetune", str(tiny_bert), "--data", "reviews.csv", "--seeds", "2", "--epochs", "2"]
    assert cli.main([*arguments, "--learning-rate", "1e-3"]) == 0
    out, err = capsys.readouterr()
    assert "mood is the likeliest label" in err
    assert out.count("trivial answer 0.5") == 2 and "95 % interval over seeds" in out
    assert (reviews.parent / "runs" / f"{tiny_bert.name}-own-reviews" / "heads.json").exists()


def test_shots_stop_by_as_many_rows_and_are_scored_on_others(tiny_bert: Path) -> None:
    """With 4 shots validation has 4 rows a class, none of them a shot, and the score is of rows that chose nothing."""
    start = open_start(str(tiny_bert), device="cpu", precision="fp32", length=64)
    store = tuning.prepare_for(get_task("builtin/agreement"), start)
    rows = rows_of_seed(store, "builtin/agreement", shots=4, seed=0)
    assert (len(rows.train), len(rows.validation), rows.validation_split) == (8, 8, "validation")
    without = {name: split for name, split in store.splits.items() if name == "train"}
    alone = TaskStore(**{**vars(store), "splits": without})
    rows = rows_of_seed(alone, "builtin/agreement", shots=4, seed=0)
    assert (len(rows.train), len(rows.validation), rows.validation_split) == (8, 8, "train")
    assert not set(rows.train) & set(rows.validation)
    split, places, chose = scored_rows(alone, rows)
    assert (split, chose) == ("train", False)
    assert len(places) > 100 and not set(places) & {*rows.train, *rows.validation}
    used = set(content_keys(alone.splits["train"], np.union1d(rows.train, rows.validation)).tolist())
    assert not used & set(content_keys(alone.splits["train"], places).tolist())
    every = rows_of_seed(alone, "builtin/agreement", shots=None, seed=0)
    split, places, chose = scored_rows(alone, every)
    assert (split, chose, places.tolist()) == ("train", True, every.validation.tolist())
    no_test = TaskStore(**{**vars(store), "splits": {name: store.splits[name] for name in ("train", "validation")}})
    few = Rows(np.arange(8), np.arange(5), "validation")
    split, places, chose = scored_rows(no_test, few)
    assert (split, chose, set(places) & {*range(5)}) == ("validation", False, set())
    assert scored_rows(store, few)[0] == "test"


def test_python_takes_an_opened_model_and_saves_nothing_unasked(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """`taskloom.finetune` returns a model that answers; a model is a start as good as its folder."""
    first = taskloom.finetune(tiny_bert, reviews, shots=2, output=tmp_path / "first", device="cpu")
    again = taskloom.finetune(first, reviews, text="what they said", label="mood", shots=2, seed=1, device="cpu")
    assert again.tasks == ("own/reviews@1",)
    assert {path.name for path in tmp_path.iterdir()} == {"reviews.csv", "first"}


def test_a_task_without_train_rows_is_refused(tmp_path: Path) -> None:
    """A kind that there is not is an error before anything is read."""
    with pytest.raises(ConfigError, match="no kind"):
        recipe_of(tmp_path / "rows.csv", Columns(kind="tags"))
