"""Single texts beyond the 420: stars, valence, kinds of irony, stereotypes and dialogue acts; two copies of other sets.

Labels that rows and description name differently follow the rows: of the five groups of MRDA acts, 538 of the 561
utterances called `d` break off, and `f` holds the floor ("so", "um").
"""

from __future__ import annotations

from taskloom.recipes.expressions import Constant, Function, Listed, Shuffled
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, MultipleChoice, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_VALENCE = {
    "-3": "very negative", "-2": "moderately negative", "-1": "slightly negative", "0": "neutral or mixed",
    "1": "slightly positive", "2": "moderately positive", "3": "very positive",
}  # fmt: skip
_IRONY = {
    "non_irony": "not ironic", "irony_by_contrast": "irony by contrast", "situational_irony": "situational irony",
    "other_irony": "other irony",
}  # fmt: skip
_BIAS = {
    "race-color": "race or color", "socioeconomic": "social status", "gender": "gender", "disability": "disability",
    "nationality": "nationality", "sexual-orientation": "sexual orientation",
    "physical-appearance": "physical appearance", "religion": "religion", "age": "age",
}  # fmt: skip
_MRDA = {"s": "statement", "d": "disruption", "b": "backchannel", "f": "floor mechanism", "q": "question"}
_SWDA = {
    "sd": "statement", "sv": "opinion", "sv_fx": "opinion", "b": "backchannel", "bh": "backchannel as a question",
    "%": "abandoned or unintelligible", "aa": "agreement", "aap_am": "partial agreement", "ar": "rejection",
    "arp_nd": "dispreferred answer", "ba": "appreciation", "ba_fe": "appreciation", "bd": "downplaying",
    "bf": "reformulation", "bk": "acknowledged answer", "br": "signal of not understanding", "b^m": "repetition",
    "qy_qr": "yes-no question", "qy^d": "declarative yes-no question", "qw": "wh-question",
    "qw^d": "declarative wh-question", "qo": "open question", "qh": "rhetorical question", "qrr": "or-clause",
    "^g": "tag question", "^h": "hold before an answer", "^q": "quotation", "^2": "collaborative completion",
    "ny": "answers yes", "nn": "answers no", "na": "affirms without yes", "ng": "negates without no",
    "no": "other answer", "ad": "directive", "oo_co_cc": "offer, option or commitment", "h": "hedge",
    "fp": "opening", "fc": "closing", "fa": "apology", "ft": "thanks", "t1": "self-talk",
    "t3": "talk to a third party", 'fo_o_fw_"_by_bc': "other", 'fo_o_fw_by_bc_"': "other",
    "+": None, "x": None,  # a turn's continuation, whose act stands elsewhere; noises, whose text is a full stop
}  # fmt: skip
_ACTS = (("mrda", _MRDA), ("swda", _SWDA))
_AS_IN_SMALL = Defect("duplicate", "the validation and test queries of clinc_oos/small, and many of its train queries")
_AS_IN_GLUE = Defect("duplicate", "the rows of glue/rte")

TASKS = (
    Task(
        id="amazon_review_5class", source=Hub("ZhengxiangShi/amazon_review_5class"),
        kind=Classification(
            text=Function("undoubled", ("text",)), label="label",
            names={"1 star": "1 star", **{f"{n} stars": f"{n} stars" for n in (2, 3, 4, 5)}},
        ),
        splits=Splits(train="train", validation=Held(0.1), test="test"),
        question="How many stars did the reviewer give?", family="sentiment", citation="mcauley2013hidden",
    ),
    Task(
        id="semeval2018_affect/V-oc", source=Hub("cbaziotis/semeval2018_affect", "V-oc"),
        kind=Classification(text=Function("unescaped", ("Tweet",)), label="Intensity Class", names=_VALENCE),
        splits=_ALL, question="How negative or positive is the tweet's author?",
        family="emotion", citation="mohammad2018semeval",
    ),
    Task(
        id="semeval2018_irony_b", source=Hub("cbaziotis/semeval2018_irony_b"),
        kind=Classification(text=Function("without_irony_tags", ("text",)), label="label", names=_IRONY),
        splits=Splits(train="train", validation=Held(0.1), test="test"),
        question="Is the tweet ironic, and if so by contrast, about a situation, or otherwise?",
        family="discourse", citation="vanhee2018irony",
    ),
    Task(
        id="crows_pairs/bias_type", role="evaluation", source=Hub("nyu-mll/crows_pairs", "crows_pairs"),
        kind=Classification(text="sent_more", pair="sent_less", label="bias_type", names=_BIAS),
        splits=Splits(test="test"), question="Which kind of bias do the two sentences differ in?",
        family="ethics", license="cc-by-sa-4.0", license_use="commercial", citation="nangia2020crows",
    ),
    Task(
        id="crows_pairs/stereotype", role="evaluation", source=Hub("nyu-mll/crows_pairs", "crows_pairs"),
        kind=MultipleChoice(
            prompt=Constant("Which sentence is more of a stereotype?"), label=Constant(0),
            choices=Shuffled(Listed("sent_more", "sent_less")),
        ),
        splits=Splits(test="test"), question="Which of the two sentences is more of a stereotype?",
        family="ethics", license="cc-by-sa-4.0", license_use="commercial", citation="nangia2020crows",
    ),
    *(
        Task(
            id=f"silicone/{config}", source=Hub("tasksource/silicone", config), splits=_ALL,
            kind=Classification(text="Utterance", label="Label", names=names),
            question="Which dialogue act does the utterance perform?", family="discourse",
            license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="chapuis2020silicone",
        )
        for config, names in _ACTS
    ),
    Task(
        id="clinc_oos/imbalanced", source=Hub("clinc/clinc_oos", "imbalanced"), splits=_ALL, defect=_AS_IN_SMALL,
        kind=Classification(text="text", label="intent"),
        question="What does the user want? (oos: none of the known intents)",
        family="intent", license="cc-by-3.0", license_use="commercial", citation="larson2019clinc",
    ),
    Task(
        id="super_glue/rte", source=Hub("aps/super_glue", "rte"), defect=_AS_IN_GLUE,
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={"entailment": "entailment", "not_entailment": "not_entailment"},
        ),
        splits=Splits(train="train", validation="validation"),
        question="Does the first text entail the second?", family="nli", license="other", citation="dagan2006rte",
    ),
)  # fmt: skip
