"""The pass over tasks and splits: what it keeps, what it does not ask twice, and what stands beside a score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from made_models import KINDS, LABELS, MAX_LENGTH, made_model, made_rows, made_store, made_task
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError
from taskloom.evaluation import engine as module
from taskloom.evaluation.engine import Engine, Job, fingerprint, scored_splits
from taskloom.evaluation.evaluator import Answering, evaluate_task
from taskloom.evaluation.routes import find_route, own_route
from taskloom.modeling.model import Model
from taskloom.recipes.recipe import Builtin, Classification, Splits, Task

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Tokenizer:
    """The tiny encoder's tokenizer."""
    return Tokenizer.open(tiny_bert)


@pytest.fixture
def model(tiny_bert: Path) -> Model:
    """A model with a head of each kind."""
    return made_model(tiny_bert).eval()


@pytest.fixture(scope="module")
def store_of(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TaskStore]:
    """Make the prepared task of a kind."""
    cache = tmp_path_factory.mktemp("stores")
    return lambda name: made_store(name, tokenizer, cache)


def engine_for(model: Model, tokenizer: Tokenizer, folder: Path, **more) -> Engine:
    """Return an engine over a model as it is now."""
    how = Answering(tokenizer=tokenizer, device=CPU)
    return Engine(model=model, model_key=fingerprint(model), how=how, folder=folder, **more)


def job_of(model: Model, store: TaskStore, name: str) -> Job:
    """Return the job of a trained task."""
    return Job(made_task(name), store, "validation", own_route(model.table, f"made/{name}"))


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by a task's id each time the model is asked."""
    calls: list[str] = []
    original = module.answer

    def counting(*arguments, **options):
        calls.append(arguments[1].id)
        return original(*arguments, **options)

    monkeypatch.setattr(module, "answer", counting)
    return calls


@pytest.mark.parametrize("name", KINDS)
def test_a_report_has_everything_beside_the_score(name: str, model: Model, store_of, tokenizer, tmp_path: Path) -> None:
    """Scores equal those of the evaluator with and without embedding; each kind has chance and a fitted baseline."""
    store = store_of(name)
    found = engine_for(model, tokenizer, tmp_path).evaluate(job_of(model, store, name))
    options = {"task": made_task(name), "tokenizer": tokenizer, "device": CPU}
    used, left = (
        evaluate_task(model, store, "validation", use_task_embedding=used, **options)[0] for used in (True, False)
    )
    assert found.metrics == pytest.approx(used.metrics, nan_ok=True)
    assert found.without_embedding.metrics == pytest.approx(left.metrics, nan_ok=True)
    assert found.interval == used.interval
    fitted = "word_tag" if name in ("entities", "parts") else "tfidf"
    assert set(found.baselines) == {"chance", fitted}
    for values in found.baselines.values():
        assert values.keys() == found.metrics.keys()
    undefined = [key for key, value in found.baselines[fitted].items() if value is None]
    assert all(f"{fitted}.{key}" in found.reasons for key in undefined)
    assert (found.through, found.head) == ("trained", None)


def test_chance_is_the_expectation(model: Model, store_of, tokenizer, tmp_path: Path) -> None:
    """One in three classes, one over the choices, no correlation; F1 of coin flips near what it must be."""
    run = engine_for(model, tokenizer, tmp_path, both=False)
    chance = {name: run.evaluate(job_of(model, store_of(name), name)).baselines["chance"] for name in KINDS}
    assert chance["nli"]["accuracy"] == pytest.approx(1 / 3)
    assert chance["choices"]["accuracy"] == pytest.approx(np.mean([1 / (2 + row % 4) for row in range(30)]))
    assert chance["similarity"]["pearson"] == 0.0
    positives = np.mean([row >> at & 1 for row in range(30) for at in range(4)])
    assert chance["topics"]["micro_f1"] == pytest.approx(2 * 0.5 * positives / (0.5 + positives), abs=0.03)


def test_what_is_kept_is_not_asked_again(model, store_of, tokenizer, tmp_path, monkeypatch) -> None:
    """The second pass asks nothing and reports the same; other weights, or a torn file, are asked anew."""
    calls = count_calls(monkeypatch)
    job = job_of(model, store_of("nli"), "nli")
    first = engine_for(model, tokenizer, tmp_path).evaluate(job)
    assert len(calls) == 2
    assert engine_for(model, tokenizer, tmp_path).evaluate(job) == first
    assert len(calls) == 2
    file = next(tmp_path.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:100])
    assert engine_for(model, tokenizer, tmp_path).evaluate(job) == first
    assert len(calls) == 3
    with torch.no_grad():
        model.head_bias += 0.5 * torch.arange(len(model.head_bias))
    engine_for(model, tokenizer, tmp_path).evaluate(job)
    assert len(calls) == 5


