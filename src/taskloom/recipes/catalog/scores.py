"""Scores on a scale, in the source's units, the comparison made from one of them, and two multilabel sets.

The other multilabel sets stand with their subject: go_emotions in `sentiment`, SemEval-2018 in `tweets`, ETHOS and the
unfair terms of `lex_glue` in `topic`.
"""

from __future__ import annotations

from taskloom.recipes.catalog.eurovoc import FIRST_ID, MICROTHESAURI
from taskloom.recipes.expressions import Function
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Multilabel, Regression, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_AFFECT = (
    ("EI-reg-anger", "How much anger does the tweet show, from 0 to 1?"),
    ("EI-reg-fear", "How much fear does the tweet show, from 0 to 1?"),
    ("EI-reg-joy", "How much joy does the tweet show, from 0 to 1?"),
    ("EI-reg-sadness", "How much sadness does the tweet show, from 0 to 1?"),
    ("V-reg", "How positive is the tweet's author, from 0 (very negative) to 1 (very positive)?"),
)

TASKS = (
    Task(
        id="glue/stsb", source=Hub("nyu-mll/glue", "stsb"),
        kind=Regression(text="sentence1", pair="sentence2", score="label", low=0.0, high=5.0),
        splits=Splits(train="train", validation="validation"),
        question="How similar in meaning are the two sentences, from 0 to 5?",
        family="paraphrase", license="other", citation="cer2017stsb",
    ),
    Task(
        id="sick/relatedness", source=Hub("tasksource/sick"),
        kind=Regression(text="sentence_A", pair="sentence_B", score="relatedness_score", low=1.0, high=5.0),
        splits=_ALL, question="How closely related in meaning are the two sentences, from 1 to 5?",
        family="paraphrase", license="cc-by-nc-sa-3.0", license_use="non-commercial", citation="marelli2014sick",
    ),
    Task(
        id="google_wellformed_query", source=Hub("tasksource/google_wellformed_query"),
        kind=Regression(text="content", score="rating", low=0.0, high=1.0),
        splits=_ALL, question="What share of raters would call this query a well-formed question?",
        family="probing", license="cc-by-sa-4.0", license_use="commercial", citation="faruqui2018identifying",
    ),
    Task(
        id="humicroedit/subtask-1", source=Hub("tasksource/humicroedit", "subtask-1"),
        kind=Regression(text="headline", pair="edited", score="meanGrade", low=0.0, high=3.0),
        splits=_ALL, question="How funny is the edited headline, from 0 to 3?",
        family="other", citation="hossain2020semeval",
    ),
    Task(
        id="humicroedit/subtask-2", source=Hub("tasksource/humicroedit", "subtask-2"),
        kind=Classification(
            text=Function("edited", ("original1", "edit1")), pair=Function("edited", ("original2", "edit2")),
            label="label",
            names={"equal": "equally funny", "sentence1": "first is funnier", "sentence2": "second is funnier"},
        ),
        splits=_ALL, question="Which edited headline is funnier?", family="other", citation="hossain2020semeval",
    ),
    Task(
        id="has_part", source=Hub("has_part"),
        kind=Regression(text="arg1", pair="arg2", score="score", low=0.0, high=1.0),
        splits=Splits(train="train", validation=Held(0.1, by="arg1")),
        defect=Defect("unsound", "scores are a model's confidences, nearly all above 0.99"),
        question="How sure is it that the second thing is a part of the first?",
        family="commonsense", citation="bhakthavatsalam2020dogs",
    ),
    *(
        Task(
            id=f"semeval2018_affect/{config}", version=2, source=Hub("cbaziotis/semeval2018_affect", config),
            kind=Regression(
                text=Function("unescaped", ("Tweet",)), score="Intensity Score", low=0.0, high=1.0
            ),
            splits=_ALL, question=question,
            family="emotion", citation="mohammad2018semeval",
        )
        for config, question in _AFFECT
    ),
    Task(
        id="semeval2018_ec_multilabel", source=Hub("cbaziotis/semeval2018_ec_multilabel"),
        kind=Multilabel(text="text", labels="labels"), splits=_ALL,
        defect=Defect("duplicate", "the tweets of sem_eval_2018_task_1/subtask5.english"),
        question="Which emotions does the tweet express?",
        family="emotion", citation="mohammad2018semeval",
    ),
    Task(
        id="lex_glue/eurlex", source=Hub("coastalcph/lex_glue", "eurlex"),
        kind=Multilabel(
            text="text", labels="labels",
            names={str(FIRST_ID + place): name for place, name in enumerate(MICROTHESAURI)},
        ),
        splits=_ALL, question="Which EuroVoc subjects does the EU law deal with?",
        family="topic", license="cc-by-4.0", license_use="commercial", citation="chalkidis2021multieurlex",
    ),
)  # fmt: skip
