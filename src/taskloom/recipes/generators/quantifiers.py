"""quantifier_nli: what follows from all, some, no, not all and only, with narrower and wider nouns and verbs.

A claim is true or false in a small world: a set of the kinds of individuals that exist. Labels come from checking
every world, so they are exact; the price is one convention, that whatever is named exists ("all poodles" implies that
there are poodles).
"""

from __future__ import annotations

import itertools
import random
from functools import cache

from taskloom.recipes.generators.base import (
    NLI_LABELS,
    Design,
    Generator,
    Row,
    balanced_designs,
    every,
    nli_label,
    read_back,
)
from taskloom.recipes.generators.lexicon import HAPPENINGS, KINDS_OF, MODIFIERS, ROOMS
from taskloom.recipes.generators.padding import rows_of, until_even, without_openers

Form = tuple[str, bool, bool]
"""Quantifier, is the noun the narrower one, is the verb phrase the narrower one."""

QUANTIFIERS = {
    "train": {"all": "all {n}", "some": "some {n}", "no": "no {n}", "not all": "not all {n}", "only": "only {n}"},
    "validation": {
        "all": "each of these {n}",
        "some": "some of these {n}",
        "no": "none of these {n}",
        "not all": "not each of these {n}",
        "only": "only these {n}",
    },
    "test": {
        "all": "all of the {n}",
        "some": "at least one of the {n}",
        "no": "not one of the {n}",
        "not all": "not all of the {n}",
        "only": "nothing but the {n}",
    },
}
FRAMES = {
    "train": ("{claim}.", "in the {place}, {claim}."),
    "validation": ("behind the {place}, {claim}.", "in front of the {place}, {claim}."),
    "test": ("near the {place}, {claim}.", "not far from the {place}, {claim}."),
}
_NOUNS = (None, False, True)
_VERBS = (None, False, True)
_KINDS = tuple(itertools.product(_NOUNS, _VERBS))
"""Kinds of individuals: noun none, wider only, narrower; verb phrase none, wider only, narrower."""


def _has(kind: bool | None, narrow: bool) -> bool:
    return kind is True if narrow else kind is not None


def _holds(form: Form, world: frozenset[tuple[bool | None, bool | None]]) -> bool:
    quantifier, noun, verb = form
    both = any(_has(kind[0], noun) and _has(kind[1], verb) for kind in world)
    noun_alone = any(_has(kind[0], noun) and not _has(kind[1], verb) for kind in world)
    verb_alone = any(_has(kind[1], verb) and not _has(kind[0], noun) for kind in world)
    truth = {"all": not noun_alone, "some": both, "no": not both, "not all": noun_alone, "only": not verb_alone}
    return truth[quantifier]


@cache
def _worlds() -> tuple[frozenset[tuple[bool | None, bool | None]], ...]:
    """Worlds in which the narrower noun and the narrower verb phrase both apply to something."""
    subsets = (frozenset(itertools.compress(_KINDS, bits)) for bits in itertools.product((0, 1), repeat=len(_KINDS)))
    return tuple(
        world for world in subsets if any(kind[0] is True for kind in world) and any(kind[1] is True for kind in world)
    )


@cache
def _true_in(form: Form) -> int:
    return sum(1 << index for index, world in enumerate(_worlds()) if _holds(form, world))


@cache
def _designs(with_only: bool) -> list[Design]:
    quantifiers = ("all", "some", "no", "not all", "only")[: 5 if with_only else 4]
    forms = tuple(itertools.product(quantifiers, (False, True), (False, True)))
    return balanced_designs(forms, forms, _label, tries=5000, pool=20)


def _nouns(random: random.Random, split: str, level: int) -> tuple[str, str]:
    """Return the wider and the narrower noun."""
    narrow, wide = random.choice(KINDS_OF[split]).split(":")
    if level > 1:
        return wide, narrow
    base = random.choice((narrow, wide))
    return base, f"{random.choice(MODIFIERS[split])} {base}"


def _attempt(random: random.Random, split: str, level: int) -> list[Row]:
    """Return nine or twelve rows: three or four premises, each with a hypothesis for each label; or none."""
    nouns = _nouns(random, split, level)
    verbs = tuple(random.choice(HAPPENINGS[split]).split(":"))
    frame = random.choice(FRAMES[split]).replace("{place}", random.choice(ROOMS[split]))

    def text(form: Form) -> str:
        subject = QUANTIFIERS[split][form[0]].format(n=nouns[form[1]])
        return frame.format(claim=f"{subject} {verbs[form[2]]}")

    return rows_of(random, split, random.choice(_designs(level == 3)), text, text)


def _label(premise: Form, hypothesis: Form) -> str:
    return nli_label(_true_in(premise), _true_in(hypothesis))


@cache
def _templates(split: str) -> dict[str, str]:
    """Return template -> quantifier; longer ones first, so that "not all of the" is not read as "all"."""
    pairs = {
        frame.format(claim=f"{subject} {{v}}", place="{place}"): quantifier
        for frame in FRAMES[split]
        for quantifier, subject in QUANTIFIERS[split].items()
    }
    return dict(sorted(pairs.items(), key=lambda pair: -len(pair[0])))


@cache
def _verb_narrow() -> dict[str, bool]:
    pairs = (pair.split(":") for pair in every(HAPPENINGS))
    return {text: index == 1 for pair in pairs for index, text in enumerate(pair)}


def _read(text: str) -> tuple[str, str, bool]:
    """Return quantifier, noun phrase, and whether the verb phrase is the narrower one."""
    for split in FRAMES:
        for template, slots in read_back(_templates(split), without_openers(text)):
            words = f"{slots['n']} {slots['v']}".split()
            for count in (1, 2):
                verb = " ".join(words[count:])
                if verb in _verb_narrow():
                    return _templates(split)[template], " ".join(words[:count]), _verb_narrow()[verb]
    raise ValueError(f"no quantified claim: {text!r}")


def _narrower(one: str, two: str) -> bool:
    """Tell whether noun phrase `one` is narrower than `two`: by its last words or by the lexicon."""
    return one != two and (one.endswith(f" {two}") or f"{one}:{two}" in every(KINDS_OF))


def solve(row: Row) -> str:
    """Return the label out of the two texts alone."""
    (first, noun, verb), (second, other, other_verb) = _read(row["text"]), _read(row["pair"])
    return _label((first, _narrower(noun, other), verb), (second, _narrower(other, noun), other_verb))


GENERATORS = (
    Generator(
        name="quantifier_nli",
        kind="classification",
        labels=NLI_LABELS,
        levels=(1, 2, 3),
        description=(
            "Monotonicity: all, some, no, not all (and only) over narrower and wider nouns and verb phrases. "
            "1: with or without an adjective or an adverb; 2: narrower and wider nouns by meaning (poodles, dogs); "
            "3: `only` as well."
        ),
        solve=solve,
        make_group=until_even(_attempt),
        templates={split: tuple(_templates(split)) for split in FRAMES},
    ),
)
