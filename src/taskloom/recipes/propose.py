"""From columns to a first recipe: what a person would guess from names, types and a few figures of each column.

The guess never sees rows, only a `Column` each, so it is tested without files. Its price: meaning is out of reach, so
whatever could be read otherwise is said as a doubt instead of being decided in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskloom.errors import ConfigError
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Text, Type

LABEL_WORDS = ("label", "labels", "class", "category", "target", "answer", "gold", "tag", "score", "rating", "intent")
TAG_WORDS = ("tags", "labels", "ner", "pos", "chunk")
CHOICE_WORDS = ("choices", "options", "endings", "candidates")
ID_WORDS = ("id", "idx", "index", "guid", "uid", "uuid")
MOST_CLASSES = 200
"""More distinct values than this are taken for scores or free text, not for classes."""


@dataclass(frozen=True)
class Column:
    """Figures of one column over sampled rows: filled values, distinct ones, words a text, range where all numbers."""

    type: Type
    filled: int
    distinct: int
    words: float = 0.0
    low: float | None = None
    high: float | None = None
    whole: bool = False


@dataclass(frozen=True)
class Proposal:
    """A guess: the kind, its fields as keys of [[task]], why each was taken, and what else could be."""

    kind: str
    fields: Mapping[str, Any]
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]


def propose(columns: Mapping[str, Column]) -> Proposal:
    """Return the likeliest recipe for these columns; raises ConfigError, listing them, if no kind fits."""
    found = _tagging(columns) or _choice(columns) or _labelled(columns)
    if found is None:
        listed = "\n".join(f"  {name}: {column.type}, {column.distinct} distinct" for name, column in columns.items())
        raise ConfigError(
            f"No kind of task fits these columns:\n{listed}\n"
            "classification and regression need a text and a label or number; multilabel a text and a list of labels; "
            "multiple_choice a text, a list of options and the answer; token_classification two lists of equal length."
        )
    return found


def _tagging(columns: Mapping[str, Column]) -> Proposal | None:
    lists = {name: column.type.item for name, column in columns.items() if isinstance(column.type, ListOf)}
    tokens = [name for name in lists if name.lower() in ("tokens", "words")]
    tags = [name for name in lists if name not in tokens and any(part in name.lower() for part in TAG_WORDS)]
    if not tokens or not tags:
        return None
    return Proposal(
        "token_classification",
        {"tokens": tokens[0], "labels": tags[0]},
        (f"{tokens[0]} is a list of words and {tags[0]} a list named like tags",),
        tuple(f"{other} could be the tags as well" for other in tags[1:]),
    )


def _choice(columns: Mapping[str, Column]) -> Proposal | None:
    options = [n for n, c in columns.items() if isinstance(c.type, ListOf) and n.lower() in CHOICE_WORDS]
    answers = _labels({name: column for name, column in columns.items() if isinstance(column.type, (Integer, Class))})
    prompts = _texts(columns, exclude=answers)
    if not options or not answers or not prompts:
        return None
    doubts = [f"{name} could belong to the prompt" for name in prompts[1:]]
    doubts += [f"{answers[0]} starts at 1, an index starts at 0"] if columns[answers[0]].low == 1 else []
    return Proposal(
        "multiple_choice",
        {"prompt": prompts[0], "choices": options[0], "label": answers[0]},
        (f"{options[0]} is a list of options, {answers[0]} the place of the answer",),
        tuple(doubts),
    )


def _labelled(columns: Mapping[str, Column]) -> Proposal | None:
    """A text or a pair with one label, a list of labels or a score."""
    answers = _labels(columns)
    texts = _texts(columns, exclude=answers[:1])
    if not answers or not texts:
        return None
    answer, fields = answers[0], dict(zip(("text", "pair"), texts, strict=False))
    column = columns[answer]
    reasons = (f"{answer} is the likeliest label by its name and its {column.distinct} distinct values",)
    doubts = [f"{other} could be the label as well" for other in answers[1:]]
    doubts += [f"{other} is left out; it may be needed to decide" for other in texts[2:]]
    if len(texts) > 1:
        doubts.append(f"{texts[1]} is taken as the second text; delete `pair` if {texts[0]} alone decides")
    if isinstance(column.type, ListOf):
        return Proposal("multilabel", {**fields, "labels": answer}, reasons, tuple(doubts))
    if column.low is not None and column.high is not None and (not column.whole or column.distinct > MOST_CLASSES):
        doubts.append("low and high are those of the sampled rows; write the ends of the scale")
        fields |= {"score": answer, "low": column.low, "high": column.high}  # type: ignore[dict-item]
        return Proposal("regression", fields, reasons, tuple(doubts))
    return Proposal("classification", {**fields, "label": answer}, reasons, tuple(doubts))


def _labels(columns: Mapping[str, Column]) -> list[str]:
    """Columns that can be a label, likeliest first: declared classes, then by name, then the fewest values."""
    fit = [name for name, column in columns.items() if _can_be_label(name, column)]
    return sorted(fit, key=lambda name: (_name_rank(name), columns[name].distinct))


def _name_rank(name: str) -> int:
    words = name.lower().replace("-", "_").split("_")
    return min((place for place, word in enumerate(LABEL_WORDS) if word in words), default=len(LABEL_WORDS))


def _can_be_label(name: str, column: Column) -> bool:
    if _is_id(name) or column.distinct < 2:
        return False
    if isinstance(column.type, ListOf):
        return _name_rank(name) < len(LABEL_WORDS)
    if isinstance(column.type, (Class, Boolean)):
        return True
    if isinstance(column.type, Number) or (column.low is not None and not column.whole):
        return True
    repeated = column.distinct <= MOST_CLASSES and column.distinct * 2 <= column.filled
    named = _name_rank(name) < len(LABEL_WORDS)
    return (repeated or (named and column.low is not None)) and column.words < 6


def _texts(columns: Mapping[str, Column], *, exclude: list[str]) -> list[str]:
    """Text columns that vary and are neither ids nor labels, in their order; without one of words, any text."""
    fit = [
        name
        for name, column in columns.items()
        if isinstance(column.type, Text) and name not in exclude and not _is_id(name) and column.distinct > 1
        if column.low is None
    ]
    return [name for name in fit if columns[name].words >= 2] or fit


def _is_id(name: str) -> bool:
    return name.lower().replace("-", "_").split("_")[-1] in ID_WORDS
