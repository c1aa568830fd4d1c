"""The threshold of a multi-label task: the best one on the rows it is chosen on, and kept with the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import taskloom
from made_models import made_model, made_store, made_task
from taskloom.data.tokenizer import Tokenizer
from taskloom.evaluation.evaluator import Answering, evaluate_task
from taskloom.evaluation.predictions import Predictions, read_predictions, write_predictions
from taskloom.evaluation.scoring import compute
from taskloom.evaluation.thresholds import best_threshold, choose_thresholds
from taskloom.modeling.model import Model


def labelled(scores: np.ndarray, gold: np.ndarray) -> Predictions:
    """Return multi-label answers with these scores (rows, labels)."""
    names = tuple(f"label {number}" for number in range(scores.shape[1]))
    row = np.arange(len(scores))
    return Predictions("made/topics@1", "multilabel", names, "train", row, gold.astype(np.uint8), scores)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_is_better(seed: int) -> None:
    """Of all thresholds that tell scores apart, the chosen one has the best micro-F1; ties among scores are one."""
    generator = np.random.default_rng(seed)
    scores = (generator.integers(0, 30, (40, 6)) / 100).astype(np.float32)
    given = labelled(scores, generator.random((40, 6)) < scores)
    best = best_threshold(given)
    found = compute(dataclasses.replace(given, threshold=best)).values["micro_f1"]
    tried = [compute(given, float(one)).values["micro_f1"] for one in np.unique(scores)]
    assert found == max(tried)
    assert found > compute(given).values["micro_f1"] == 0.0, "nothing passes one half here"


def test_without_a_yes_the_threshold_is_one_half() -> None:
    """Rows without a single label choose nothing."""
    assert best_threshold(labelled(np.full((3, 2), 0.1, np.float32), np.zeros((3, 2)))) == 0.5


def test_a_threshold_stays_with_model_and_answers(tmp_path: Path, tiny_bert: Path) -> None:
    """It is chosen on train rows, saved in heads.json, used by evaluation and prediction, and written with answers."""
    model = made_model(tiny_bert).eval()
    model.head_bias.data -= 4  # as after a short training: no sigmoid near one half
    tokenizer = Tokenizer.open(tiny_bert)
    store = made_store("topics", tokenizer, tmp_path / "cache")
    how = Answering(tokenizer=tokenizer, device=torch.device("cpu"))
    chosen = choose_thresholds(model, [store, made_store("nli", tokenizer, tmp_path / "cache")], how=how, seed=0)
    assert list(chosen) == ["made/topics@1"] and 0 < chosen["made/topics@1"] < 0.5
    model.table = model.table.with_thresholds(chosen)
    model.save(tmp_path / "model", tokenizer_folder=tiny_bert, max_length=40, encoder_name="tiny")
    again = Model.load(tmp_path / "model")
    assert again.table == model.table
    report, answers = evaluate_task(
        again, store, "validation", task=made_task("topics"), tokenizer=tokenizer, device=torch.device("cpu")
    )
    assert answers.threshold == chosen["made/topics@1"]
    assert report.metrics["micro_f1"] == compute(answers, chosen["made/topics@1"]).values["micro_f1"] > 0
    assert read_predictions(write_predictions(answers, tmp_path)).threshold == answers.threshold
    predictor = taskloom.load_model(tmp_path / "model", device="cpu", precision="fp32")
    texts = ["a bee saw the big red car"] * 2
    assert any(one["labels"] for one in predictor.predict("made/topics", texts))
    assert not any(one["labels"] for one in predictor.predict("made/topics", texts, threshold=0.5))
