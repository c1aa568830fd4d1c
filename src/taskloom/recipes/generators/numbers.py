"""number_nli and number_choice: comparing numbers, in digits and in words.

Numbers themselves are shared between the splits; what is counted, who counts and how it is said are not.
"""

from __future__ import annotations

import random
import re
from functools import cache

from taskloom.recipes.generators.base import (
    NLI_LABELS,
    Generator,
    Row,
    crossed,
    every,
    read_back,
)
from taskloom.recipes.generators.lexicon import NAMES, OBJECTS

Interval = tuple[float, float]

BOUNDS = {
    "train": {
        "more": "more than {i}", "fewer": "fewer than {i}", "exactly": "exactly {i}",
        "at least": "at least {i}", "at most": "at most {i}", "between": "from {i} to {j}",
    },
    "validation": {
        "more": "over {i}", "fewer": "under {i}", "exactly": "just {i}",
        "at least": "no fewer than {i}", "at most": "no more than {i}", "between": "between {i} and {j}",
    },
    "test": {
        "more": "above {i}", "fewer": "below {i}", "exactly": "none but {i}",
        "at least": "{i} or more", "at most": "{i} or fewer", "between": "anywhere between {i} and {j}",
    },
}  # fmt: skip
PREMISES = {
    "train": ("{n} has {a}, {b}, {c}.", "There are {a}, {b}, {c}."),
    "validation": ("{n} owns {a}; also {b}; also {c}.",),
    "test": ("{n} counted {a}, then {b}, then {c}.",),
}
HYPOTHESES = {
    "train": ("{n} has {a}.", "There are {a}."),
    "validation": ("{n} owns {a}.",),
    "test": ("{n} counted {a}.",),
}
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number: int) -> str:
    """Return a number below 1000 in words."""
    if number >= 100:
        rest = f" {in_words(number % 100)}" if number % 100 else ""
        return f"{ONES[number // 100]} hundred{rest}"
    if number < 20:
        return ONES[number]
    return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")


NUMBER_WORDS = frozenset(word for number in range(1000) for word in in_words(number).split())


@cache
def _value_of() -> dict[str, int]:
    return {in_words(number): number for number in range(1000)}


def value(text: str) -> int:
    """Return a number written in digits or words."""
    return int(text) if text.isdigit() else _value_of()[text]


def _interval(bound: str, low: int, high: int) -> Interval:
    """Return the least and the greatest whole number that a bound allows."""
    return {
        "more": (low + 1, float("inf")),
        "fewer": (0, low - 1),
        "exactly": (low, low),
        "at least": (low, float("inf")),
        "at most": (0, low),
        "between": (low, high),
    }[bound]


def _label(premise: Interval, hypothesis: Interval) -> str:
    if hypothesis[0] <= premise[0] and premise[1] <= hypothesis[1]:
        return "entailment"
    apart = premise[1] < hypothesis[0] or hypothesis[1] < premise[0]
    return "contradiction" if apart else "neutral"


Bound = tuple[str, int, int]
_NUMBERS = {1: (12, 99), 2: (101, 999), 3: (21, 999)}
"""The range of the numbers of each level."""


def _bound(random: random.Random, level: int) -> Bound:
    allowed = ("more", "fewer", "exactly", "at least", "at most", "between")[: 3 if level == 1 else 6]
    one, two = sorted(random.sample(range(*_NUMBERS[level]), 2))
    return random.choice(allowed), one, two


