"""GLUE, SuperGLUE and AdvGLUE: the classification tasks (stsb is in `scores`, copa in `commonsense`).

The test labels of GLUE and SuperGLUE are hidden, mrpc's excepted, so no test split is declared: training takes train,
and validation is the only held-out part. Every field that is needed to decide stands in the text, also where the 2022
collection left it out (the sentence of qnli, the passage of boolq, paragraph and answer of multirc).
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import HUB_PAGE
from taskloom.recipes.expressions import Function, Template
from taskloom.recipes.recipe import Classification, Hub, Splits, Task

THREE_WAY = {"entailment": "entailment", "neutral": "neutral", "contradiction": "contradiction"}
"""Names of three-way inference, in the order of the zero-shot export."""

TWO_WAY = {"entailment": "entailment", "not_entailment": "not_entailment"}
"""Names of two-way inference."""

THREE_WAY_QUESTION = "Does the second text follow from the first, contradict it, or is neither the case?"
TWO_WAY_QUESTION = "Does the second text follow from the first?"

_SENTIMENT = {"negative": "negative", "positive": "positive"}
_DUPLICATE = {"not_duplicate": "not_duplicate", "duplicate": "duplicate"}
_ADVERSARIAL = (  # config, text, pair, names, question, family
    ("sst2", "sentence", None, _SENTIMENT, "Is the sentiment negative or positive?", "sentiment"),
    ("qqp", "question1", "question2", _DUPLICATE, "Do the two questions ask the same thing?", "paraphrase"),
    ("mnli", "premise", "hypothesis", THREE_WAY, THREE_WAY_QUESTION, "nli"),
    ("mnli_mismatched", "premise", "hypothesis", THREE_WAY, THREE_WAY_QUESTION, "nli"),
    ("qnli", "question", "sentence", TWO_WAY, "Does the sentence contain the answer to the question?", "nli"),
    ("rte", "sentence1", "sentence2", TWO_WAY, TWO_WAY_QUESTION, "nli"),
)

TASKS = (
    Task(
        id="glue/cola", source=Hub("nyu-mll/glue", "cola"),
        kind=Classification(
            text="sentence", label="label", names={"unacceptable": "unacceptable", "acceptable": "acceptable"}
        ),
        splits=Splits(train="train", validation="validation"), head="grammar",
        question="Is the sentence acceptable English?",
        family="probing", license="other", citation="warstadt2019cola",
    ),
    Task(
        id="glue/sst2", source=Hub("nyu-mll/glue", "sst2"),
        kind=Classification(text="sentence", label="label", names=_SENTIMENT),
        splits=Splits(train="train", validation="validation"),
        question="Is the sentiment negative or positive?",
        family="sentiment", license="other", citation="socher2013sst",
    ),
    Task(
        id="glue/mrpc", source=Hub("nyu-mll/glue", "mrpc"),
        kind=Classification(
            text="sentence1", pair="sentence2", label="label",
            names={"not_equivalent": "not_equivalent", "equivalent": "equivalent"},
        ),
        splits=Splits(train="train", validation="validation", test="test"),
        question="Do the two sentences mean the same?",
        family="paraphrase", license="other", citation="dolan2005mrpc",
    ),
    Task(
        id="glue/qqp", source=Hub("nyu-mll/glue", "qqp"),
        kind=Classification(text="question1", pair="question2", label="label", names=_DUPLICATE),
        splits=Splits(train="train", validation="validation"),
        question="Do the two questions ask the same thing?",
        family="paraphrase", license="other", citation="iyer2017qqp",
    ),
    Task(
        id="glue/mnli", source=Hub("nyu-mll/glue", "mnli"),
        kind=Classification(text="premise", pair="hypothesis", label="label", names=THREE_WAY),
        splits=Splits(train="train", validation="validation_matched", test="validation_mismatched"),
        question=THREE_WAY_QUESTION,
        family="nli", license="other", citation="williams2018mnli",
    ),
    Task(
        id="glue/qnli", source=Hub("nyu-mll/glue", "qnli"),
        kind=Classification(text="question", pair="sentence", label="label", names=TWO_WAY),
        splits=Splits(train="train", validation="validation"),
        question="Does the sentence contain the answer to the question?",
        family="nli", license="other", citation="wang2018glue",
    ),
    Task(
        id="glue/rte", source=Hub("nyu-mll/glue", "rte"),
        kind=Classification(text="sentence1", pair="sentence2", label="label", names=TWO_WAY),
        splits=Splits(train="train", validation="validation"),
        question=TWO_WAY_QUESTION,
        family="nli", license="other", citation="dagan2006rte",
    ),
    Task(
        id="glue/wnli", source=Hub("nyu-mll/glue", "wnli"),
        kind=Classification(text="sentence1", pair="sentence2", label="label", names=TWO_WAY),
        splits=Splits(train="train", validation="validation"),
        question=TWO_WAY_QUESTION,
        family="nli", license="other", citation="levesque2012wsc",
    ),
    Task(
        id="super_glue/boolq", source=Hub("aps/super_glue", "boolq"),
        kind=Classification(text="passage", pair="question", label="label", names={"False": "no", "True": "yes"}),
        splits=Splits(train="train", validation="validation"), head="answer to a question about a passage",
        question="Is the answer to the question yes, according to the passage?",
        family="reading", license="other", citation="clark2019boolq",
    ),
    Task(
        id="super_glue/cb", source=Hub("aps/super_glue", "cb"),
        kind=Classification(text="premise", pair="hypothesis", label="label", names=THREE_WAY),
        splits=Splits(train="train", validation="validation"),
        question=THREE_WAY_QUESTION,
        family="nli", license="other", citation="demarneffe2019cb",
    ),
    Task(
        id="super_glue/multirc", source=Hub("aps/super_glue", "multirc"),
        kind=Classification(
            text=Template("{paragraph}\n{question}"), pair="answer", label="label",
            names={"False": "incorrect answer", "True": "correct answer"},
        ),
        splits=Splits(train="train", validation="validation"),
        question="Is the given answer correct?",
        family="reading", license="other", citation="khashabi2018multirc",
    ),
    Task(
        id="super_glue/wic", source=Hub("aps/super_glue", "wic"),
        kind=Classification(
            text=Template("Word: {word}\n{sentence1}"), pair="sentence2", label="label",
            names={"False": "different meaning", "True": "same meaning"},
        ),
        splits=Splits(train="train", validation="validation"),
        question="Is the word used in the same sense in both texts?",
        family="probing", license="other", citation="pilehvar2019wic",
    ),
    Task(
        id="super_glue/wsc", version=2, source=Hub("aps/super_glue", "wsc"),  # 2: the pronoun is marked in the text
        kind=Classification(
            text=Function("marked_place", ("text", "span2_text", "span2_index")),
            pair=Template("\"*{span2_text}*\" refers to \"{span1_text}\"."), label="label",
            names={"False": "different referent", "True": "same referent"},
        ),
        splits=Splits(train="train", validation="validation"),
        question="Does the pronoun refer to the named person or thing?",
        family="probing", license="other", citation="levesque2012wsc",
    ),
    Task(
        id="super_glue/axg", role="evaluation", source=Hub("aps/super_glue", "axg"),
        kind=Classification(text="premise", pair="hypothesis", label="label", names=TWO_WAY),
        splits=Splits(test="test"),
        question=TWO_WAY_QUESTION,
        family="nli", license="other", citation="rudinger2018winogender",
    ),
    Task(
        id="glue_diagnostics/diagnostics", role="evaluation", source=Hub("pietrolesci/glue_diagnostics"),
        kind=Classification(text="premise", pair="hypothesis", label="label", names=THREE_WAY),
        splits=Splits(test="test"), question=THREE_WAY_QUESTION,
        family="nli", license_use="commercial", citation="wang2018glue", rests_on=HUB_PAGE,
    ),
    *(
        Task(
            id=f"adv_glue/adv_{config}", role="evaluation", source=Hub("AI-Secure/adv_glue", f"adv_{config}"),
            kind=Classification(text=text, pair=pair, label="label", names=names),
            splits=Splits(validation="validation"), question=question,
            family=family, license="cc-by-sa-4.0", license_use="commercial", citation="wang2021advglue",
        )
        for config, text, pair, names, question, family in _ADVERSARIAL
    ),
)  # fmt: skip
