"""Discourse: PragmEval and the dialogue acts of SILICONE.

Ten PragmEval sets call their classes low and high; here the names say what is low or high, so that no two of them share
a head. Utterances come without their dialogue (the sources have no column for it): acts that only context can tell
apart stay ambiguous, which is why the 51 acts of mrda are left out of training. PragmEval keeps the quotes of the csv
files it was made from (a fifth of the texts of EmoBank and sarcasm): version 2 takes them off.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import MAPPING
from taskloom.recipes.expressions import Function, Lines
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_LOW_VALUE = Defect("low_value", "median split of mean ratings, covered by other sentiment and emotion tasks")
_NO_CONTEXT = Defect("unsound", "utterances without their dialogue; a fifth of the labels is doubted")

_SENTENCE, _FIRST, _SECOND = (Function("unquoted", (column,)) for column in ("sentence", "sentence1", "sentence2"))
_SCALE_CITATIONS = {
    "squinky": "lahiri2015squinky", "emobank": "buechel2017emobank", "persuasiveness": "carlile2018persuasiveness",
}  # fmt: skip
_SCALES = (  # config, ending of the id, what is low or high, question, family, defect
    ("squinky-formality", "single_input", "formality", "Is the sentence formal?", "discourse", None),
    ("squinky-implicature", "single_input", "implicature", "Does the sentence imply much?", "discourse", None),
    ("squinky-informativeness", "single_input", "informativeness", "Is the sentence informative?", "discourse", None),
    ("emobank-valence", "single_input", "valence", "How pleasant does the writer sound?", "emotion", _LOW_VALUE),
    ("emobank-arousal", "single_input", "arousal", "How excited does the writer sound?", "emotion", _LOW_VALUE),
    ("emobank-dominance", "single_input", "dominance", "How in control does the writer sound?", "emotion", None),
    ("persuasiveness-eloquence", "pairs", "eloquence", "Is the second part eloquent?", "discourse", None),
    ("persuasiveness-relevance", "pairs", "relevance", "Is the second part relevant to the first?", "discourse", None),
    ("persuasiveness-specificity", "pairs", "specificity", "Is the second part specific?", "discourse", None),
    ("persuasiveness-strength", "pairs", "strength", "Is the second part a strong argument?", "discourse", None),
)
_PAIRS = (  # config, names (None: the source's own), question, citation
    (
        "emergent",
        {"for": "supports the claim", "observing": "only reports the claim", "against": "disputes the claim"},
        "Does the headline support, dispute or only report the claim?", "ferreira2016emergent",
    ),
    (
        "sarcasm", {"notsarc": "not sarcastic", "sarc": "sarcastic"},
        "Is the reply sarcastic?", "oraby2016sarcasm",
    ),
    (
        "stac",
        {
            "Comment": "comment", "Contrast": "contrast", "Q_Elab": "follow-up question", "Parallel": "parallel",
            "Explanation": "explanation", "Narration": "narration", "Continuation": "continuation",
            "Result": "result", "Acknowledgement": "acknowledgement", "Alternation": "alternation",
            "Question_answer_pair": "answer to a question", "Correction": "correction",
            "Clarification_question": "clarification question", "Conditional": "conditional",
            "Sequence": "sequence", "Elaboration": "elaboration", "Background": "background",
            "no_relation": "no relation",
        },
        "Which discourse relation holds between the two chat turns?", "asher2016stac",
    ),
    (
        "gum", None,
        "Which rhetorical relation links the two segments?", "zeldes2017gum",
    ),
    (
        "pdtb", None,
        "Which discourse relation links the two segments?", "prasad2008pdtb",
    ),
    (
        "persuasiveness-claimtype", {"Value": "claim of value", "Fact": "claim of fact", "Policy": "claim of policy"},
        "Is the second text a claim about a value, a fact or a policy?", "carlile2018persuasiveness",
    ),
    (
        "persuasiveness-premisetype",
        {
            "testimony": "testimony", "warrant": "warrant", "invented_instance": "invented instance",
            "common_knowledge": "common knowledge", "statistics": "statistics", "analogy": "analogy",
            "definition": "definition", "real_example": "real example",
        },
        "What kind of premise is the second text?", "carlile2018persuasiveness",
    ),
)  # fmt: skip
_SINGLE = (  # config, names, defect, question, citation
    (
        "verifiability",
        {
            "experiential": "verifiable by experience", "non-experiential": "verifiable by public facts",
            "unverifiable": "unverifiable",
        },
        None, "Can the statement be verified, and if so from experience or from facts?", "park2014verifiability",
    ),
    ("switchboard", None, None, "Which dialogue act does the utterance perform?", "godfrey1992switchboard"),
    ("mrda", None, _NO_CONTEXT, "Which dialogue act does the utterance perform?", "shriberg2004mrda"),
)  # fmt: skip
_QUESTION_TYPES = (
    "cause", "comparison", "concept", "consequence", "disjunctive", "example", "extent", "judgmental", "procedural",
    "verification",
)  # fmt: skip
_MAPTASK = {
    "acknowledge": "acknowledges", "align": "checks attention", "check": "asks for confirmation",
    "clarify": "clarifies", "explain": "explains", "instruct": "instructs", "query_w": "asks an open question",
    "query_yn": "asks a yes-no question", "ready": "signals readiness", "reply_n": "answers no",
    "reply_w": "answers with information", "reply_y": "answers yes",
}  # fmt: skip
_ACTS = (  # config, names, license, use
    (
        "dyda_da", {name: name for name in ("commissive", "directive", "inform", "question")},
        "cc-by-nc-sa-4.0", "non-commercial",
    ),
    ("maptask", _MAPTASK, "cc-by-4.0", "commercial"),
    ("oasis", None, "cc-by-nc-sa-4.0", "non-commercial"),
)  # fmt: skip

TASKS = (
    *(
        Task(
            id=f"pragmeval/{config}/{ending}", version=2, source=Hub("sileod/pragmeval", config), splits=_ALL,
            kind=Classification(
                text=_SENTENCE if ending == "single_input" else _FIRST,
                pair=None if ending == "single_input" else _SECOND,
                label="label", names={"low": f"low {scale}", "high": f"high {scale}"},
            ),
            question=question, family=family, defect=defect, citation=_SCALE_CITATIONS[config.partition("-")[0]],
        )
        for config, ending, scale, question, family, defect in _SCALES
    ),
    *(
        Task(
            id=f"pragmeval/{config}/pairs", version=2, source=Hub("sileod/pragmeval", config), splits=_ALL,
            kind=Classification(text=_FIRST, pair=_SECOND, label="label", names=names),
            question=question, family="discourse", citation=citation,
        )
        for config, names, question, citation in _PAIRS
    ),
    *(
        Task(
            id=f"pragmeval/{config}/single_input", version=2, source=Hub("sileod/pragmeval", config), splits=_ALL,
            kind=Classification(text=_SENTENCE, label="label", names=names), defect=defect,
            question=question, family="discourse", citation=citation,
        )
        for config, names, defect, question, citation in _SINGLE
    ),
    *(
        Task(
            id=f"silicone/{config}", source=Hub("tasksource/silicone", config), splits=_ALL,
            kind=Classification(text="Utterance", label="Label", names=names),
            question="Which dialogue act does the turn perform?", family="discourse",
            license=license, license_use=use, citation="chapuis2020silicone",
        )
        for config, names, license, use in _ACTS
    ),
    Task(
        id="circa", source=Hub("google-research-datasets/circa"),
        kind=Classification(
            text=Lines("context", "question-X"), pair="answer-Y", label="goldstandard2",
            names={
                "Yes": "yes", "No": "no", "In the middle, neither yes nor no": "in the middle",
                "Yes, subject to some conditions": "yes, on a condition", "Other": "other",
            },
        ),
        splits=Splits(train="train", validation=Held(0.1, by="question-X")),
        question="What does the indirect answer mean: yes, no, something in between?",
        family="discourse", license="cc-by-4.0", license_use="commercial", citation="louis2020circa",
    ),
    Task(
        id="discovery/discovery", source=Hub("sileod/discovery", "discovery"), splits=_ALL, max_rows=30000,
        kind=Classification(text="sentence1", pair="sentence2", label="label"),
        question="Which discourse marker links the two sentences best?",
        family="discourse", license="apache-2.0", license_use="commercial", citation="sileo2019discovery",
    ),
    Task(
        id="open_question_type", source=Hub("Korea-MES/open_question_type"), splits=_ALL,
        kind=Classification(text="question", label="resolve_type", names={name: name for name in _QUESTION_TYPES}),
        question="What type of open question is this?",
        family="other", license="cc-by-4.0", license_use="commercial", citation="cao2021controllable",
        rests_on=MAPPING,
    ),
    Task(
        id="Sarcasm_News_Headline", source=Hub("raquiba/Sarcasm_News_Headline"),
        kind=Classification(text="headline", label="is_sarcastic", names=("not sarcastic", "sarcastic")),
        splits=Splits(train="train", validation=Held(0.1)),  # the test file is an older version of the train file
        question="Is the headline sarcastic?", family="discourse", citation="misra2023sarcasm", rests_on=MAPPING,
    ),
)  # fmt: skip
