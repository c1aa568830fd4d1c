"""How far shallow classifiers get on the built-in tasks: the table of docs/generators.md.

python benchmarks/generators.py [--rows 2000] [--seed 0] [NAME ...]

For each generator, on `--rows` rows of the train split, by five-fold cross-validation with whole groups in a fold, and
once more trained on train and tested on test rows:

- majority: the most frequent answer (regression: the mean; tags: the most frequent tag of a word's form);
- bag of bigrams: logistic regression (regression: ridge, its penalty chosen on the training rows) on counts of words
  and neighboring words, text and pair told apart, the borders of a text being words too;
- length: gradient boosting on numbers of words and of characters, and on their differences;
- the rule solver, which reads the texts alone.

The number is accuracy in percent (multilabel: of single label decisions; multiple choice: of rows, the classifier
scores each choice as right or wrong; tags: of the words that carry a tag other than O, given that they do), and for
regression 100 * R2, where majority is 0. A generator counts as leak-free when neither classifier is more than 3 points
from majority in the cross-validation, which is the harder of the two tests because words are shared there.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline

from taskloom.recipes.generators import Generator, Row, generate_groups, generators
from taskloom.recipes.generators.base import SPLITS

FOLDS = 5
MARGIN = 3.0
TARGETS = ("label", "labels", "score")

Features = dict[str, float]


@dataclass(frozen=True)
class Unit:
    """One decision: its features under both views, the answer, the majority's key, and the row it belongs to."""

    bigrams: Features
    lengths: Features
    answer: Any
    key: str
    row: int


@dataclass(frozen=True)
class Scores:
    """Majority, bag of bigrams and length on one way to split the rows, in points."""

    majority: float
    bigrams: float
    length: float

    def within(self, margin: float = MARGIN) -> bool:
        """Tell whether both classifiers stay within `margin` of majority."""
        return all(abs(score - self.majority) <= margin for score in (self.bigrams, self.length))


def bag(space: str, text: str) -> Features:
    """Return counts of words and of neighboring words, borders included."""
    for mark in ".,?!:;":
        text = text.replace(mark, f" {mark}")
    words = ["<s>", *text.lower().split(), "</s>"]
    pairs = [f"{one} {two}" for one, two in itertools.pairwise(words)]
    return {f"{space}:{part}": float(count) for part, count in Counter([*words[1:-1], *pairs]).items()}


def sizes(space: str, text: str) -> Features:
    """Return the number of words and of characters."""
    return {f"{space} words": float(len(text.split())), f"{space} characters": float(len(text))}


def differences(features: Features, one: str, two: str) -> Features:
    """Return how much longer `one` is than `two`."""
    return {f"{part} more": features[f"{one} {part}"] - features[f"{two} {part}"] for part in ("words", "characters")}


def units_of(generator: Generator, row: Row, number: int) -> list[Unit]:
    """Return the decisions that one row asks for."""
    if generator.kind == "multiple_choice":
        return _choice_units(row, number)
    if generator.kind == "token_classification":
        return _word_units(row, number)
    texts = {space: row[space] for space in ("text", "pair") if row[space] is not None}
    bigrams = {name: count for space, text in texts.items() for name, count in bag(space, text).items()}
    lengths = {name: size for space, text in texts.items() for name, size in sizes(space, text).items()}
    if len(texts) == 2:
        lengths |= differences(lengths, "text", "pair")
    if generator.kind == "multilabel":
        return [Unit(bigrams, lengths, int(label in row["labels"]), label, number) for label in generator.labels]
    return [Unit(bigrams, lengths, row["score" if generator.kind == "regression" else "label"], "", number)]


def _choice_units(row: Row, number: int) -> list[Unit]:
    found = []
    for place, choice in enumerate(row["choices"]):
        others = [len(other) for other in row["choices"] if other is not choice]
        lengths = sizes("prompt", row["prompt"]) | sizes("choice", choice)
        lengths |= {"shortest": len(choice) - min(others), "longest": len(choice) - max(others)}
        bigrams = bag("prompt", row["prompt"]) | bag("choice", choice)
        found.append(Unit(bigrams, lengths, int(place == row["label"]), "", number))
    return found


