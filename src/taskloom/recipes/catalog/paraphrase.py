"""Paraphrases: do two texts mean the same? mrpc and qqp are in `glue`.

None of these sets is in the small mirror: the recipes follow the recorded schemas. The PAWS classes are called 0 and 1
and those of PiC negative and positive in the source; they are spelled out here, so that no head is shared by accident.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING
from taskloom.recipes.expressions import Template
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Splits, Task

_SILVER = Defect("unsound", "silver labels from a heuristic; the human-labelled set is kept")
_PAWS = (
    ("labeled_final", Splits(train="train", validation="validation", test="test"), None),
    ("labeled_swap", Splits(train="train", validation=Held(0.1)), None),
    ("unlabeled_final", Splits(train="train", validation="validation"), _SILVER),
)

TASKS = (
    *(
        Task(
            id=f"paws/{config}", source=Hub("google-research-datasets/paws", config), splits=splits, defect=defect,
            kind=Classification(
                text="sentence1", pair="sentence2", label="label", names={"0": "not_paraphrase", "1": "paraphrase"}
            ),
            question="Do the two sentences mean the same?",
            family="paraphrase", license="other", citation="zhang2019paws",
        )
        for config, splits, defect in _PAWS
    ),
    Task(
        id="medical_questions_pairs", source=Hub("curaihealth/medical_questions_pairs"),
        kind=Classification(
            text="question_1", pair="question_2", label="label",
            names={"0": "different questions", "1": "similar questions"},
        ),
        splits=Splits(train="train", validation=Held(0.1, by="question_1")),
        question="Do the two medical questions mean the same?",
        family="paraphrase", citation="mccreery2020medical",
    ),
    Task(
        id="phrase_similarity", source=Hub("Deehan1866/processed_phrase_similarity"),
        kind=Classification(
            text=Template("Phrase: {phrase1}\n{sentence1}"), pair=Template("Phrase: {phrase2}\n{sentence2}"),
            label="label", names={"negative": "different meaning", "positive": "same meaning"},
        ),
        splits=Splits(train="train", validation="validation", test="test"),
        question="Do the two phrases mean the same in their sentences?",
        family="paraphrase", license="cc-by-nc-4.0", license_use="non-commercial", citation="pham2023pic",
        rests_on=MAPPING,
    ),
    Task(
        id="hlgd", source=Hub("tasksource/hlgd"),
        kind=Classification(
            text="headline_a", pair="headline_b", label="label",
            names={"different_event": "different event", "same_event": "same event"},
        ),
        splits=Splits(train="train", validation="validation", test="test"),
        defect=Defect("unsound", "groups are long story lines, so that 'same event' is too loose"),
        question="Do the two headlines report the same event?",
        family="paraphrase", license="apache-2.0", license_use="commercial", citation="laban2021hlgd",
    ),
)  # fmt: skip
