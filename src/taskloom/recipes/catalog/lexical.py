"""How two words are related: five sets whose codes differ, under one vocabulary of relations.

The spelling of the codes was recorded and no row was seen: a code that is not listed is an error, never another class.
The sets do not agree on which of the two words is the part or the kind, and without rows it cannot be told for each:
version 2 names those relations without a direction.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING
from taskloom.recipes.recipe import Classification, Defect, Hub, Splits, Task

_SETS = (  # config, names, validation file, defect
    (
        "CogALexV",
        {"ANT": "antonym", "HYPER": "hypernym", "PART_OF": "part and whole", "RANDOM": "unrelated", "SYN": "synonym"},
        False, None,
    ),
    (
        "K&H+N",
        {"false": "unrelated", "hypo": "kind and class", "mero": "part and whole", "sibl": "coordinate"},
        True, None,
    ),
    ("ROOT09", {"COORD": "coordinate", "HYPER": "hypernym", "RANDOM": "unrelated"}, True, None),
    (
        "BLESS",
        {"attri": "attribute", "coord": "coordinate", "event": "event", "hyper": "hypernym", "mero": "part and whole",
         "random": "unrelated"},
        True, None,
    ),
    (
        "EVALution",
        {"Antonym": "antonym", "HasA": "has a", "HasProperty": "attribute", "IsA": "hypernym", "MadeOf": "made of",
         "PartOf": "part and whole", "Synonym": "synonym"},
        True, Defect("unsound", "many of the source's relations are wrong; 31% doubted"),
    ),
)  # fmt: skip

TASKS = tuple(
    Task(
        id=f"lexical_relation_classification/{config}", version=1 if config == "ROOT09" else 2,
        source=Hub(
            "relbert/lexical_relation_classification", config,
            files=tuple((split, f"dataset/{config}/{split}.jsonl") for split in ("train", "val", "test")
                        if split != "val" or validated),
        ),
        kind=Classification(text="head", pair="tail", label="relation", names=names),
        splits=Splits(train="train", validation="val" if validated else None, test="test"), defect=defect,
        question="How are the two words related?",
        family="other", license="other", license_use="non-commercial", citation="ushio2021relbert", rests_on=MAPPING,
    )
    for config, names, validated, defect in _SETS
)  # fmt: skip