def _word_units(row: Row, number: int) -> list[Unit]:
    words = ["<s>", *(word.lower() for word in row["tokens"]), "</s>"]
    found = []
    for place, tag in enumerate(row["labels"]):
        if tag == "O":
            continue
        before, word, after = words[place : place + 3]
        names = (word, f"{before} {word}", f"{word} {after}", f"{before} _", f"_ {after}")
        lengths = {"word": len(word), "place": place, "left": len(row["tokens"]) - place, "words": len(row["tokens"])}
        found.append(Unit(dict.fromkeys(names, 1.0), {k: float(v) for k, v in lengths.items()}, tag, word, number))
    return found


Answers = Callable[[Sequence[Unit], Sequence[Unit]], list[Any]]


def majority(train: Sequence[Unit], test: Sequence[Unit]) -> list[Any]:
    """Return the most frequent answer of a unit's key, of all units where the key is new."""
    overall = Counter(unit.answer for unit in train).most_common(1)[0][0]
    by_key: dict[str, Counter[Any]] = {}
    for unit in train:
        by_key.setdefault(unit.key, Counter())[unit.answer] += 1
    return [by_key[unit.key].most_common(1)[0][0] if unit.key in by_key else overall for unit in test]


def learned(view: str, make_model: Callable[[], Any], kind: str) -> Answers:
    """Return a classifier of one view; multilabel fits one a label, multiple choice gives scores."""

    def answers(train: Sequence[Unit], test: Sequence[Unit]) -> list[Any]:
        keys = sorted({unit.key for unit in train}) if kind == "multilabel" else [""]
        found: dict[int, Any] = {}
        for key in keys:
            own = [unit for unit in train if kind != "multilabel" or unit.key == key]
            asked = [index for index, unit in enumerate(test) if kind != "multilabel" or unit.key == key]
            model = make_model().fit([getattr(unit, view) for unit in own], [unit.answer for unit in own])
            given = [getattr(test[index], view) for index in asked]
            said = model.predict_proba(given)[:, 1] if kind == "multiple_choice" else model.predict(given)
            found |= dict(zip(asked, said, strict=True))
        return [found[index] for index in range(len(test))]

    return answers


def models(kind: str) -> dict[str, Answers]:
    """Return the two shallow classifiers of a kind."""
    if kind == "regression":
        linear, boosted = (
            (lambda: RidgeCV(alphas=np.logspace(0, 5, 11))),
            (lambda: HistGradientBoostingRegressor(max_depth=3, random_state=0)),
        )
    else:
        linear = lambda: LogisticRegression(max_iter=500)  # noqa: E731 - two factories side by side
        boosted = lambda: HistGradientBoostingClassifier(max_depth=3, max_iter=50, random_state=0)  # noqa: E731
    return {
        "bigrams": learned("bigrams", lambda: make_pipeline(DictVectorizer(), linear()), kind),
        "length": learned("lengths", lambda: make_pipeline(DictVectorizer(sparse=False), boosted()), kind),
    }


def score(kind: str, units: Sequence[Unit], answers: Sequence[Any]) -> float:
    """Return accuracy, or R2 for regression, times 100."""
    if kind == "regression":
        truth = np.array([unit.answer for unit in units])
        return float(100 * (1 - np.square(truth - np.array(answers)).sum() / np.square(truth - truth.mean()).sum()))
    if kind != "multiple_choice":
        return 100 * float(np.mean([unit.answer == answer for unit, answer in zip(units, answers, strict=True)]))
    best: dict[int, tuple[float, int]] = {}
    for unit, answer in zip(units, answers, strict=True):
        if answer > best.get(unit.row, (-1.0, 0))[0]:  # ties go to the first choice
            best[unit.row] = (answer, unit.answer)
    return 100 * float(np.mean([right for _, right in best.values()]))


