"""where_is and switches: following a state through a story, in the manner of bAbI (Weston et al., 2015).

where_is is multiple choice (who or what is where), switches is multilabel (which devices are on at the end). Places
and states are drawn evenly, and a switch starts on or off by a coin, so no single sentence tells the answer.
"""

from __future__ import annotations

import random
import re

from taskloom.recipes.generators.base import Generator, Row, every, read_back
from taskloom.recipes.generators.lexicon import NAMES, OBJECTS, ROOMS

STORY = {
    "train": {
        "go": "{n} went to the {p}.",
        "take": "{n} took the {x} along.",
        "drop": "{n} put the {x} down.",
        "who": "Where is {n}?",
        "what": "Where is the {x}?",
        "before": "Where was {n} before the {p}?",
    },
    "validation": {
        "go": "{n} moved to the {p}.",
        "take": "{n} picked up the {x}.",
        "drop": "{n} left the {x} there.",
        "who": "In which place is {n} now?",
        "what": "In which place is the {x} now?",
        "before": "In which place was {n} before being in the {p}?",
    },
    "test": {
        "go": "{n} walked into the {p}.",
        "take": "{n} grabbed the {x}.",
        "drop": "{n} dropped the {x}.",
        "who": "At the end, where can we find {n}?",
        "what": "At the end, where can we find the {x}?",
        "before": "Where could we find {n} just before the {p}?",
    },
}
CHOICES = 4

Event = tuple[str, str, str]
"""What happened (a key of STORY), to whom, and the place or the thing."""


def _events(random: random.Random, split: str, level: int) -> tuple[list[Event], str]:
    """Return what happens, in order, and the thing in it: two people, four places, each person in two of them."""
    people, places = random.sample(NAMES[split], 2), random.sample(ROOMS[split], CHOICES)
    thing = random.choice(OBJECTS[split])
    moves = [("go", person, place) for person, place in zip(people * 2, places, strict=True)]
    random.shuffle(moves)
    events: list[Event] = list(moves)
    if level == 2:
        taken = random.randrange(1, CHOICES)
        person = moves[taken - 1][1]
        events.insert(taken, ("take", person, thing))
        if random.random() < 0.5:
            events.insert(random.randrange(taken + 1, len(events) + 1), ("drop", person, thing))
    return events, thing


def _told(event: Event, split: str) -> str:
    verb, person, other = event
    return STORY[split][verb].format(n=person, p=other, x=other)


