"""negation_nli: what follows from and, or, if and not, checked by truth tables.

"or" is inclusive and "if" is the material conditional; both are conventions that the label depends on.
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
from taskloom.recipes.generators.lexicon import HABITS, NAMES
from taskloom.recipes.generators.padding import rows_of, until_even, without_openers

Literal = tuple[int, bool]
"""Atom, and whether it is affirmed."""

Clause = tuple[str, tuple[Literal, ...]]
"""A connective ("is", "and", "or", "if") and its literals; "if": the first implies the second."""

Form = tuple[Clause, ...]
"""Clauses that all hold; a sentence each."""

CONNECTIVES = {
    "train": {"is": "{a}.", "and": "{a} and {b}.", "or": "{a} or {b}.", "if": "if {a}, then {b}."},
    "validation": {
        "is": "for sure {a}.",
        "and": "both {a} and {b}.",
        "or": "{a}, or else {b}, or both.",
        "if": "{b} if {a}.",
    },
    "test": {
        "is": "no doubt {a}.",
        "and": "{a}, and moreover {b}.",
        "or": "either {a} or {b}, perhaps both.",
        "if": "whenever {a}, also {b}.",
    },
}
LITERALS = {
    "train": ("{n} {v}s", "{n} does not {v}"),
    "validation": ("{n} can {v}", "{n} can not {v}"),
    "test": ("{n} will {v}", "{n} will never {v}"),
}
ATOMS = 3


def _literals(atoms: int) -> list[Literal]:
    return list(itertools.product(range(atoms), (True, False)))


def _value(literal: Literal, world: tuple[bool, ...]) -> bool:
    return world[literal[0]] == literal[1]


@cache
def _true_in(form: Form) -> int:
    worlds = enumerate(itertools.product((False, True), repeat=ATOMS))
    return sum(1 << index for index, world in worlds if all(_clause_holds(clause, world) for clause in form))


def _clause_holds(clause: Clause, world: tuple[bool, ...]) -> bool:
    connective, literals = clause
    values = [_value(literal, world) for literal in literals]
    if connective == "or":
        return any(values)
    return not values[0] or values[1] if connective == "if" else all(values)


def _forms(level: int) -> tuple[list[Form], list[Form]]:
    """Return premises and hypotheses."""
    literals = _literals(ATOMS)
    single: list[Form] = [(("is", (literal,)),) for literal in literals]
    pairs = [pair for pair in itertools.combinations(literals, 2) if pair[0][0] != pair[1][0]]
    both: list[Form] = [(("and", pair),) for pair in pairs]
    either: list[Form] = [(("or", pair),) for pair in pairs]
    if level == 1:
        return both, single
    if level == 2:
        return both + either, single + both + either
    ordered = [*pairs, *((two, one) for one, two in pairs)]
    rules = [(name, pair) for name in ("or", "if") for pair in ordered if {pair[0][0], pair[1][0]} == {0, 1}]
    facts: list[Clause] = [("is", (literal,)) for literal in literals if literal[0] < 2]
    return [(rule, fact) for rule in rules for fact in facts], [form for form in single if form[0][1][0][0] < 2]


@cache
def _designs(level: int) -> list[Design]:
    premises, hypotheses = _forms(level)
    designs = balanced_designs(premises, hypotheses, _label, pool=20 if level == 2 else 10)
    if level == 2:
        return [design for design in designs if any(form[0][0] == "or" for part in design for form in part[:2])]
    return designs


def _label(premise: Form, hypothesis: Form) -> str:
    return nli_label(_true_in(premise), _true_in(hypothesis))


def _attempt(random: random.Random, split: str, level: int) -> list[Row]:
    """Return nine or twelve rows: three or four premises, each with a hypothesis for each label; or none."""
    names, habits = random.sample(NAMES[split], ATOMS), random.sample(HABITS[split], ATOMS)
    flipped = [random.random() < 0.5 for _ in range(ATOMS)]  # labels stay the same when an atom means its opposite

    def literal(atom: int, affirmed: bool) -> str:
        return LITERALS[split][affirmed == flipped[atom]].format(n=names[atom], v=habits[atom])

    def text(form: Form) -> str:
        clauses = []
        for connective, literals in form:
            spoken = dict(zip("ab", (literal(*part) for part in literals), strict=False))
            clauses.append(CONNECTIVES[split][connective].format(**spoken))
        return " ".join([clauses[0], *map(sentence, clauses[1:])])

    return rows_of(random, split, random.choice(_designs(level)), text, text)


def _read_literal(text: str) -> tuple[str, bool] | None:
    """Return the atom, "name habit", and whether it is affirmed; None if the text is no literal."""
    for templates in LITERALS.values():
        for template, slots in reversed(list(read_back(templates, text))):
            if re.fullmatch(r"\w+ \w+", f"{slots['n']} {slots['v']}"):
                return f"{slots['n']} {slots['v']}", template == templates[0]
    return None


def _read(text: str, atoms: dict[str, int]) -> Form:
    """Return the form of a text; `atoms` numbers the atoms as they come and is added to."""
    clauses = []
    for part in re.findall(r"[^.]+\.", without_openers(text)):
        clauses.append(_read_clause(part.strip(), atoms))
    return tuple(clauses)


def _read_clause(text: str, atoms: dict[str, int]) -> Clause:
    for connectives in CONNECTIVES.values():
        by_template = {template: name for name, template in connectives.items()}
        for template, slots in read_back(by_template, text):
            found = [_read_literal(slots[slot]) for slot in ("a", "b") if slot in slots]
            literals = [literal for literal in found if literal is not None]
            if len(literals) == len(found):
                numbered = tuple((atoms.setdefault(atom, len(atoms)), affirmed) for atom, affirmed in literals)
                return by_template[template], numbered
    raise ValueError(f"no clause: {text!r}")


def solve(row: Row) -> str:
    """Return the label out of the two texts alone."""
    atoms: dict[str, int] = {}
    premise, hypothesis = _read(row["text"], atoms), _read(row["pair"], atoms)
    return _label(premise, hypothesis)


GENERATORS = (
    Generator(
        name="negation_nli",
        kind="classification",
        labels=NLI_LABELS,
        levels=(1, 2, 3),
        description=(
            "Conjunction and negation. 1: and, not; 2: or (inclusive) as well; "
            "3: a rule with if or or, and a fact: what follows, and what only seems to."
        ),
        solve=solve,
        make_group=until_even(_attempt),
        templates={
            split: tuple(
                template.replace("{a}", one).replace("{b}", one)
                for template in CONNECTIVES[split].values()
                for one in LITERALS[split]
            )
            for split in CONNECTIVES
        },
    ),
)
