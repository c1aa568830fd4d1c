"""From columns and some rows to a first recipe, with what speaks for it and what could be otherwise.

Kinds are tried from the most particular to the plainest: tags for words, options with an answer, several labels, one
label or a score. What the values cannot decide is said as a doubt and not decided in silence. The price of rules: they
know what is usual, and a person has to read the doubts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskloom.errors import ConfigError
from taskloom.recipes.columns import (
    LABEL_WORDS,
    MOST_CLASSES,
    Column,
    columns_in,
    option_groups,
    right_and_wrong,
    words_of,
)
from taskloom.recipes.expressions import (
    Above,
    Code,
    Constant,
    Field,
    IndexIn,
    Lines,
    Listed,
    Nested,
    OneBased,
    Shuffled,
    Sole,
)
from taskloom.recipes.recipe import (
    Classification,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    TokenClassification,
)
from taskloom.recipes.schema import Boolean, Class, ListOf, Record, Schema, Text

ENOUGH = 0.95
"""Share of rows in which a rule must hold; the rest may be faulty."""
LETTERS = "ABCDEFGHIJ"
QUESTION_WORDS = ("question", "query", "stem", "goal", "problem", "prompt")


@dataclass(frozen=True)
class Proposal:
    """A guess: the kind with its fields, why each was taken, and what else could be."""

    kind: Kind
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]


def propose(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> Proposal:
    """Return the likeliest recipe for rows with these columns; raises ConfigError, listing them, if no kind fits."""
    columns = columns_in(schema, rows)
    found = _tagging(columns) or _choice(columns, rows) or _several_labels(columns) or _one_label(columns)
    if found is None:
        listed = "\n".join(f"  {name}: {column.type}, {column.distinct} distinct" for name, column in columns.items())
        raise ConfigError(
            f"No kind of task fits these columns:\n{listed}\n"
            "classification and regression need a text and a label or number that repeats or varies; multilabel a text "
            "and a list of labels; multiple_choice options and the answer; token_classification two lists of equal "
            "length. Rename columns so that they say what they hold, or write the [[task]] by hand (docs/recipes.md)."
        )
    return found


def _tagging(columns: Mapping[str, Column]) -> Proposal | None:
    lists = [column for column in columns.values() if isinstance(column.type, ListOf) and sum(column.lengths) > 0]
    tokens = [one for one in lists if isinstance(one.type.item, Text) and not one.items_repeat]
    tokens += [one for one in lists if one not in tokens and one.words[0] in ("tokens", "words")]
    for words in tokens[:1]:
        tags = [one for one in lists if one is not words and one.lengths == words.lengths and one.items_repeat]
        tags = [one for one in tags if not _one_best(one)]
        if tags and sum(words.lengths) >= 3 * len(words.lengths):
            tags.sort(key=lambda one: (not isinstance(one.type.item, Class), one.label_rank))
            return Proposal(
                TokenClassification(tokens=words.name, labels=tags[0].name),
                (f"{words.name} and {tags[0].name} are lists of equal lengths, and the second repeats a few values",),
                tuple(f"{other.name} could be the tags as well" for other in tags[1:]),
            )
    return None


def _one_best(column: Column) -> bool:
    """Tell whether each list has numbers of which exactly one is the highest: marks of a right option, not tags."""
    return all(
        all(isinstance(item, (int, float)) for item in value) and sum(item == max(value) for item in value) == 1
        for value in column.values if value
    )  # fmt: skip


@dataclass(frozen=True)
class _Options:
    """Options in rows: their field, the columns they take, the texts of each row, and the labels beside them."""

    field: Field
    columns: tuple[str, ...]
    texts: tuple[Sequence[str], ...]
    labels: Field | None = None
    label_texts: tuple[Sequence[str], ...] = ()
    sure: bool = True
    """Whether they look like options by themselves; else only marks beside them tell."""


def _choice(columns: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]) -> Proposal | None:
    for options in _all_options(columns, rows):
        found = _answer(options, columns, rows)
        if found is not None:
            label, answer, reason = found
            return _choice_proposal(columns, options, label, {*options.columns, answer}, reason)
    ranked = right_and_wrong(columns)
    if ranked:
        options = _Options(Shuffled(Listed(*ranked)), ranked, ())
        return _choice_proposal(columns, options, Constant(0), set(ranked), f"{ranked[0]} is right by its name")
    return None


def _choice_proposal(
    columns: Mapping[str, Column], options: _Options, label: Field, taken: set[str], reason: str
) -> Proposal:
    texts = [column for column in columns.values() if column.name not in taken and column.is_text]
    texts.sort(key=lambda one: any(word in QUESTION_WORDS for word in one.words))  # the question comes last
    names = [one.name for one in texts if one.text_words >= 2] or [one.name for one in texts[:1]]
    prompt: Field = Lines(*names) if len(names) > 1 else names[0] if names else Constant("Which one is right?")
    doubts = ["no column asks anything: the prompt is a constant"] if not names else []
    doubts += [f"{' and '.join(names)} are joined to the prompt; leave out what does not help to decide"][
        : len(names) > 1
    ]
    reasons = (f"{' and '.join(options.columns)} are the options", reason)
    return Proposal(MultipleChoice(prompt=prompt, choices=options.field, label=label), reasons, tuple(doubts))


def _all_options(columns: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]) -> list[_Options]:
    found = []
    for name, column in columns.items():
        if isinstance(column.type, ListOf) and isinstance(column.type.item, Text):
            found.append(_Options(name, (name,), _lists(rows, name), sure=not column.items_repeat))
        if isinstance(column.type, Record):
            found += _record_options(column, rows)
    for group in option_groups(columns):
        texts = tuple([str(row.get(name) or "") for name in group] for row in rows)
        found.append(_Options(Listed(*group), group, texts))
    return [
        one for one in found if one.texts and sum(2 <= len(texts) <= 30 for texts in one.texts) >= ENOUGH * len(rows)
    ]


def _record_options(column: Column, rows: Sequence[Mapping[str, Any]]) -> list[_Options]:
    """Options as a record of lists: texts with their labels (ARC), or with the marks of the right one (TruthfulQA)."""
    lists = [part for part, type_ in column.type.fields if isinstance(type_, ListOf)]
    texts = [part for part, type_ in column.type.fields if part in lists and isinstance(type_.item, Text)]
    main = next((part for part in texts if words_of(part)[-1] in ("text", "choices", "options")), None)
    if main is None:
        return []
    beside = next((part for part in lists if part != main), None)
    options = _Options(Nested(column.name, main), (column.name,), _inside(column.name, main, rows))
    if beside is None:
        return [options]
    labels = _inside(column.name, beside, rows)
    return [dataclasses.replace(options, labels=Nested(column.name, beside), label_texts=labels)]


def _inside(name: str, part: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Any], ...]:
    return tuple(list((row.get(name) or {}).get(part) or ()) for row in rows)


def _lists(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[Any], ...]:
    return tuple(row.get(name) if isinstance(row.get(name), list) else [] for row in rows)  # type: ignore[misc]


def _answer(
    options: _Options, columns: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]
) -> tuple[Field, str, str] | None:
    """Return the field of the right choice, the column it reads, and why; None where no column gives one."""
    marks = _marks(options, columns, rows)
    if marks is not None or not options.sure:
        return marks
    rest = [column for column in columns.values() if column.name not in options.columns and not column.is_id]
    for column in sorted(rest, key=lambda one: one.label_rank):
        if isinstance(column.type, (ListOf, Record, Boolean)) or len(column.values) < len(rows):
            continue
        values = [str(row[column.name]).strip() for row in rows]
        field = _place(options, column, values)
        if field is not None:
            return (*field[:1], column.name, f"{column.name} gives the right one, as {field[1]}")
    return None


def _marks(
    options: _Options, columns: Mapping[str, Column], rows: Sequence[Mapping[str, Any]]
) -> tuple[Field, str, str] | None:
    """One mark or score for each option, exactly one of them the highest in nearly all rows."""
    lists = [(options.labels, options.columns[0], options.label_texts)] if options.labels is not None else []
    lists += [
        (name, name, _lists(rows, name)) for name, column in columns.items()
        if name not in options.columns and isinstance(column.type, ListOf)
    ]  # fmt: skip
    for field, name, values in lists:
        fits = [
            len(marks) == len(texts) and all(isinstance(mark, (int, float)) for mark in marks)
            and sum(mark == max(marks, default=0) for mark in marks) == 1
            for marks, texts in zip(values, options.texts, strict=True)
        ]  # fmt: skip
        if field is not None and sum(fits) >= 0.7 * len(rows):
            return Sole(field), name, f"{name} marks the right option"
    return None


def _place(options: _Options, column: Column, values: Sequence[str]) -> tuple[Field, str] | None:
    """Return how a column's values name one of the options: by label, letter, place, number from 1, or text."""
    pairs = list(zip(values, options.texts, strict=True))
    if options.labels is not None and _mostly(
        value in map(str, labels) for value, labels in zip(values, options.label_texts, strict=True)
    ):
        return IndexIn(column.name, options.labels), "its label"
    most = max((len(texts) for texts in options.texts), default=0)
    if set(values) <= set(LETTERS[:most]) and len(set(values)) > 1:
        return Code(column.name, {letter: place for place, letter in enumerate(LETTERS[:most])}), "a letter"
    numbers = zip(column.numbers, options.texts, strict=False)
    named = column.label_rank < len(LABEL_WORDS)
    if (
        named
        and column.is_whole
        and len(set(values)) > 1
        and _mostly(0 <= number <= len(texts) for number, texts in numbers)
    ):
        lowest, highest = min(column.numbers), max(column.numbers)
        if lowest == 0 and highest < most:
            digits = isinstance(column.type, Text)
            return (Code(column.name, {str(n): n for n in range(most)}) if digits else column.name), "a place from 0"
        if lowest == 1 and highest <= most and "label" not in column.words[:-1]:
            return OneBased(column.name), "a number from 1"
    if _mostly(value in [str(text).strip() for text in texts] for value, texts in pairs):
        return IndexIn(column.name, options.field), "its text"
    return None


