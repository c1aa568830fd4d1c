"""agreement: does the verb agree with its subject when other words stand between them?

Minimal pairs after Linzen et al. (2016) and BLiMP (Warstadt et al., 2020). A group crosses the number of the subject,
of the noun in between and of the verb, so that no word and no two neighbors tell which sentence is well formed.
"""

from __future__ import annotations

import itertools
import random
import re

from taskloom.recipes.generators.base import ByLevel, Generator, Row, all_levels, every, read_back, sentence
from taskloom.recipes.generators.lexicon import ACTIONS, ADVERBS, OBJECTS, QUALITIES, ROLES
from taskloom.recipes.generators.padding import opening, without_openers

LABELS = ("unacceptable", "acceptable")
VERBS = (("is", "are"), ("was", "were"), ("has been", "have been"))
TEMPLATES: ByLevel = {
    "train": {
        1: ("the {head} {adverb} {verb} {quality}.", "the {head} here {adverb} {verb} {quality}."),
        2: ("the {head} near the {other} {verb} {quality}.", "the {head} behind the {other} {verb} {quality}."),
        3: (
            "the {head} that the {role} with the {other} {action} {verb} {quality}.",
            "the {head} that the {role} near the {other} {action} {verb} {quality}.",
        ),
    },
    "validation": {
        1: ("this time the {head} {adverb} {verb} {quality}.",),
        2: ("the {head} above the {other} {verb} {quality}.", "the {head} beside the {other} {verb} {quality}."),
        3: ("the {head} which the {role} beside the {other} {action} {verb} {quality}.",),
    },
    "test": {
        1: ("in these days the {head} {adverb} {verb} {quality}.",),
        2: ("the {head} among the {other} {verb} {quality}.", "the {head} without the {other} {verb} {quality}."),
        3: ("the {head} the {role} under the {other} {action} {verb} {quality}.",),
    },
}


def make_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return four rows (level 1: no noun in between) or eight."""
    template, forms = opening(random, split) + random.choice(TEMPLATES[split][level]), random.choice(VERBS)
    head, other = random.sample(OBJECTS[split], 2)
    fixed = {
        "adverb": random.choice(ADVERBS[split]),
        "quality": random.choice(QUALITIES[split]),
        "role": random.choice(ROLES[split]),
        "action": random.choice(ACTIONS[split]),
    }
    numbers = itertools.product((0, 1), (0, 1), (0, 1) if level > 1 else (0,))
    return [
        {
            "text": sentence(
                template.format(head=head + "s" * subject, verb=forms[verb], other=other + "s" * between, **fixed)
            ),
            "pair": None,
            "label": LABELS[subject == verb],
        }
        for subject, verb, between in numbers
    ]


def solve(row: Row) -> str:
    """Return the label out of the text alone."""
    templates = [text for levels in TEMPLATES.values() for level in levels.values() for text in level]
    plurals = {noun + "s" * number: number for noun in every(OBJECTS) for number in (0, 1)}
    verbs = {form: number for pair in VERBS for number, form in enumerate(pair)}
    adjectives = every(QUALITIES)
    spoken = re.sub(r"\b(has|have) been\b", r"\1_been", without_openers(row["text"]))
    for _, slots in read_back(templates, spoken):
        verb = slots["verb"].replace("_", " ")
        if slots["head"] in plurals and verb in verbs and slots["quality"] in adjectives:
            return LABELS[plurals[slots["head"]] == verbs[verb]]
    raise ValueError(f"no known sentence: {row['text']!r}")


GENERATORS = (
    Generator(
        name="agreement",
        kind="classification",
        labels=LABELS,
        levels=(1, 2, 3),
        description=(
            "Agreement of subject and verb. 1: an adverb between them; 2: a noun of either number between them; "
            "3: a relative clause with such a noun."
        ),
        solve=solve,
        make_group=make_group,
        templates=all_levels(TEMPLATES),
    ),
)
