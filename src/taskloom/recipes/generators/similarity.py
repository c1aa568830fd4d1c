"""edit_similarity: how much of a sentence is the same in another one, as a score from 0 to 5.

The score is 5 * (1 - d / n): of the n content words, d differ at their place. The number of edits is drawn first and
evenly, and both sentences come from the same even distribution whatever it is; so neither of them alone tells the
score, nor does a length. Level 3 also exchanges words of the two halves: the same words, but not the same sentence.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from taskloom.recipes.generators.base import FUNCTION_WORDS, ByLevel, Generator, Row, all_levels, by_split, sentence

BANKS = {
    "q": by_split(
        "young tired quick proud happy brave",
        "angry quiet noisy weary merry jolly",
        "hungry lonely gentle clumsy modest feeble",
    ),
    "r": by_split(
        "doctor lawyer singer farmer sailor dancer tailor barber",
        "waiter porter hunter potter banker priest jockey cowboy",
        "author driver jester editor grocer artist weaver butler",
    ),
    "v": by_split(
        "thanked visited praised admired trusted greeted",
        "ignored rescued watched alarmed angered carried",
        "insulted followed answered defended reminded relieved",
    ),
    "p": by_split(
        "garden office cellar garage museum", "school studio lounge saloon church", "market forest bakery chapel stable"
    ),
}
"""Words by the first letter of their slots: quality, role, verb, place. All words of a slot have as many letters, or
equal lengths would tell equal sentences (gradient boosting on lengths alone: R2 0.30)."""

TEMPLATES: ByLevel = {
    "train": {
        1: ("The {q1} {r1} {v} the {r2}.",),
        2: ("The {q1} {r1} in the {p1} {v} the {q2} {r2}.",),
        3: ("The {q1} {r1} in the {p1} and the {q2} {r2} in the {p2} {v} the {r3} and the {r4}.",),
    },
    "validation": {
        1: ("This {q1} {r1} {v} some {r2}.",),
        2: ("Near the {p1}, this {q1} {r1} {v} some {q2} {r2}.",),
        3: ("Near the {p1} this {q1} {r1}, but near the {p2} this {q2} {r2} {v} some {r3} and some {r4}.",),
    },
    "test": {
        1: ("A {r1} {v} one {q1} {r2}.",),
        2: ("One {q1} {r1} {v} one {q2} {r2} from the {p1}.",),
        3: ("One {q1} {r1} from the {p1} with one {q2} {r2} from the {p2} {v} one {r3} with one {r4}.",),
    },
}
SLOTS = {1: "q1 r1 v r2", 2: "q1 r1 p1 v q2 r2", 3: "q1 r1 p1 q2 r2 p2 v r3 r4"}
EXCHANGES = (("q1", "q2"), ("r1", "r2"), ("p1", "p2"))
HIGH = 5.0


def _distinct(words: dict[str, str]) -> bool:
    """Tell whether no two slots of one bank hold the same word."""
    return len({(slot[0], word) for slot, word in words.items()}) == len(words)


def _drawn(random: random.Random, split: str, slots: Sequence[str]) -> dict[str, str]:
    return {slot: random.choice(BANKS[slot[0]][split]) for slot in slots}


def _first(random: random.Random, split: str, level: int) -> dict[str, str]:
    """Return a word for each slot; words of one bank differ from each other."""
    while True:
        words = _drawn(random, split, SLOTS[level].split())
        if _distinct(words):
            return words


def _edited(random: random.Random, split: str, level: int, words: dict[str, str], edits: int) -> dict[str, str]:
    """Return `words` with exactly `edits` slots changed, at level 3 partly by exchanging two words.

    All outcomes are equally likely, so that edited sentences are distributed like those they come from.
    """
    pairs = [pair for pair in EXCHANGES if level == 3 and random.random() < 0.5][: edits // 2]
    exchanged = {slot: words[other] for pair in pairs for slot, other in (pair, pair[::-1])}
    rest = [slot for slot in words if slot not in exchanged]
    slots = random.sample(rest, edits - len(exchanged))
    while True:
        drawn = _drawn(random, split, slots)
        result = words | exchanged | drawn
        if _distinct(result) and all(words[slot] != word for slot, word in drawn.items()):
            return result


def make_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return one row for each number of edits, all from the same first sentence."""
    template = random.choice(TEMPLATES[split][level])
    words = _first(random, split, level)
    rows = []
    for edits in range(len(words) + 1):
        texts = [template.format(**words), template.format(**_edited(random, split, level, words, edits))]
        random.shuffle(texts)
        score = round(HIGH * (1 - edits / len(words)), 4)
        rows.append({"text": sentence(texts[0]), "pair": sentence(texts[1]), "score": score})
    return rows


def _content(text: str) -> list[str]:
    words = text.lower().replace(",", "").rstrip(".").split()
    return [word for word in words if word not in FUNCTION_WORDS]


def solve(row: Row) -> float:
    """Return the score out of the two texts alone."""
    pairs = list(zip(_content(row["text"]), _content(row["pair"]), strict=True))
    return round(HIGH * (1 - sum(one != two for one, two in pairs) / len(pairs)), 4)


GENERATORS = (
    Generator(
        name="edit_similarity",
        kind="regression",
        labels=(),
        levels=(1, 2, 3),
        description=(
            "Similarity by edit, 0 to 5. 1: four content words, some replaced; 2: six; "
            "3: nine, some of them exchanged between the halves of the sentence."
        ),
        solve=solve,
        make_group=make_group,
        templates=all_levels(TEMPLATES),
    ),
)