def test_a_killed_pass_goes_on_task_by_task(model, store_of, tokenizer, tmp_path, monkeypatch) -> None:
    """Killed in its third task, the pass asks only for the rest, and ends with the reports of an unbroken one."""
    jobs = [job_of(model, store_of(name), name) for name in KINDS]
    whole = [engine_for(model, tokenizer, tmp_path / "whole").evaluate(job) for job in jobs]
    calls = count_calls(monkeypatch)
    original = module.write_predictions

    def killed(found, folder, **options):
        if found.task == jobs[2].task.versioned:
            raise KeyboardInterrupt
        return original(found, folder, **options)

    monkeypatch.setattr(module, "write_predictions", killed)
    broken = engine_for(model, tokenizer, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        list(map(broken.evaluate, jobs))
    monkeypatch.setattr(module, "write_predictions", original)
    asked = list(calls)
    again = [engine_for(model, tokenizer, tmp_path / "broken").evaluate(job) for job in jobs]
    assert again == whole
    assert calls[len(asked) :] == [job.task.id for job in jobs[2:] for _ in range(2)]


def test_an_embedding_that_is_zero_costs_nothing(model, store_of, tokenizer, tmp_path, monkeypatch) -> None:
    """Leaving out a vector of zeros changes nothing, so the model is asked once."""
    with torch.no_grad():
        model.task_embedding.zero_()
    calls = count_calls(monkeypatch)
    found = engine_for(model, tokenizer, tmp_path).evaluate(job_of(model, store_of("nli"), "nli"))
    assert len(calls) == 1
    assert found.without_embedding.metrics == found.metrics


def test_a_kept_baseline_is_read(model, store_of, tokenizer, tmp_path, monkeypatch) -> None:
    """TF-IDF is fitted once for a store and a split, and again when other train rows are left out."""
    job = job_of(model, store_of("nli"), "nli")
    fits: list[int] = []
    original = module.tfidf.tfidf_answers
    monkeypatch.setattr(
        module.tfidf, "tfidf_answers", lambda *given, **options: fits.append(1) or original(*given, **options)
    )
    for path in job.store.folder.glob("tfidf-*.json"):
        path.unlink()
    reports = [engine_for(model, tokenizer, tmp_path / str(at)).evaluate(job) for at in range(2)]
    assert reports[0] == reports[1]
    assert len(fits) == 1
    engine_for(model, tokenizer, tmp_path).evaluate(Job(job.task, job.store, job.split, job.route, np.array([0])))
    assert len(fits) == 2


def test_two_way_task_by_the_three_way_head(model: Model, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The probabilities of the untrained task are sums of the three-way head's without embedding, row by row."""
    task = Task(
        id="made/two", source=Builtin("two"), kind=Classification(text="text", pair="pair", label="label"),
        splits=Splits(validation="validation"), family="nli",
    )  # fmt: skip
    rows = made_rows("nli", 30)
    two = rows.set_column(
        rows.column_names.index("label"), "label", pa.array([row % 2 for row in range(30)], pa.int32())
    )
    stores = [
        build(CanonicalTask(one, labels, {"validation": table}, fingerprint=one.id), tokenizer, cache=tmp_path,
              max_length=MAX_LENGTH, max_rows=100)
        for one, labels, table in (
            (task, ("not_entailment", "entailment"), two), (made_task("nli"), LABELS["nli"], rows),
        )
    ]  # fmt: skip
    run = engine_for(model, tokenizer, tmp_path / "out")
    job = Job(task, stores[0], "validation", find_route(model.table, task, stores[0].labels))
    report = run.evaluate(job)
    assert (report.through, report.head, report.without_embedding) == ("three-way NLI", "made/nli@1", None)
    assert report.reasons["tfidf"] == "no train rows to fit on"
    three = run.answers(job_of(model, stores[1], "nli"), use_task_embedding=False)
    entailment = three.scores[:, LABELS["nli"].index("entailment")]
    found = run.answers(job, use_task_embedding=False)
    np.testing.assert_allclose(found.scores[:, 1], entailment, atol=1e-6)
    np.testing.assert_allclose(found.scores.sum(1), 1, atol=1e-6)


def test_no_rows_are_an_error_not_a_zero(model: Model, store_of, tokenizer, tmp_path: Path) -> None:
    """A split that is not there is named with those that are."""
    job = job_of(model, store_of("nli"), "nli")
    with pytest.raises(DataError, match="no rows in a test split; it has: train 8, validation 30"):
        engine_for(model, tokenizer, tmp_path).evaluate(Job(job.task, job.store, "test", job.route))


def test_splits_of_a_task() -> None:
    """Validation stands for a task, test for a benchmark; "all" are both; train never."""
    task = made_task("nli")
    benchmark = Task(id="b", source=Builtin("b"), kind=task.kind, splits=task.splits, family="nli", role="evaluation")
    there = ("train", "test", "validation")
    assert scored_splits(task, there) == ["validation"]
    assert scored_splits(benchmark, there) == ["test"]
    assert scored_splits(task, there, "all") == ["validation", "test"]
    assert scored_splits(task, ("train",), "all") == []
    assert scored_splits(task, there, "test") == ["test"]
