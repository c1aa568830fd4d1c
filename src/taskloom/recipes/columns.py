"""What can be told of a column from its name, its type and some rows: a text, a label, a place, a list of options.

Rules go by what values do over the rows wherever that decides, and by names where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from taskloom.recipes.schema import Boolean, Class, ListOf, Record, Schema, Text

MOST_CLASSES = 200
"""Distinct values beyond which a column holds scores or free text, not classes."""
ID_WORDS = ("id", "idx", "index", "guid", "uid", "uuid", "url", "uri", "hash", "line", "offset", "loc")
LABEL_WORDS = (
    "label", "labels", "gold", "class", "category", "target", "answer", "answerkey", "correct", "score", "rating",
    "intent", "relation", "stance", "emotion", "sentiment", "topic", "tags", "tag", "false", "stars",
)  # fmt: skip
ABOUT_LABELS = ("confidence", "annotator", "annotators", "count", "votes", "worker", "trust", "split", "source", "raw",
                "variance", "std", "gold_label_type", "agreement", "name", "text", "date", "time", "level")  # fmt: skip
"""Words of columns that say something of a label or a row and are not the label."""
OPTION_WORDS = (
    "choice", "option", "answer", "ending", "sol", "solution", "hypothesis", "alternative", "candidate", "distractor",
    "op", "opt", "completion", "",
)  # fmt: skip
GOOD_AND_BAD = (
    ("good", "bad"),
    ("chosen", "rejected"),
    ("correct", "incorrect"),
    ("better", "worse"),
    ("best", "worst"),
)


def words_of(name: str) -> list[str]:
    """Return the lower-case words of a column's name: "answerKey" and "answer_key" give answer, key."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-. ]+", " ", name)
    return spaced.lower().split()


@dataclass(frozen=True)
class Column:
    """One column: its type and its values in the sampled rows, nulls left out."""

    name: str
    type: Any
    values: tuple[Any, ...]

    @cached_property
    def words(self) -> list[str]:
        """The words of its name."""
        return words_of(self.name)

    @cached_property
    def distinct(self) -> int:
        """How many different values it has."""
        return len({repr(value) for value in self.values})

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """Its values as numbers if all of them are some, booleans too; else nothing."""
        try:
            found = tuple(float(value) for value in self.values)
        except (TypeError, ValueError):
            return ()
        return found if all(abs(number) < float("inf") for number in found) else ()

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers."""
        return bool(self.numbers) and all(number == int(number) for number in self.numbers)

    @cached_property
    def text_words(self) -> float:
        """Words of a value on average, 0 for a column that holds no text."""
        texts = [value for value in self.values if isinstance(value, str)]
        return sum(len(text.split()) for text in texts) / len(texts) if texts and isinstance(self.type, Text) else 0.0

    @property
    def is_id(self) -> bool:
        """Whether its name says that it numbers or locates rows; "answer_idx" is an answer all the same."""
        named = any(word in LABEL_WORDS for word in self.words)
        return bool(self.words) and not named and (self.words[-1] in ID_WORDS or self.words == ["row"])

    @property
    def is_text(self) -> bool:
        """Whether it is a text that could be read: not an id, not always the same, no number, no code."""
        free = isinstance(self.type, Text) and not self.numbers and not self.is_id
        return free and self.distinct > max(1, 0.05 * len(self.values)) and self.distinct > 2

    @property
    def label_rank(self) -> int:
        """How much its name sounds like a label, 0 the most."""
        ranks = [LABEL_WORDS.index(word) for word in self.words if word in LABEL_WORDS]
        about = any(word in ABOUT_LABELS for word in self.words)
        return min(ranks, default=len(LABEL_WORDS)) + (len(LABEL_WORDS) if about else 0)

    @property
    def can_be_class(self) -> bool:
        """Whether its values repeat like classes."""
        if self.is_id or self.distinct < 2 or isinstance(self.type, (ListOf, Record)):
            return False
        if isinstance(self.type, (Class, Boolean)):
            return True
        few = self.distinct <= MOST_CLASSES and self.distinct <= 0.5 * len(self.values)
        return few and self.text_words < 8

    @property
    def items(self) -> list[Any]:
        """All items of a list column, one after the other."""
        return [item for value in self.values if isinstance(value, list) for item in value]

    @property
    def lengths(self) -> list[int]:
        """How many items each value of a list column has."""
        return [len(value) for value in self.values if isinstance(value, list)]

    @property
    def items_repeat(self) -> bool:
        """Whether the items of a list column come from a small set, as labels and tags do."""
        items = [repr(item) for item in self.items]
        return bool(items) and len(set(items)) <= min(500, max(3, 0.35 * len(items)))


def columns_in(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Return every column of a schema with its values in some rows."""
    return {
        name: Column(name, type_, tuple(row[name] for row in rows if row.get(name) is not None))
        for name, type_ in schema.items()
    }


def option_groups(columns: Mapping[str, Column]) -> Iterator[tuple[str, ...]]:
    """Yield groups of text columns that look like the options of a question: choice1, choice2; A, B, C, D."""
    stems: dict[str, list[tuple[str, str]]] = {}
    for name, column in columns.items():
        found = re.fullmatch(r"(.*?)[_ ]?([0-9]|[A-Ea-e])", name)
        if found and isinstance(column.type, Text):
            stems.setdefault(found[1].rstrip("_ ").lower(), []).append((found[2].lower(), name))
    for stem, members in stems.items():
        ends = sorted(members)
        marks = "".join(end for end, _ in ends)
        known = stem.split("_")[-1] in OPTION_WORDS
        if known and len(ends) >= 2 and (marks in "0123456789" or marks in "abcde"):
            yield tuple(name for _, name in ends)


def right_and_wrong(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return text columns of which the first is right by its name: sentence_good, sentence_bad; correct, wrong1 ..."""
    texts = [name for name, column in columns.items() if isinstance(column.type, Text) and column.distinct > 2]
    for good, bad in GOOD_AND_BAD:
        first = [name for name in texts if good in words_of(name)]
        second = [name for name in texts if bad in words_of(name)]
        if len(first) == len(second) == 1:
            return (first[0], second[0])
    right = [name for name in texts if words_of(name)[:1] in (["correct"], ["right"])]
    wrong = [
        name for name in texts if any(word.startswith(("distractor", "incorrect", "wrong")) for word in words_of(name))
    ]
    return (right[0], *wrong) if len(right) == 1 and wrong else ()
