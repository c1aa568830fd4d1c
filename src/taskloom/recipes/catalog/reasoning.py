"""Inference sets published or gathered since 2022: logic, stories, contracts, negation, science.

They end in the same two label sets as `nli` and share its heads. No row of them was at hand, so every name is mapped by
name in all spellings that are known; another one stops the task with a message.
"""

from __future__ import annotations

from taskloom.recipes.catalog.glue import THREE_WAY_QUESTION, TWO_WAY_QUESTION
from taskloom.recipes.catalog.grounds import LISTED
from taskloom.recipes.recipe import Classification, Hub, Splits, Task

_ALL = Splits(train="train", validation="validation", test="test")
_FOLLOWS = {
    "entailment": "entailment", "entailed": "entailment", "entail": "entailment",
    "not_entailment": "not_entailment", "not entailment": "not_entailment", "not-entailment": "not_entailment",
    "non-entailment": "not_entailment", "not-entailed": "not_entailment", "not_entailed": "not_entailment",
}  # fmt: skip
_FOLLOWS_OR_OPEN = {"entailment": "entailment", "neutral": "not_entailment"}
_THREE = {
    spelled: name
    for name in ("entailment", "neutral", "contradiction")
    for spelled in (name, name.capitalize(), name.upper())
}
_BABI = (
    "lists-sets", "path-finding", "basic-coreference", "three-arg-relations", "compound-coreference",
    "positional-reasoning", "conjunction", "basic-deduction", "simple-negation", "indefinite-knowledge",
    "size-reasoning", "three-supporting-facts", "time-reasoning", "two-arg-relations", "two-supporting-facts",
    "yes-no-questions", "counting", "single-supporting-fact", "basic-induction",
)  # fmt: skip
_TWO_WAY = (  # id, columns of text, pair and label, names, license, use, citation
    ("logiqa-2.0-nli", "premise", "hypothesis", "label", _FOLLOWS, "cc", "non-commercial", None),
    ("ruletaker", "context", "question", "label", _FOLLOWS, "apache-2.0", "commercial", "clark2020transformers"),
    ("doc-nli", "premise", "hypothesis", "label", _FOLLOWS, "bsd", "commercial", "yin2021docnli"),
    ("temporal-nli", "Premise", "Hypothesis", "Label", _FOLLOWS, "apache-2.0", "commercial", "thukral2021probing"),
    ("scone", "sentence1_edited", "sentence2_edited", "gold_label_edited", _FOLLOWS_OR_OPEN, "cc0-1.0", "commercial",
     "she2023scone"),
    ("monli", "sentence1", "sentence2", "gold_label", _FOLLOWS_OR_OPEN, None, "unspecified", "geiger2020neural"),
    ("syntactic-augmentation-nli", "sentence1", "sentence2", "gold_label", _FOLLOWS, "mit", "commercial",
     "min2020syntactic"),
)  # fmt: skip
_THREE_WAY = (  # id, repository, config, columns of text, pair and label, license, use, citation
    ("contract-nli/contractnli_a/seg", "tasksource/contract-nli", "contractnli_a", "premise", "hypothesis", "label",
     "cc-by-nc-sa-4.0", "non-commercial", "koreeda2021contractnli"),
    ("contract-nli/contractnli_b/full", "tasksource/contract-nli", "contractnli_b", "premise", "hypothesis", "label",
     "cc-by-nc-sa-4.0", "non-commercial", "koreeda2021contractnli"),
    ("FOL-nli", "unigram/FOL-nli", None, "premise", "hypothesis", "label", "apache-2.0", "commercial", None),
    ("SpaceNLI", "tasksource/SpaceNLI", None, "premises", "hypothesis", "label", "mit", "commercial", None),
    ("semantic_fragments_nli", "tasksource/semantic_fragments_nli", None, "sentence1", "sentence2", "gold_label",
     None, "unspecified", "richardson2020probing"),
    ("dadc-limit-nli", "tasksource/dadc-limit-nli", None, "sentence1", "sentence2", "label", "cc", "unspecified", None),
    ("equate", "tasksource/equate", None, "sentence1", "sentence2", "gold_label", "apache-2.0", "commercial",
     "ravichander2019equate"),
)  # fmt: skip
_BY_PROOF = {"PROVED": "proved", "DISPROVED": "disproved", "UNKNOWN": "neither proved nor disproved"}
_RELATIONS = {name: name for name in ("reasoning", "entailment", "contrasting", "neutral")}

