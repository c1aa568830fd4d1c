"""Natural language inference, with the same names in every set.

Three-way sets end in entailment, neutral, contradiction; two-way ones in entailment and not_entailment, also where the
source says "neutral" or "contradiction" for whatever does not follow. So all three-way sets meet in one head and all
two-way sets in another; a claim that its evidence supports counts as entailed. Diagnostic suites are in `probing`.
"""

from __future__ import annotations

from taskloom.recipes.catalog.glue import THREE_WAY, THREE_WAY_QUESTION, TWO_WAY_QUESTION
from taskloom.recipes.catalog.grounds import HUB_PAGE, MAPPING
from taskloom.recipes.expressions import OneBased, Template
from taskloom.recipes.recipe import Classification, Defect, Held, Hub, Splits, Task, Where

_ENTAILED = {"entailed": "entailment", "not-entailed": "not_entailment"}
_FOLLOWS_OR_NOT = {"entailment": "entailment", "neutral": "not_entailment"}
_ALL = Splits(train="train", validation="validation", test="test")
_THREE_WAY_PAIR = Classification(text="premise", pair="hypothesis", label="label", names=THREE_WAY)
_LIKELIHOOD = ("impossible", "technically possible", "plausible", "likely", "very likely")

_RECAST = (  # config, rows of a templated set that are enough
    ("megaveridicality", None), ("sentiment", None), ("ner", None), ("verbcorner", 1000),
    ("verbnet", None), ("factuality", None), ("puns", None),
)  # fmt: skip
_SICK_DIRECTIONS = (
    ("AB", "sentence_A", "sentence_B", ("A_entails_B", "A_neutral_B", "A_contradicts_B")),
    ("BA", "sentence_B", "sentence_A", ("B_entails_A", "B_neutral_A", "B_contradicts_A")),
)
_GENERATED = ("snli_seq_z", "snli_z_aug", "snli_par_z", "mnli_par_z", "mnli_z_aug", "mnli_seq_z")
_DEFEASIBLE = ("snli", "atomic")
_PROBABILITIES = ("reasoning_1hop", "reasoning_2hop", "usnli")
_WHITE = ("fnplus", "sprl", "dpr")

