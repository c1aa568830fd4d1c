"""Labels given on the spot, whichever way they are scored: the answers as users get them.

Ways: `pairs` asks one label at a time (`zero_shot`), `one-pass` all labels in one sequence (`one_pass`), `matching`
compares vectors of texts and labels (`matching`), `all` averages those that the model has. `auto` takes the first of
matching, pairs and one pass that the model has and that can answer: the order of what they were worth on unseen tasks
(0.478, 0.391 and 0.239 macro-F1, docs/log.md), though many labels cost least in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import DataError, ModelError, did_you_mean
from taskloom.inference.label_sets import TEMPLATE, Asked, LabelSet, ask
from taskloom.inference.matching import matched_logits
from taskloom.inference.one_pass import option_logits
from taskloom.inference.pieces import Logits, Reading, Texts, averaged, blended
from taskloom.inference.scorers import Scorers
from taskloom.inference.zero_shot import pair_logits

Array = NDArray[Any]
Way = Literal["auto", "pairs", "one-pass", "matching", "all"]
WAYS = ("auto", "pairs", "one-pass", "matching", "all")


@dataclass(frozen=True, kw_only=True)
class Question:
    """How labels are asked: the way, the templates of pairs, whether each label is judged by itself, and the least
    probability of the best label, taken by itself, below which none of them is the answer."""

    way: Way = "auto"
    templates: tuple[str, ...] = (TEMPLATE,)
    multi_label: bool = False
    none_below: float | None = None

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise DataError(f"Way {self.way!r} is not one of {', '.join(WAYS)}.{did_you_mean(str(self.way), WAYS)}")
        if self.none_below is not None and not 0 <= self.none_below <= 1:
            raise DataError(f"none_below is {self.none_below}. Give a probability, for example 0.5.")

    @property
    def alone(self) -> bool:
        """Whether it must be known of a label by itself whether it fits."""
        return self.multi_label or self.none_below is not None


@dataclass(frozen=True)
class Scores:
    """Flat over the labels of all texts (labels of text t: offsets[t] : offsets[t + 1]): `score` as asked, and `own`,
    the probability of a label by itself. `long` (texts,) tells which texts were cut or read in windows."""

    score: Array
    own: Array
    offsets: Array
    long: Array


@dataclass(frozen=True)
class Classifier:
    """What can score labels, and how texts are read."""

    scorers: Scorers
    reading: Reading

    def score(self, texts: Sequence[str], sets: Sequence[LabelSet], question: Question) -> Scores:
        """Return the scores of each text's own labels, all sets of the same way.

        Raises ModelError when the model cannot be asked in this way, DataError for labels or texts that cannot be read.
        """
        wrong = next((number for number, text in enumerate(texts) if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(f"Text {wrong} is {texts[wrong]!r:.60}. Give a string, or a list of strings.")
        asked = ask(sets)
        read = Texts(*self.reading.tokenizer.segments(texts))
        ways = self.ways(question)
        found = [self._logits(way, read, asked, question) for way in ways]
        each = [averaged(logits, asked, multi_label=question.multi_label) for logits in found]
        long = np.any([logits.long for logits in found], axis=0)
        if len(each) == 1:
            return Scores(*each[0], asked.offsets, long)
        score = blended([one for one, _ in each], asked, multi_label=question.multi_label)
        own = np.mean([own for way, (_, own) in zip(ways, each, strict=True) if way != "matching"], axis=0)
        return Scores(score, own, asked.offsets, long)

    def answers(
        self, texts: Sequence[str], sets: Sequence[LabelSet], question: Question
    ) -> tuple[list[dict[str, Any]], int]:
        """Return {"sequence", "labels", "scores"} of each text, best label first, and how many texts were long.

        With `none_below` there are also "fits", the probability of the best label by itself, and "label": that label,
        or None where `fits` is below the bound. Raises what `score` raises.
        """
        if not texts:
            return [], 0
        scores = self.score(texts, sets, question)
        results = [
            _result(text, labels.names, scores.score[start:end], scores.own[start:end], question)
            for text, labels, start, end in zip(texts, sets, scores.offsets, scores.offsets[1:], strict=False)
        ]
        return results, int(scores.long.sum())

    def ways(self, question: Question) -> tuple[str, ...]:
        """Return the ways in which labels are scored, more than one where they are averaged. Raises ModelError for
        "all" of a model that has no way."""
        if question.way == "auto" and self._matches(question):
            return ("matching",)
        if question.way == "auto":
            return ("pairs",) if self.scorers.pairs is not None or self.scorers.marks is None else ("one-pass",)
        if question.way != "all":
            return (question.way,)
        scorers = {"pairs": self.scorers.pairs, "one-pass": self.scorers.marks}
        scorers |= {} if question.alone else {"matching": self.scorers.vectors}
        found = tuple(way for way, scorer in scorers.items() if scorer is not None)
        if not found:
            raise ModelError(NO_PAIRS)
        return found

    def _matches(self, question: Question) -> bool:
        """Tell whether `auto` is matching: not for labels by themselves, nor under a template of one's own."""
        return self.scorers.vectors is not None and not question.alone and question.templates == (TEMPLATE,)

    def _logits(self, way: str, texts: Texts, asked: Asked, question: Question) -> Logits:
        if way == "pairs":
            if self.scorers.pairs is None:
                raise ModelError(NO_PAIRS)
            return pair_logits(self.scorers.pairs, texts, asked, templates=question.templates, reading=self.reading)
        if way == "matching":
            if self.scorers.vectors is None:
                raise ModelError(NO_VECTORS)
            if question.alone:
                raise DataError(ONLY_BESIDE)
            names = self.scorers.names
            return matched_logits(self.scorers.vectors, texts, asked, reading=self.reading, names=names)
        if self.scorers.marks is None:
            raise ModelError(NO_MARKS)
        return option_logits(self.scorers.marks, texts, asked, reading=self.reading)


NO_PAIRS = (
    "The model has no entailment head, so it cannot classify with labels given on the spot. Train with a task of "
    "family:nli (for example glue/mnli), or use predict with one of its trained tasks."
)
NO_MARKS = (
    'The model has no one-pass head. Train with `data.recast = ["one-pass"]`, or classify with pairs (way="pairs").'
)
NO_VECTORS = (
    'The model has no matching head. Train with `data.recast = ["matching"]`, or classify with pairs (way="pairs").'
)
ONLY_BESIDE = (
    "The way matching says which label is nearest, and nothing of a label by itself. Several labels at once, and none "
    'of them, take way="pairs" or "one-pass".'
)


def _result(text: str, names: Sequence[str], scores: Array, own: Array, question: Question) -> dict[str, Any]:
    order = np.argsort(-scores, kind="stable")
    result = {"sequence": text, "labels": [names[at] for at in order], "scores": scores[order].tolist()}
    if question.none_below is None:
        return result
    fits = float(own[order[0]])
    return result | {"label": names[order[0]] if fits >= question.none_below else None, "fits": fits}