TASKS = (
    *(
        Task(
            id=f"babi_nli/{config}", source=Hub("tasksource/babi_nli", config), splits=_ALL,
            kind=Classification(text="premise", pair="hypothesis", label="label", names=_FOLLOWS),
            question=TWO_WAY_QUESTION, family="nli", license="bsd", license_use="commercial",
            citation="weston2016babi", rests_on=LISTED,
        )
        for config in _BABI
    ),
    *(
        Task(
            id=task_id, source=Hub(f"tasksource/{task_id}"), splits=_ALL,
            kind=Classification(text=text, pair=pair, label=label, names=names), question=TWO_WAY_QUESTION,
            family="nli", license=license, license_use=use, citation=citation, rests_on=LISTED,
        )
        for task_id, text, pair, label, names, license, use, citation in _TWO_WAY
    ),
    Task(
        id="mindgames", source=Hub("sileod/mindgames"), splits=_ALL,
        kind=Classification(text="premise", pair="hypothesis", label="label", names=_FOLLOWS),
        question=TWO_WAY_QUESTION, family="nli", license="apache-2.0", license_use="commercial",
        citation="sileo2023mindgames", rests_on=LISTED,
    ),
    *(
        Task(
            id=task_id, source=Hub(repo, config), splits=_ALL,
            kind=Classification(text=text, pair=pair, label=label, names=_THREE), question=THREE_WAY_QUESTION,
            family="nli", license=license, license_use=use, citation=citation, rests_on=LISTED,
        )
        for task_id, repo, config, text, pair, label, license, use, citation in _THREE_WAY
    ),
    Task(
        id="FLUTE", source=Hub("ColumbiaNLP/FLUTE"), splits=_ALL, head="figurative inference",
        kind=Classification(
            text="premise", pair="hypothesis", label="label",
            names={"Entailment": "entailment", "Contradiction": "contradiction"},
        ),
        question="Does the figurative sentence follow from the first text, or contradict it?",
        family="nli", license="afl-3.0", license_use="commercial", citation="chakrabarty2022flute", rests_on=LISTED,
    ),
    *(
        Task(
            id=f"FLD.v2/{config}", source=Hub("hitachi-nlp/FLD.v2", config), splits=_ALL,
            kind=Classification(text="context", pair="hypothesis", label="proof_label", names=_BY_PROOF),
            question="Do the facts and rules prove the statement, disprove it, or neither?",
            family="nli", citation="morishita2023learning", rests_on=LISTED,
        )
        for config in ("default", "star")
    ),
    Task(
        id="proofwriter", source=Hub("tasksource/proofwriter"), splits=_ALL, head="by proof",
        kind=Classification(
            text="theory", pair="question", label="answer",
            names={"True": "proved", "False": "disproved", "Unknown": "neither proved nor disproved"},
        ),
        question="Do the facts and rules prove the statement, disprove it, or neither?",
        family="nli", citation="tafjord2021proofwriter", rests_on=LISTED,
    ),
    *(
        Task(
            id=task_id, source=Hub(repo), splits=_ALL, head="relation of scientific sentences",
            kind=Classification(text="sentence1", pair="sentence2", label="label", names=_RELATIONS),
            question="How does the second sentence of a paper relate to the first?",
            family="science", license=license, license_use="commercial", citation=citation, rests_on=LISTED,
        )
        for task_id, repo, license, citation in (
            ("scinli", "tasksource/scinli", "apache-2.0, CC BY-SA 4.0", "sadat2022scinli"),
            ("MSciNLI", "sadat2307/MSciNLI", "cc-by-sa-4.0", "sadat2024mscinli"),
        )
    ),
    Task(
        id="CREAK", source=Hub("amydeng2000/CREAK"), splits=_ALL,
        kind=Classification(text="sentence", label="label", names={"true": "true claim", "false": "false claim"}),
        question="Is the claim about an entity true?",
        family="commonsense", license="CC BY-SA 4.0", license_use="commercial", citation="onoe2021creak",
        rests_on=LISTED,
    ),
    Task(
        id="hover", source=Hub("Dzeniks/hover"), splits=_ALL,
        kind=Classification(
            text="evidence", pair="claim", label="label", names=("supports the claim", "refutes the claim")
        ),
        question="Does the evidence support the claim or refute it?",
        family="nli", license="mit", license_use="commercial", citation="jiang2020hover", rests_on=LISTED,
    ),
    Task(
        id="ambient", source=Hub("tasksource/ambient"), splits=_ALL,
        kind=Classification(
            text="premise", pair="hypothesis", label="hypothesis_ambiguous",
            names={"False": "unambiguous hypothesis", "True": "ambiguous hypothesis"},
        ),
        question="Is the second text ambiguous?",
        family="nli", citation="liu2023afraid", rests_on=LISTED,
    ),
    Task(
        id="stepgame", source=Hub("tasksource/stepgame"), splits=_ALL,
        kind=Classification(text="story", pair="question", label="label"),
        question="Where is the first thing, as seen from the second?",
        family="nli", license="mit", license_use="commercial", citation="shi2022stepgame", rests_on=LISTED,
    ),
    Task(
        id="clutrr", source=Hub("tasksource/clutrr"), splits=_ALL,
        kind=Classification(text="story", pair="query", label="label"),
        question="How are the two persons related?",
        family="nli", citation="sinha2019clutrr", rests_on=LISTED,
    ),
)  # fmt: skip
