"""Predictions -> reports: trivial answers, intervals, files."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taskloom.errors import DataError
from taskloom.evaluation.baselines import best_label_set, chance_of_choice, constant_answer, most_frequent
from taskloom.evaluation.metrics import multilabel_metrics
from taskloom.evaluation.predictions import (
    Predictions,
    best_choices,
    concatenate,
    predictions_file,
    read_predictions,
    write_predictions,
)
from taskloom.evaluation.scoring import score

ROWS = 40


def classes(right: float = 0.8, *, rows: int = ROWS) -> Predictions:
    """Return answers over three classes of which a share is right."""
    gold = np.arange(rows) % 3
    answers = np.where(np.arange(rows) < right * rows, gold, (gold + 1) % 3)
    scores = np.eye(3, dtype=np.float32)[answers] * 0.7 + 0.1
    return Predictions("a/b@1", "classification", ("x", "y", "z"), "validation", np.arange(rows) * 2, gold, scores)


def label_sets() -> Predictions:
    """Return answers over four labels."""
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 2, (ROWS, 4)).astype(np.uint8)
    scores = generator.random((ROWS, 4)).astype(np.float32)
    return Predictions("m@1", "multilabel", ("a", "b", "c", "d"), "test", np.arange(ROWS), gold, scores)


def numbers() -> Predictions:
    """Return scores that follow gold with noise."""
    gold = np.linspace(0, 5, ROWS, dtype=np.float32)
    noise = np.random.default_rng(0).normal(size=ROWS).astype(np.float32)
    return Predictions("r@2", "regression", (), "test", np.arange(ROWS), gold, gold + noise)


def choices() -> Predictions:
    """Return rows of two, three and four choices, all answered right."""
    sizes = np.array([2, 3, 4] * 10)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    gold = np.arange(30) % 2
    scores = np.full(offsets[-1], 0.1, dtype=np.float32)
    scores[offsets[:-1] + gold] = 0.8
    return Predictions("c@1", "multiple_choice", (), "test", np.arange(30), gold, scores, offsets)


def words(labels: tuple[str, ...] = ("O", "B-x", "I-x")) -> Predictions:
    """Return tags of rows of 0 to 6 words, nine tenths right."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(np.arange(ROWS) % 7)])
    gold = generator.integers(0, 3, offsets[-1])
    answers = np.where(generator.random(offsets[-1]) < 0.9, gold, 0)
    return Predictions("t@1", "token_classification", labels, "test", np.arange(ROWS), gold, answers, offsets)


EVERY_KIND = {"classes": classes, "labels": label_sets, "numbers": numbers, "choices": choices, "words": words}


@pytest.mark.parametrize("make", EVERY_KIND.values(), ids=EVERY_KIND.keys())
def test_every_kind_has_score_interval_and_majority(make) -> None:
    """A report has the main metric inside its interval, and the trivial answer under the same names."""
    report = score(make(), family="nli", unused_rows={"null_text": 2}, seed=1)
    low, high = report.interval[report.main]
    assert low <= report.score <= high
    assert report.main in report.majority
    assert report.majority.keys() <= report.metrics.keys()
    assert report.rows == report.rows_available == len(make())
    assert report.unused_rows == {"null_text": 2}
    assert report.family == "nli"


