"""`taskloom evaluate` on a small run: everything that it scores, keeps, compares and calibrates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import taskloom
from taskloom import cli
from taskloom.errors import DataError, ModelError, UnknownTaskError, UserError
from taskloom.evaluation import engine
from taskloom.evaluation.predictions import read_predictions
from taskloom.evaluation.report import read_report
from taskloom.inference.predictor import load_model
from taskloom.modeling.head_table import Head, HeadTable
from taskloom.run_file import load_config
from taskloom.workflows import evaluating
from taskloom.workflows.own_rows import OwnRows, task_of_rows
from taskloom.workflows.preparing import rows_of
from taskloom.workflows.running import train
from taskloom.workflows.subject import locate, open_subject

WORDS = ("cat", "dog", "red", "blue", "big", "small", "happy", "sad")
MOODS = ("Good Mood", "bad_mood")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """The folder of a finished run over moods (validation and test), scores, choices and built-in entailment."""
    folder = tmp_path_factory.mktemp("run")
    rows = [(f"the {WORDS[n % 8]} {WORDS[(n // 8) % 8]}", MOODS[n % 2], n % 5) for n in range(200)]
    for name, part in (("train", rows[:100]), ("validation", rows[100:160]), ("test", rows[160:])):
        lines = "\n".join(f"{text},{mood},{score}" for text, mood, score in part)
        (folder / f"{name}.csv").write_text(f"text,mood,score\n{lines}\n", encoding="utf-8")
    (folder / "small.toml").write_text(
        f"""
