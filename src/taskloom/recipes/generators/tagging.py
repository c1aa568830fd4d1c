"""span_tags and role_tags: a tag for each word.

span_tags marks dates, quantities, persons and places, which their words give away: it tests spans (IOB2) on words that
were never seen. role_tags marks who gives and who receives, which no word and no neighbor tells: it hangs on "former"
or "latter" and on the verb, several words away.
"""

from __future__ import annotations

import itertools
import random
import re

from taskloom.recipes.generators.base import ByLevel, Generator, Row, all_levels, every, read_back
from taskloom.recipes.generators.lexicon import CITIES, GOODS, MONTHS, NAMES, OBJECTS, SURNAMES, UNITS, WEEKDAYS
from taskloom.recipes.generators.numbers import ONES, TENS, in_words

SPAN_LABELS = ("O", "B-DATE", "I-DATE", "B-QUANTITY", "I-QUANTITY", "B-PERSON", "I-PERSON", "B-PLACE")
SPAN_FRAMES: ByLevel = {
    "train": {
        1: ("{PERSON} sold {QUANTITY} of {goods} .", "{PERSON} went to {PLACE} on {DATE} ."),
        2: (
            "On {DATE} , {PERSON} sent {QUANTITY} of {goods} from {PLACE} to {PERSON} .",
            "{PERSON} and {PERSON} will carry {QUANTITY} of {goods} to {PLACE} before {DATE} .",
        ),
        3: (
            "In room {number} , {PERSON} weighed {QUANTITY} of {goods} that came from {PLACE} on {DATE} .",
            "Page {number} says that {PERSON} of {PLACE} paid for {QUANTITY} of {goods} by {DATE} .",
        ),
    },
    "validation": {
        1: ("{PERSON} ordered {QUANTITY} of {goods} .", "Since {DATE} , {PERSON} lives in {PLACE} ."),
        2: (
            "{PERSON} ordered {QUANTITY} of {goods} for {PERSON} in {PLACE} on {DATE} .",
            "Until {DATE} , {PLACE} owes {PERSON} {QUANTITY} of {goods} .",
        ),
        3: ("Under invoice {number} , {PLACE} owes {PERSON} {QUANTITY} of {goods} since {DATE} .",),
    },
    "test": {
        1: ("{PERSON} bought {QUANTITY} of {goods} .", "{PERSON} reached {PLACE} on {DATE} ."),
        2: (
            "{PERSON} shipped {QUANTITY} of {goods} to {PLACE} on {DATE} with {PERSON} .",
            "At {PLACE} , {QUANTITY} of {goods} was stolen from {PERSON} on {DATE} .",
        ),
        3: ("Truck {number} reached {PLACE} on {DATE} , and {PERSON} unloaded {QUANTITY} of {goods} .",),
    },
}
DATES = {
    "train": ("{weekday}", "{day} {month}", "{day} {month} {year}"),
    "validation": ("{month} {day}", "{weekday} , {month} {day}"),
    "test": ("the {dayth} of {month}", "{weekday} the {dayth}"),
}


def _ordinal(day: int) -> str:
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _span(random: random.Random, split: str, kind: str, level: int) -> str:
    """Return the words of one span, or of a word that is none."""
    if kind == "PERSON":
        surname = f" {random.choice(SURNAMES[split])}" if random.random() < level / 4 else ""
        return random.choice(NAMES[split]) + surname
    if kind == "QUANTITY":
        number = random.randrange(3, 100)
        written = {"train": str(number), "validation": f"{number}.5", "test": in_words(number)}[split]
        return f"{written} {random.choice(UNITS[split])}"
    if kind == "DATE":
        day = random.randrange(1, 29)
        return random.choice(DATES[split]).format(
            weekday=random.choice(WEEKDAYS[split]),
            day=day,
            dayth=_ordinal(day),
            month=random.choice(MONTHS[split]),
            year=random.randrange(1950, 2030),
        )
    return {"PLACE": random.choice(CITIES[split]), "goods": random.choice(GOODS[split])}.get(
        kind, str(random.randrange(3, 100))
    )


