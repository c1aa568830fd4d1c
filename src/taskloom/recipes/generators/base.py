"""What all built-in generators share: groups of rows, Latin squares, templates that can be read back.

A generator makes rows in small groups. Within a group every text meets every label equally often, and so does every
pair, so that nothing that looks at single words, at neighbors or at lengths can know the label: only reading text and
pair together helps. The price is that rows of one group are alike; keep a group in one fold when cross-validating.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Row = dict[str, Any]
"""One row in canonical columns, labels by name, plus `level`."""

BySplit = Mapping[str, tuple[str, ...]]
"""Words or templates of each split; no content word stands in two of them."""

ByLevel = dict[str, dict[int, tuple[str, ...]]]
"""Templates of each split and level."""

SPLITS = ("train", "validation", "test")
NLI_LABELS = ("entailment", "neutral", "contradiction")

FUNCTION_WORDS = frozenset(
    "a an the this that these those it its he his she her they their them we our us i my you your who whom which what "
    "where when how there here is are was were be been being am has have had do does did will would can could may "
    "might must shall should not no nor and or but if then than so as at by for from in into of off on onto out over "
    "to up with without about after before near behind beside under above between among through during against "
    "toward towards upon within beyond because although though while until since once all any both each every either "
    "neither none some such only own same other others another one ones first second third again also too very just "
    "even still yet more most less least fewer few many much nobody everyone somebody someone nothing everything "
    "something anyone s".split()
)
"""Words that may stand in rows of several splits; everything else that is shared is named by its generator."""


@dataclass(frozen=True, kw_only=True)
class Generator:
    """One built-in task.

    `make_group(random, split, level)` gives one group of rows; `solve(row)` reads the texts of a row, never its
    label, and gives the exact answer: a label name, a list of names, a score, the index of a choice, or a tag a word.
    `leak_free` is claimed only where `benchmarks/generators.py` measures it. `shared_words` are content words that
    stand in the rows of several splits because the task is about them (number words, "before", label names).
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    levels: tuple[int, ...]
    description: str
    solve: Callable[[Row], Any]
    make_group: Callable[[random.Random, str, int], list[Row]]
    templates: BySplit
    leak_free: bool = True
    shared_words: frozenset[str] = frozenset()


def seeded(*parts: object) -> random.Random:
    """Return a generator of random numbers that depends on `parts` alone: not on machine or PYTHONHASHSEED."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "big"))


def by_split(train: str, validation: str, test: str, *, separator: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return the words of each split out of one string a split, cut at blanks or at `separator`."""
    texts = dict(zip(SPLITS, (train, validation, test), strict=True))
    return {
        split: tuple(word.strip() for word in text.split(separator) if word.strip()) for split, text in texts.items()
    }


def all_levels(templates: ByLevel) -> dict[str, tuple[str, ...]]:
    """Return the templates of each split, levels together, each once."""
    chained = {split: itertools.chain.from_iterable(levels.values()) for split, levels in templates.items()}
    return {split: tuple(dict.fromkeys(texts)) for split, texts in chained.items()}


def every(words: BySplit) -> tuple[str, ...]:
    """Return the words of all splits: what a solver knows."""
    return tuple(itertools.chain.from_iterable(words.values()))


def sentence(text: str) -> str:
    """Return `text` with a capital first letter."""
    return text[:1].upper() + text[1:]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    for literal, slot in itertools.zip_longest(*[iter(re.split(r"\{(\w+)\}", template))] * 2):
        parts.append(re.escape(literal))
        if slot is not None:
            parts.append(f"(?P={slot})" if slot in seen else f"(?P<{slot}>.+?)")
            seen.add(slot)
    return re.compile("".join(parts), re.IGNORECASE)


def read_back(templates: Iterable[str], text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each template that could have made `text`, with the lower-case content of its slots."""
    for template in templates:
        found = _pattern(template).fullmatch(text)
        if found:
            yield template, {slot: value.lower() for slot, value in found.groupdict().items()}


def nli_label(premise_worlds: int, hypothesis_worlds: int) -> str:
    """Return the label of two claims given as bit sets of the worlds in which they hold."""
    if not premise_worlds & ~hypothesis_worlds:
        return "entailment"
    return "neutral" if premise_worlds & hypothesis_worlds else "contradiction"


Design = tuple[tuple[Any, Any, str], ...]
"""Triples of premise, hypothesis and label."""

_MAX_DESIGNS = 300
_DESIGNS_A_TRY = 4


def balanced_designs(
    premises: Sequence[Hashable],
    hypotheses: Sequence[Hashable],
    label: Callable[[Any, Any], str],
    *,
    tries: int = 2000,
    pool: int = 10,
) -> list[Design]:
    """Return designs: sets of 3 or 4 premises and as many hypotheses, so paired that each premise and each hypothesis
    stands with each NLI label exactly once. A premise is never paired with itself.

    With 3 this is a Latin square. `tries` sets of hypotheses of each size are drawn from a fixed seed and matched with
    `pool` premises; the time of a try grows with about the fourth power of `pool`.
    """
    table = {(one, two): label(one, two) for one in premises for two in hypotheses if one != two}
    random = seeded("designs", len(premises), len(hypotheses))
    found: dict[Design, None] = {}
    for size in (3, 4):
        for _ in range(tries):
            chosen = random.sample(hypotheses, size)
            some = random.sample(premises, min(len(premises), pool))
            places = [place for place in (_places(premise, chosen, table) for premise in some) if place]
            for spots in itertools.islice(_matched(places, size), _DESIGNS_A_TRY):
                cells = [
                    (one, chosen[at], name) for one, way in spots for at, name in zip(way, NLI_LABELS, strict=True)
                ]
                found[tuple(sorted(cells, key=str))] = None
            if len(found) >= _MAX_DESIGNS:
                return list(found)
    return list(found)


_Places = tuple[Any, list[tuple[int, ...]]]
"""A premise, and the ways to give it one hypothesis (by place) for each label."""


def _places(premise: Any, chosen: Sequence[Any], table: Mapping[Any, str]) -> _Places | None:
    by_label: dict[str, list[int]] = {name: [] for name in NLI_LABELS}
    for place, hypothesis in enumerate(chosen):
        if (premise, hypothesis) in table:
            by_label[table[premise, hypothesis]].append(place)
    ways = list(itertools.product(*by_label.values()))
    return (premise, ways) if ways else None


def _matched(
    rest: Sequence[_Places], size: int, taken: tuple[tuple[int, ...], ...] = ()
) -> Iterator[list[tuple[Any, tuple[int, ...]]]]:
    """Yield `size` premises with places, so that no label takes a hypothesis twice."""
    if len(taken) == size:
        yield []
        return
    for index, (premise, ways) in enumerate(rest):
        for way in ways:
            if all(one != other for earlier in taken for one, other in zip(way, earlier, strict=True)):
                for tail in _matched(rest[index + 1 :], size, (*taken, way)):
                    yield [(premise, way), *tail]


def crossed(premises: Sequence[str], hypotheses: Sequence[str], label: Callable[[int, int], str]) -> list[Row]:
    """Return one row for each premise and hypothesis; `label` takes their places."""
    return [
        {"text": premise, "pair": hypothesis, "label": label(i, j)}
        for i, premise in enumerate(premises)
        for j, hypothesis in enumerate(hypotheses)
    ]
