"""Probes of knowledge and reference, and the diagnostic suites of inference.

Small suites that were published for testing (FraCaS, NaN-NLI, Breaking NLI, IMPPRES) are for evaluation: they measure
the inference heads. Of large templated ones (HANS, the stress tests) 1,000 rows are enough to train on.
"""

from __future__ import annotations

from taskloom.recipes.catalog.glue import THREE_WAY, THREE_WAY_QUESTION, TWO_WAY_QUESTION
from taskloom.recipes.catalog.grounds import HUB_PAGE, MAPPING, RENAMED
from taskloom.recipes.expressions import Template
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Splits, Task

_NUMBERS = ("no", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_THREE_WAY_PAIR = Classification(text="premise", pair="hypothesis", label="label", names=THREE_WAY)
_ALL = Splits(train="train", validation="validation", test="test")
_STRESS = ("IS_CS", "LI_LI", "ST_WO", "PI_SP", "PI_CD", "ST_SE", "ST_NE", "ST_LM")
_IMPLICATURES = ("connectives", "gradable_adjective", "gradable_verb", "modals", "numerals_2_3", "quantifiers")
_READINGS = (("logical", "gold_label_log"), ("pragmatic", "gold_label_prag"))
_PRESUPPOSITIONS = (
    "all_n_presupposition", "change_of_state", "cleft_existence", "only_presupposition",
    "possessed_definites_existence", "question_presupposition",
)  # fmt: skip
_LINGUISTIC = (  # config, names (None: the source's own), question
    ("past_present", {"PAST": "past", "PRES": "present"}, "Is the main verb past or present?"),
    ("subj_number", {"NN": "singular subject", "NNS": "plural subject"}, "Is the subject singular or plural?"),
    ("obj_number", {"NN": "singular object", "NNS": "plural object"}, "Is the object singular or plural?"),
    ("bigram_shift", {"O": "original order", "I": "swapped words"}, "Were two neighboring words swapped?"),
    ("coordination_inversion", {"O": "original clauses", "I": "swapped clauses"}, "Were the two clauses swapped?"),
    ("odd_man_out", {"O": "original word", "C": "replaced word"}, "Was one word replaced by a random one?"),
    ("tree_depth", None, "How deep is the parse tree of the sentence?"),
    ("top_constituents", None, "Which sequence of constituents tops the parse tree?"),
)
_LINGUISTIC_DEFECTS = (
    ("word_content", "impractical", "a thousand classes", "Which of 1,000 target words occurs in the sentence?"),
    ("sentence_length", "unsound", "the bins follow an unknown tokenization", "In which range is its length?"),
)

TASKS = (
    Task(
        id="winowhy", source=Hub("tasksource/winowhy"),
        kind=Classification(
            text="wnli_sent1", pair="wnli_sent2", label="label",
            names=("incorrect explanation", "correct explanation"),
        ),
        splits=Splits(train="train", validation=Held(0.1, by="wsc_num")),
        question="Is the explanation of what the pronoun refers to correct?",
        family="probing", license="mit", license_use="commercial", citation="zhang2020winowhy",
    ),
    Task(
        id="numer_sense", source=Hub("tasksource/numer_sense"),
        kind=Classification(text="sentence", label="target", names={name: name for name in _NUMBERS}),
        splits=Splits(train="train", validation=Held(0.1)),
        question="Which number word fills the place marked <mask>?",
        family="commonsense", license="mit", license_use="commercial", citation="lin2020numersense",
    ),
    Task(
        id="mc_taco", source=Hub("marcov/mc_taco_promptsource"),
        kind=Classification(
            text=Template("{sentence}\n{question}"), pair="answer", label="label",
            names={"no": "implausible", "yes": "plausible"},
        ),
        splits=Splits(train="validation", validation=Held(0.1, by="sentence", of="validation"), test="test"),
        question="Is the answer plausible?",
        family="commonsense", citation="zhou2019mctaco",
    ),
    Task(
        id="commonsense_qa_2.0", source=Hub("tasksource/commonsense_qa_2.0"), head="answer from memory",
        kind=Classification(text="question", label="answer", names={"no": "no", "yes": "yes"}),
        splits=Splits(train="train", validation="validation"),
        question="Is the statement true, or the answer to the question yes?",
        family="commonsense", license="cc-by-4.0", license_use="commercial", citation="talmor2021csqa2",
    ),
    Task(
        id="strategy-qa", source=Hub("tasksource/strategy-qa"), head="answer from memory",
        kind=Classification(text="question", label="answer", names={"False": "no", "True": "yes"}),
        splits=Splits(train="train", validation=Held(0.1)),
        question="Is the answer to the question yes?",
        family="commonsense", citation="geva2021strategyqa",
    ),
    Task(
        id="breaking_nli", role="evaluation", source=Hub("pietrolesci/breaking_nli"),
        kind=Classification(text="sentence1", pair="sentence2", label="label", names=THREE_WAY),
        splits=Splits(test="full"), question=THREE_WAY_QUESTION,
        family="nli", license_use="commercial", citation="glockner2018breaking",
    ),
    Task(
        id="fracas", role="evaluation", source=Hub("pietrolesci/fracas"), kind=_THREE_WAY_PAIR,
        splits=Splits(test="train"), question=THREE_WAY_QUESTION, family="nli", citation="cooper1996fracas",
    ),
    Task(
        id="nan-nli/joey234--nan-nli", role="evaluation", source=Hub("joey234/nan-nli"), kind=_THREE_WAY_PAIR,
        splits=Splits(test="train"), question=THREE_WAY_QUESTION,
        family="nli", license="cc-by-sa-4.0", license_use="commercial", citation="truong2022nannli",
    ),
    *(
        Task(
            id=f"imppres/implicature_{part}/{reading}", role="evaluation",
            source=Hub("facebook/imppres", f"implicature_{part}"),
            kind=Classification(text="premise", pair="hypothesis", label=column, names=THREE_WAY),
            splits=Splits(test=part), question=f"{THREE_WAY_QUESTION} ({reading} reading)",
            family="nli", license="cc-by-nc-4.0", license_use="non-commercial", citation="jeretic2020imppres",
        )
        for part in _IMPLICATURES
        for reading, column in _READINGS
    ),
    *(
        Task(
            id=f"imppres/presupposition_{part}", role="evaluation",
            source=Hub("facebook/imppres", f"presupposition_{part}"),
            kind=Classification(text="premise", pair="hypothesis", label="gold_label", names=THREE_WAY),
            splits=Splits(test=part), question=THREE_WAY_QUESTION,
            family="nli", license="cc-by-nc-4.0", license_use="non-commercial", citation="jeretic2020imppres",
        )
        for part in _PRESUPPOSITIONS
    ),
    Task(
        id="hans", source=Hub("tasksource/hans"), max_rows=1000,
        kind=Classification(
            text="sentence1", pair="sentence2", label="labels",
            names={"entailment": "entailment", "non-entailment": "not_entailment"},
        ),
        splits=Splits(train="train", validation="validation"),
        question=TWO_WAY_QUESTION, family="nli", citation="mccoy2019hans", rests_on=RENAMED,
    ),
    *(
        Task(
            id=f"robust_nli/{part}", source=Hub("pietrolesci/robust_nli"), kind=_THREE_WAY_PAIR, max_rows=1000,
            splits=Splits(train=part, validation=Held(0.1, by="premise", of=part)),
            question=THREE_WAY_QUESTION, family="nli", license_use="commercial", citation="naik2018stress",
            rests_on=HUB_PAGE,
        )
        for part in _STRESS
    ),
    Task(
        id="robust_nli_is_sd", source=Hub("pietrolesci/robust_nli_is_sd"), max_rows=1000,
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={"entailment": "entailment", "non-entailment": "not_entailment"},
        ),
        splits=Splits(train="IS_SD", validation=Held(0.1, by="premise", of="IS_SD")),
        question=TWO_WAY_QUESTION, family="nli", license_use="commercial", citation="naik2018stress", rests_on=HUB_PAGE,
    ),
    Task(
        id="robust_nli_li_ts", source=Hub("pietrolesci/robust_nli_li_ts"), max_rows=1000,
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={"contradiction": "contradiction", "non-contradiction": "not_contradiction"},
        ),
        splits=Splits(train="LI_TS", validation=Held(0.1, by="premise", of="LI_TS")),
        question="Does the second text contradict the first?",
        family="nli", license_use="commercial", citation="naik2018stress", rests_on=HUB_PAGE,
    ),
    *(
        Task(
            id=f"linguisticprobing/{config}", source=Hub("tasksource/linguisticprobing", config), splits=_ALL,
            kind=Classification(text="sentence", label="label", names=names),
            question=question, family="probing", citation="conneau2018cram", rests_on=MAPPING,
        )
        for config, names, question in _LINGUISTIC
    ),
    *(
        Task(
            id=f"linguisticprobing/{config}", source=Hub("tasksource/linguisticprobing", config), splits=_ALL,
            kind=Classification(text="sentence", label="label"), defect=Defect(kind, reason),
            question=question, family="probing", citation="conneau2018cram", rests_on=MAPPING,
        )
        for config, kind, reason, question in _LINGUISTIC_DEFECTS
    ),
)  # fmt: skip