def _mostly(holds: Any) -> bool:
    found = list(holds)
    return bool(found) and sum(found) >= ENOUGH * len(found)


def _several_labels(columns: Mapping[str, Column]) -> Proposal | None:
    """A list of labels, or three or more columns of 0 and 1 (or shares between), where no column is named a label."""
    texts = _texts(columns, set())
    if not texts:
        return None
    lists = [one for one in columns.values() if isinstance(one.type, ListOf) and one.items_repeat and not one.is_id]
    lists = [one for one in lists if len(set(one.lengths)) > 1 or one.label_rank < len(LABEL_WORDS)]
    lists.sort(key=lambda one: one.label_rank)
    single = min((one.label_rank for one in columns.values() if one.can_be_class), default=2 * len(LABEL_WORDS))
    if lists and lists[0].label_rank <= single:
        reason = f"{lists[0].name} is a list that repeats a few values"
        doubts = tuple(f"{other.name} could be the labels as well" for other in lists[1:])
        return Proposal(Multilabel(text=texts[0], pair=_pair(columns, texts), labels=lists[0].name), (reason,), doubts)
    named = any(one.can_be_class and one.label_rank < 4 for one in columns.values())
    flags = [
        one.name for one in columns.values()
        if one.numbers and not one.is_id and min(one.numbers) >= 0 and max(one.numbers) == 1 and one.label_rank >= 4
    ]  # fmt: skip
    if len(flags) >= 3 and not named:
        reason = f"{len(flags)} columns hold 0 and 1, or shares between them"
        kind = Multilabel(text=texts[0], pair=_pair(columns, texts), labels=Above(tuple(flags), 0.5))
        return Proposal(kind, (reason,), ("take out the columns that are no labels",))
    return None


