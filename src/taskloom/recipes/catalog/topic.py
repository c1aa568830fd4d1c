"""Topics, intents, hate and other uses of single texts.

Four sets that ask whether a text is hate speech in different words share one head by name; those that tell hate from
mere offense, or say against whom it is, have their own.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING, RENAMED
from taskloom.recipes.expressions import Above, Code, Lines, Template
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Multilabel, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_TRAIN_ONLY = Splits(train="train", validation=Held(0.1))
_TREC = {
    "ABBR:abb": "abbreviation", "ABBR:exp": "expansion of an abbreviation", "ENTY:animal": "animal",
    "ENTY:body": "organ of the body", "ENTY:color": "color", "ENTY:cremat": "creative work",
    "ENTY:currency": "currency", "ENTY:dismed": "disease or medicine", "ENTY:event": "event", "ENTY:food": "food",
    "ENTY:instru": "musical instrument", "ENTY:lang": "language", "ENTY:letter": "letter",
    "ENTY:other": "other entity", "ENTY:plant": "plant", "ENTY:product": "product", "ENTY:religion": "religion",
    "ENTY:sport": "sport", "ENTY:substance": "substance", "ENTY:symbol": "symbol",
    "ENTY:techmeth": "technique or method", "ENTY:termeq": "equivalent term", "ENTY:veh": "vehicle",
    "ENTY:word": "word", "DESC:def": "definition", "DESC:desc": "description", "DESC:manner": "manner",
    "DESC:reason": "reason", "HUM:gr": "group of persons", "HUM:ind": "person", "HUM:title": "title of a person",
    "HUM:desc": "description of a person", "LOC:city": "city", "LOC:country": "country", "LOC:mount": "mountain",
    "LOC:other": "other location", "LOC:state": "state", "NUM:code": "code", "NUM:count": "count",
    "NUM:date": "date", "NUM:dist": "distance", "NUM:money": "price", "NUM:ord": "rank",
    "NUM:other": "other number", "NUM:period": "duration", "NUM:perc": "percentage", "NUM:speed": "speed",
    "NUM:temp": "temperature", "NUM:volsize": "size or volume", "NUM:weight": "weight",
}  # fmt: skip
_ASPECTS = (
    "violence", "gender", "race", "national_origin", "disability", "religion", "sexual_orientation",
    "directed_vs_generalized",
)  # fmt: skip
_TRUTH = ("false", "barely-true", "half-true", "mostly-true", "true")
_NESTED = Defect("duplicate", "contains clinc_oos/small: the same queries, more of them")
_CROWDFLOWER_UNSEEN = ("political-media-audience", "political-media-message", "economic-news")
_CROWDFLOWER = (  # config, names, question
    (
        "tweet_global_warming", {"No": "denies global warming", "Yes": "believes in global warming"},
        "Does the author think global warming is happening?",
    ),
    (
        "corporate-messaging",
        {"Information": "information", "Action": "action", "Dialogue": "dialogue", "Exclude": None},
        "What kind of company message is this?",
    ),
    (
        "political-media-bias", {"neutral": "nonpartisan", "partisan": "partisan"},
        "Is the message partisan or neutral?",
    ),
    (
        "political-media-audience", {"constituency": "constituency", "national": "national"},
        "Is the message meant for the home constituency or for the nation?",
    ),
    ("political-media-message", None, "What kind of message does the politician send?"),
    (
        "economic-news", {"yes": "about the US economy", "no": "not about the US economy", "not sure": None},
        "Is the article about the US economy?",
    ),
)  # fmt: skip
_ISSUES = (
    "criminal procedure", "civil rights", "first amendment", "due process", "privacy", "attorneys", "unions",
    "economic activity", "judicial power", "federalism", "interstate relations", "federal taxation", "miscellaneous",
)  # fmt: skip
_BANDS = {age: band for band, ages in enumerate((range(13, 18), range(23, 28), range(33, 49))) for age in ages}
_BLOGS = (  # aspect, label, names, defect, question, license, use
    (
        "gender", "gender", {"female": "female", "male": "male"}, None,
        "What is the gender of the blogger?", "apache-2.0", "commercial",
    ),
    (
        "age", Code("age", _BANDS), ("aged 13 to 17", "aged 23 to 27", "aged 33 to 48"), None,
        "Which age band is the blogger in?", "apache-2.0", "commercial",
    ),
    (
        "horoscope", "horoscope", None, Defect("unsound", "a star sign cannot be predicted from text"),
        "What is the star sign of the blogger?", None, "unspecified",
    ),
    (
        "job", "topic", None, Defect("unsound", "an industry can rarely be inferred from a post; 24% doubted"),
        "In which industry does the blogger work?", "apache-2.0", "commercial",
    ),
)  # fmt: skip

TASKS = (
    Task(
        id="ag_news", source=Hub("fancyzhx/ag_news"), splits=Splits(train="train", test="test"),
        kind=Classification(
            text="text", label="label",
            names={
                "World": "world", "Sports": "sports", "Business": "business", "Sci/Tech": "science and technology"
            },
        ),
        question="Which section does the news item belong to?", family="topic", citation="zhang2015character",
    ),
    Task(
        id="trec", source=Hub("tasksource/trec"), splits=Splits(train="train", test="test"),
        kind=Classification(text="text", label="fine_label", names=_TREC),
        question="What kind of answer does the question ask for?", family="topic", citation="li2002learning",
    ),
    Task(
        id="banking77", source=Hub("legacy-datasets/banking77"), splits=Splits(train="train", test="test"),
        kind=Classification(text="text", label="label"),
        question="Which banking request is this?",
        family="intent", license="cc-by-4.0", license_use="commercial", citation="casanueva2020banking",
    ),
    *(
        Task(
            id=f"clinc_oos/{config}", source=Hub("clinc/clinc_oos", config), splits=_ALL, defect=defect,
            kind=Classification(text="text", label="intent"),
            question="What does the user want? (oos: none of the known intents)",
            family="intent", license="cc-by-3.0", license_use="commercial", citation="larson2019clinc",
        )
        for config, defect in (("small", None), ("plus", _NESTED))
    ),
    Task(
        id="sms_spam", source=Hub("ucirvine/sms_spam"), splits=_TRAIN_ONLY,
        kind=Classification(text="sms", label="label", names={"ham": "not spam", "spam": "spam"}),
        question="Is the message spam?", family="topic", license_use="commercial", citation="almeida2011sms",
    ),
    Task(
        id="ethos/binary", source=Hub("SetFit/ethos_binary"), splits=Splits(train="train", test="test"),
        kind=Classification(text="text", label="label", names=("not hate speech", "hate speech")),
        question="Is the comment hateful?",
        family="hate", license="agpl-3.0", license_use="commercial", citation="mollas2022ethos",
    ),
    Task(
        id="ethos/multilabel", source=Hub("tasksource/ethos", "multilabel"), splits=_TRAIN_ONLY,
        kind=Multilabel(
            text="comment", labels=Above(_ASPECTS, 0.5),
            names={name: name for name in _ASPECTS[:-1]} | {"directed_vs_generalized": "directed at a person"},
        ),
        question="What is the hateful comment about, does it call for violence, is it aimed at one person?",
        family="hate", license="agpl-3.0", license_use="commercial", citation="mollas2022ethos",
    ),
    Task(
        id="tweets_hate_speech_detection",
        source=Hub("tweets-hate-speech-detection/tweets_hate_speech_detection"), splits=_TRAIN_ONLY,
        kind=Classification(
            text="tweet", label="label", names={"no-hate-speech": "not hate speech", "hate-speech": "hate speech"}
        ),
        question="Is the tweet racist or sexist?",
        family="hate", license="gpl-3.0", license_use="commercial", citation="sharma2018hate",
    ),
    Task(
        id="hate_speech18", source=Hub("tasksource/hate_speech18"), splits=_TRAIN_ONLY,
        kind=Classification(
            text="text", label="label",
            names={"noHate": "not hate speech", "hate": "hate speech", "idk/skip": None, "relation": None},
        ),
        question="Is the sentence hate speech?",
        family="hate", license="cc-by-sa-3.0", license_use="commercial", citation="degibert2018hate",
    ),
    Task(
        id="hate_speech_offensive", source=Hub("tdavidson/hate_speech_offensive"), splits=_TRAIN_ONLY,
        kind=Classification(
            text="tweet", label="class",
            names={"hate speech": "hate speech", "offensive language": "merely offensive", "neither": "neither"},
        ),
        question="Is the tweet hate speech, merely offensive, or neither?",
        family="hate", citation="davidson2017hate",
    ),
    Task(
        id="hope_edi/english", source=Hub("dravidianlangtech/hope_edi", "english"),
        kind=Classification(
            text="text", label="label",
            names={"Hope_speech": "hope speech", "Non_hope_speech": "not hope speech", "not-English": None},
        ),
        splits=Splits(train="train", validation="validation"),
        question="Is the comment hopeful and encouraging (hope speech)?",
        family="other", license="cc-by-4.0", license_use="commercial", citation="chakravarthi2020hopeedi",
    ),
    Task(
        id="liar", source=Hub("tasksource/liar"), splits=_ALL,
        kind=Classification(
            text="statement", pair=Template("Said by {speaker} in {context}."), label="label",
            names={"pants-fire": "pants on fire"} | {name: name.replace("-", " ") for name in _TRUTH},
        ),
        question="How truthful is the statement, from pants on fire to true?",
        family="other", citation="wang2017liar",
    ),
    *(
        Task(
            id=f"crowdflower/{config}", source=Hub("tasksource/crowdflower", config), splits=_TRAIN_ONLY,
            kind=Classification(text="text", label="label", names=names),
            question=question, family="topic", citation="crowdflower2016everyone",
            weight=0.5 if config == "economic-news" else 1.0,  # its annotators agree poorly
            rests_on=MAPPING if config in _CROWDFLOWER_UNSEEN else None,
        )
        for config, names, question in _CROWDFLOWER
    ),
    Task(
        id="ade_corpus_v2/Ade_corpus_v2_classification",
        source=Hub("ade-benchmark-corpus/ade_corpus_v2", "Ade_corpus_v2_classification"), splits=_TRAIN_ONLY,
        kind=Classification(
            text="text", label="label", names={"Not-Related": "no side effect", "Related": "side effect"}
        ),
        question="Does the sentence report a side effect of a drug?",
        family="science", citation="gurulingappa2012ade",
    ),
    Task(
        id="dbpedia_14/dbpedia_14", source=Hub("fancyzhx/dbpedia_14", "dbpedia_14"),
        kind=Classification(text=Lines("title", "content"), label="label"), splits=Splits(train="train", test="test"),
        question="Which kind of thing does the abstract describe?",
        family="topic", license="cc-by-sa-3.0", license_use="commercial", citation="zhang2015character",
    ),
    Task(
        id="lex_glue/ledgar", source=Hub("coastalcph/lex_glue", "ledgar"), splits=_ALL,
        kind=Classification(text="text", label="label"),
        question="What is this contract provision about?",
        family="topic", license="cc-by-4.0", license_use="commercial", citation="chalkidis2022lexglue",
    ),
    Task(
        id="lex_glue/unfair_tos", source=Hub("coastalcph/lex_glue", "unfair_tos"), splits=_ALL,
        kind=Multilabel(text="text", labels="labels"),
        question="Which kinds of unfair term does the clause contain, if any?",
        family="topic", license="cc-by-4.0", license_use="commercial", citation="chalkidis2022lexglue",
    ),
    Task(
        id="lex_glue/scotus", source=Hub("coastalcph/lex_glue", "scotus"), splits=_ALL,
        kind=Classification(
            text="text", label="label", names={str(number): name for number, name in enumerate(_ISSUES, start=1)}
        ),
        question="Which issue area does the Supreme Court opinion concern?",
        family="topic", license="cc-by-4.0", license_use="commercial", citation="chalkidis2022lexglue",
    ),
    Task(
        id="snips_built_in_intents", source=Hub("sonos-nlu-benchmark/snips_built_in_intents"), splits=_TRAIN_ONLY,
        kind=Classification(text="text", label="label"),
        question="What does the user want?",
        family="intent", license="cc0-1.0", license_use="commercial", citation="coucke2018snips",
    ),
    Task(
        id="scicite", source=Hub("tasksource/scicite"), splits=_ALL,
        kind=Classification(
            text="string", label="label",
            names={"background": "cites background", "method": "cites a method", "result": "cites a result"},
        ),
        question="Is the citation about background, method or result?", family="science", citation="cohan2019scicite",
    ),
    Task(
        id="health_fact", source=Hub("marcov/health_fact_promptsource"), splits=_ALL,
        kind=Classification(
            text="claim", pair="main_text", label="label",
            names={
                "false": "false claim", "mixture": "partly true claim", "true": "true claim",
                "unproven": "unproven claim",
            },
        ),
        question="Is the health claim false, true, a mixture, or unproven, by the article?",
        family="other", license="mit", license_use="commercial", citation="kotonya2020explainable",
    ),
    Task(
        id="code_x_glue_cc_defect_detection", source=Hub("google/code_x_glue_cc_defect_detection"), splits=_ALL,
        kind=Classification(text="func", label="target", names={"False": "no defect", "True": "defect"}),
        question="Does the C function contain a defect?", family="code", license="c-uda", citation="zhou2019devign",
    ),
    *(
        Task(
            id=f"blog_authorship_corpus/{aspect}", source=Hub("tasksource/blog_authorship_corpus"),
            kind=Classification(text="text", label=label, names=names), defect=defect,
            splits=Splits(train="train", validation="validation"), question=question,
            family="other", license=license, license_use=use, citation="schler2006blogging",
            rests_on=RENAMED if aspect == "job" else None,
        )
        for aspect, label, names, defect, question, license, use in _BLOGS
    ),
)  # fmt: skip
