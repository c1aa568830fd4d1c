"""The few column functions that the vocabulary of `expressions` cannot say: named, versioned, with declared types.

Each takes the columns of a batch as lists of Python values and returns a list of the same length; null means that the
row cannot be used. They run row by row in Python, which is slower than the vocabulary by a factor of a hundred: one is
written only where a text has to be taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from taskloom.errors import RecipeError, did_you_mean
from taskloom.recipes.schema import ListOf, Text, Type


@dataclass(frozen=True)
class ColumnFunction:
    """A function over columns; `version` is part of every fingerprint of a recipe that uses it."""

    call: Callable[..., list[Any]]
    output: Type
    version: int = 1


def _rowwise(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Let a function of one row's values work on columns; a null in any column gives null."""

    def call(*columns: list[Any]) -> list[Any]:
        return [None if any(value is None for value in row) else function(*row) for row in zip(*columns, strict=True)]

    return call


def _lines_then_question(lines: list[str], question: str) -> str:
    return "\n".join((*lines, question))


def _documents_then_query(documents: list[str], query: str) -> str:
    """WikiHop's query is "relation_with_underscores subject": turned into words, after the documents."""
    relation, _, subject = query.partition(" ")
    return "\n".join((*documents, f'What is the value of "{relation.replace("_", " ")}" for {subject}?'))


def _picked(index: int, *texts: str) -> str | None:
    """The text with this index among the other columns, counted from zero."""
    return texts[index] if 0 <= index < len(texts) else None


def _marked_word(text: str, word: str, position: int) -> str | None:
    """The text with asterisks around the word that stands at this character position."""
    end = position + len(word)
    return f"{text[:position]}*{word}*{text[end:]}" if position >= 0 and text[position:end] == word else None


def _edited(headline: str, edit: str) -> str | None:
    """The headline with its one <word/> replaced by the edit."""
    edited, found = re.subn(r"<[^<>]*/>", lambda _: edit, headline)
    return edited.strip() if found == 1 else None


def _unescaped(text: str) -> str:
    """Line breaks and quotation marks that a csv export wrote as backslashes, back as what they stand for."""
    return text.replace('\\""', '"').replace('\\"', '"').replace("\\n", "\n")


_CSV_FIELD = re.compile(r'"((?:[^"]|"")*)"', re.DOTALL)


def _unquoted(text: str) -> str:
    """The text of a csv field that was written with its quotes: '"a ""big"" fan"' -> 'a "big" fan'."""
    field = _CSV_FIELD.fullmatch(text)
    return field[1].replace('""', '"') if field else text


def _undoubled(text: str) -> str:
    """The text of a csv field whose quotes were left doubled: 'the ""best""' -> 'the "best"'."""
    return text.replace('""', '"')


_COLLECTED_BY = re.compile(r"#(?:irony|ironic|sarcasm|sarcastic|not)(?![\w-])", re.IGNORECASE)


def _without_irony_tags(text: str) -> str:
    """The tweet without the hashtags by which ironic tweets were collected: they give the answer away."""
    return " ".join(_COLLECTED_BY.sub(" ", text).split())


def _answer_first(answer: str, distractors: list[str]) -> list[str]:
    return [answer, *distractors]


_MARK = " [SEP] "


def _before_mark(text: str) -> str | None:
    before, mark, _ = text.partition(_MARK)
    return before if mark else None


def _after_mark(text: str) -> str | None:
    return text.partition(_MARK)[2] or None


def _first_question(questions: dict[str, list[str]]) -> str:
    return questions["text"][0]


def _second_question(questions: dict[str, list[str]]) -> str:
    return questions["text"][1]


def _marked_place(text: str, words: str, index: int) -> str | None:
    """The text, split at blanks, with asterisks around these words, the first of which is in part number `index`."""
    parts, count = text.split(" "), len(words.split(" "))
    found = " ".join(parts[index : index + count])
    start = found.casefold().find(words.casefold())
    if index < 0 or start < 0:
        return None
    end = start + len(words)
    return " ".join((*parts[:index], f"{found[:start]}*{found[start:end]}*{found[end:]}", *parts[index + count :]))


_OPTION = re.compile(r"(?:^|,)\s*([a-z])\s*\)")


def _lettered(options: str) -> tuple[list[str], list[str]]:
    """Cut "a ) 1 , b ) 2" into its letters and texts; nothing of a row with an empty text."""
    _, *parts = _OPTION.split(options)
    letters, texts = parts[0::2], [text.strip() for text in parts[1::2]]
    return (letters, texts) if all(texts) else ([], [])


