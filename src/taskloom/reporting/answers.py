"""What a task's answers look like to a person: which labels are taken for which, and where the model is surely wrong.

Pure functions of predictions; texts are looked up elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.evaluation.metrics import f1
from taskloom.evaluation.predictions import Predictions

Array = NDArray[Any]
SHOWN_LABELS = 10
"""A larger matrix keeps these, those with the most mistakes, and puts all others into one."""
SHOWN_PAIRS = 5
SHOWN_WORST = 5
SHOWN_POINTS = 150
OTHERS = "all others"
OUTSIDE = "O"


@dataclass(frozen=True)
class Confusion:
    """How often the label of a row (row of `counts`) was answered with which (column), over `names`.

    `pairs` are the commonest mistakes over all labels: right, answered, how often.
    """

    names: tuple[str, ...]
    counts: Array
    pairs: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class LabelScore:
    """One label of several: rows that have it, rows answered with it, and the harmonic mean of precision and recall."""

    name: str
    gold: int
    answered: int
    f1: float | None


@dataclass(frozen=True)
class Worst:
    """A row answered wrongly: its place among the predictions, its number in the source split, the right answer, the
    given one, how bad it is (the probability it was given, the distance, the number of words), and that in words."""

    place: int
    row: int
    right: str
    answered: str
    badness: float
    said: str


def confusion(predictions: Predictions) -> Confusion | None:
    """Return the confusion of classes, tags or positions of choices; None for several labels and for scores."""
    if predictions.kind in ("multilabel", "regression"):
        return None
    gold, answers = predictions.gold.astype(np.int64), predictions.answers().astype(np.int64)
    names = predictions.labels
    if predictions.kind == "multiple_choice":
        sizes = np.diff(predictions.word_offsets)
        names = tuple(f"choice {number + 1}" for number in range(int(sizes.max(initial=1))))
    whole = np.bincount(gold * len(names) + answers, minlength=len(names) ** 2).reshape(len(names), -1)
    return Confusion(*_largest(names, whole), _pairs(names, whole))


def _pairs(names: tuple[str, ...], counts: Array) -> tuple[tuple[str, str, int], ...]:
    wrong = counts * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN_PAIRS]
    found = [(*divmod(int(place), len(names)), int(wrong.flat[place])) for place in order]
    return tuple((names[right], names[answered], often) for right, answered, often in found if often)


def _largest(names: tuple[str, ...], counts: Array) -> tuple[tuple[str, ...], Array]:
    """Keep the labels with the most mistakes, in their own order, and sum the others up."""
    if len(names) <= SHOWN_LABELS + 1:
        return names, counts
    mistakes = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-mistakes, kind="stable")[:SHOWN_LABELS])
    group = np.full(len(names), SHOWN_LABELS)
    group[kept] = np.arange(SHOWN_LABELS)
    folded = np.zeros((SHOWN_LABELS + 1, SHOWN_LABELS + 1), np.int64)
    np.add.at(folded, (group[:, None], group[None, :]), counts)
    return (*(names[at] for at in kept), OTHERS), folded


def label_scores(predictions: Predictions) -> tuple[LabelScore, ...]:
    """Return the labels of a multilabel task that most rows have, commonest first."""
    gold, answers = np.asarray(predictions.gold, bool), predictions.answers()
    have, said, both = gold.sum(0), answers.sum(0), (gold & answers).sum(0)
    values = f1(both, said, have)
    order = np.argsort(-have, kind="stable")[: SHOWN_LABELS + 1]
    return tuple(
        LabelScore(
            predictions.labels[at], int(have[at]), int(said[at]), None if np.isnan(values[at]) else float(values[at])
        )
        for at in order
    )


def points(predictions: Predictions) -> tuple[tuple[float, float], ...]:
    """Return (right score, answered score) of at most SHOWN_POINTS rows, evenly taken by rising right score."""
    order = np.argsort(predictions.gold, kind="stable")
    places = order[np.unique(np.linspace(0, len(order) - 1, SHOWN_POINTS).astype(np.int64))] if len(order) else order
    return tuple((float(predictions.gold[at]), float(predictions.scores[at])) for at in places)


def worst(predictions: Predictions) -> tuple[Worst, ...]:
    """Return the rows that are wrong with the most confidence, worst first; for scores, those farthest off.

    Tags carry no probability, so of sentences those with the most wrong words come first.
    """
    return {
        "classification": _worst_classes,
        "multiple_choice": _worst_choices,
        "multilabel": _worst_label_sets,
        "regression": _worst_scores,
        "token_classification": _worst_sentences,
    }[predictions.kind](predictions)


def _first(badness: Array) -> list[int]:
    """Return the places with the largest badness above 0, ties by place."""
    order = np.argsort(-badness, kind="stable")[:SHOWN_WORST]
    return [int(at) for at in order if badness[at] > 0]


def _worst_classes(given: Predictions) -> tuple[Worst, ...]:
    answers = given.answers()
    sure = given.scores[np.arange(len(answers)), answers]
    return tuple(
        _made(given, at, given.labels[given.gold[at]], given.labels[answers[at]], sure[at], f"sure {sure[at]:.2f}")
        for at in _first(np.where(answers != given.gold, sure, 0))
    )


def _worst_choices(given: Predictions) -> tuple[Worst, ...]:
    answers = given.answers()
    sure = given.scores[given.word_offsets[:-1] + answers]
    return tuple(
        _made(given, at, f"choice {given.gold[at] + 1}", f"choice {answers[at] + 1}", sure[at], f"sure {sure[at]:.2f}")
        for at in _first(np.where(answers != given.gold, sure, 0))
    )


def _worst_label_sets(given: Predictions) -> tuple[Worst, ...]:
    """By the probability of the most wrongly judged label of each row."""
    gold, answers = np.asarray(given.gold, bool), given.answers()
    missed = np.where(gold, 1 - given.scores, given.scores)
    sure = np.where(gold != answers, missed, 0).max(1, initial=0)
    return tuple(
        _made(
            given,
            at,
            _listed(given.labels, gold[at]),
            _listed(given.labels, answers[at]),
            sure[at],
            f"sure {sure[at]:.2f}",
        )
        for at in _first(sure)
    )


def _worst_scores(given: Predictions) -> tuple[Worst, ...]:
    off = given.scores.astype(np.float64) - given.gold
    return tuple(
        _made(given, at, f"{given.gold[at]:.3g}", f"{given.scores[at]:.3g}", off[at], f"{off[at]:+.3g}")
        for at in _first(np.abs(off))
    )


def _worst_sentences(given: Predictions) -> tuple[Worst, ...]:
    starts = given.word_offsets
    wrong = np.concatenate([[0], np.cumsum(given.gold != given.scores)])
    often = np.diff(wrong[starts])
    return tuple(
        _made(given, at, *_tags(given, slice(starts[at], starts[at + 1])), often[at], f"{often[at]} wrong words")
        for at in _first(often)
    )


def _tags(given: Predictions, words: slice) -> tuple[str, str]:
    """Return the right and the given tags where the two differ, with the number of the word."""
    gold, said = given.gold[words], given.scores[words]
    places = np.flatnonzero(gold != said)[:SHOWN_LABELS]
    right, answered = (", ".join(f"{at + 1} {given.labels[int(tags[at])]}" for at in places) for tags in (gold, said))
    return f"words {right}", f"words {answered}"


def _listed(labels: tuple[str, ...], chosen: Array) -> str:
    return ", ".join(labels[at] for at in np.flatnonzero(chosen)) or "none"


def _made(given: Predictions, at: int, right: str, answered: str, badness: float, said: str) -> Worst:
    return Worst(at, int(given.row[at]), right, answered, float(badness), said)
