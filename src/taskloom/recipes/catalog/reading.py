"""Questions about a text, dialogue or process that stands in the prompt, before the question.

Long texts are cut at their beginning by the store, never the question. WikiHop's documents are far longer than any
batch allows: its rows show the last documents only.
"""

from __future__ import annotations

from taskloom.recipes.expressions import Code, Constant, Function, IndexIn, Lines, Listed, Nested, Shuffled
from taskloom.recipes.recipe import Held, Hub, MultipleChoice, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_QUESTION = "Which answer fits the text?"

TASKS = (
    Task(
        id="race/middle", source=Hub("ehovy/race", "middle"),
        kind=MultipleChoice(
            prompt=Lines("article", "question"), choices="options",
            label=Code("answer", {"A": 0, "B": 1, "C": 2, "D": 3}),
        ),
        splits=_ALL, question=_QUESTION, family="reading", license="other", citation="lai2017race",
    ),
    Task(
        id="quail", source=Hub("textmachinelab/quail"),
        kind=MultipleChoice(prompt=Lines("context", "question"), choices="answers", label="correct_answer_id"),
        splits=Splits(train="train", validation="validation", test="challenge"), question=_QUESTION,
        family="reading", license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="rogers2020quail",
    ),
    Task(
        id="recam", source=Hub("holylovenia/recam"),
        kind=MultipleChoice(
            prompt=Lines("article", "question"), label="label",
            choices=Listed("option_0", "option_1", "option_2", "option_3", "option_4"),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which word fits the @placeholder in the summary?",
        family="reading", citation="zheng2021recam",
    ),
    Task(
        id="onestop_qa", source=Hub("malmaud/onestop_qa"),
        kind=MultipleChoice(prompt=Lines("paragraph", "question"), choices=Shuffled("answers"), label=Constant(0)),
        splits=Splits(train="train", validation=Held(0.1, by="title")), question=_QUESTION,
        family="reading", license="cc-by-sa-4.0", license_use="commercial", citation="berzak2020starc",
    ),
    Task(
        id="dream", source=Hub("dataset-org/dream", None, "refs/convert/parquet"),
        kind=MultipleChoice(
            prompt=Function("lines_then_question", ("dialogue", "question")), choices="choice",
            label=IndexIn("answer", "choice"),
        ),
        splits=_ALL, question="Which answer fits the dialogue?", family="reading", citation="sun2019dream",
    ),
    Task(
        id="wiqa", source=Hub("allenai/wiqa", None, "refs/convert/parquet"),
        kind=MultipleChoice(
            prompt=Function("lines_then_question", ("question_para_step", "question_stem")),
            choices=Nested("choices", "text"), label=IndexIn("answer_label_as_choice", Nested("choices", "label")),
        ),
        splits=_ALL, question="What does the change do to the outcome of the process?",
        family="reading", citation="tandon2019wiqa",
    ),
    Task(
        id="wiki_hop", source=Hub("MoE-UNC/wikihop", "default"),
        kind=MultipleChoice(
            prompt=Function("documents_then_query", ("supports", "query")), choices="candidates",
            label=IndexIn("answer", "candidates"),
        ),
        splits=Splits(train="train", validation="validation"),
        question="Which candidate answers the query, going by the documents?",
        family="reading", license="cc-by-sa-3.0", license_use="commercial", citation="welbl2018wikihop",
    ),
    Task(
        id="lex_glue/case_hold", source=Hub("coastalcph/lex_glue", "case_hold"),
        kind=MultipleChoice(prompt="context", choices="endings", label="label"), splits=_ALL,
        question="Which holding fits the place marked <HOLDING> in the citing passage?",
        family="reading", license="cc-by-4.0", license_use="commercial", citation="zheng2021casehold",
    ),
)  # fmt: skip
