"""One model on one task: what transfer measures, by method and setting, and nothing of which rows count for what.

A `Bench` holds what the measurements of a model on a task share: the prepared rows, and the untouched encoder's
features of every row that any of them needs, computed once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.adapting.blind import Blind
from taskloom.adapting.features import Features
from taskloom.adapting.finetuning import Settings, answers_of, fine_tune
from taskloom.adapting.probing import fit_head, pooling_of, probe_predictions
from taskloom.adapting.start import Start
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore
from taskloom.evaluation.evaluator import unseen_tag
from taskloom.evaluation.metrics import Metrics, main_metric
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.scoring import compute
from taskloom.modeling.encoder import POOLINGS
from taskloom.recipes.recipe import Task

Array = NDArray[Any]
BLIND = "zero-shot"
BLIND_METRICS = {"classification": "macro_f1", "multilabel": "macro_f1"}
"""Without labelled rows nobody knows how frequent classes are, so each counts alike."""


@dataclass(frozen=True)
class ProbeSetting:
    """A linear probe: which pooling it reads, and the inverse strength of its penalty."""

    pooling: str
    penalty: float

    def __str__(self) -> str:
        return f"{self.pooling}, C {self.penalty:g}"


@dataclass(frozen=True)
class TuneSetting:
    """Fine-tuning: its settings under a name."""

    settings: Settings

    def __str__(self) -> str:
        return f"{self.settings.pooling}, rate {self.settings.learning_rate:g}"


PROBES = tuple(ProbeSetting(pooling, penalty) for pooling in POOLINGS for penalty in (0.01, 0.1, 1.0))
TUNINGS = tuple(
    TuneSetting(Settings(pooling=pooling, learning_rate=rate, epochs=8, least_steps=24, most_steps=64))
    for pooling in ("own", "auto")
    for rate in (1e-4, 3e-4)
)
"""The settings that every model may choose from, as many for one as for the other."""


@dataclass(frozen=True)
class Measured:
    """The value of a task's metric, all metrics, and why the value is 0 where it is undefined."""

    metric: str
    score: float
    metrics: Metrics
    undefined: str = ""


class Bench:
    """A model and a task, ready to be measured on rows of one split."""

    def __init__(self, start: Start, task: Task, store: TaskStore, canonical: CanonicalTask) -> None:
        self.start, self.task, self.store, self.canonical = start, task, store, canonical
        self._features: dict[str, Features] = {}
        self._known: dict[str, Array] = {}

    def features(self, split: str, places: Array) -> Features:
        """Return features of some rows; those not computed yet are computed together and kept."""
        known = self._known.get(split, np.zeros(0, np.int64))
        new = np.setdiff1d(places, known)
        if len(new):
            found = self.start.features(self.store, split, new, max_length=self._length)
            self._features[split] = joined(self._features[split], found) if len(known) else found
            self._known[split] = np.union1d(known, new)
        return self._features[split].of(places)

    @property
    def _length(self) -> int:
        return next(iter(self.store.splits.values())).max_length

    def probe(self, shots: Array, setting: ProbeSetting, split: str, places: Array) -> Measured:
        """Fit a linear probe on the train rows `shots` and score it on other rows."""
        pooling = pooling_of(self.store.kind, setting.pooling)
        given = self.features("train", shots)
        head = fit_head(given, self.store, "train", pooling=pooling, penalty=setting.penalty)
        unseen = self._unseen()
        scored = self.features(split, places)
        return measured(probe_predictions(head, scored, self.store, split, pooling=pooling, unseen=unseen))

    def tune(self, shots: Array, setting: TuneSetting, seed: int, split: str, places: Array) -> Measured:
        """Fine-tune on the train rows `shots` for a fixed number of steps and score on other rows."""
        tuned = fine_tune(
            self.start, self.task, self.store, shots, settings=setting.settings, seed=seed, max_length=self._length,
            features=self.features("train", shots),
        )  # fmt: skip
        answers = answers_of(tuned.model, self.task, self.store, split, how=self.start.how, places=places)
        return measured(answers)

    def blind(self, ways: Sequence[str], split: str, places: Array) -> dict[str, Measured]:
        """Answer rows without a label, by each of the ways."""
        given = Blind(self.start, self.task, self.store, self.canonical, split=split, places=places)
        features = self.features(split, places)
        return {way: measured(given.predictions(way, features), blind=True) for way in ways}

    def ways(self) -> tuple[str, ...]:
        """Return the ways of answering without a label that this model has for this task."""
        split = next(iter(self.canonical.splits))
        return Blind(self.start, self.task, self.store, self.canonical, split=split, places=np.zeros(1, int)).ways()

    def _unseen(self) -> int:
        return unseen_tag(self.store, np.asarray(self.store.splits["train"].labels))


def joined(first: Features, second: Features) -> Features:
    """Return the units of both, in the order of (place, index)."""
    place, index = (np.concatenate([getattr(one, name) for one in (first, second)]) for name in ("place", "index"))
    order = np.lexsort((index, place))
    values = {name: np.concatenate([first.values[name], second.values[name]])[order] for name in first.values}
    return dataclasses.replace(first, values=values, place=place[order], index=index[order])


def measured(answers: Predictions, *, blind: bool = False) -> Measured:
    """Return what answers are worth by the metric of their kind; macro-F1 of those given without a labelled row."""
    found = compute(answers)
    main = main_metric(answers.kind, answers.labels)
    metric = BLIND_METRICS.get(answers.kind, main) if blind else main
    value = found.values[metric]
    return Measured(metric, 0.0 if value is None else value, found, "" if value is not None else found.reasons[metric])
