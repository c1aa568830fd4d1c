"""Answers without a single labelled row: what a model makes of label names, each way that it has.

- `pairs`, `one-pass` and `matching` are the model's own zero-shot classifiers, `all` their average (in the log, so that
  none's confidence rules), "pairs + matching" that of two;
- `head` is a trained head that the task shares: of the same label set, of entailment, or the one row of all choices;
- `similarity` and `similarity, sentence` compare a text's mean-pooled embedding with that of each label name, bare or
  in a sentence. Any encoder can do that, so it is the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.adapting.features import Features
from taskloom.adapting.probing import probe_predictions, softmax
from taskloom.adapting.start import Start, said_labels
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore
from taskloom.evaluation.evaluator import softmax_by_row
from taskloom.evaluation.predictions import Predictions
from taskloom.inference.classifying import Classifier, Question, Way
from taskloom.inference.label_sets import TEMPLATE, label_sets
from taskloom.inference.pieces import Reading
from taskloom.inference.scorers import torch_scorers
from taskloom.modeling.model import SHARPNESS
from taskloom.recipes.recipe import Task

Array = NDArray[Any]
OWN = ("pairs", "one-pass", "matching")
TEXT_KINDS = ("classification", "multilabel")


class Blind:
    """Zero-shot answers of one model to the rows of one task at `places` of a split, by name of the way.

    `table` holds the canonical rows of that split; the store's rows are found in it by their source row.
    """

    def __init__(
        self, start: Start, task: Task, store: TaskStore, canonical: CanonicalTask, *, split: str, places: Array
    ) -> None:
        self.start, self.task, self.store, self.split, self.places = start, task, store, split, places
        wanted = np.asarray(store.splits[split].rows)[places]
        table = canonical.splits[split]
        order = np.argsort(table["row"].to_numpy())
        self.table = table.take(pa.array(order[np.searchsorted(table["row"].to_numpy(), wanted, sorter=order)]))
        self._logits: dict[str, Array] = {}

    def ways(self) -> tuple[str, ...]:
        """Return the ways that this model has for this task, the baseline last; empty when label names say nothing."""
        if self.store.kind == "multiple_choice":
            return (*(["head"] if self._head() is not None else []), "similarity")
        head = ["head"] if self._head() is not None else []
        if self.store.kind not in TEXT_KINDS or self.labels() is None:
            return tuple(head)
        own = self._own()
        averages = [] if len(own) < 2 else ["all"]
        averages += [f"{one} + matching" for one in own if one != "matching" and "matching" in own and len(own) > 2]
        return (*head, *own, *averages, "similarity", "similarity, sentence")

    def _own(self) -> list[str]:
        """Return the ways that the model was trained for, but for those that cannot judge a label by itself where that
        is asked."""
        table = self.start.table
        heads = {"pairs": table.zero_shot(), "one-pass": table.one_pass(), "matching": table.matching()}
        if self.store.kind == "multilabel":
            del heads["matching"]
        return [way for way, found in heads.items() if found is not None]

    def labels(self) -> tuple[str, ...] | None:
        """Return the label names in words, or None where they say nothing or only some of them can be said."""
        return said_labels(self.task, self.store.labels)

    def predictions(self, way: str, features: Features) -> Predictions:
        """Return the answers of one way; `features` are those of the rows by the untouched encoder."""
        if way == "head":
            head = self._head()
            assert head is not None
            unseen = self.store.labels.index("O") if "O" in self.store.labels else 0
            return probe_predictions(head, features, self.store, self.split, pooling="own", unseen=unseen)
        if self.store.kind == "multiple_choice":
            return self._choices(features)
        logits = self.logits(way, features)
        rows = self.store.splits[self.split]
        scores = softmax(logits) if self.store.kind == "classification" else 1 / (1 + np.exp(-logits))
        return Predictions(
            task=self.store.task, kind=self.store.kind, labels=self.store.labels, split=self.split,
            row=np.asarray(rows.rows)[self.places], gold=np.asarray(rows.labels)[self.places], scores=scores,
        )  # fmt: skip

    def logits(self, way: str, features: Features) -> Array:
        """Return (rows, labels) of a way that reads label names, larger for what fits better; kept for averages."""
        if way not in self._logits:
            self._logits[way] = self._computed(way, features)
        return self._logits[way]

    def _computed(self, way: str, features: Features) -> Array:
        if way == "all" or " + " in way:
            several = self._own() if way == "all" else way.split(" + ")
            return np.asarray(np.mean([_log_softmax(self.logits(one, features)) for one in several], axis=0))
        names = self.labels()
        assert names is not None
        if way in OWN:
            return own_logits(
                self.start, self.texts(), names, way=cast(Way, way), multi_label=self.store.kind == "multilabel"
            )
        said = [TEMPLATE.replace("{}", name) for name in names] if way == "similarity, sentence" else list(names)
        cosines = self._text_vectors(features) @ _unit(self._vectors(said)).T
        return np.asarray(SHARPNESS * (cosines - (0.5 if self.store.kind == "multilabel" else 0.0)))

    def texts(self) -> list[str]:
        """Return text and pair as one text, a line each, as recasts join them."""
        pairs = zip(self.table["text"].to_pylist(), self.table["pair"].to_pylist(), strict=True)
        return [text if pair is None else f"{text}\n{pair}" for text, pair in pairs]

    def _text_vectors(self, features: Features) -> Array:
        single = self.table["pair"].null_count == len(self.table)
        return _unit(features.values["mean"] if single else self._vectors(self.texts()))

    def _choices(self, features: Features) -> Predictions:
        """Score each choice by its embedding's cosine with the prompt's."""
        prompts = _unit(self._vectors(self.table["prompt"].to_pylist()))
        lists = self.table["choices"].to_pylist()
        choices = _unit(self._vectors([choice for several in lists for choice in several]))
        sizes = np.array([*map(len, lists)])
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        cosines = (choices * np.repeat(prompts, sizes, axis=0)).sum(1)
        rows = self.store.splits[self.split]
        return Predictions(
            task=self.store.task, kind=self.store.kind, labels=(), split=self.split,
            row=np.asarray(rows.rows)[self.places], gold=np.asarray(rows.labels)[self.places],
            scores=softmax_by_row(SHARPNESS * cosines, offsets), offsets=offsets,
        )  # fmt: skip

    def _vectors(self, texts: Sequence[str]) -> Array:
        return self.start.text_features(texts)["mean"]

    def _head(self) -> Any:
        return self.start.matching_head(self.store, self.task.id)


def own_logits(start: Start, texts: Sequence[str], names: Sequence[str], *, way: Way, multi_label: bool) -> Array:
    """Return (texts, labels) of a zero-shot way, as logs of its probabilities (log odds with `multi_label`)."""
    reading = Reading(tokenizer=start.tokenizer, max_length=start.max_length)
    classifier = Classifier(torch_scorers(start.opened(), start.how), reading)
    found = classifier.score(texts, label_sets(names, len(texts)), Question(way=way, multi_label=multi_label))
    scores = np.clip(found.score.reshape(len(texts), len(names)), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(scores / (1 - scores)) if multi_label else np.log(scores))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))
