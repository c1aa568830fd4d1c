"""Sets of the 420 that are out of training for a reason, and mostly out of the hub: kept so that each id says why.

Asked for by id they are read from where they were, or from a mirror folder. Where nobody recorded the label names, the
source's own are taken, and a source without names is an error.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import GONE
from taskloom.recipes.expressions import Function
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_UPLOAD = Defect("unavailable", "an undocumented upload that is no longer on the hub")
_PROMPTS = (  # name, family, question; the labels of none were documented
    ("Sentiment", "sentiment", "Which sentiment does the text express?"),
    ("Spoke", "other", "Is the text spoken or written language?"),
    ("Proficiency", "other", "How proficient is the writer?"),
    ("Grammar", "probing", "Is the text grammatical?"),
    ("Coherence", "discourse", "Is the text coherent?"),
)
_NEWS = (  # config, splits, reason, question
    (
        "byarticle",
        Splits(train="train", validation=Held(0.1)),
        "another copy of the article-level set",
        "Is the article blindly one-sided (hyperpartisan)?",
    ),
    (
        "bypublisher",
        Splits(train="train", validation="validation"),
        "covered by the article-level set; its labels belong to publishers, not to articles",
        "Does the article come from a hyperpartisan publisher?",
    ),
)
_NLI_QUESTION = "Does the second text follow from the first, contradict it, or is neither the case?"

TASKS = (
    Task(
        id="enfever_nli", source=Hub("ctu-aic/enfever_nli"), splits=_ALL,
        kind=Classification(text="evidence", pair="claim", label="label"),
        defect=Defect("duplicate", "overlaps with the other sets made from FEVER"),
        question=_NLI_QUESTION, family="nli", rests_on=GONE,
    ),
    Task(
        id="contrast_nli", source=Hub("martn-nguyen/contrast_nli"), splits=_ALL,
        kind=Classification(text="premise", pair="hypothesis", label="label"),
        defect=Defect("unavailable", "undocumented, and gone from the hub since May 2024"),
        question=_NLI_QUESTION, family="nli", rests_on=GONE,
    ),
    Task(
        id="quora", source=Hub("quora-competitions/quora"), splits=Splits(train="train", validation=Held(0.1)),
        kind=Classification(
            text=Function("first_question", ("questions",)), pair=Function("second_question", ("questions",)),
            label="is_duplicate", names={"False": "not_equivalent", "True": "equivalent"},
        ),
        defect=Defect("duplicate", "the questions of glue/qqp, its validation and test rows among them"),
        question="Do the two questions ask the same thing?", family="paraphrase", citation="iyer2017qqp",
    ),
    *(
        Task(
            id=f"hyperpartisan_news_detection/{config}", source=Hub("hyperpartisan_news_detection", config),
            kind=Classification(
                text="title", pair="text", label="hyperpartisan",
                names={"False": "not hyperpartisan", "True": "hyperpartisan"},
            ),
            splits=splits, defect=Defect("duplicate", reason), question=question, head=f"hyperpartisan/{config}",
            family="topic", license="cc-by-4.0", license_use="commercial", citation="kiesel2019semeval",
        )
        for config, splits, reason, question in _NEWS
    ),
    Task(
        id="code_x_glue_cc_clone_detection_big_clone_bench",
        source=Hub("google/code_x_glue_cc_clone_detection_big_clone_bench"), splits=_ALL,
        kind=Classification(
            text="func1", pair="func2", label="label", names={"False": "different function", "True": "same function"}
        ),
        defect=Defect("impractical", "1.7 million long rows, about 100 GB"),
        question="Do the two functions do the same?",
        family="code", license="c-uda", license_use="commercial", citation="lu2021codexglue",
    ),
    Task(
        id="EffectiveFeedbackStudentWriting", source=Hub("YaHi/EffectiveFeedbackStudentWriting"), splits=_ALL,
        kind=Classification(
            text="discourse_text", label="discourse_effectiveness",
            names={"Adequate": "adequate", "Effective": "effective", "Ineffective": "ineffective"},
        ),
        defect=Defect("unavailable", "discontinued; a successor, argument-feedback, adds the kind of element"),
        question="How effective is this element of the argument?", family="discourse", rests_on=GONE,
    ),
    *(
        Task(
            id=f"prompt{name}", source=Hub(f"Ericwang/prompt{name}"), splits=_ALL, defect=_UPLOAD,
            kind=Classification(text="text", label="label"), question=question, family=family,
            rests_on=GONE,
        )
        for name, family, question in _PROMPTS
    ),
    Task(
        id="promptNLI", source=Hub("Ericwang/promptNLI"), splits=_ALL, defect=_UPLOAD,
        kind=Classification(text="premise", pair="hypothesis", label="label"),
        question=_NLI_QUESTION, family="nli", rests_on=GONE,
    ),
)  # fmt: skip
