"""Tweets: TweetEval and the SemEval emotion set.

The stance sets say in each text what the stance is about: without the topic the five sets look alike and one text could
carry two labels. So they can share the head of against, favor and neither.
"""

from __future__ import annotations

from taskloom.recipes.expressions import Above, Function, Template
from taskloom.recipes.recipe import Classification, Hub, Multilabel, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_EMOTIONS = (
    "anger", "anticipation", "disgust", "fear", "joy", "love", "optimism", "pessimism", "sadness", "surprise", "trust",
)  # fmt: skip
_SINGLE = (  # config, family, names (None: the source's own), question, citation
    (
        "sentiment", "sentiment", {"negative": "negative", "neutral": "neutral", "positive": "positive"},
        "Is the tweet negative, neutral or positive?", "rosenthal2017semeval",
    ),
    (
        "emotion", "emotion", {"anger": "anger", "joy": "joy", "optimism": "optimism", "sadness": "sadness"},
        "Which emotion does the tweet express?", "mohammad2018affect",
    ),
    (
        "hate", "hate", {"non-hate": "not hate speech", "hate": "hate speech"},
        "Is the tweet hateful (towards women or immigrants)?", "basile2019hateval",
    ),
    (
        "offensive", "hate", {"non-offensive": "not offensive", "offensive": "offensive"},
        "Is the tweet offensive?", "zampieri2019offenseval",
    ),
    (
        "irony", "discourse", {"non_irony": "not ironic", "irony": "ironic"},
        "Is the tweet ironic?", "vanhee2018irony",
    ),
    (
        "emoji", "emotion", None,
        "Which emoji was attached to the tweet?", "barbieri2018emoji",
    ),
)  # fmt: skip
_TEXTS = {  # a twentieth of the emotion tweets write line breaks as \n; ironic test tweets kept #irony, which tells
    "emotion": Function("unescaped", ("text",)), "irony": Function("without_irony_tags", ("text",)),
}  # fmt: skip
_VERSIONS = {"emotion": 2, "irony": 2}
_STANCES = (  # config, topic
    ("abortion", "legalization of abortion"),
    ("atheism", "atheism"),
    ("climate", "climate change is a real concern"),
    ("feminist", "the feminist movement"),
    ("hillary", "Hillary Clinton"),
)

TASKS = (
    *(
        Task(
            id=f"tweet_eval/{config}", version=_VERSIONS.get(config, 1), source=Hub("cardiffnlp/tweet_eval", config),
            kind=Classification(text=_TEXTS.get(config, "text"), label="label", names=names), splits=_ALL,
            question=question, family=family, citation=citation,
        )
        for config, family, names, question, citation in _SINGLE
    ),
    *(
        Task(
            id=f"tweet_eval/stance_{config}", source=Hub("cardiffnlp/tweet_eval", f"stance_{config}"), splits=_ALL,
            kind=Classification(
                text=Template(f"Topic: {topic}\n{{text}}"), label="label",
                names={"against": "against", "none": "neither", "favor": "favor"},
            ),
            question=f"Is the tweet in favor of or against this, or neither: {topic}?",
            family="sentiment", citation="mohammad2016stance",
        )
        for config, topic in _STANCES
    ),
    Task(
        id="sem_eval_2018_task_1/subtask5.english",
        source=Hub("SemEvalWorkshop/sem_eval_2018_task_1", "subtask5.english"), version=2,
        kind=Multilabel(text=Function("unescaped", ("Tweet",)), labels=Above(_EMOTIONS, 0.5)), splits=_ALL,
        question="Which emotions does the tweet express?", family="emotion", citation="mohammad2018affect",
    ),
)  # fmt: skip