def _one_label(columns: Mapping[str, Column]) -> Proposal | None:
    """A text or a pair with one label or a score."""
    labels = [one for one in columns.values() if one.can_be_class or _is_score(one)]
    labels.sort(key=lambda one: (one.label_rank, not isinstance(one.type, Class), one.distinct))
    texts = _texts(columns, {one.name for one in labels[:1]})
    if not labels or not texts:
        return None
    answer, pair = labels[0], _pair(columns, texts)
    doubts = [f"{other.name} could be the label as well" for other in labels[1:4]]
    doubts += [f"{other} is left out; it may be needed to decide" for other in texts if other not in (texts[0], pair)][
        :4
    ]
    doubts += [f"{pair} is taken as the second text; take `pair` out if {texts[0]} alone decides"] if pair else []
    reason = f"{answer.name} is the likeliest label by its name and its {answer.distinct} distinct values"
    if _is_score(answer):
        doubts.append("low and high are those of the sampled rows; write the ends of the scale")
        low, high = min(answer.numbers), max(answer.numbers)
        kind: Kind = Regression(text=texts[0], pair=pair, score=answer.name, low=low, high=high)
    else:
        kind = Classification(text=texts[0], pair=pair, label=answer.name)
        if answer.is_whole and not isinstance(answer.type, Class):
            doubts.append(f"{answer.name} holds bare numbers; name the classes with `names`")
    return Proposal(kind, (reason,), tuple(doubts))


def _is_score(column: Column) -> bool:
    """Tell whether a column holds numbers on a scale: fractions, or more whole numbers than there are classes."""
    if not column.numbers or column.is_id or column.distinct < 3 or isinstance(column.type, Class):
        return False
    return not column.is_whole or column.distinct > MOST_CLASSES


def _texts(columns: Mapping[str, Column], taken: set[str]) -> list[str]:
    """Return the columns that can be read, those of several words first of all."""
    fit = [one for one in columns.values() if one.is_text and one.name not in taken]
    return [one.name for one in fit if one.text_words >= 2.5] or [one.name for one in fit]


def _pair(columns: Mapping[str, Column], texts: Sequence[str]) -> str | None:
    """Return the second text, where there is one of a few words at least."""
    return texts[1] if len(texts) > 1 and columns[texts[1]].text_words >= 1 else None