def by_majority(kind: str, train: Sequence[Unit], test: Sequence[Unit]) -> float:
    """Return what the trivial answer scores; for multiple choice one over the number of choices."""
    if kind == "regression":
        return score(kind, test, [float(np.mean([unit.answer for unit in train]))] * len(test))
    if kind == "multiple_choice":
        return 100 * len({unit.row for unit in test}) / len(test)
    return score(kind, test, majority(train, test))


def cross_validated(generator: Generator, groups: Sequence[Sequence[Unit]]) -> Scores:
    """Return the scores over all rows, each answered by models that saw no row of its group."""
    order = random.Random(0).sample(range(len(groups)), len(groups))
    fold_of = {index: place % FOLDS for place, index in enumerate(order)}
    totals: dict[str, list[float]] = {"majority": [], "bigrams": [], "length": []}
    test_units: list[Unit] = []
    said: dict[str, list[Any]] = {"bigrams": [], "length": []}
    for fold in range(FOLDS):
        train = [unit for index, units in enumerate(groups) if fold_of[index] != fold for unit in units]
        test = [unit for index, units in enumerate(groups) if fold_of[index] == fold for unit in units]
        test_units += test
        totals["majority"].append(by_majority(generator.kind, train, test) * len(test))
        for name, answers in models(generator.kind).items():
            said[name] += answers(train, test)
    majority_score = sum(totals["majority"]) / len(test_units)
    if generator.kind == "regression":
        majority_score = 0.0
    return Scores(majority_score, *(score(generator.kind, test_units, said[name]) for name in ("bigrams", "length")))


def transferred(generator: Generator, train: Sequence[Unit], test: Sequence[Unit]) -> Scores:
    """Return the scores on test rows of models that saw train rows alone."""
    shallow = models(generator.kind)
    return Scores(
        by_majority(generator.kind, train, test),
        *(score(generator.kind, test, shallow[name](train, test)) for name in ("bigrams", "length")),
    )


def solved(generator: Generator, rows: Iterable[Row]) -> float:
    """Return the share of rows that the rule solver answers right, in percent; it is not given the answers."""
    target = {"regression": "score", "multilabel": "labels", "token_classification": "labels"}
    column = target.get(generator.kind, "label")
    right = [
        generator.solve({name: value for name, value in row.items() if name not in TARGETS}) == row[column]
        for row in rows
    ]
    return 100 * sum(right) / len(right)


def measure(generator: Generator, rows: int, seed: int = 0) -> tuple[Scores, Scores, float]:
    """Return the scores by cross-validation and from train to test, and the solver's over all three splits."""
    groups = {split: generate_groups(generator.name, split=split, rows=rows, seed=seed) for split in SPLITS}
    units: dict[str, list[list[Unit]]] = {}
    for split in ("train", "test"):
        numbers = iter(range(10**9))
        units[split] = [
            [unit for row in group for unit in units_of(generator, row, next(numbers))] for group in groups[split]
        ]
    flat = {split: [unit for group in found for unit in group] for split, found in units.items()}
    exact = solved(generator, (row for split in groups.values() for group in split for row in group))
    return cross_validated(generator, units["train"]), transferred(generator, flat["train"], flat["test"]), exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(generators()))
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the rows")
    arguments = parser.parse_args()
    heads = ("generator", "kind", "majority", "bigrams", "length", "to test: majority", "bigrams", "length", "solver")
    print(f"| {' | '.join(heads)} | leak-free |")
    print(f"|---|---|{'--:|' * (len(heads) - 2)}---|")
    for name in arguments.names:
        generator = generators()[name]
        inside, across, exact = measure(generator, arguments.rows, arguments.seed)
        numbers = (
            inside.majority,
            inside.bigrams,
            inside.length,
            across.majority,
            across.bigrams,
            across.length,
            exact,
        )
        cells = " | ".join(f"{number:.1f}" for number in numbers)
        print(f"| `{name}` | {generator.kind} | {cells} | {'yes' if inside.within() else 'no'} |", flush=True)
        if generator.leak_free != inside.within():
            print(f"<!-- {name} declares leak_free={generator.leak_free} -->", flush=True)


if __name__ == "__main__":
    main()
