"""The labels that texts are asked about: names, what is said for each, templates, one set for all texts or one a text.

A label is a name, which answers carry, and words that stand for it in front of the model: its description, or the name
itself. "billing" with the description "a question about an invoice" is asked as "This example is a question about an
invoice." and answered as "billing".
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of
from taskloom.errors import DataError, SourceError

Array = NDArray[Any]
TEMPLATE = "This example is {}."
FILES = (".json", ".toml")
NO_LABELS = 'There are no labels. Give at least one, for example ["sports", "politics"].'


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order given: their names, and what is said for each."""

    names: tuple[str, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What each text is asked: `label[offsets[t] : offsets[t + 1]]` are text t's labels, places in `said`, where
    equal words stand once."""

    said: tuple[str, ...]
    label: Array
    offsets: Array

    @property
    def counts(self) -> Array:
        """How many labels each text has (texts,)."""
        return np.diff(self.offsets)


def label_set(labels: Any) -> LabelSet:
    """Return labels given as a list, as one string of them with commas, or as a mapping of names to descriptions.

    Raises DataError for no labels, and for what is no string or blank.
    """
    if isinstance(labels, str):
        labels = [name.strip() for name in labels.split(",") if name.strip()]
    if not isinstance(labels, (Mapping, Sequence)) or not labels:
        raise DataError(NO_LABELS)
    names = tuple(labels)
    said = tuple(labels.values()) if isinstance(labels, Mapping) else names
    wrong = next((one for one in chain(names, said) if not isinstance(one, str) or not one.strip()), None)
    if wrong is not None:
        raise DataError(f"Label {wrong!r} is not a word. Give labels as strings, or as {{name: description}}.")
    return LabelSet(names, said)


def label_sets(labels: Any, texts: int) -> list[LabelSet]:
    """Return one set a text, from labels for all texts or from a list of them with one entry a text.

    Raises DataError for labels that are none, or not as many sets as texts.
    """
    if (
        isinstance(labels, str | Mapping)
        or not isinstance(labels, Sequence)
        or not labels
        or isinstance(labels[0], str)
    ):
        return [label_set(labels)] * texts
    if len(labels) != texts:
        raise DataError(
            f"There are {len(labels)} sets of labels for {texts} texts. Give one set for each, or one list."
        )
    known: dict[int, LabelSet] = {}  # the same object is read once
    return [known.setdefault(id(one), label_set(one)) for one in labels]


def ask(sets: Sequence[LabelSet]) -> Asked:
    """Return what the sets of all texts ask."""
    places: dict[str, int] = {}
    of_set = {one: [places.setdefault(words, len(places)) for words in one.said] for one in dict.fromkeys(sets)}
    flat = [of_set[one] for one in sets]
    return Asked(tuple(places), np.fromiter(chain.from_iterable(flat), np.int64), offsets_of([*map(len, flat)]))


def read_labels(given: str) -> list[str] | dict[str, str]:
    """Return labels as the command line takes them: names with commas, or a .json or .toml file.

    A file holds {name: description}, or in JSON a list of names. Raises SourceError for a file that is not there,
    DataError for one that holds something else.
    """
    path = Path(given)
    if path.suffix.lower() not in FILES:
        return [name.strip() for name in given.split(",") if name.strip()]
    if not path.is_file():
        raise SourceError(f"There is no file of labels {path}. Give one, or names with commas between them.")
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise DataError(f'{path} cannot be read: {error}. Give name = "description" lines, or JSON.') from error
    label_set(found)
    return found if isinstance(found, dict) else list(found)


def templates(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return templates given as one or several; raises DataError for one without exactly one gap."""
    several = (given,) if isinstance(given, str) else tuple(given)
    for template in several or ("",):
        before, gap, after = template.partition("{}")
        if not gap or any(mark in before + after for mark in "{}"):
            raise DataError(f"Template {template!r} must have one {{}} where the label goes, as in {TEMPLATE!r}.")
    return several