def make_where_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return four rows: one story, its places exchanged in turn, so that each place is the right one once."""
    events, thing = _events(random, split, level)
    person = random.choice(events)[1]
    asked: Event = ("what", person, thing) if level == 2 else ("who", person, "")
    if level == 3:
        asked = ("before", person, _been(events)[person][-1])
    places = [place for verb, _, place in events if verb == "go"]
    rows: list[Row] = []
    for turn in range(CHOICES):
        moved = dict(zip(places, places[turn:] + places[:turn], strict=True))
        *story, question = [(verb, who, moved.get(other, other)) for verb, who, other in [*events, asked]]
        choices = random.sample(places, CHOICES)
        prompt = " ".join(_told(event, split) for event in [*story, question])
        rows.append({"prompt": prompt, "choices": choices, "label": choices.index(_answer(story, question))})
    return rows


def _been(events: list[Event]) -> dict[str, list[str]]:
    """Return the places of each person, in order."""
    been: dict[str, list[str]] = {}
    for verb, person, place in events:
        if verb == "go":
            been.setdefault(person, []).append(place)
    return been


def _answer(events: list[Event], asked: Event) -> str:
    """Return the place that is asked for."""
    verb, person, thing = asked
    if verb != "what":
        return _been(events)[person][-1 if verb == "who" else -2]
    place = ""
    for index, (happened, who, what) in enumerate(events):
        if what == thing and happened == "take":
            place = _been(events)[who][-1]
        if what == thing and happened == "drop":
            place = _been(events[:index])[who][-1]
    return place


_KNOWN = frozenset(word.lower() for bank in (NAMES, OBJECTS, ROOMS) for word in every(bank))


def _event_of(line: str) -> Event:
    for spoken in STORY.values():
        for verb in ("go", "take", "drop", "before", "what", "who"):
            for _, slots in read_back((spoken[verb],), line):
                if all(word in _KNOWN for word in slots.values()):
                    return verb, slots.get("n", ""), slots.get("p", slots.get("x", ""))
    raise ValueError(f"no known sentence: {line!r}")


def solve_where(row: Row) -> int:
    """Return the index of the right choice out of prompt and choices alone."""
    lines = re.findall(r"[^.?]+[.?]", row["prompt"])
    *events, asked = [_event_of(line.strip()) for line in lines]
    return int(row["choices"].index(_answer(events, asked)))


DEVICES = ("fan", "heater", "lamp", "radio")
SWITCHES = {
    "train": {
        # both states have as many letters, or the length of a text would tell how many devices start on
        "on": "At first the {d} is running.",
        "off": "At first the {d} is stopped.",
        "press": "{n} presses the switch of the {d}.",
        "all": "{n} presses every switch.",
    },
    "validation": {
        "on": "In the beginning the {d} works.",
        "off": "In the beginning the {d} rests.",
        "press": "{n} hits the button of the {d}.",
        "all": "{n} hits all of the buttons.",
    },
    "test": {
        "on": "To start with, the {d} is active.",
        "off": "To start with, the {d} is asleep.",
        "press": "{n} flips the lever of the {d}.",
        "all": "{n} flips each lever there is.",
    },
}


PRESSES = {1: (0, 1), 2: (0, 1, 1, 2), 3: (0, 1, 2, 3)}
"""How often a device is pressed: as often an odd as an even number of times, or the starting state would tell much."""


def make_switch_group(random: random.Random, split: str, level: int) -> list[Row]:
    """Return two rows: the same presses from opposite starting states."""
    spoken, names = SWITCHES[split], NAMES[split]
    counts = {device: random.choice(PRESSES[level]) for device in DEVICES}
    at_once = int(level == 3 and random.random() < 0.5)
    pressed = [device for device, count in counts.items() for _ in range(count)]
    presses = [spoken["press"].format(n=random.choice(names), d=device) for device in pressed]
    presses += [spoken["all"].format(n=random.choice(names))] * at_once
    random.shuffle(presses)
    order = random.sample(DEVICES, len(DEVICES))
    start = {device: random.randrange(2) for device in DEVICES}
    rows: list[Row] = []
    for flip in (0, 1):
        lines = [spoken["on" if start[device] ^ flip else "off"].format(d=device) for device in order]
        on = [device for device in DEVICES if (start[device] + flip + counts[device] + at_once) % 2]
        rows.append({"text": " ".join(lines + presses), "pair": None, "labels": on})
    return rows


def solve_switches(row: Row) -> list[str]:
    """Return the devices that are on at the end, out of the text alone; possibly none."""
    on: set[str] = set()
    for line in re.findall(r"[^.]+\.", row["text"]):
        for spoken in SWITCHES.values():
            for verb, template in spoken.items():
                for _, slots in read_back((template,), line.strip()):
                    change = {"on": {slots.get("d", "")}, "press": {slots.get("d", "")}, "all": set(DEVICES)}
                    on ^= change.get(verb, set())
    return sorted(on)


GENERATORS = (
    Generator(
        name="where_is",
        kind="multiple_choice",
        labels=(),
        levels=(1, 2, 3),
        description=(
            "Who or what is where at the end of a story? 1: two people who move; 2: a thing that is carried and "
            "perhaps put down; 3: where somebody was before."
        ),
        solve=solve_where,
        make_group=make_where_group,
        templates={split: tuple(spoken.values()) for split, spoken in STORY.items()},
    ),
    Generator(
        name="switches",
        kind="multilabel",
        labels=DEVICES,
        levels=(1, 2, 3),
        description=(
            "Which devices are on at the end? Each press turns a device on or off. 1: at most one press a device; "
            "2: at most two; 3: at most three, and sometimes all switches at once."
        ),
        solve=solve_switches,
        make_group=make_switch_group,
        templates={split: tuple(spoken.values()) for split, spoken in SWITCHES.items()},
        shared_words=frozenset(DEVICES),
    ),
)
