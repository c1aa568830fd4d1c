"""Metrics against golden cases, scikit-learn, scipy and seqeval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from sklearn.metrics import f1_score

from taskloom.errors import DataError
from taskloom.evaluation.metrics import (
    Metrics,
    choice_metrics,
    classification_metrics,
    main_metric,
    multilabel_metrics,
    regression_metrics,
    tag_metrics,
)
from taskloom.evaluation.spans import is_bio, span_counts

CASES = json.loads(Path(__file__).with_name("metric_cases.json").read_text(encoding="utf-8"))
PLAIN = {
    "classification": classification_metrics,
    "multilabel": multilabel_metrics,
    "regression": regression_metrics,
    "choice": choice_metrics,
}
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-LOC")


def computed(case: dict[str, Any]) -> Metrics:
    """Return the metrics of one golden case."""
    gold, predicted = np.array(case["gold"]), np.array(case["predicted"])
    if case["metric"] == "tags":
        return tag_metrics(gold, predicted, np.array(case["word_offsets"]), tuple(case["labels"]))
    return PLAIN[case["metric"]](gold, predicted)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_cases(case: dict[str, Any]) -> None:
    """Each case gives exactly the named values, and a reason for each undefined one."""
    found = computed(case)
    assert found.values.keys() == case["values"].keys()
    for name, value in case["values"].items():
        assert found.values[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    assert found.reasons == case["undefined"]


@pytest.mark.parametrize("metric", [classification_metrics, regression_metrics, choice_metrics])
def test_no_rows_is_an_error(metric: Any) -> None:
    """No data is never a score of 0."""
    with pytest.raises(DataError, match="no rows"):
        metric(np.zeros(0, dtype=int), np.zeros(0, dtype=int))


def test_no_words_is_an_error() -> None:
    """Tags of no words, or labels of no rows, are no score either."""
    with pytest.raises(DataError, match="no rows"):
        tag_metrics(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.array([0, 0]), ("O", "B-x"))
    with pytest.raises(DataError, match="no rows"):
        multilabel_metrics(np.zeros((0, 2)), np.zeros((0, 2)))


def test_shapes_must_agree() -> None:
    """Gold and predicted of unequal shape are a programming error, not a broadcast."""
    with pytest.raises(ValueError, match="must be equal"):
        choice_metrics(np.zeros(3), np.zeros(1))


@given(st.integers(1, 12), st.integers(2, 5), st.randoms(use_true_random=False))
def test_multilabel_micro_f1_equals_scikit_learn(rows: int, labels: int, random: Any) -> None:
    """Micro-F1 of any label matrix is scikit-learn's wherever it is defined."""
    gold, predicted = (np.array([[random.randint(0, 1) for _ in range(labels)] for _ in range(rows)]) for _ in "ab")
    found = multilabel_metrics(gold, predicted).values
    if gold.any() or predicted.any():
        assert found["micro_f1"] == pytest.approx(f1_score(gold, predicted, average="micro", zero_division=0.0))
        assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=np.nan))
    else:
        assert found["micro_f1"] is None


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=30))
def test_correlations_equal_scipy(pairs: list[tuple[int, int]]) -> None:
    """Pearson and Spearman are scipy's, ties included, and None exactly where a side is constant."""
    gold, predicted = np.array(pairs, dtype=np.float64).T
    found = regression_metrics(gold, predicted).values
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert found["pearson"] is None
        assert found["spearman"] is None
    else:
        assert found["pearson"] == pytest.approx(pearsonr(gold, predicted).statistic, abs=1e-9)
        assert found["spearman"] == pytest.approx(spearmanr(gold, predicted).statistic, abs=1e-9)


rows_of_tags = st.lists(
    st.lists(st.tuples(st.sampled_from(range(len(TAGS))), st.sampled_from(range(len(TAGS)))), max_size=8),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300)
@given(rows_of_tags)
def test_spans_equal_seqeval(rows: list[list[tuple[int, int]]]) -> None:
    """For any tags, well-formed or not, spans counted are those of seqeval's default mode, summed and row by row."""
    gold, predicted = (np.array([pair[side] for row in rows for pair in row], dtype=int) for side in (0, 1))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    counts = span_counts(gold, predicted, offsets, TAGS)
    named = [[[TAGS[pair[side]] for pair in row] for row in rows] for side in (0, 1)]
    for row, (correct, said, true) in enumerate(counts):
        expected = seqeval_counts([named[0][row]], [named[1][row]])
        assert (correct, said, true) == expected
    assert tuple(counts.sum(0)) == seqeval_counts(*named)


def seqeval_counts(gold: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """Return correct, predicted and gold spans as seqeval finds them."""
    from seqeval.metrics.sequence_labeling import get_entities

    found = [
        {(row, *span) for row, tags in enumerate(side) for span in get_entities(tags)} for side in (gold, predicted)
    ]
    return len(found[0] & found[1]), len(found[1]), len(found[0])


def test_span_f1_equals_seqeval_on_many_rows() -> None:
    """Precision, recall and F1 over 200 random rows are seqeval's micro averages."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(1, 20, 200))])
    gold = generator.integers(0, len(TAGS), offsets[-1])
    predicted = np.where(generator.random(offsets[-1]) < 0.8, gold, generator.integers(0, len(TAGS), offsets[-1]))
    named = [[[TAGS[tag] for tag in part] for part in np.split(side, offsets[1:-1])] for side in (gold, predicted)]
    precision, recall, f1, _ = precision_recall_fscore_support(*named, average="micro")
    found = tag_metrics(gold, predicted, offsets, TAGS).values
    assert [found["span_precision"], found["span_recall"], found["span_f1"]] == pytest.approx([precision, recall, f1])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("O", "B-PER", "I-PER"), True),
        (("B", "I", "O"), True),
        (("O", "I-NP"), True),
        (("NOUN", "VERB", "O"), False),
        (("O",), False),
        (("", "B-PER"), False),
        (("I", "O", "X"), False),
    ],
)
def test_tags_in_bio_form(labels: tuple[str, ...], expected: bool) -> None:
    """Only sets whose every tag has a BIO prefix, with one that opens a span, have spans."""
    assert is_bio(labels) is expected


def test_main_metric_of_each_kind() -> None:
    """Each kind is compared by one metric; tags without spans by accuracy."""
    kinds = ("classification", "multilabel", "regression", "multiple_choice")
    assert [main_metric(kind) for kind in kinds] == ["accuracy", "micro_f1", "pearson", "accuracy"]
    assert main_metric("token_classification", ("O", "B-x")) == "span_f1"
    assert main_metric("token_classification", ("NOUN",)) == "accuracy"
