"""overlap_nli: hypotheses whose words all stand in the premise, after HANS (McCoy et al., 2019).

Each item has two people in two roles: the premise P(A, B) entails H(A, B) and not H(B, A). A group is both premises
against both hypotheses, so that overlap, words and order are alike for both labels. The price: two labels, not three.
"""

from __future__ import annotations

import random
from functools import cache

from taskloom.recipes.generators.base import Generator, Row, crossed, every, read_back
from taskloom.recipes.generators.lexicon import ACTIONS, EVENTS_DONE, ROLES

LABELS = ("entailment", "not_entailment")

ITEMS: dict[str, dict[int, tuple[tuple[str, str], ...]]] = {
    "train": {
        1: (
            ("The {a} {v} the {b}.", "The {a} {v} the {b}."),
            ("The {a} {v} the {b}.", "The {b} was {v} by the {a}."),
            ("The {b} was {v} by the {a}.", "The {a} {v} the {b}."),
        ),
        2: (
            ("The {a} near the {b} {w}.", "The {a} {w}."),
            ("The {a} that {v} the {b} {w}.", "The {a} {w}."),
            ("The {a} that the {b} {v} {w}.", "The {b} {v} the {a}."),
        ),
        3: (
            ("The {c} knew that the {a} {w} and hoped that the {b} {w}.", "The {a} {w}."),
            ("The {c} hoped that the {a} {w} and knew that the {b} {w}.", "The {b} {w}."),
            ("Because the {a} {w}, and not because the {b} {w}, the {c} {v} the {b}.", "The {a} {w}."),
        ),
    },
    "validation": {
        1: (
            ("It was the {a} who {v} the {b}.", "The {a} is someone who {v} the {b}."),
            ("It was the {a} whom the {b} {v}.", "The {b} is someone who {v} the {a}."),
        ),
        2: (
            ("The {a} beside the {b} {w}.", "It was the {a} who {w}."),
            ("The {a} who was {v} by the {b} {w}.", "It was the {a} who {w}."),
            ("The {a}, whom the {b} {v}, {w}.", "It was the {b} who {v} the {a}."),
        ),
        3: (
            ("The {c} proved that the {a} {w} and claimed that the {b} {w}.", "It was the {a} who {w}."),
            ("The {c} claimed that the {a} {w} and proved that the {b} {w}.", "It was the {b} who {w}."),
        ),
    },
    "test": {
        1: (
            ("What the {a} did is this: the {a} {v} the {b}.", "At some time the {a} {v} the {b}."),
            ("What the {a} did is this: the {a} {v} the {b}.", "At some time the {b} was {v} by the {a}."),
        ),
        2: (
            ("Behind the {b}, the {a} {w}.", "At some time the {a} {w}."),
            ("The {a} whose friend {v} the {b} {w}.", "At some time the {a} {w}."),
            ("The {b} the {a} {v} {w}.", "At some time the {a} {v} the {b}."),
        ),
        3: (
            ("The {c} discovered that the {a} {w} and guessed that the {b} {w}.", "At some time the {a} {w}."),
            ("The {c} guessed that the {a} {w} and discovered that the {b} {w}.", "At some time the {b} {w}."),
            ("It may be that the {b} {w}, but it is sure that the {a} {w}.", "At some time the {a} {w}."),
        ),
    },
}


def make_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return four rows: both premises against both hypotheses."""
    premise, hypothesis = random.choice(ITEMS[split][level])
    one, two, three = random.sample(ROLES[split], 3)
    done = {"v": random.choice(ACTIONS[split]), "w": random.choice(EVENTS_DONE[split]), "c": three}
    order = ((one, two), (two, one))
    return crossed(
        [premise.format(a=a, b=b, **done) for a, b in order],
        [hypothesis.format(a=a, b=b, **done) for a, b in order],
        lambda i, j: LABELS[i != j],
    )


@cache
def _slots() -> dict[str, frozenset[str]]:
    return {slot: frozenset(every(ROLES)) for slot in "abc"} | {
        "v": frozenset(every(ACTIONS)),
        "w": frozenset(every(EVENTS_DONE)),
    }


def _readings(template: str, text: str) -> list[dict[str, str]]:
    found = (slots for _, slots in read_back((template,), text))
    return [slots for slots in found if all(word in _slots()[slot] for slot, word in slots.items())]


def solve(row: Row) -> str:
    """Return the label out of the two texts alone."""
    for levels in ITEMS.values():
        for premise, hypothesis in (item for items in levels.values() for item in items):
            for said in _readings(premise, row["text"]):
                for asked in _readings(hypothesis, row["pair"]):
                    return LABELS[any(said[slot] != word for slot, word in asked.items())]
    raise ValueError(f"no known item: {row['text']!r} {row['pair']!r}")


GENERATORS = (
    Generator(
        name="overlap_nli",
        kind="classification",
        labels=LABELS,
        levels=(1, 2, 3),
        description=(
            "Traps of word overlap. 1: who did it to whom, active and passive; "
            "2: the nearer noun is not the subject (phrases, relative clauses); "
            "3: knowing against hoping, causes and conditions."
        ),
        solve=solve,
        make_group=make_group,
        templates={
            split: tuple(dict.fromkeys(text for items in levels.values() for item in items for text in item))
            for split, levels in ITEMS.items()
        },
    ),
)