def _without_letters(options: list[str]) -> list[str]:
    """["A.yes", "B.no"] -> ["yes", "no"]; untouched unless every option starts with its own letter."""
    letters = [re.match(r"\s*([A-Z])\s*[.)]\s*", option) for option in options]
    own = all(match and match[1] == chr(ord("A") + place) for place, match in enumerate(letters))
    return [option[match.end() :] for option, match in zip(options, letters, strict=True) if match] if own else options


_STEM_AND_OPTIONS = re.compile(r"(.+?)\s*\(A\)\s*(.+?)\s*\(B\)\s*(.+)", re.DOTALL)


def _stem(question: str) -> str | None:
    found = _STEM_AND_OPTIONS.fullmatch(question.strip())
    return found[1] if found else None


def _two_options(question: str) -> list[str] | None:
    found = _STEM_AND_OPTIONS.fullmatch(question.strip())
    return [found[2], found[3]] if found else None


def _without_markers(text: str) -> str:
    """HellaSwag's WikiHow part carries [header], [title], [step] and [substeps]; a title ends a sentence."""
    text = re.sub(r"\[[a-z]*\]", "", text.replace(" [title]", ". "))
    return re.sub(r" {2,}", " ", text).strip()


def _endings(start: str, endings: list[str]) -> list[str]:
    return [_without_markers(f"{start} {ending}") for ending in endings]


_REPLY = "\n\nAssistant:"


def _dialogue(chosen: str, rejected: str) -> str | None:
    """What comes before the last reply, where both dialogues agree up to there and the two replies differ."""
    before, other = chosen.rpartition(_REPLY)[0], rejected.rpartition(_REPLY)[0]
    good, bad = _replies(chosen, rejected)
    return f"{before.strip()}{_REPLY}" if before and before == other and good and bad and good != bad else None


def _replies(chosen: str, rejected: str) -> list[str]:
    return [dialogue.rpartition(_REPLY)[2].strip() for dialogue in (chosen, rejected)]


FUNCTIONS: Mapping[str, ColumnFunction] = {
    "lines_then_question": ColumnFunction(_rowwise(_lines_then_question), Text()),
    "documents_then_query": ColumnFunction(_rowwise(_documents_then_query), Text()),
    "picked": ColumnFunction(_rowwise(_picked), Text()),
    "marked_place": ColumnFunction(_rowwise(_marked_place), Text()),
    "marked_word": ColumnFunction(_rowwise(_marked_word), Text()),
    "edited": ColumnFunction(_rowwise(_edited), Text()),
    "unescaped": ColumnFunction(_rowwise(_unescaped), Text()),
    "unquoted": ColumnFunction(_rowwise(_unquoted), Text()),
    "undoubled": ColumnFunction(_rowwise(_undoubled), Text()),
    "without_irony_tags": ColumnFunction(_rowwise(_without_irony_tags), Text()),
    "answer_first": ColumnFunction(_rowwise(_answer_first), ListOf(Text())),
    "before_mark": ColumnFunction(_rowwise(_before_mark), Text()),
    "after_mark": ColumnFunction(_rowwise(_after_mark), Text()),
    "first_question": ColumnFunction(_rowwise(_first_question), Text()),
    "second_question": ColumnFunction(_rowwise(_second_question), Text()),
    "lettered_options": ColumnFunction(_rowwise(lambda options: _lettered(options)[1]), ListOf(Text())),
    "option_letters": ColumnFunction(_rowwise(lambda options: _lettered(options)[0]), ListOf(Text())),
    "without_letters": ColumnFunction(_rowwise(_without_letters), ListOf(Text())),
    "stem": ColumnFunction(_rowwise(_stem), Text()),
    "two_options": ColumnFunction(_rowwise(_two_options), ListOf(Text())),
    "without_markers": ColumnFunction(_rowwise(_without_markers), Text()),
    "endings": ColumnFunction(_rowwise(_endings), ListOf(Text())),
    "dialogue": ColumnFunction(_rowwise(_dialogue), Text()),
    "replies": ColumnFunction(_rowwise(_replies), ListOf(Text())),
}


def column_function(name: str) -> ColumnFunction:
    """Return the function called `name`; raises RecipeError when there is none."""
    if name not in FUNCTIONS:
        raise RecipeError(f"There is no column function {name!r}.{did_you_mean(name, FUNCTIONS)}")
    return FUNCTIONS[name]


def declared_type(name: str) -> Type:
    """Return the output type of the function called `name`."""
    return column_function(name).output
