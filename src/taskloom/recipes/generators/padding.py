"""Openers ("as you know, ...") that make the texts of a group equally long, in words and nearly so in characters.

Without them the lengths of premise and hypothesis tell which forms they have: gradient boosting on lengths alone got
73 % on quantifier_nli, where a third is chance. The price is that rows read a little chatty.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from taskloom.recipes.generators.base import Design, Row, by_split, every, sentence

EXTRA = (2, 3, 4)
"""Words by which the longest text of a group grows: with none there is no choice of letters left."""

SPREAD = 1
"""Characters by which texts of a group may differ: one letter is as good as none, and none takes four times as long."""

OPENERS = by_split(
    "well|look|of course|in fact|as you know|to be honest|by the way|if you ask me|believe it or not|"
    "to tell the truth|to the best of our knowledge|for what it is worth|as you may have heard|let it be known that",
    "indeed|naturally|in short|as expected|strictly speaking|to put it briefly|as the story goes|"
    "on the other hand|it seems fair to say that|all in all|so the guide tells|as usual|oddly|with due respect",
    "frankly|admittedly|needless to add|for the record|on the whole|all things considered|as a rule of thumb|"
    "in a nutshell|again|to repeat|it bears mention that|as our readers point out|plainly|in this report",
    separator="|",
)


@cache
def _paddings(split: str) -> tuple[str, ...]:
    """Return up to two openers, ready to stand before a text; "that" takes no comma and comes last."""
    plain = [opener for opener in OPENERS[split] if not opener.endswith(" that")]
    last = [opener for opener in OPENERS[split] if opener.endswith(" that")]
    pairs = [f"{one}, {two}, " for one, two in itertools.permutations(plain, 2)]
    return ("", *(f"{one}, " for one in plain), *(f"{one} " for one in last), *pairs)


def opening(random: random.Random, split: str) -> str:
    """Return up to two openers, for a group whose texts differ by a letter or two: unlike groups hide which."""
    return random.choice(_paddings(split))


def evened(random: random.Random, split: str, texts: Sequence[str]) -> list[str]:
    """Return `texts` with openers before them, all with the same number of words and, to one, of characters.

    Empty if the openers at hand do not allow it.
    """
    words = max(len(text.split()) for text in texts) + random.choice(EXTRA)
    fitting = [
        [padding for padding in _paddings(split) if len(padding.split()) + len(text.split()) == words] for text in texts
    ]
    lengths = [{len(text) + len(padding) for padding in own} for text, own in zip(texts, fitting, strict=True)]
    goals = [goal for goal in sorted(set().union(*lengths)) if all({goal, goal + SPREAD} & own for own in lengths)]
    if not goals:
        return []
    goal = random.choice(goals)
    found = []
    for text, paddings in zip(texts, fitting, strict=True):
        best = [padding for padding in paddings if len(text) + len(padding) == goal]
        best = best or [padding for padding in paddings if len(text) + len(padding) == goal + SPREAD]
        found.append(sentence(random.choice(best) + text))
    return found


def rows_of(
    random: random.Random, split: str, design: Design, premise: Callable[[Any], str], hypothesis: Callable[[Any], str]
) -> list[Row]:
    """Return the rows of a design, worded by `premise` and `hypothesis` (no capital first), premises equally long and
    hypotheses equally long; empty if that cannot be."""
    sides = []
    for forms, word in ((0, premise), (1, hypothesis)):
        distinct = list(dict.fromkeys(part[forms] for part in design))
        texts = evened(random, split, [word(form) for form in distinct])
        if not texts:
            return []
        sides.append(dict(zip(distinct, texts, strict=True)))
    return [{"text": sides[0][one], "pair": sides[1][two], "label": label} for one, two, label in design]


MakeGroup = Callable[[random.Random, str, int], list[Row]]


def until_even(attempt: MakeGroup) -> MakeGroup:
    """Return a function that repeats `attempt` until it gives rows: one attempt in about two to ten does."""

    def make_group(random: random.Random, split: str, level: int) -> list[Row]:
        while True:
            rows = attempt(random, split, level)
            if rows:
                return rows

    return make_group


def without_openers(text: str) -> str:
    """Return what a text says after its openers."""
    rest = text
    while True:
        marks = [opener + ("" if opener.endswith(" that") else ",") for opener in every(OPENERS)]
        found = [mark for mark in marks if rest.lower().startswith(f"{mark} ")]
        if not found:
            return rest
        rest = rest[len(max(found, key=len)) + 1 :]
