"""label_nli and topic_mentions: what a text is about, said by its words and never by the topic's name.

label_nli is label entailment: a text as premise, "This text is about LABEL." as hypothesis. The topics of test are
held out of training, so it measures zero-shot classification; `zero_shot_examples` gives the same rows as texts with
candidate labels.
"""

from __future__ import annotations

import random
from functools import cache

from taskloom.recipes.generators.base import (
    NLI_LABELS,
    ByLevel,
    Generator,
    Row,
    all_levels,
    by_split,
    crossed,
    read_back,
    seeded,
    sentence,
)
from taskloom.recipes.generators.lexicon import NAMES
from taskloom.recipes.generators.topics import field_topics, topic_of, topic_words

HYPOTHESES = by_split(
    "This text is about {t}.|The topic is {t}.|It is about {t}.|The topic of this text is {t}.|This is about {t}.",
    "Its theme is {t}.|What it deals with is {t}.",
    "The passage concerns {t}.|The subject here is {t}.",
    separator="|",
)
TEXTS: ByLevel = {
    "train": {
        1: (
            "Most of the evening was spent on {a}, {b} and {c}.",
            "{n} wrote three pages on {a}, {b} and {c}.",
            "We learned a lot about {a}, {b} and {c}.",
            "There was much talk of {a}, {b} and {c}.",
            "The first chapter explains {a}, {b} and {c}.",
            "My uncle knows everything about {a}, {b} and {c}.",
            "{a}, {b}, {c}: these were the words on the list.",
            "What {n} needs for this is {a}, {b} and {c}.",
        ),
        2: (
            "It rained all morning, so {n} stayed inside and read a long piece on {a} and {b}.",
            "After lunch, when the dishes were done, {n} began to explain {a} to the children, and then {b}.",
            "The room was cold, yet everyone listened to the report on {a} and {b} until midnight.",
            "{n} called twice, first to ask for money, then to tell us about {a} and {b}.",
            "For years {n} has dreamed of little else than {a} and {b}, says her mother.",
        ),
        3: (
            "The first part covers {a} and {b}; the second part, still unopened, may cover {x} and {y}.",
            "{n} wrote a whole chapter on {a} and {b}, and may have written about {x} and {y} as well.",
            "Perhaps the next letter turns to {x} and {y}; the one we read was all {a} and {b}.",
        ),
    },
    "validation": {
        1: (
            "Her cousin keeps asking for {a}, {b} and {c}.",
            "The magazine printed photos of {a}, {b} and {c}.",
            "A great hall is full of {a}, {b} and {c}.",
            "Today's podcast compares {a}, {b} and {c}.",
        ),
        2: (
            "Since the bus was late, {n} bought a magazine and studied an essay on {a} and {b}.",
            "At dinner {n} spilled the soup and still went on praising {a} and {b}.",
            "{n} lost both glasses but found the brochure with {a} and {b} in it.",
        ),
        3: (
            "One half of the podcast is on {a} and {b}; the other half might be on {x} and {y}.",
            "This brochure shows {a} and {b}, while the missing one might show {x} and {y}.",
        ),
    },
    "test": {
        1: (
            "Their newsletter describes {a}, {b} and {c}.",
            "An old friend sent us a message on {a}, {b} and {c}.",
            "For hours the visitors discussed {a}, {b} and {c}.",
            "The exhibition presents {a}, {b} and {c}.",
            "Nobody could stop {n} from going on about {a}, {b} and {c}.",
        ),
        2: (
            "On Sunday the neighbors came over, ate cake, and argued with {n} over {a} and {b}.",
            "Despite a headache, {n} opened the old folder and compared {a} with {b}.",
            "{n} missed the appointment because a documentary on {a} and {b} was so good.",
        ),
        3: (
            "Volume one presents {a} and {b}; volume two, as yet unseen, could present {x} and {y}.",
            "{n} argued for an hour over {a} and {b} and could also have argued over {x} and {y}.",
        ),
    },
}
"""{a}, {b}, {c} belong to the topic of the text; {x}, {y} to a topic that it may or may not be about."""


