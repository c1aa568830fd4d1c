"""temporal_nli: which event came before which, when only some of the order is told.

Labels come from checking every order of the events that agrees with the premise; no two events are at the same time.
"""

from __future__ import annotations

import itertools
import random
import re
from functools import cache

from taskloom.recipes.generators.base import (
    NLI_LABELS,
    Design,
    Generator,
    Row,
    balanced_designs,
    nli_label,
    read_back,
    sentence,
)
from taskloom.recipes.generators.lexicon import OCCASIONS
from taskloom.recipes.generators.padding import rows_of, until_even, without_openers

Claim = tuple[int, int, bool]
"""Two events in the order they are named, and whether the first one named is the earlier one."""

Form = tuple[Claim, ...]

ORDERS = {
    "train": ("the {a} came before the {b}.", "the {a} came after the {b}."),
    "validation": ("the {a} preceded the {b}.", "the {a} followed the {b}."),
    "test": ("the {a} was earlier than the {b}.", "the {a} was later than the {b}."),
}
EVENTS = 4


@cache
def _true_in(form: Form) -> int:
    worlds = enumerate(itertools.permutations(range(EVENTS)))
    return sum(
        1 << index
        for index, world in worlds
        if all((world.index(first) < world.index(second)) == earlier for first, second, earlier in form)
    )


def _label(premise: Form, hypothesis: Form) -> str:
    return nli_label(_true_in(premise), _true_in(hypothesis))


def _forms(level: int) -> tuple[list[Form], list[Form]]:
    """Return premises (two claims, or three at level 3) and hypotheses (one claim)."""
    events = 3 if level < 3 else 4
    directions = (True,) if level == 1 else (True, False)
    claims = [(*pair, earlier) for pair in itertools.permutations(range(events), 2) for earlier in directions]
    told = [form for form in itertools.combinations(claims, 2 if level < 3 else 3) if _sound(form)]
    return told, [(claim,) for claim in claims]


def _sound(form: Form) -> bool:
    """Tell whether the claims can all hold, none is told twice, and each shares an event with the next one."""
    linked = all({*one[:2]} & {*two[:2]} for one, two in itertools.pairwise(form))
    return linked and _true_in(form) > 0 and len({frozenset(claim[:2]) for claim in form}) == len(form)


@cache
def _designs(level: int) -> list[Design]:
    return balanced_designs(*_forms(level), _label)


def _attempt(random: random.Random, split: str, level: int) -> list[Row]:
    """Return nine or twelve rows: three or four premises, each with a hypothesis for each label; or none."""
    events = random.sample(OCCASIONS[split], EVENTS)

    def text(form: Form) -> str:
        told = [ORDERS[split][not claim[2]].format(a=events[claim[0]], b=events[claim[1]]) for claim in form]
        return " ".join([told[0], *map(sentence, told[1:])])

    return rows_of(random, split, random.choice(_designs(level)), text, text)


def _read(text: str, events: dict[str, int]) -> Form:
    claims = []
    for part in re.findall(r"[^.]+\.", without_openers(text)):
        for templates in ORDERS.values():
            for template, slots in read_back(templates, part.strip()):
                pair = [events.setdefault(slots[slot], len(events)) for slot in "ab"]
                claims.append((pair[0], pair[1], template == templates[0]))
    return tuple(claims)


def solve(row: Row) -> str:
    """Return the label out of the two texts alone."""
    events: dict[str, int] = {}
    premise, hypothesis = _read(row["text"], events), _read(row["pair"], events)
    return _label(premise, hypothesis)


GENERATORS = (
    Generator(
        name="temporal_nli",
        kind="classification",
        labels=NLI_LABELS,
        levels=(1, 2, 3),
        description=(
            "Order in time. 1: three events, all told as before; 2: before and after mixed; "
            "3: four events, three sentences."
        ),
        solve=solve,
        make_group=until_even(_attempt),
        templates=ORDERS,
    ),
)
