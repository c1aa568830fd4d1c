"""Beyond the 420: questions about passages, gaps in texts, exams, analogies and tables.

Everything needed stands before the question; where tasksource asks without it, it is put back (the hints of ScienceQA).
CLOTH and DGen list the right word apart from the wrong ones: its place is drawn.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import HUB_PAGE, LISTED
from taskloom.recipes.expressions import Constant, Function, IndexIn, Lines, Listed, Nested, Shuffled
from taskloom.recipes.recipe import Hub, MultipleChoice, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_KEYED = IndexIn("answerKey", Nested("choices", "label"))
_READY = MultipleChoice(prompt="inputs", choices="choices_list", label="labels")
"""The columns of sets that tasksource has already brought into this form."""
_GAPS = (  # id, citation, question
    ("cloth", "xie2018cloth", "Which word did the teacher take out of the sentence?"),
    ("dgen", "ren2021dgen", "Which term fits the gap in the science question?"),
)
_BOOKS = (("ne", "name"), ("cn", "common noun"))

TASKS = (
    Task(
        id="reclor", source=Hub("tasksource/reclor"),
        kind=MultipleChoice(prompt=Lines("context", "question"), choices="answers", label="label"),
        splits=Splits(train="train", validation="validation"),  # the labels of the test split are hidden
        question="Which answer follows from the argument?",
        family="reading", license="other", citation="yu2020reclor", rests_on=LISTED,
    ),
    Task(
        id="race-c", source=Hub("tasksource/race-c"), splits=_ALL,
        kind=MultipleChoice(prompt=Lines("article", "question"), choices="option", label="label"),
        question="Which answer fits the text? (college exams)",
        family="reading", license_use="non-commercial", citation="liang2019racec", rests_on=LISTED,
    ),
    Task(
        id="mcscript2", source=Hub("tasksource/mcscript2"), splits=_ALL, kind=_READY,
        question="Which answer fits the story and what everyone knows about such events?",
        family="reading", citation="ostermann2019mcscript2", rests_on=LISTED,
    ),
    *(
        Task(
            id=f"cbt/{part}", source=Hub("cam-cst/cbt", part.upper()), splits=_ALL,
            kind=MultipleChoice(
                prompt=Function("lines_then_question", ("sentences", "question")), choices="options",
                label=IndexIn("answer", "options"),
            ),
            question=f"Which {word} belongs where the last sentence says XXXXX?",
            family="reading", citation="hill2016goldilocks", rests_on=LISTED,
        )
        for part, word in _BOOKS
    ),
    *(
        Task(
            id=name, source=Hub(f"AndyChiang/{name}"), splits=_ALL, question=question,
            kind=MultipleChoice(
                prompt="sentence", choices=Shuffled(Function("answer_first", ("answer", "distractors"))),
                label=Constant(0),
            ),
            family="reading", license="mit", license_use="commercial", citation=citation, rests_on=LISTED,
        )
        for name, citation, question in _GAPS
    ),
    Task(
        id="spartqa-mchoice", source=Hub("tasksource/spartqa-mchoice"), splits=_ALL,
        kind=MultipleChoice(prompt=Lines("story", "question"), choices="candidate_answers", label="answer"),
        question="Which answer fits where things stand in the story?",
        family="reading", license="mit", license_use="commercial", citation="mirzaee2021spartqa", rests_on=LISTED,
    ),
    Task(
        id="ScienceQA_text_only", source=Hub("tasksource/ScienceQA_text_only"), splits=_ALL,
        kind=MultipleChoice(prompt=Lines("hint", "question"), choices="choices", label="answer"),
        question="Which answer to the school question is right?",
        family="science", citation="lu2022scienceqa", rests_on=HUB_PAGE,
    ),
    Task(
        id="head_qa/en", source=Hub("EleutherAI/headqa", "en"), splits=_ALL,
        kind=MultipleChoice(
            prompt="qtext", choices=Nested("answers", "atext"), label=IndexIn("ra", Nested("answers", "aid"))
        ),
        question="Which answer to the medical exam question is right?",
        family="science", license="mit", license_use="commercial", citation="vilares2019headqa", rests_on=LISTED,
    ),
    Task(
        id="wikimedqa/medwiki", source=Hub("sileod/wikimedqa", "medwiki"), splits=_ALL,
        kind=MultipleChoice(
            prompt="text", choices=Listed(*(f"option_{place}" for place in range(8))), label="label"
        ),
        question="Which medical term is the text about?",
        family="science", license="apache-2.0", license_use="commercial", citation="sileo2024wikimedqa",
        rests_on=LISTED,
    ),
    Task(
        id="ekar_english", source=Hub("Jiangjie/ekar_english"), splits=_ALL,
        kind=MultipleChoice(prompt="question", choices=Nested("choices", "text"), label=_KEYED),
        question="Which words are related to each other as the given ones are?",
        family="probing", license="afl-3.0", license_use="non-commercial", citation="chen2022ekar", rests_on=LISTED,
    ),
    Task(
        id="tabmwp", source=Hub("tasksource/tabmwp"), splits=_ALL, kind=_READY,
        question="Which answer follows from the table?",
        family="math", license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="lu2023tabmwp",
        rests_on=LISTED,
    ),
)  # fmt: skip
