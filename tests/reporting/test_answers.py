"""What answers look like to a person: confusion, single labels, scores, the worst rows."""

from __future__ import annotations

import numpy as np

from taskloom.evaluation.predictions import Predictions
from taskloom.reporting.answers import OTHERS, SHOWN_LABELS, SHOWN_POINTS, confusion, label_scores, points, worst


def classes(gold: list[int], answers: list[int], labels: tuple[str, ...], sure: list[float] | None = None):
    """Return predictions that answer so, each with this probability (0.9 unless given)."""
    scores = np.full((len(gold), len(labels)), 0.0, np.float32)
    for at, answer in enumerate(answers):
        scores[at] = (1 - (sure or [0.9] * len(gold))[at]) / (len(labels) - 1)
        scores[at, answer] = (sure or [0.9] * len(gold))[at]
    rows = np.arange(len(gold)) + 100
    return Predictions("t@1", "classification", labels, "validation", rows, np.array(gold), scores)


def test_confusion_counts_right_by_answered() -> None:
    """A row of the matrix is a right label, a column an answer; the commonest mistakes are named first."""
    found = confusion(classes([0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 0, 2], ("a", "b", "c")))
    assert found is not None
    assert found.names == ("a", "b", "c")
    assert found.counts.tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]
    assert found.pairs == (("a", "b", 2), ("b", "a", 1))


def test_large_confusion_keeps_the_labels_with_most_mistakes_and_every_row() -> None:
    """Of 40 labels the ten most mistaken stay in their order, the others are one, and no row is lost."""
    labels = tuple(f"l{number}" for number in range(40))
    gold = [*range(40), *range(20, 30)]
    answers = [*range(40), *[n + 1 for n in range(20, 30)]]
    found = confusion(classes(gold, answers, labels))
    assert found is not None
    assert len(found.names) == SHOWN_LABELS + 1 and found.names[-1] == OTHERS
    assert found.counts.sum() == 50
    assert set(found.names[:-1]) <= {f"l{number}" for number in range(20, 31)}
    assert all(counted.shape == (SHOWN_LABELS + 1,) for counted in found.counts)


def test_choices_are_confused_by_position() -> None:
    """Rows with unlike numbers of choices share one matrix over positions."""
    offsets = np.array([0, 2, 5])
    scores = np.array([0.2, 0.8, 0.5, 0.3, 0.2], np.float32)
    given = Predictions("t@1", "multiple_choice", (), "test", np.arange(2), np.array([1, 2]), scores, offsets)
    found = confusion(given)
    assert found is not None
    assert found.names == ("choice 1", "choice 2", "choice 3")
    assert found.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    (mistake,) = worst(given)
    assert (mistake.row, mistake.right, mistake.answered, mistake.said) == (1, "choice 3", "choice 1", "sure 0.50")


def test_scores_and_several_labels_have_no_matrix() -> None:
    """Several labels have a line each, commonest first; scores have points within the shown number."""
    gold = np.array([[1, 0], [1, 1], [1, 0]], np.uint8)
    said = np.array([[0.9, 0.2], [0.4, 0.9], [0.8, 0.1]], np.float32)
    labels = Predictions("t@1", "multilabel", ("rare", "x"), "test", np.arange(3), gold, said)
    assert confusion(labels) is None
    first, second = label_scores(labels)
    assert (first.name, first.gold, first.answered, first.f1) == ("rare", 3, 2, 0.8)
    assert (second.name, second.f1) == ("x", 1.0)
    numbers = np.linspace(0, 5, 1000)
    scores = Predictions("t@1", "regression", (), "test", np.arange(1000), numbers, numbers[::-1].copy())
    shown = points(scores)
    assert confusion(scores) is None
    assert len(shown) == SHOWN_POINTS and shown[0] == (0.0, 5.0) and shown[-1] == (5.0, 0.0)


def test_label_that_nobody_has_or_says_has_no_score() -> None:
    """Without a positive in gold or answers F1 is undefined, not 0."""
    nothing = np.zeros((2, 1))
    given = Predictions("t@1", "multilabel", ("x",), "test", np.arange(2), nothing.astype(np.uint8), nothing)
    assert label_scores(given)[0].f1 is None


def test_worst_rows_are_wrong_and_surest_first() -> None:
    """Right answers, however sure, are no mistakes; of the wrong ones the surest comes first, with its source row."""
    given = classes([0, 0, 1, 1], [0, 1, 0, 1], ("a", "b"), [0.99, 0.6, 0.8, 0.7])
    assert [(one.row, one.right, one.answered, one.said) for one in worst(given)] == [
        (102, "b", "a", "sure 0.80"),
        (101, "a", "b", "sure 0.60"),
    ]


def test_worst_scores_are_farthest_off_and_worst_sentences_have_most_wrong_words() -> None:
    """Scores say by how much, sentences how many words and which."""
    gold, said = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.5, 2.0])
    found = worst(Predictions("t@1", "regression", (), "test", np.arange(3), gold, said))
    assert [(one.row, one.said) for one in found] == [(1, "+2.5"), (2, "-1")]
    tags, answers = np.array([0, 1, 0, 0, 1]), np.array([0, 1, 1, 1, 0])
    given = Predictions(
        "t@1", "token_classification", ("O", "X"), "test", np.array([7, 8]), tags, answers, np.array([0, 2, 5])
    )
    (mistake,) = worst(given)
    assert (mistake.row, mistake.right, mistake.answered) == (8, "words 1 O, 2 O, 3 X", "words 1 X, 2 X, 3 O")
    assert mistake.said == "3 wrong words"


def test_answers_that_are_all_right_have_no_mistakes() -> None:
    """A perfect task shows nothing under its mistakes."""
    assert worst(classes([0, 1], [0, 1], ("a", "b"))) == ()
    assert worst(Predictions("t@1", "regression", (), "test", np.arange(2), np.ones(2), np.ones(2))) == ()