encoder = "{tiny_bert}"
[data]
tasks = ["builtin/label_nli"]
max_length = 32
max_rows = 60
drop_overlap = false
[[task]]
id = "own/moods"
kind = "classification"
files = {{ train = "train.csv", validation = "validation.csv", test = "test.csv" }}
text = "text"
label = "mood"
[[task]]
id = "own/scores"
kind = "regression"
files = {{ train = "train.csv", test = "test.csv" }}
text = "text"
score = "score"
low = 0
high = 4
[training]
steps = 6
batch_size = 16
learning_rate = 1e-3
head_learning_rate = 1e-2
precision = "fp32"
device = "cpu"
evaluate_every = 0
""",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TASKLOOM_CACHE", str(folder / "cache"))
        train(load_config(folder / "small.toml"))
    return folder / "runs" / "small"


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, its prepared tasks shared, in an empty current folder."""
    monkeypatch.setenv("TASKLOOM_CACHE", str(trained.parents[1] / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "small")
    return tmp_path / "small"


def test_training_leaves_complete_results(run: Path) -> None:
    """Each trained task has baselines and the score without embedding beside it; the aggregate says how it weighs."""
    report = read_report(run / "results.json")
    assert set(report.tasks) == {"own/moods@1", "own/scores@1", "builtin/label_nli@1"}
    for splits in report.tasks.values():
        for one in splits.values():
            assert set(one.baselines) == {"chance", "tfidf"}
            assert one.without_embedding is not None
            assert one.without_embedding.metrics.keys() == one.metrics.keys()
    assert report.aggregate.with_both == 3
    assert "Each task counts once" in report.aggregate.weighing
    families = [one.mean_score for one in report.aggregate.by_family.values()]
    assert report.aggregate.mean_over_families == pytest.approx(np.mean(families))
    assert (run / "predictions" / "without_embedding" / "own%2Fmoods.validation.parquet").is_file()


def test_the_same_again_asks_the_model_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After training, evaluate reads what was kept: the loaded model has the fingerprint of the trained one."""
    before = read_report(run / "results.json")
    monkeypatch.setattr(engine, "answer", lambda *_, **__: pytest.fail("the model was asked"))
    monkeypatch.setattr(engine.tfidf, "tfidf_answers", lambda *_, **__: pytest.fail("a baseline was fitted"))
    found = evaluating.evaluate(run)
    assert found.tasks == before.tasks
    assert read_report(run / "results.json").step == before.step == 6


def test_rows_that_were_left_out_are_known(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run left out of training stands in its folder, so that a few tasks need no look at all others."""
    assert json.loads((run / "left_out.json").read_text(encoding="utf-8")) == {}
    config = (run / "config.toml").read_text(encoding="utf-8").replace("drop_overlap = false", "drop_overlap = true")
    (run / "config.toml").write_text(config, encoding="utf-8")
    (run / "left_out.json").write_text('{"own/moods": [0, 1, 2]}', encoding="utf-8")
    seen = []
    original = engine.tfidf.tfidf_answers
    monkeypatch.setattr(
        engine.tfidf, "tfidf_answers", lambda *a, left_out: seen.append(left_out) or original(*a, left_out=left_out)
    )
    monkeypatch.setattr(evaluating, "prepare", lambda *_, **__: pytest.fail("all tasks were prepared"))
    evaluating.evaluate(run, tasks=["own/moods"])
    assert seen == [[0, 1, 2]]
    (run / "left_out.json").unlink()
    monkeypatch.undo()
    monkeypatch.setenv("TASKLOOM_CACHE", str(run.parent / "cache"))
    monkeypatch.chdir(run.parent)
    found = evaluating.evaluate(run, tasks=["own/scores"])
    assert set(found.tasks) == {"own/scores@1"}, "an older run's rows are found anew"


def test_both_splits_in_one_pass(run: Path) -> None:
    """--split all scores validation and test of every task that has them, and results.json keeps both."""
    found = evaluating.evaluate(run, split="all")
    assert set(found.tasks["own/moods@1"]) == {"validation", "test"}
    assert set(found.tasks["own/scores@1"]) == {"test"}
    assert read_report(run / "results.json").tasks == found.tasks
    only = evaluating.evaluate(run, split="test", tasks=["own/*"], quick=True)
    assert set(only.tasks) == {"own/moods@1", "own/scores@1"}
    kept = read_report(run / "results.json").tasks["own/moods@1"]["test"]
    assert kept == found.tasks["own/moods@1"]["test"], "a quick pass keeps the baselines that are known"


def test_a_task_that_was_not_trained(run: Path) -> None:
    """Tasks of the catalog are answered by a head that fits or skipped with the reason, and listed apart."""
    tasks = ["builtin/label_nli", "builtin/overlap_nli", "builtin/negation_nli", "builtin/where_is"]
    found = evaluating.evaluate(run, tasks=tasks, quick=True)
    assert set(found.tasks) == {"builtin/label_nli@1"}
    through = {task: [(one.through, one.head) for one in splits.values()] for task, splits in found.untrained.items()}
    assert through == {
        "builtin/overlap_nli@1": [("three-way NLI", "builtin/label_nli@1")],
        "builtin/negation_nli@1": [("same labels", "builtin/label_nli@1")],
    }
    assert list(found.skipped) == ["builtin/where_is@1"]
    assert "neither was any other multiple-choice task" in found.skipped["builtin/where_is@1"]
    kept = read_report(run / "results.json")
    assert set(kept.tasks) == {"own/moods@1", "own/scores@1", "builtin/label_nli@1"}
    assert kept.skipped == found.skipped
    with pytest.raises(DataError, match=r"Nothing to score[\s\S]*was not trained"):
        evaluating.evaluate(run, tasks=["builtin/where_is"])
    with pytest.raises(UnknownTaskError, match="own/modds"):
        evaluating.evaluate(run, tasks=["own/modds"])


def rows_file(folder: Path, labels: tuple[str, ...]) -> Path:
    """Return a csv of 20 rows with these labels in turn."""
    path = folder / "mine.csv"
    lines = "\n".join(f"the {WORDS[n % 8]},the dog,{labels[n % len(labels)]}" for n in range(20))
    path.write_text(f"said,also,answer\n{lines}\n", encoding="utf-8")
    return path


def test_a_moved_model_and_rows_of_ones_own(run: Path, tmp_path: Path) -> None:
    """Without its run a model scores a file: labels in other spelling, by the head that has them or the one named."""
    moved = tmp_path / "elsewhere"
    shutil.move(run / "model", moved)
    path = rows_file(tmp_path, ("good mood", "BAD-MOOD"))
    named = OwnRows(file=path, text="said", label="answer", head="own/moods")
    found = evaluating.evaluate(moved, data=named)
    report = found.untrained["own/mine@1"]["test"]
    assert (report.rows, report.head, report.through) == (20, "own/moods@1", "trained")
    assert report.without_embedding is not None
    answers = load_model(moved).predict("own/moods", [f"the {WORDS[n % 8]}" for n in range(20)])
    right = [answer["label"] == MOODS[n % 2] for n, answer in enumerate(answers)]
    assert report.metrics["accuracy"] == np.mean(right)
    assert (tmp_path / "evaluations" / "elsewhere" / "results.json").is_file()
    said = taskloom.evaluate(moved, data=path, text="said", label="answer", head="own/moods")
    assert said.untrained["own/mine@1"]["test"] == report
    by_labels = evaluating.evaluate(moved, data=OwnRows(file=path, text="said", label="answer"), quick=True)
    report = by_labels.untrained["own/mine@1"]["test"]
    assert (report.head, report.through, report.without_embedding) == ("own/moods@1", "same labels", None)
    entailed = OwnRows(
        file=rows_file(tmp_path, ("entailment", "not_entailment")), text="said", pair="also", label="answer"
    )
    report = evaluating.evaluate(moved, data=entailed).untrained["own/mine@1"]["test"]
    assert (report.head, report.through) == ("builtin/label_nli@1", "three-way NLI")
    assert evaluating.evaluate(moved, tasks=["builtin/label_nli"], quick=True).tasks
    with pytest.raises(UserError, match="Name some with --tasks"):
        evaluating.evaluate(moved)


def test_own_rows_of_other_kinds(run: Path, tmp_path: Path) -> None:
    """Scores are taken in the head's scale; choices by place, letter or text are the same rows."""
    path = tmp_path / "scored.csv"
    path.write_text("said,stars\n" + "".join(f"the {WORDS[n % 8]},{n % 5}\n" for n in range(15)), encoding="utf-8")
    scored = OwnRows(file=path, text="said", label="stars", head="own/scores")
    report = evaluating.evaluate(run, data=scored, quick=True).untrained["own/scored@1"]["test"]
    assert (report.kind, report.rows, report.head) == ("regression", 15, "own/scores@1")
    choices = Head("c@1", "c", "multiple_choice", (), "multiple_choice", (0,))
    table = HeadTable((choices,))
    for answers in ((0, 1), ("A", "B"), ("a cat", "a dog")):
        lines = [json.dumps({"q": "Who?", "options": ["a cat", "a dog"], "right": one}) for one in answers]
        (tmp_path / "choices.jsonl").write_text("\n".join(lines), encoding="utf-8")
        asked = OwnRows(file=tmp_path / "choices.jsonl", text="q", pair="options", label="right", head="c")
        rows = rows_of(task_of_rows(asked, table)[0]).splits["test"]
        assert rows["label"].to_pylist() == [0, 1]
    with pytest.raises(UserError, match="--pair that of the lists of"):
        task_of_rows(OwnRows(file=tmp_path / "choices.jsonl", text="q", label="right", head="c"), table)


MISTAKES = {
    "a column": ({"text": "sayd", "label": "answer"}, ("x", "y"), UserError, "no column 'sayd'.*Did you mean 'said'"),
    "a label": ({"head": "own/moods"}, ("good mood", "badly"), DataError, "'badly' in column 'answer' is none of"),
    "other labels": ({}, ("hot", "cold"), ModelError, "No trained task has the labels cold, hot"),
    "general labels": ({}, ("yes", "no"), ModelError, "--head TASK"),
    "a head": ({"head": "own/mods"}, ("x", "y"), UnknownTaskError, "Did you mean 'own/moods'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_about_own_rows(run: Path, tmp_path: Path, name: str) -> None:
    """Each says what was given and what is allowed."""
    more, labels, error, message = MISTAKES[name]
    options = {"text": "said", "label": "answer"} | more
    with pytest.raises(error, match=message):
        evaluating.evaluate(run, data=OwnRows(file=rows_file(tmp_path, labels), **options))


def test_models_of_one_name_keep_their_results_apart(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lone models of the same name in two folders have results of their own, the first under its plain name."""
    monkeypatch.chdir(tmp_path)
    options = {"data": OwnRows(file=rows_file(tmp_path, MOODS), text="said", label="answer", head="own/moods")}
    for owner in ("ann", "bob"):
        shutil.copytree(run / "model", tmp_path / owner / "tickets")
        evaluating.evaluate(Path(owner) / "tickets", **options)
    kept = sorted(path.parent for path in Path("evaluations").glob("*/results.json"))
    assert [path.name.rstrip("0123456789abcdef") for path in kept] == ["tickets", "tickets-"]
    assert [locate(tmp_path / owner / "tickets").results for owner in ("ann", "bob")] == kept


def test_scored_in_the_arithmetic_of_its_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that "auto" trained in bf16 is scored in it everywhere; a named setting and a lone model are their own."""
    report = json.loads((run / "results.json").read_text(encoding="utf-8"))
    report["training"]["precision"] = "bf16"
    (run / "results.json").write_text(json.dumps(report), encoding="utf-8")
    config = run / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('precision = "fp32"', 'precision = "auto"'))
    monkeypatch.setattr("taskloom.modeling.devices.hardware_has_bf16", lambda device: False)
    place = locate(run)
    assert (place.precision("auto"), place.precision("fp32")) == ("bf16", "fp32")
    assert open_subject(place).engine().how.autocast is torch.bfloat16
    shutil.copytree(run / "model", tmp_path / "alone")
    assert open_subject(locate(tmp_path / "alone")).engine().how.autocast is None


def test_scored_where_its_device_is_not(run: Path) -> None:
    """A run that was told to train on a GPU is scored on what the machine has."""
    config = run / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('device = "cpu"', 'device = "cuda"'))
    assert evaluating.evaluate(run, quick=True).tasks


def test_what_was_trained_before_is_no_unseen_task(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model whose start was trained on a task says so when it is scored on it without a head of its own."""
    heads = run / "model" / "heads.json"
    record = json.loads(heads.read_text(encoding="utf-8"))
    record["training"]["tasks"]["builtin/quantifier_nli"] = "builtin/quantifier_nli"
    heads.write_text(json.dumps(record), encoding="utf-8")
    said = "builtin/quantifier_nli is no unseen task: the model was trained on builtin/quantifier_nli"
    assert cli.main(["evaluate", str(run), "--tasks", "builtin/quantifier_nli", "--quick"]) == 0
    assert said in capsys.readouterr().err
    assert cli.main(["evaluate", str(run), "--tasks", "own/moods", "--quick"]) == 0
    assert "no unseen task" not in capsys.readouterr().err


def test_damaged_results_can_be_written_anew(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what to do, and doing that works."""
    results = run / "results.json"
    results.write_text(results.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    assert cli.main(["evaluate", str(run), "--quick"]) == 2
    assert "is damaged" in (message := capsys.readouterr().err)
    assert f"Put it aside and type `taskloom evaluate {run}`" in message
    results.rename(run / "aside.json")
    assert cli.main(["evaluate", str(run), "--quick"]) == 0
    assert results.is_file()


def test_two_runs_against_each_other(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against its own copy nothing differs; the command prints and keeps a test for each task and one over all."""
    other = run.with_name("other")
    shutil.copytree(run, other)
    assert cli.main(["evaluate", str(run), "--against", str(other)]) == 0
    out = capsys.readouterr().out
    assert out.count("+0.000 to +0.000") >= 2
    assert "small less small (other): mean difference +0.000 over" in out
    assert "several seeds" in out
    kept = json.loads((run / "against-small.json").read_text(encoding="utf-8"))
    assert (kept["p_value"], kept["better"], kept["worse"]) == (1.0, 0, 0)
    assert {one["p_adjusted"] for one in kept["tasks"]} <= {1.0, None}
    assert cli.main(["evaluate", str(run), "--against", str(run / "model")]) == 2
    assert "keep their results in one place" in capsys.readouterr().err


def test_calibrated_answers_and_abstaining(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Temperatures go into heads.json; only answers that may be withheld use them, and no answer changes."""
    texts = [f"the {word}" for word in WORDS]
    before = load_model(run).predict("own/moods", texts)
    assert "are not calibrated" in (run / "README.md").read_text(encoding="utf-8")
    found = evaluating.evaluate(run, calibrate=True)
    for card in (run / "README.md", run / "model" / "README.md"):
        assert "has the temperatures fitted afterwards" in card.read_text(encoding="utf-8")
    assert {task for one in found.calibration.values() for task in one.tasks} == {"own/moods@1", "builtin/label_nli@1"}
    model = load_model(run)
    assert model.predict("own/moods", texts) == before
    key = next(head.key for head in model.heads if head.id == "own/moods")
    temperature = found.calibration[key].temperature
    assert model.temperatures[key] == pytest.approx(temperature, abs=1e-5)
    told = model.predict("own/moods", texts, abstain_below=0.0)
    for plain, one in zip(before, told, strict=True):
        assert (one["label"], one["abstained"]) == (plain["label"], False)
        logits = np.log(list(plain["scores"].values())) / temperature
        np.testing.assert_allclose(list(one["scores"].values()), np.exp(logits) / np.exp(logits).sum(), atol=1e-4)
    sure = [max(one["scores"].values()) for one in told]
    limit = float(np.median(sure))
    some = model.predict("own/moods", texts, abstain_below=limit)
    assert [one["abstained"] for one in some] == [value < limit for value in sure]
    assert {one["label"] is None for one in some if one["abstained"]} == {True}
    (run / "texts.txt").write_text("the cat\n", encoding="utf-8")
    capsys.readouterr()
    arguments = ["predict", str(run), str(run / "texts.txt"), "--task", "own/moods", "--abstain-below", "1.0"]
    assert cli.main(arguments) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["row"], line["label"], line["abstained"]) == (0, None, True)
    with pytest.raises(ModelError, match="no probability to abstain by"):
        model.predict("own/scores", texts, abstain_below=0.5)
    with pytest.raises(UserError, match="no probability"):
        model.predict("own/moods", texts, abstain_below=80)
    assert read_report(run / "results.json").calibration == found.calibration


@pytest.mark.mirror
def test_real_rows_that_were_not_trained(run: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RTE's 277 rows by the three-way head; CoLA has labels that no head has, BoolQ some that say nothing."""
    monkeypatch.setenv("TASKLOOM_MIRROR", str(mirror))
    found = evaluating.evaluate(run, tasks=["glue/rte", "glue/cola", "super_glue/boolq"], quick=True)
    report = found.untrained["glue/rte@1"]["validation"]
    assert (report.rows, report.head, report.through) == (277, "builtin/label_nli@1", "three-way NLI")
    assert report.majority["accuracy"] == pytest.approx(0.527, abs=0.001)
    assert set(found.skipped) == {"glue/cola@1", "super_glue/boolq@1"}


def test_answers_in_the_file_give_the_scores(run: Path) -> None:
    """Accuracy in results.json is that of the kept answers, row by row."""
    kept = read_predictions(run / "predictions" / "own%2Fmoods.validation.parquet")
    accuracy = float(np.mean(kept.answers() == kept.gold))
    assert read_report(run / "results.json").tasks["own/moods@1"]["validation"].metrics["accuracy"] == accuracy


def test_options_that_do_not_go_together(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns without a file, a file without columns, and a comparison with --calibrate exit 2 with one message."""
    for arguments, message in (
        (["--text", "said"], "Give it with --data FILE"),
        (["--data", "mine.csv", "--text", "said"], "--data needs the names of its columns"),
        (["--data", "mine.csv", "--text", "a", "--label", "b", "--tasks", "x"], "do not go together"),
        (["--against", str(run), "--calibrate"], "takes neither --calibrate nor --out"),
    ):
        assert cli.main(["evaluate", str(run), *arguments]) == 2
        assert message in capsys.readouterr().err