def _bounds(random: random.Random, level: int) -> tuple[Bound, dict[str, Bound]]:
    """Return what is asked about one thing, and for each label what a premise may say about it."""
    low, high = _NUMBERS[level]
    middle = random.randrange(low + (high - low) // 4, high - (high - low) // 4)  # so that all labels can be reached
    asked = (random.choice(("more", "fewer", "at least", "at most")[: 2 if level == 1 else 4]), middle, middle)
    said: dict[str, Bound] = {}
    while len(said) < len(NLI_LABELS):
        bound = _bound(random, level)
        if bound[:2] != asked[:2]:
            said.setdefault(_label(_interval(*bound), _interval(*asked)), bound)
    return asked, said


def make_nli_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return nine rows: three premises that each bound three things, against a hypothesis about each thing."""
    things, name = random.sample(OBJECTS[split], 3), random.choice(NAMES[split])
    bounds = [_bounds(random, level) for _ in things]
    which = random.randrange(len(PREMISES[split]))

    def text(bound: Bound, thing: str, spell: bool) -> str:
        one, two = (in_words(number) if spell else str(number) for number in bound[1:])
        return f"{BOUNDS[split][bound[0]].format(i=one, j=two)} {thing}s"

    premises = []
    for turn in range(3):
        labels = [NLI_LABELS[(turn + place) % 3] for place in range(3)]
        parts = [text(bounds[place][1][labels[place]], things[place], level == 3) for place in range(3)]
        premises.append(PREMISES[split][which].format(n=name, a=parts[0], b=parts[1], c=parts[2]))
    asked = [text(bounds[place][0], things[place], False) for place in range(3)]
    hypotheses = [HYPOTHESES[split][which].format(n=name, a=part) for part in asked]
    return crossed(premises, hypotheses, lambda i, j: NLI_LABELS[(i + j) % 3])


def _read(text: str) -> dict[str, Interval]:
    """Return the interval that a text states for each thing."""
    for split in PREMISES:
        for _, slots in read_back((*PREMISES[split], *HYPOTHESES[split]), text):
            found = [_read_bound(slots[slot], split) for slot in "abc" if slot in slots]
            if all(found):
                return dict(part for part in found if part)
    raise ValueError(f"no bounded numbers: {text!r}")


def _read_bound(text: str, split: str) -> tuple[str, Interval] | None:
    """Return thing and interval of "more than 12 books"; None if `text` is none of this split's ways to say it."""
    words, _, thing = text.removesuffix("s").rpartition(" ")
    by_template = {template: name for name, template in BOUNDS[split].items()}
    for template, slots in read_back(by_template, words):
        numbers = [slots[slot] for slot in ("i", "j") if slot in slots]
        if all(number.isdigit() or number in _value_of() for number in numbers) and thing in every(OBJECTS):
            return thing, _interval(by_template[template], value(numbers[0]), value(numbers[-1]))
    return None


def solve_nli(row: Row) -> str:
    """Return the label out of the two texts alone."""
    premise, hypothesis = _read(row["text"]), _read(row["pair"])
    ((thing, asked),) = hypothesis.items()
    return _label(premise[thing], asked)


PROMPTS = {
    "train": "{n} wrote down three numbers of {x}s: {a}, {b}, {c}. Which of them is {which}?",
    "validation": "Three boxes hold {x}s, says {n}: {a}, {b} and {c} of them. Tell which count is {which}.",
    "test": "After counting {x}s thrice, {n} got {a}, then {b}, then {c}. Find the result that is {which}.",
}
WHICH = {
    "train": ("the largest", "the smallest", "in the middle"),
    "validation": ("higher than the others", "lower than the others", "between the others"),
    "test": ("above both others", "below both others", "neither at the top nor at the bottom"),
}


def _written(random: random.Random, number: int, level: int) -> str:
    if level == 3:
        part = random.randrange(11, number - 10)
        return f"{part} plus {number - part}"
    return in_words(number) if level == 2 and random.random() < 0.5 else str(number)


def make_choice_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return three rows: the same three numbers, asked for the largest, the smallest and the middle one."""
    numbers = random.sample(range(*((101, 999), (21, 999), (41, 999))[level - 1]), 3)
    choices = [_written(random, number, level) for number in numbers]
    rising = sorted(range(3), key=numbers.__getitem__)
    answers = (rising[2], rising[0], rising[1])
    fixed = dict(zip("abc", choices, strict=True)) | {
        "n": random.choice(NAMES[split]),
        "x": random.choice(OBJECTS[split]),
    }
    rows = []
    for which, answer in zip(WHICH[split], answers, strict=True):
        order = random.sample(range(3), 3)
        prompt = PROMPTS[split].format(which=which, **fixed)
        rows.append({"prompt": prompt, "choices": [choices[place] for place in order], "label": order.index(answer)})
    return rows


def solve_choice(row: Row) -> int:
    """Return the index of the right choice out of prompt and choices alone."""
    values = [sum(value(part) for part in re.split(" plus ", choice)) for choice in row["choices"]]
    for asked in WHICH.values():
        for which, place in zip(asked, (2, 0, 1), strict=True):
            if re.search(rf" {which}[.?]$", row["prompt"]):
                return values.index(sorted(values)[place])
    raise ValueError(f"no question: {row['prompt']!r}")


GENERATORS = (
    Generator(
        name="number_nli",
        kind="classification",
        labels=NLI_LABELS,
        levels=(1, 2, 3),
        description=(
            "Comparison of numbers, one of three things in the premise. 1: more, fewer and exactly, two digits; "
            "2: at least, at most and ranges as well, three digits; 3: the premise has its numbers in words."
        ),
        solve=solve_nli,
        make_group=make_nli_group,
        templates={split: (*PREMISES[split], *HYPOTHESES[split], *BOUNDS[split].values()) for split in PREMISES},
        shared_words=NUMBER_WORDS,
    ),
    Generator(
        name="number_choice",
        kind="multiple_choice",
        labels=(),
        levels=(1, 2, 3),
        description=(
            "Which number is the largest, the smallest, in the middle? 1: three digits; 2: digits and words mixed; "
            "3: sums."
        ),
        solve=solve_choice,
        make_group=make_choice_group,
        templates={
            split: tuple(template.replace("{which}", which) for which in WHICH[split])
            for split, template in PROMPTS.items()
        },
        shared_words=NUMBER_WORDS | {"plus"},
    ),
)