def _pick_topics(random: random.Random, split: str, level: int, count: int) -> list[str]:
    """Return different topics: near each other (of one field) at level 2 and in half of the groups of level 3."""
    near = level == 2 or (level == 3 and random.random() < 0.5)
    fields = [topics for topics in field_topics(split).values() if len(topics) >= count]
    if near and fields:
        return random.sample(random.choice(fields), count)
    return random.sample(list(topic_words(split)), count)


def _text(random: random.Random, split: str, level: int, topic: str, other: str | None = None) -> str:
    template = random.choice(TEXTS[split][level])
    slots = dict(zip("abc", random.sample(topic_words(split)[topic], 3), strict=True))
    if other is not None:
        slots |= dict(zip("xy", random.sample(topic_words(split)[other], 2), strict=True))
    return sentence(template.format(n=random.choice(NAMES[split]), **slots))


def make_nli_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return four rows (two texts, two labels), or nine at level 3 (three texts that each may be about the next)."""
    count = 3 if level == 3 else 2
    topics = _pick_topics(random, split, level, count)
    others = [*topics[1:], topics[0]] if level == 3 else [None, None]
    texts = [_text(random, split, level, topic, other) for topic, other in zip(topics, others, strict=True)]
    hypothesis = random.choice(HYPOTHESES[split])
    labels = ("entailment", "neutral", "contradiction") if level == 3 else ("entailment", "contradiction")
    return crossed(texts, [hypothesis.format(t=topic) for topic in topics], lambda i, j: labels[(j - i) % count])


def solve_nli(row: Row) -> str:
    """Return the label out of the two texts alone."""
    for split, levels in TEXTS.items():
        for _, slots in read_back([template for level in levels.values() for template in level], row["text"]):
            for _, asked in read_back(sorted(HYPOTHESES[split], key=len, reverse=True), row["pair"]):
                about, maybe = topic_of().get(slots["a"]), topic_of().get(slots.get("x", ""))
                if about is not None:
                    return {about: "entailment", maybe: "neutral"}.get(asked["t"], "contradiction")
    raise ValueError(f"no known text: {row['text']!r}")


def zero_shot_examples(rows: int = 200, seed: int = 0, *, candidates: int = 8, split: str = "test") -> list[Row]:
    """Return texts with candidate labels and the right one: dicts of `text`, `labels` (a list) and `label` (a name).

    Topics of `split` only: of the held-out ones by default, none of which is seen in training. Levels 1 and 2 by
    turns; the candidates are drawn anew for each text and at least one is near the right one. Chance is
    1 / candidates.
    """
    found: dict[str, Row] = {}
    topics = list(topic_words(split))
    for index in range(20 * rows):
        random = seeded("zero_shot", split, seed, index)
        topic = topics[index % len(topics)]
        text = _text(random, split, 1 + len(found) % 2, topic)
        near = [other for others in field_topics(split).values() if topic in others for other in others]
        first = random.choice([other for other in near if other != topic])
        rest = [other for other in topics if other not in (topic, first)]
        labels = [topic, first, *random.sample(rest, candidates - 2)]
        random.shuffle(labels)
        found.setdefault(text, {"text": text, "labels": labels, "label": topic})
        if len(found) == rows:
            break
    return list(found.values())


MENTIONED = ("gardening", "astronomy", "cheese", "knitting", "elections", "chess", "camping", "opera")
MENTIONS: ByLevel = {
    "train": {
        1: ("{n} wrote about {yes}.", "In the letter there is something on {yes}."),
        2: ("{n} wrote about {yes}, but not about {no}.", "There is nothing on {no} in the letter, only on {yes}."),
        3: (
            "With {former} on one list and {latter} on the other, {n} wrote about the {which} alone.",
            "{n} could write about {former} or else about {latter} and chose the {which}.",
        ),
    },
    "validation": {
        1: ("This diary goes into {yes}.", "For {n}, the diary is full of {yes}."),
        2: ("The diary of {n} goes into {yes} and never into {no}.", "Without any {no}, the diary is full of {yes}."),
        3: ("Here {former}, there {latter}: the diary of {n} goes into the {which}.",),
    },
    "test": {
        1: ("Last night {n} mentioned {yes}.", "Somebody mentioned {yes} last night."),
        2: ("Last night {n} mentioned {yes} and left out {no}.", "Leaving out {no}, {n} mentioned {yes}."),
        3: ("Last night, having to choose {former} over {latter} or not, {n} mentioned the {which}.",),
    },
}
"""{yes} and {no} are one to three words of different topics; {which} is "former" or "latter"."""


@cache
def _mention_words(split: str, topic: str) -> tuple[str, ...]:
    """Return a topic's words of one split: the lists of the training topics, shared out 6, 2, 2."""
    words = topic_words("train")[topic]
    return {"train": words[:6], "validation": words[6:8], "test": words[8:]}[split]


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def make_mentions_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return one row, or two at level 3 (former and latter)."""
    template = random.choice(MENTIONS[split][level])
    counts = (random.choice((1, 2, 3)), random.choice((1, 2)))
    if level == 3:
        counts = (random.choice((1, 2, 3)), random.choice((1, 2, 3)))
    topics = random.sample(MENTIONED, sum(counts))
    words = [random.choice(_mention_words(split, topic)) for topic in topics]
    lists = (_listed(words[: counts[0]]), _listed(words[counts[0] :]))
    name = random.choice(NAMES[split])
    sides = {"former": sorted(topics[: counts[0]]), "latter": sorted(topics[counts[0] :])}
    if level < 3:
        text = template.format(n=name, yes=lists[0], no=lists[1])
        return [{"text": sentence(text), "pair": None, "labels": sides["former"]}]
    return [
        {
            "text": sentence(template.format(n=name, former=lists[0], latter=lists[1], which=which)),
            "pair": None,
            "labels": labels,
        }
        for which, labels in sides.items()
    ]


def solve_mentions(row: Row) -> list[str]:
    """Return the topics out of the text alone."""
    templates = [text for levels in MENTIONS.values() for level in (3, 2, 1) for text in levels[level]]
    for _, slots in read_back(templates, row["text"]):
        part = slots.get(slots.get("which", "yes"), "")
        words = part.replace(" and ", ", ").split(", ")
        if all(word in topic_of() for word in words):
            return sorted({topic_of()[word] for word in words})
    raise ValueError(f"no known text: {row['text']!r}")


GENERATORS: tuple[Generator, ...] = (
    Generator(
        name="label_nli",
        kind="classification",
        labels=NLI_LABELS,
        levels=(1, 2, 3),
        description=(
            "Label entailment over topics that are held out of training: is the text about LABEL? "
            "1: three words of the topic, another topic at random; 2: two words and a distraction, a topic that is "
            "near; 3: another topic that the text may be about is neutral."
        ),
        solve=solve_nli,
        make_group=make_nli_group,
        templates={split: (*texts, *HYPOTHESES[split]) for split, texts in all_levels(TEXTS).items()},
    ),
    Generator(
        name="topic_mentions",
        kind="multilabel",
        labels=tuple(sorted(MENTIONED)),
        levels=(1, 2, 3),
        description=(
            "Which topics does a text go into? 1: one to three are mentioned; 2: others are mentioned as left out; "
            "3: the former or the latter of two lists."
        ),
        solve=solve_mentions,
        make_group=make_mentions_group,
        templates=all_levels(MENTIONS),
        leak_free=False,
        shared_words=frozenset({"former", "latter"}),
    ),
)