@pytest.mark.parametrize("make", EVERY_KIND.values(), ids=EVERY_KIND.keys())
def test_predictions_file_keeps_everything(make, tmp_path: Path) -> None:
    """Metrics computed from the file equal those computed before it was written."""
    written = make()
    read = read_predictions(write_predictions(written, tmp_path))
    assert score(read) == score(written)
    assert (read.task, read.kind, read.labels, read.split) == (
        written.task,
        written.kind,
        written.labels,
        written.split,
    )
    for name in ("row", "gold", "scores"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


@pytest.mark.parametrize("make", EVERY_KIND.values(), ids=EVERY_KIND.keys())
def test_concatenated_parts_are_the_whole(make) -> None:
    """Two copies joined score as one does, on twice the rows."""
    whole = concatenate([make(), make()])
    assert len(whole) == 2 * len(make())
    assert score(whole).metrics == pytest.approx(score(make()).metrics)


def test_file_names_are_percent_encoded_ids(tmp_path: Path) -> None:
    """A slash in an id does not make a folder."""
    assert predictions_file(tmp_path, "glue/rte@1", "test") == tmp_path / "glue%2Frte.test.parquet"


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A missing file and somebody else's Parquet are user errors."""
    with pytest.raises(DataError, match="no predictions file"):
        read_predictions(tmp_path / "none.parquet")
    pq.write_table(pa.table({"row": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not a predictions file"):
        read_predictions(tmp_path / "other.parquet")


def test_majority_class_comes_from_training_rows() -> None:
    """The trivial answer is the most frequent training label, not the evaluated split's own."""
    report = score(classes(), train_gold=np.array([2, 2, 0]))
    assert report.majority["accuracy"] == np.mean(np.arange(ROWS) % 3 == 2)
    assert report.reasons["majority.matthews"] == "every predicted class is the same"


@pytest.mark.parametrize("train_gold", [None, np.zeros(0, dtype=int)])
def test_majority_without_training_rows_is_of_the_split(train_gold) -> None:
    """Without train rows the evaluated rows decide, which makes the trivial answer only stronger."""
    assert score(classes(), train_gold=train_gold).majority["accuracy"] == 14 / 40


def test_beats_majority_needs_the_whole_interval() -> None:
    """A score above the majority by less than its interval does not beat it."""
    assert score(classes(0.9)).beats_majority is True
    close = score(classes(0.45))
    assert close.score > close.majority["accuracy"]
    assert close.beats_majority is False


def test_constant_regression_has_no_correlation_but_an_error() -> None:
    """The training mean has a null correlation with a reason, and a mean absolute error to compare with."""
    report = score(numbers(), train_gold=np.array([2.0, 3.0]))
    assert report.majority["pearson"] is None
    assert report.reasons["majority.pearson"]
    assert report.majority["mae"] == pytest.approx(np.abs(np.linspace(0, 5, ROWS) - 2.5).mean(), abs=1e-6)
    assert report.beats_majority is True


def test_an_undefined_score_beats_nothing() -> None:
    """A model that answers one number everywhere has no correlation, so nothing can be told."""
    constant = Predictions("r@1", "regression", (), "test", np.arange(5), np.arange(5.0), np.ones(5))
    report = score(constant)
    assert report.score is None
    assert report.beats_majority is None
    assert report.interval == {}


def test_chance_is_the_mean_of_one_over_the_choices() -> None:
    """Rows with two and four choices are guessed right 3 times in 8."""
    assert chance_of_choice(np.array([0, 2, 6])).values == {"accuracy": 0.375}


def test_ties_take_the_lowest_choice() -> None:
    """Equal best choices give the first of them."""
    found = best_choices(np.array([0.5, 0.5, 0.1, 0.4, 0.4, 0.2]), np.array([0, 2, 6]))
    assert found.tolist() == [0, 1]


def test_most_frequent_tie_takes_the_lowest() -> None:
    """Equally frequent labels give the lowest id."""
    assert most_frequent(np.array([2, 1, 1, 2]), 4) == 1


def test_best_label_set_is_the_best_of_all_sets() -> None:
    """No constant label set has a higher micro-F1 on the training rows than the one chosen."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        gold = (generator.random((15, 4)) < generator.random(4)).astype(np.uint8)
        gold[0, 0] = 1
        reached = [
            multilabel_metrics(gold, np.tile(answer, (15, 1))).values["micro_f1"]
            for answer in itertools.product((0, 1), repeat=4)
        ]
        chosen = multilabel_metrics(gold, np.tile(best_label_set(gold), (15, 1))).values["micro_f1"]
        assert chosen == pytest.approx(max(reached))


def test_trivial_tags_are_the_most_frequent_tag() -> None:
    """Every word gets the most frequent tag of the training rows."""
    trivial = constant_answer(words(), np.array([0, 0, 2]))
    assert set(trivial.scores) == {0}
    assert len(trivial.scores) == len(words().gold)


def test_tags_without_spans_are_scored_by_words() -> None:
    """Part-of-speech tags have word accuracy as the main metric, with a bootstrap over rows."""
    report = score(words(("NOUN", "VERB", "ADJ")))
    low, high = report.interval["accuracy"]
    assert report.main == "accuracy"
    assert low < report.score < high