TASKS = (
    Task(
        id="snli", source=Hub("stanfordnlp/snli"), kind=_THREE_WAY_PAIR, splits=_ALL,
        question=THREE_WAY_QUESTION,
        family="nli", license="cc-by-sa-4.0", license_use="commercial", citation="bowman2015snli",
    ),
    *(
        Task(
            id=f"anli/r{n}", source=Hub("facebook/anli"), kind=_THREE_WAY_PAIR,
            splits=Splits(train=f"train_r{n}", validation=f"dev_r{n}", test=f"test_r{n}"),
            question=THREE_WAY_QUESTION,
            family="nli", license="cc-by-nc-4.0", license_use="non-commercial", citation="nie2020anli",
        )
        for n in (1, 2, 3)
    ),
    Task(
        id="sick/label", source=Hub("tasksource/sick"), splits=_ALL,
        kind=Classification(text="sentence_A", pair="sentence_B", label="label", names=THREE_WAY),
        question=THREE_WAY_QUESTION,
        family="nli", license="cc-by-nc-sa-3.0", license_use="non-commercial", citation="marelli2014sick",
    ),
    *(
        Task(
            id=f"sick/entailment_{direction}", source=Hub("tasksource/sick"), splits=_ALL,
            kind=Classification(
                text=first, pair=second, label=f"entailment_{direction}",
                names=dict(zip(names, THREE_WAY, strict=True)),
            ),
            defect=Defect("duplicate", "the same pairs and, up to direction, the same decision as sick/label"),
            question=THREE_WAY_QUESTION,
            family="nli", license="cc-by-nc-sa-3.0", license_use="non-commercial", citation="marelli2014sick",
        )
        for direction, first, second, names in _SICK_DIRECTIONS
    ),
    Task(
        id="WANLI", source=Hub("alisawuffles/WANLI"), splits=Splits(train="train", test="test"),
        kind=Classification(text="premise", pair="hypothesis", label="gold", names=THREE_WAY),
        question=THREE_WAY_QUESTION,
        family="nli", license="cc-by-4.0", license_use="commercial", citation="liu2022wanli",
    ),
    Task(
        id="conj_nli", source=Hub("pietrolesci/conj_nli"), kind=_THREE_WAY_PAIR,
        splits=Splits(train="train", validation="dev"),
        question=THREE_WAY_QUESTION, family="nli", citation="saha2020conjnli",
    ),
    Task(
        id="dialogue_nli", source=Hub("pietrolesci/dialogue_nli"),
        kind=Classification(text="sentence1", pair="sentence2", label="label", names=THREE_WAY),
        splits=Splits(train="train", validation="dev", test="test"),
        question=THREE_WAY_QUESTION, family="nli", citation="welleck2019dialogue", rests_on=HUB_PAGE,
    ),
    Task(
        id="ConTRoL-nli", source=Hub("tasksource/ConTRoL-nli"), kind=_THREE_WAY_PAIR, splits=_ALL,
        question=THREE_WAY_QUESTION, family="nli",
        license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="liu2021control",
    ),
    Task(
        id="counterfactually-augmented-snli", source=Hub("tasksource/counterfactually-augmented-snli"), splits=_ALL,
        kind=Classification(text="sentence1", pair="sentence2", label="gold_label", names=THREE_WAY),
        question=THREE_WAY_QUESTION, family="nli", citation="kaushik2020cad",
    ),
    Task(
        id="nope", source=Hub("tasksource/nope"), splits=Splits(train="train", validation=Held(0.1, by="hypothesis")),
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={"E": "entailment", "N": "neutral", "C": "contradiction"},
        ),
        question=THREE_WAY_QUESTION, family="nli", citation="parrish2021nope",
    ),
    Task(
        id="naturallogic", source=Hub("tasksource/naturallogic"),
        kind=Classification(
            text=" sent1 ", pair=" sent2 ", label=" new_label ", names={**THREE_WAY, "None": None}
        ),
        splits=Splits(train="train", validation=Held(0.1, by="original_id ")),
        where=(Where(" consistent ", ("True",)),),
        defect=Defect("unsound", "two unlike things are called contradictory under negation too (no cats, no horses)"),
        question=THREE_WAY_QUESTION,
        family="nli", license="apache-2.0", license_use="commercial", citation="feng2020natural",
    ),
    Task(
        id="LogicNLI", source=Hub("tasksource/LogicNLI"), splits=_ALL,
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={**THREE_WAY, "self_contradiction": "self_contradiction"},
        ),
        question="Does the statement follow from the facts and rules, contradict them, both, or neither?",
        family="nli", citation="tian2021logicnli",
    ),
    Task(
        id="joci", source=Hub("pietrolesci/joci"),
        kind=Classification(
            text="context", pair="hypothesis", label=OneBased("original_label"), names=_LIKELIHOOD
        ),
        splits=Splits(train="full", validation=Held(0.1, by="context", of="full")),
        where=(Where("original_label", (0,), keep=False),),
        question="How likely is the second text, given the first?",
        family="nli", citation="zhang2017joci",
    ),
    *(
        Task(
            id=f"recast/recast_{part}", source=Hub("tasksource/recast", f"recast_{part}"), splits=_ALL,
            kind=Classification(text="context", pair="hypothesis", label="label", names=_ENTAILED), max_rows=max_rows,
            question=TWO_WAY_QUESTION, family="nli", license_use="commercial", citation="poliak2018dnc",
            rests_on=MAPPING if part in ("ner", "verbcorner") else None,
        )
        for part, max_rows in _RECAST
    ),
    *(
        Task(
            id=f"recast_white/{part}", source=Hub("pietrolesci/recast_white"),
            kind=Classification(text="text", pair="hypothesis", label="label", names=_ENTAILED),
            splits=Splits(train=part, validation=Held(0.1, by="text", of=part)),
            question=TWO_WAY_QUESTION, family="nli", citation="white2017inference", rests_on=HUB_PAGE,
        )
        for part in _WHITE
    ),
    *(
        Task(
            id=f"probability_words_nli/{config}", source=Hub("sileod/probability_words_nli", config), splits=_ALL,
            kind=Classification(text="context", pair="hypothesis", label="label"),
            question="By the probabilities that the first text states, does the second follow?",
            family="nli", license_use="commercial", citation="sileo2022probing", rests_on=MAPPING,
        )
        for config in _PROBABILITIES
    ),
    Task(
        id="fever-evidence-related/mwong--fever-related", source=Hub("mwong/fever-evidence-related"),
        kind=Classification(text="claim", pair="evidence", label="labels", names=("unrelated", "related evidence")),
        splits=Splits(train="train", validation="valid", test="test"),
        question="Is the evidence about the claim?",
        family="nli", license="cc-by-sa-3.0, gpl-3.0", license_use="commercial", citation="thorne2018fever",
        rests_on=MAPPING,
    ),
    Task(
        id="dnc", source=Hub("pietrolesci/dnc"),
        kind=Classification(text="context", pair="hypothesis", label="label", names=_ENTAILED),
        splits=Splits(train="train", validation="dev", test="test"),
        defect=Defect("duplicate", "the union of the collection that recast/* holds part by part"),
        question=TWO_WAY_QUESTION, family="nli", license_use="non-commercial", citation="poliak2018dnc",
    ),
    Task(
        id="add_one_rte", source=Hub("pietrolesci/add_one_rte"),
        kind=Classification(text="premise", pair="hypothesis", label="label", names=_ENTAILED),
        splits=Splits(train="train", validation="dev", test="test"),
        question=TWO_WAY_QUESTION, family="nli", license_use="non-commercial", citation="pavlick2016addone",
    ),
    Task(
        id="scitail/snli_format", source=Hub("allenai/scitail", "snli_format"), splits=_ALL,
        kind=Classification(text="sentence1", pair="sentence2", label="gold_label", names=_FOLLOWS_OR_NOT),
        question=TWO_WAY_QUESTION, family="nli", citation="khot2018scitail",
    ),
    Task(
        id="help-nli", source=Hub("tasksource/help-nli"),
        kind=Classification(text="ori_sentence", pair="new_sentence", label="gold_label", names=_FOLLOWS_OR_NOT),
        splits=Splits(train="train", validation=Held(0.1, by="filename")),
        question=TWO_WAY_QUESTION,
        family="nli", license="cc-by-sa-4.0", license_use="commercial", citation="yanaka2019help",
    ),
    Task(
        id="monotonicity-entailment", source=Hub("tasksource/monotonicity-entailment"),
        kind=Classification(text="sentence1", pair="sentence2", label="gold_label", names=_FOLLOWS_OR_NOT),
        splits=Splits(train="train", validation=Held(0.1, by="sentence1")),
        question=TWO_WAY_QUESTION,
        family="nli", license="apache-2.0", license_use="commercial", citation="yanaka2019med",
    ),
    Task(
        id="tracie", source=Hub("tasksource/tracie"),
        kind=Classification(
            text="premise", pair="hypothesis", label="answer",
            names={"entailment": "entailment", "contradiction": "not_entailment"},
        ),
        splits=Splits(train="train", validation=Held(0.1, by="premise"), test="test"),
        question="Does the order of the two events follow from the story?",
        family="nli", license="apache-2.0", license_use="commercial", citation="zhou2021tracie",
    ),
    *(
        Task(
            id=f"defeasible-nli/{config}", source=Hub("tasksource/defeasible-nli", config), splits=_ALL,
            kind=Classification(
                text=Template("Premise: {Premise}\nHypothesis: {Hypothesis}"), pair="Update", label="UpdateType",
                names={"strengthener": "strengthens the hypothesis", "weakener": "weakens the hypothesis"},
            ),
            where=(Where("Update", ("",), keep=False),),
            question="Does the new fact make the hypothesis more likely or less likely?",
            family="nli", license="apache-2.0", license_use="commercial", citation="rudinger2020defeasible",
        )
        for config in _DEFEASIBLE
    ),
    Task(
        id="scientific-exaggeration-detection", source=Hub("copenlu/scientific-exaggeration-detection"),
        kind=Classification(
            text="press_release_conclusion", pair="abstract_conclusion", label="exaggeration_label",
            names={"downplays": "downplays", "same": "same strength", "exaggerates": "exaggerates"},
        ),
        splits=Splits(train="train", test="test"),
        question="Does the press release exaggerate, downplay or match the finding of the abstract?",
        family="nli", license="gpl-3.0", license_use="commercial", citation="wright2021exaggeration",
    ),
    Task(
        id="vitaminc/tals--vitaminc", source=Hub("tals/vitaminc"), splits=_ALL,
        kind=Classification(
            text="evidence", pair="claim", label="label",
            names={"SUPPORTS": "entailment", "NOT ENOUGH INFO": "neutral", "REFUTES": "contradiction"},
        ),
        question="Does the evidence support the claim, refute it, or not settle it?",
        family="nli", license="cc-by-sa-3.0", license_use="commercial", citation="schuster2021vitaminc",
        rests_on=MAPPING,
    ),
    *(
        Task(
            id=f"gen_debiased_nli/{part}", source=Hub("pietrolesci/gen_debiased_nli"), kind=_THREE_WAY_PAIR,
            splits=Splits(train=part, validation=Held(0.1, by="premise", of=part)),
            defect=Defect("unsound", "generated hypotheses with labels filtered by a model; 3-10% of them doubted"),
            question=THREE_WAY_QUESTION, family="nli", license_use="commercial", citation="wu2022generating",
            rests_on=HUB_PAGE,
        )
        for part in _GENERATED
    ),
    Task(
        id="gpt3_nli", source=Hub("pietrolesci/gpt3_nli"),
        kind=Classification(text="text_a", pair="text_b", label="label", names=THREE_WAY),
        splits=Splits(train="train", validation=Held(0.1, by="text_a")),
        defect=Defect("unsound", "texts and labels are generated by a model"),
        question=THREE_WAY_QUESTION, family="nli", rests_on=HUB_PAGE,
    ),
    Task(
        id="recast/recast_kg_relations", source=Hub("tasksource/recast", "recast_kg_relations"), splits=_ALL,
        kind=Classification(text="context", pair="hypothesis", label="label"),
        defect=Defect("unsound", "nobody documented what the labels 1 to 6 mean"),
        question="How strongly does the first text support the second?", family="nli", citation="poliak2018dnc",
        rests_on=MAPPING,
    ),
)  # fmt: skip
