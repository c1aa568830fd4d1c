"""A whole run with recasts: prepared, trained, listed, answered, and a zero-shot head where no NLI task was given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskloom import load_model
from taskloom.errors import ConfigError, RecastError
from taskloom.run_file import load_config
from taskloom.workflows.preparing import prepare, rows_of
from taskloom.workflows.running import Run, train


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run file over a task with named labels and one with numbers, recast in two ways."""
    colors, sizes = ("red", "blue", "green"), ("big", "small", "old", "new")
    rows = [f"the {sizes[n % 4]} {colors[n % 3]} house {n},{colors[n % 3]},{n % 2}" for n in range(120)]
    (tmp_path / "rows.csv").write_text("text,color,parity\n" + "\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
encoder = "{tiny_bert}"
[data]
tasks = []
max_length = 48
recast = ["label-nli"]
[[task]]
id = "own/color"
kind = "classification"
files = {{ train = "rows.csv" }}
text = "text"
label = "color"
question = "Which color has it?"
recast = "instruction"
[[task]]
id = "own/parity"
kind = "classification"
files = {{ train = "rows.csv" }}
text = "text"
label = "parity"
[training]
steps = 6
batch_size = 16
learning_rate = 1e-3
precision = "fp32"
device = "cpu"
""",
        encoding="utf-8",
    )
    return path


def test_recasts_are_trained_beside_their_tasks(run_file: Path) -> None:
    """Plan, results, tasks.md, heads and prediction carry the recasts; the zero-shot head is theirs."""
    run: Run = train(load_config(run_file))
    trained = ["own/color@1", "own/parity@1", "own/color+label-nli@1", "own/color+instruction@1"]
    plan = json.loads((run.folder / "plan.json").read_text(encoding="utf-8"))
    assert list(plan["tasks"]) == trained
    assert set(run.results.tasks) == set(trained)
    color, recast = plan["tasks"]["own/color@1"]["rows"], plan["tasks"]["own/color+label-nli@1"]["rows"]
    assert recast == {split: 2 * rows for split, rows in color.items()}
    listed = (run.folder / "tasks.md").read_text(encoding="utf-8")
    assert "own/color+label-nli@1 | classification | own files" in listed
    assert "own/parity+label-nli" in listed.split("## Not trained")[1]
    assert (run.folder / "predictions" / "own%2Fcolor%2Blabel-nli.validation.parquet").is_file()
    model = load_model(run.folder)
    assert model.zero_shot_task == "own/color+label-nli@1"
    assert set(model.classify("the red house", ["red", "blue"])["labels"]) == {"red", "blue"}
    (answer,) = model.predict("own/color+label-nli", [("the red house", "This example is red.")])
    assert set(answer["scores"]) == {"entailment", "neutral", "contradiction"}
    assert train(load_config(run_file)).results == run.results


def test_recasts_may_stay_out_of_the_last_pass(run_file: Path) -> None:
    """They are trained, listed and not scored; the pages are written all the same."""
    run = train(load_config(run_file, ["evaluation.recasts=false"]))
    assert set(run.results.tasks) == {"own/color@1", "own/parity@1"}
    assert run.results.aggregate.tasks == 2
    assert load_model(run.folder).zero_shot_task == "own/color+label-nli@1"
    for page in ("tasks.md", "report.html", "README.md"):
        assert (run.folder / page).is_file()
    assert "own/color+label-nli" in (run.folder / "tasks.md").read_text(encoding="utf-8")


def test_keep_without_matching_is_a_mistake(run_file: Path) -> None:
    """There is nothing to keep where nothing is compared: the message names the recast; with it the run trains."""
    with pytest.raises(ConfigError, match=r'"matching" to data\.recast'):
        train(load_config(run_file, ["training.keep=5", "name=without"]))
    run = train(load_config(run_file, ["training.keep=5", 'data.recast=["matching"]', "name=with"]))
    assert load_model(run.folder).classify("the red house", ["red", "blue"])["labels"]


def test_weights_of_patterns(run_file: Path) -> None:
    """Factors of all patterns that match are multiplied; an exact id counts alone."""
    weights = '{ "*+label-nli" = 2.0, "own/color*" = 3.0, "own/color" = 5.0 }'
    run = train(load_config(run_file, [f"mixture.weights={weights}", "mixture.exponent=0"]))
    plan = json.loads((run.folder / "plan.json").read_text(encoding="utf-8"))["tasks"]
    shares = {task.removesuffix("@1"): one["share"] for task, one in plan.items()}
    wanted = {"own/color": 5, "own/parity": 1, "own/color+label-nli": 6, "own/color+instruction": 3}
    assert shares == pytest.approx({task: weight / 15 for task, weight in wanted.items()}, abs=1e-5)


def test_a_cap_holds_for_the_recast_too(run_file: Path) -> None:
    """max_rows counts the rows that are trained on: those of the recast, balanced still."""
    found = prepare(load_config(run_file, ["data.max_rows=20"]))
    stores = {store.id: store for store in found.stores}
    labels = stores["own/color+label-nli"].splits["train"].labels
    assert len(labels) == 20
    assert sorted(set(labels.tolist())) == [0, 2]
    assert (labels == 0).sum() == 10
    assert len(stores["own/color+instruction"].splits["train"]) == 20


def test_labels_without_words_do_not_stop_a_run(run_file: Path) -> None:
    """on_error = "stop" is for data that cannot be used; a recast that is refused leaves its task in the run."""
    found = prepare(load_config(run_file, ["data.on_error=stop"]))
    assert [failure.task for failure in found.failed] == ["own/parity+label-nli"]
    assert "say nothing" in found.failed[0].reason
    refused = [task for task in found.tasks if task.id == "own/parity"]
    assert refused
    from taskloom.recipes.recasts import recast_task

    with pytest.raises(RecastError):
        rows_of(recast_task(refused[0], "label-nli"))


def test_another_question_is_prepared_anew(run_file: Path) -> None:
    """The question stands in prompts: with another one the recast has another store, the task keeps its own."""
    before = {store.id: store.fingerprint for store in prepare(load_config(run_file)).stores}
    run_file.write_text(run_file.read_text(encoding="utf-8").replace("has it?", "is it?"), encoding="utf-8")
    after = {store.id: store.fingerprint for store in prepare(load_config(run_file)).stores}
    assert before["own/color"] == after["own/color"]
    assert before["own/color+instruction"] != after["own/color+instruction"]