def make_span_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return one row."""
    tokens: list[str] = []
    tags: list[str] = []
    for piece in random.choice(SPAN_FRAMES[split][level]).split():
        slot = piece.strip("{}")
        words = _span(random, split, slot, level).split() if slot != piece else [piece]
        kind = slot if slot != piece and slot.isupper() else ""
        tags += [f"{'I' if index else 'B'}-{kind}" if kind else "O" for index in range(len(words))]
        tokens += words
    return [{"tokens": tokens, "labels": tags}]


def _any_of(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(re.escape, words))})"


_NUMBER = rf"(?:\d+(?:\.\d+)?|{_any_of((*TENS[1:], *ONES[1:]))}(?:-{_any_of(tuple(ONES[1:]))})?)"
_WEEKDAY, _MONTH = _any_of(every(WEEKDAYS)), _any_of(every(MONTHS))
_NTH = r"\d+(?:st|nd|rd|th)"
_SPANS = re.compile(
    rf"(?<!\S)(?:(?P<DATE>the {_NTH} of {_MONTH}|{_WEEKDAY} the {_NTH}|{_WEEKDAY} , {_MONTH} \d+|{_MONTH} \d+"
    rf"|\d+ {_MONTH}(?: \d{{4}})?|{_WEEKDAY})"
    rf"|(?P<QUANTITY>{_NUMBER} {_any_of(every(UNITS))})"
    rf"|(?P<PERSON>{_any_of(every(NAMES))}(?: {_any_of(every(SURNAMES))})?)"
    rf"|(?P<PLACE>{_any_of(every(CITIES))}))(?!\S)"
)


def solve_spans(row: Row) -> list[str]:
    """Return the tags out of the words alone."""
    text = " ".join(row["tokens"])
    tags = ["O"] * len(row["tokens"])
    for found in _SPANS.finditer(text):
        first = text[: found.start()].count(" ")
        for index in range(found.group().count(" ") + 1):
            tags[first + index] = f"{'I' if index else 'B'}-{found.lastgroup}"
    return tags


ROLE_LABELS = ("O", "B-GIVER", "B-RECEIVER", "B-WITNESS")
ROLE_FRAMES: ByLevel = {
    "train": {
        1: (
            "Of {a} and {b} , the {who} gave the {x} to the other .",
            "Of {a} and {b} , the {who} got the {x} from the other .",
        ),
        2: (
            "{a} and {b} were both in {p} when the {who} gave the other a {x} .",
            "{a} and {b} were both in {p} when the {who} got a {x} from the other .",
        ),
        3: (
            "Here are {a} , {b} and {c} : the {who} gave the {x} to the {whom} .",
            "Here are {a} , {b} and {c} : the {who} got the {x} from the {whom} .",
        ),
    },
    "validation": {
        1: (
            "Take {a} and {b} : the {who} sold the other a {x} .",
            "Take {a} and {b} : the {who} bought a {x} off the other .",
        ),
        2: (
            "In {p} we met {a} and {b} , and in the end the {who} sold the {x} to the other .",
            "In {p} we met {a} and {b} , and in the end the {who} bought the {x} off the other .",
        ),
        3: (
            "We met {a} , then {b} , then {c} ; the {who} sold a {x} to the {whom} .",
            "We met {a} , then {b} , then {c} ; the {who} bought a {x} off the {whom} .",
        ),
    },
    "test": {
        1: (
            "As for {a} and {b} , the {who} lent the {x} to the other .",
            "As for {a} and {b} , the {who} borrowed the {x} from the other .",
        ),
        2: (
            "Back from {p} , {a} and {b} were friends , since the {who} had lent the other a {x} .",
            "Back from {p} , {a} and {b} were friends , since the {who} had borrowed a {x} from the other .",
        ),
        3: (
            "With {a} , {b} and {c} it is like this : the {who} lent a {x} to the {whom} .",
            "With {a} , {b} and {c} it is like this : the {who} borrowed a {x} from the {whom} .",
        ),
    },
}
"""Pairs of frames: in the first one {who} is the giver, in the second one the receiver."""

_ORDINALS = {1: ("former", "latter"), 2: ("former", "latter"), 3: ("first", "second", "third")}


def make_role_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return four rows (two people), or twelve at level 3: each person in each role, each way to say it."""
    frames, ordinals = ROLE_FRAMES[split][level], _ORDINALS[level]
    people = random.sample(NAMES[split], len(ordinals))
    fixed = dict(zip("abc", people, strict=False)) | {
        "x": random.choice(OBJECTS[split]),
        "p": random.choice(CITIES[split]),
    }
    rows: list[Row] = []
    for (one, two), receives in itertools.product(itertools.permutations(range(len(people)), 2), (0, 1)):
        tokens = frames[receives].format(who=ordinals[one], whom=ordinals[two], **fixed).split()
        roles = {people[one]: ROLE_LABELS[1 + receives], people[two]: ROLE_LABELS[2 - receives]}
        tags = [roles.get(token, "B-WITNESS" if token in people else "O") for token in tokens]
        rows.append({"tokens": tokens, "labels": tags})
    return rows


def solve_roles(row: Row) -> list[str]:
    """Return the tags out of the words alone."""
    text = " ".join(row["tokens"])
    for frames in (frames for levels in ROLE_FRAMES.values() for frames in levels.values()):
        for template, slots in read_back(frames, text):
            people = [slots[slot] for slot in "abc" if slot in slots]
            ordinals = _ORDINALS[1 if len(people) == 2 else 3]
            one = people[ordinals.index(slots["who"])]
            two = people[ordinals.index(slots["whom"])] if "whom" in slots else people[people[0] == one]
            giver, receiver = (one, two) if template == frames[0] else (two, one)
            roles = dict.fromkeys(people, "B-WITNESS") | {giver: "B-GIVER", receiver: "B-RECEIVER"}
            return [roles.get(token.lower(), "O") for token in row["tokens"]]
    raise ValueError(f"no known frame: {text!r}")


GENERATORS = (
    Generator(
        name="span_tags",
        kind="token_classification",
        labels=SPAN_LABELS,
        levels=(1, 2, 3),
        description=(
            "Dates, quantities, persons and places as spans. 1: two or three short spans; 2: five; "
            "3: full names, and numbers that are no quantity."
        ),
        solve=solve_spans,
        make_group=make_span_group,
        templates={split: texts + DATES[split] for split, texts in all_levels(SPAN_FRAMES).items()},
        leak_free=False,
    ),
    Generator(
        name="role_tags",
        kind="token_classification",
        labels=ROLE_LABELS,
        levels=(1, 2, 3),
        description=(
            "Who gives and who receives? 1: former or latter, and the verb; 2: with a longer way between; "
            "3: three people, one of them a witness."
        ),
        solve=solve_roles,
        make_group=make_role_group,
        templates=all_levels(ROLE_FRAMES),
        shared_words=frozenset({"former", "latter"}),
    ),
)
