"""The model card as the Hub reads it: header, license, results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index

from made_run import made_predictions, made_run, made_tasks
from taskloom.evaluation.report import RunReport, summarize
from taskloom.evaluation.scoring import score
from taskloom.recipes.recipe import Held, Splits
from taskloom.recipes.select import get_task, select
from taskloom.reporting.card import model_card
from taskloom.reporting.hub_metadata import PIPELINES, model_index
from taskloom.reporting.licenses import CONDITIONS, strictest
from taskloom.reporting.task_list import TrainedTask


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of a run of ten tasks, of all kinds, on disk."""
    folder = tmp_path_factory.mktemp("card") / "run"
    report, trained = made_run(folder, 10)
    text = model_card(trained, report, zero_shot=None, max_length=96, left_out_rows={"made/0": 7, "made/2": 0})
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder / "README.md"


def test_card_is_read_by_the_hub_and_comes_back_the_same(card: Path) -> None:
    """huggingface_hub loads the file, finds license, data sets and results, and writes the same header again."""
    loaded = ModelCard.load(card)
    data = loaded.data.to_dict()
    assert data["datasets"] == sorted(f"owner/set{number}" for number in range(10))
    assert data["license"] == "other" and data["license_link"] == "tasks.md"
    assert data["language"] == ["en"]
    assert data["pipeline_tag"] in PIPELINES.values()
    assert loaded.data.model_name == "made"
    again = ModelCard(str(loaded))
    assert again.data.to_dict() == data
    assert again.text == loaded.text


def test_card_has_a_result_for_every_scored_task(card: Path) -> None:
    """Nine tasks were scored: each has its main metric first, under the Hub's name, with data set, config and split."""
    results = ModelCard.load(card).data.eval_results
    assert results is not None
    assert all(isinstance(one, EvalResult) for one in results)
    by_task: dict[str, EvalResult] = {}
    for one in results:
        by_task.setdefault(one.dataset_name, one)
    assert len(by_task) == 9
    one = by_task["made/0"]
    assert (one.task_type, one.dataset_type, one.dataset_config) == ("text-classification", "owner/set0", "config")
    assert (one.dataset_split, one.metric_type, one.metric_name) == ("validation", "accuracy", "accuracy")
    assert {one.metric_type for one in by_task.values()} == {"accuracy", "f1", "pearsonr"}
    model_index = eval_results_to_model_index("made", results)
    assert len(model_index[0]["results"]) == 9


def test_results_name_the_split_of_the_source() -> None:
    """What we call validation has the data set's own name for it; a part held out of train has ours."""
    mnli, held = get_task("glue/mnli"), made_tasks(1)[0]
    held = dataclasses.replace(held, splits=Splits(train="train", validation=Held(0.1)))
    tasks = {}
    for task in (mnli, held):
        predictions = made_predictions(made_tasks(1)[0], 0, skill=1.0)
        tasks[task.versioned] = {"validation": score(predictions, family=task.family)}
    report = RunReport(run="x", seed=0, step=1, encoder="e", tasks=tasks, aggregate=summarize(tasks))
    (index,) = model_index([TrainedTask(mnli), TrainedTask(held)], report)
    splits = {one["dataset"]["name"]: one["dataset"]["split"] for one in index["results"]}
    assert splits == {"glue/mnli": "validation_matched", "made/0": "validation"}


def test_card_tells_training_overlap_and_what_to_cite(card: Path) -> None:
    """Steps, speed and versions, the rows left out by task, and where the citations are, stand in the text."""
    text = card.read_text(encoding="utf-8")
    assert "50 steps, 3,200 examples" in text
    assert "torch 2.13.0" in text
    assert "Left out of training: 7 rows of 1 task: made/0 7." in text
    assert "`citations.bib`" in text
    assert text.count("| made/") == 9


def test_card_says_when_overlap_was_not_looked_for(tmp_path: Path) -> None:
    """Rows that nobody compared are not called free of overlap."""
    report, trained = made_run(tmp_path / "run")
    assert "were not held against evaluation rows" in model_card(trained, report, zero_shot=None, max_length=96)
    clean = model_card(trained, report, zero_shot=None, max_length=96, left_out_rows={})
    assert "None was found." in clean
    held = model_card(trained, report, zero_shot=None, max_length=96, left_out_rows={}, held_out=["trec", "ag_news"])
    assert "stand in theirs: ag_news, trec. None was found." in held


def test_card_of_a_run_of_hundreds_of_tasks_is_valid(tmp_path: Path) -> None:
    """A header with hundreds of results is still one that the Hub reads."""
    report, trained = made_run(tmp_path / "run", 120)
    loaded = ModelCard(model_card(trained, report, zero_shot="made/0@1", max_length=96))
    assert loaded.data.eval_results is not None
    assert len({one.dataset_name for one in loaded.data.eval_results}) == 119
    assert loaded.data.pipeline_tag == "zero-shot-classification"


LICENSES = {
    "one": (["mit", "mit"], "mit", "mit", 0),
    "attribution is stricter than none": (["cc0-1.0", "cc-by-4.0"], "cc-by-4.0", "cc-by-4.0", 0),
    "share-alike": (["mit", "cc-by-sa-4.0", "cc-by-4.0"], "cc-by-sa-4.0", "cc-by-sa-4.0", 0),
    "conditions add up": (["cc-by-sa-4.0", "cc-by-nc-4.0"], "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", 0),
    "of one of the data's own": (["cc-by-nc-sa-3.0", "cc-by-nc-4.0"], "cc-by-nc-sa-3.0", "cc-by-nc-sa-3.0", 0),
    "no license has both": (["gpl-3.0", "cc-by-sa-4.0"], "other", "", 0),
    "none stated": (["mit", None], "other", "mit", 1),
    "terms of their own": (["cc-by-4.0", "c-uda", "other"], "other", "cc-by-4.0", 2),
    "two at once": (["apache-2.0, CC BY-SA 4.0"], "cc-by-sa-4.0", "cc-by-sa-4.0", 0),
    "nothing but built in": ([], "apache-2.0", "apache-2.0", 0),
}


@pytest.mark.parametrize("case", LICENSES)
def test_license_is_the_strictest(case: str) -> None:
    """The header's license has the conditions of all; data without a known one make it `other`."""
    given, header, stated, unknown = LICENSES[case]
    found = strictest((name, "commercial") for name in given)
    assert (found.header, found.stated, found.unknown) == (header, stated, unknown)


def test_recorded_non_commercial_use_counts_beside_the_license() -> None:
    """An MIT file over data that may not be sold is non-commercial."""
    assert strictest([("mit", "non-commercial")]).header == "cc-by-nc-4.0"


def test_every_license_of_the_catalog_is_known_or_counted() -> None:
    """For each single task the header is a license that covers it, or `other`; no name falls through."""
    for task in select(["all"]).tasks:
        found = strictest([(task.license, task.license_use)])
        assert found.header == "other" or CONDITIONS[found.header] >= CONDITIONS.get(task.license or "", set())
