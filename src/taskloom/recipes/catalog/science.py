"""Exams: school science, medicine, arithmetic and logic, as multiple choice.

Answer keys are looked up in the row's own option labels wherever the source has them: ARC mixes letters and digits, and
some MathQA rows lack an option. Options written as one string are taken apart by a function, and their letters are left
out of the options. The passage, fact or paragraph that a question is about always stands before it.
"""

from __future__ import annotations

from taskloom.recipes.expressions import Code, Constant, Function, IndexIn, Lines, Listed, Nested, Shuffled
from taskloom.recipes.recipe import Defect, Hub, MultipleChoice, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_BY_LETTER = {"choices": Nested("choices", "text"), "label": IndexIn("answerKey", Nested("choices", "label"))}
_LSAT = MultipleChoice(prompt=Lines("context", "question"), choices="answers", label="label")
_LSAT_QUESTION = "Which answer follows from the passage?"
_AQUA = (("raw", None), ("tokenized", Defect("duplicate", "the questions of aqua_rat/raw with blanks between tokens")))

TASKS = (
    *(
        Task(
            id=f"ai2_arc/{config}/challenge", source=Hub("allenai/ai2_arc", config),
            kind=MultipleChoice(prompt="question", **_BY_LETTER), splits=_ALL,
            question="Which answer to the science question is right?",
            family="science", license="cc-by-sa-4.0", license_use="commercial", citation="clark2018arc",
        )
        for config in ("ARC-Easy", "ARC-Challenge")
    ),
    Task(
        id="openbookqa", source=Hub("allenai/openbookqa", "main"),
        kind=MultipleChoice(prompt="question_stem", **_BY_LETTER), splits=_ALL,
        question="Which answer to the science question is right?",
        family="science", citation="mihaylov2018openbookqa",
    ),
    Task(
        id="qasc", source=Hub("allenai/qasc"), kind=MultipleChoice(prompt="question", **_BY_LETTER),
        splits=Splits(train="train", validation="validation"),
        question="Which answer to the science question is right?",
        family="science", license="cc-by-4.0", license_use="commercial", citation="khot2020qasc",
    ),
    Task(
        id="quartz", source=Hub("allenai/quartz"), kind=MultipleChoice(prompt=Lines("para", "question"), **_BY_LETTER),
        splits=_ALL, question="Which answer follows from the paragraph?",
        family="science", license="cc-by-4.0", license_use="commercial", citation="tafjord2019quartz",
    ),
    Task(
        id="quarel", source=Hub("community-datasets/quarel"),
        kind=MultipleChoice(
            prompt=Function("stem", ("question",)), choices=Function("two_options", ("question",)), label="answer_index"
        ),
        splits=_ALL, question="Which option is right, going by how the quantities relate?",
        family="science", citation="tafjord2018quarel",
    ),
    Task(
        id="sciq", version=2, source=Hub("allenai/sciq"),  # 2: no empty first line where there is no support
        kind=MultipleChoice(
            prompt=Lines("support", "question"), label=Constant(0),
            choices=Shuffled(Listed("correct_answer", "distractor1", "distractor2", "distractor3")),
        ),
        splits=_ALL, question="Which answer to the science question is right?",
        family="science", license="cc-by-nc-3.0", license_use="non-commercial", citation="welbl2017sciq",
    ),
    Task(
        id="medmcqa", source=Hub("openlifescienceai/medmcqa"),
        kind=MultipleChoice(prompt="question", choices=Listed("opa", "opb", "opc", "opd"), label="cop"),
        splits=Splits(train="train", validation="validation"),
        question="Which answer to the medical question is right?",
        family="science", license="apache-2.0", license_use="commercial", citation="pal2022medmcqa",
    ),
    Task(
        id="MedQA-USMLE-4-options-hf", source=Hub("GBaker/MedQA-USMLE-4-options-hf"),
        kind=MultipleChoice(
            prompt="sent1", choices=Listed("ending0", "ending1", "ending2", "ending3"), label="label"
        ),
        splits=_ALL, question="Which answer to the medical question is right?",
        family="science", license="cc-by-sa-4.0", license_use="commercial", citation="jin2021medqa",
    ),
    *(
        Task(
            id=f"aqua_rat/{config}", source=Hub("deepmind/aqua_rat", config), splits=_ALL, defect=defect,
            kind=MultipleChoice(
                prompt="question", choices=Function("without_letters", ("options",)),
                label=Code("correct", {"A": 0, "B": 1, "C": 2, "D": 3, "E": 4}),
            ),
            question="Which answer to the arithmetic problem is right?",
            family="math", license="apache-2.0", license_use="commercial", citation="ling2017aqua",
        )
        for config, defect in _AQUA
    ),
    Task(
        id="math_qa", source=Hub("tasksource/math_qa"),
        kind=MultipleChoice(
            prompt="Problem", choices=Function("lettered_options", ("options",)),
            label=IndexIn("correct", Function("option_letters", ("options",))),
        ),
        splits=_ALL, question="Which answer to the arithmetic problem is right?",
        family="math", license="apache-2.0", license_use="commercial", citation="amini2019mathqa",
    ),
    Task(
        id="logiqa", source=Hub("fireworks-ai/logiqa"),
        kind=MultipleChoice(
            prompt=Lines("context", "question"), choices=Function("without_letters", ("options",)),
            label=Code("answer", {"A": 0, "B": 1, "C": 2, "D": 3}),
        ),
        splits=_ALL, question="Which option follows from the text?",
        family="reading", citation="liu2020logiqa",
    ),
    Task(
        id="logiqa2/logiqa2", source=Hub("baber/logiqa2", "logiqa2"),
        kind=MultipleChoice(prompt=Lines("text", "question"), choices="options", label="answer"),
        splits=_ALL, question="Which option follows from the text?",
        family="reading", license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="liu2023logiqa2",
    ),
    *(
        Task(
            id=f"lsat-{part}", source=Hub(f"tasksource/lsat-{part}"), kind=_LSAT, splits=_ALL, question=_LSAT_QUESTION,
            family="reading", citation="wang2022lsat",
        )
        for part in ("ar", "rc")
    ),
    Task(
        id="lsat_qa/all", source=Hub("lighteval/lsat_qa", "all"),
        kind=MultipleChoice(prompt=Lines("passage", "question"), choices="references", label="gold_index"),
        splits=_ALL, defect=Defect("duplicate", "holds every question of lsat-ar, split by split"),
        question=_LSAT_QUESTION, family="reading", citation="wang2022lsat",
    ),
)  # fmt: skip
