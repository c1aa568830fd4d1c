"""Sentiment and emotion of reviews, news, verses and dialogue turns (tweets are in `tweets`).

The pairs negative/positive share one head and the triples negative/neutral/positive another. The four agreement levels
of Financial PhraseBank are nested, so only the highest is trained; it has the least noise and the fewest rows.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING
from taskloom.recipes.expressions import Function, Lines, OneBased, Template
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Multilabel, Splits, Task, Where

_TWO = {"negative": "negative", "positive": "positive"}
_THREE = {"negative": "negative", "neutral": "neutral", "positive": "positive"}
_NEG_POS = {"neg": "negative", "pos": "positive"}
_STARS = {"1 star": "1 star", "2 star": "2 stars", "3 stars": "3 stars", "4 stars": "4 stars", "5 stars": "5 stars"}
_EKMAN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
_ALL = Splits(train="train", validation="validation", test="test")
_NESTED = Defect("duplicate", "contains all rows of sentences_allagree: the agreement levels are nested")
_SPOKEN = (  # config, family, names, question
    (
        "meld_s", "sentiment", _THREE,
        "Is the turn negative, neutral or positive?",
    ),
    (
        "sem", "sentiment", {"Negative": "negative", "Neutral": "neutral", "Positive": "positive"},
        "Is the turn negative, neutral or positive?",
    ),
    (
        "meld_e", "emotion", {name: name for name in _EKMAN},
        "Which emotion does the turn express?",
    ),
    (
        "dyda_e", "emotion",
        {name: name for name in _EKMAN if name not in ("joy", "neutral")}
        | {"happiness": "joy", "no emotion": "neutral"},
        "Which emotion does the turn express?",
    ),
)  # fmt: skip

TASKS = (
    Task(
        id="rotten_tomatoes", source=Hub("cornell-movie-review-data/rotten_tomatoes"), splits=_ALL,
        kind=Classification(text="text", label="label", names=_NEG_POS),
        question="Is the review negative or positive?", family="sentiment", citation="pang2005seeing",
    ),
    Task(
        id="imdb", source=Hub("stanfordnlp/imdb"), splits=Splits(train="train", test="test"),
        kind=Classification(text="text", label="label", names=_NEG_POS),
        question="Is the review negative or positive?",
        family="sentiment", license="other", citation="maas2011imdb",
    ),
    Task(
        id="counterfactually-augmented-imdb", source=Hub("tasksource/counterfactually-augmented-imdb"), splits=_ALL,
        kind=Classification(text="Text", label="Sentiment", names={"Negative": "negative", "Positive": "positive"}),
        question="Is the review negative or positive?", family="sentiment", citation="kaushik2020cad",
    ),
    Task(
        id="amazon_polarity/amazon_polarity", version=2,  # 2: no empty first line where the title is empty
        source=Hub("fancyzhx/amazon_polarity", "amazon_polarity"),
        kind=Classification(text=Lines("title", "content"), label="label", names=_TWO),
        splits=Splits(train="train", test="test"),
        question="Is the review negative or positive?",
        family="sentiment", license="apache-2.0", license_use="commercial", citation="mcauley2013hidden",
    ),
    Task(
        id="yelp_review_full/yelp_review_full", source=Hub("Yelp/yelp_review_full", "yelp_review_full"),
        kind=Classification(text=Function("unescaped", ("text",)), label="label", names=_STARS),
        splits=Splits(train="train", test="test"),
        question="How many stars did the reviewer give?",
        family="sentiment", license="other", citation="zhang2015character",
    ),
    Task(
        id="sst5", source=Hub("SetFit/sst5"), splits=_ALL,
        kind=Classification(
            text="text", label="label", names=("very negative", "negative", "neutral", "positive", "very positive")
        ),
        question="How negative or positive is the sentence?", family="sentiment", citation="socher2013sst",
    ),
    Task(
        id="poem_sentiment", source=Hub("google-research-datasets/poem_sentiment"), splits=_ALL,
        kind=Classification(
            text="verse_text", label="label",
            names={"negative": "negative", "no_impact": "no sentiment", "positive": "positive", "mixed": "mixed"},
        ),
        question="Is the verse negative, positive, mixed or without sentiment?",
        family="sentiment", license="cc-by-4.0", license_use="commercial", citation="sheng2020poem",
    ),
    Task(
        id="financial_phrasebank/sentences_allagree",
        source=Hub("ghbacct/financial-phrasebank-all-agree-classification"),
        kind=Classification(text="text", label="label", names=_THREE),
        splits=Splits(train="train", test="test"),
        question="Is the news good, neutral or bad for investors?",
        family="sentiment", license="cc-by-nc-sa-3.0", license_use="non-commercial", citation="malo2014phrasebank",
    ),
    *(
        Task(
            id=f"financial_phrasebank/{config}", source=Hub("takala/financial_phrasebank", config),
            kind=Classification(text="sentence", label="label", names=_THREE),
            splits=Splits(train="train", validation=Held(0.1)), defect=_NESTED,
            question="Is the news good, neutral or bad for investors?",
            family="sentiment", license="cc-by-nc-sa-3.0", license_use="non-commercial",
            citation="malo2014phrasebank",
        )
        for config in ("sentences_75agree", "sentences_66agree", "sentences_50agree")
    ),
    Task(
        id="crowdflower/airline-sentiment", source=Hub("tasksource/crowdflower", "airline-sentiment"),
        kind=Classification(text="text", label="label", names=_THREE),
        splits=Splits(train="train", validation=Held(0.1)),
        question="Which sentiment does the tweet show towards the airline?",
        family="sentiment", citation="crowdflower2016everyone",
    ),
    *(
        Task(
            id=f"silicone/{config}", source=Hub("tasksource/silicone", config), splits=_ALL,
            kind=Classification(text="Utterance", label="Label", names=names), question=question, family=family,
            license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="chapuis2020silicone",
        )
        for config, family, names, question in _SPOKEN
    ),
    Task(
        id="emo/emo2019", source=Hub("oneonlee/cleansed_emocontext"), splits=Splits(train="train", test="test"),
        kind=Classification(
            text=Template("{turn1}\n{turn2}\n{turn3}"), label="label",
            names=("another or no emotion", "happy", "sad", "angry"),
        ),
        question="Which emotion does the last turn express?",
        family="emotion", license="mpl-2.0", license_use="commercial", citation="chatterjee2019emocontext",
    ),
    Task(
        id="go_emotions/simplified", source=Hub("google-research-datasets/go_emotions", "simplified"), splits=_ALL,
        kind=Multilabel(text="text", labels="labels"),
        question="Which emotions does the comment express?",
        family="emotion", license="apache-2.0", license_use="commercial", citation="demszky2020goemotions",
    ),
    *(
        Task(
            id=f"dynasent/dynabench.dynasent.{part}.all/{part}", source=Hub("tasksource/dynasent", part), splits=_ALL,
            kind=Classification(text="sentence", label="gold_label", names=_THREE),
            where=(Where("gold_label", tuple(_THREE)),),
            question="Is the sentence negative, neutral or positive?",
            family="sentiment", license_use="commercial", citation="potts2021dynasent", rests_on=MAPPING,
        )
        for part in ("r1", "r2")
    ),
    Task(
        id="app_reviews", source=Hub("sealuzh/app_reviews"), splits=Splits(train="train", validation=Held(0.1)),
        kind=Classification(
            text="review", label=OneBased("star"), names=("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
        ),
        defect=Defect("unsound", "short, off-topic reviews with arbitrary stars; a quarter of them doubted"),
        question="How many stars did the reviewer give?", family="sentiment", citation="grano2017android",
    ),
    Task(
        id="crowdflower/sentiment_nuclear_power", source=Hub("tasksource/crowdflower", "sentiment_nuclear_power"),
        kind=Classification(text="text", label="label"), splits=Splits(train="train", validation=Held(0.1)),
        defect=Defect("low_value", "171 tweets, 85% neutral, some with wrong labels"),
        question="What is the attitude of the tweet towards nuclear energy?",
        family="sentiment", citation="crowdflower2016everyone", rests_on=MAPPING,
    ),
    Task(
        id="crowdflower/text_emotion", source=Hub("tasksource/crowdflower", "text_emotion"),
        kind=Classification(text="text", label="label"), splits=Splits(train="train", validation=Held(0.1)),
        defect=Defect("unsound", "neutral tweets carry arbitrary emotions; 28% doubted"),
        question="Which emotion does the tweet express?", family="emotion", citation="crowdflower2016everyone",
        rests_on=MAPPING,
    ),
)  # fmt: skip
