"""Beyond the 420: labels for words, scores on a scale, and the ways in which a comment can offend.

A score that is a share of raters runs from 0 to 1. Civil Comments has 1.8 million rows, so it is capped, and nine in
ten of its comments have none of the seven labels.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import HUB_PAGE, LISTED
from taskloom.recipes.expressions import Above
from taskloom.recipes.recipe import Held, Hub, Multilabel, Regression, Splits, Task, TokenClassification

_ALL = Splits(train="train", validation="validation", test="test")
_PARQUET = "refs/convert/parquet"
_OFFENSES = (
    "toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit",
)  # fmt: skip
_RELATIONS = (
    "acl", "acl:relcl", "advcl", "advcl:relcl", "advmod", "amod", "appos", "aux", "aux:pass", "case", "cc",
    "cc:preconj", "ccomp", "compound", "compound:prt", "conj", "cop", "csubj", "csubj:outer", "csubj:pass", "dep",
    "det", "det:predet", "discourse", "dislocated", "expl", "fixed", "flat", "flat:foreign", "goeswith", "iobj", "list",
    "mark", "nmod", "nmod:desc", "nmod:npmod", "nmod:poss", "nmod:tmod", "nmod:unmarked", "nsubj", "nsubj:outer",
    "nsubj:pass", "nummod", "obj", "obl", "obl:agent", "obl:npmod", "obl:tmod", "obl:unmarked", "orphan", "parataxis",
    "punct", "reparandum", "root", "vocative", "xcomp",
)  # fmt: skip
"""Relations of English treebanks up to UD 2.16; all are listed, as a rare one may be missing from the train rows."""


def _entities(labels: str) -> TokenClassification:
    return TokenClassification(tokens="tokens", labels=labels)


TASKS = (
    Task(
        id="conll2000", source=Hub("eriktks/conll2000", None, _PARQUET), kind=_entities("chunk_tags"),
        splits=Splits(train="train", validation=Held(0.1), test="test"),
        question="Which words form base phrases (chunks)?", family="pos", citation="tjong2000conll",
        rests_on=HUB_PAGE,
    ),
    Task(
        id="few-nerd/supervised", source=Hub("DFKI-SLT/few-nerd", "supervised"), kind=_entities("fine_ner_tags"),
        splits=_ALL, question="Which words name entities of which of 66 fine types?",
        family="ner", license="cc-by-sa-4.0", license_use="commercial", citation="ding2021fewnerd",
        rests_on=LISTED,
    ),
    Task(
        id="finer-139", source=Hub("nlpaueb/finer-139", None, _PARQUET), kind=_entities("ner_tags"), splits=_ALL,
        question="Which words are figures of which of 139 kinds in the financial report?",
        family="ner", license="cc-by-sa-4.0", license_use="commercial", citation="loukas2022finer", rests_on=LISTED,
    ),
    Task(
        id="universal_dependencies/en_ewt/deprel", splits=_ALL,
        source=Hub("universal-dependencies/universal_dependencies", "en_ewt"),
        kind=TokenClassification(
            tokens="tokens", labels="deprel",
            names={name: name for name in _RELATIONS} | {"_": "contraction"},  # its parts follow as words
        ),
        question="How does each word depend on its syntactic head?",
        family="pos", license="other", citation="silveira2014gold",
    ),
    Task(
        id="sts-companion", source=Hub("tasksource/sts-companion"), splits=_ALL,
        kind=Regression(text="sentence1", pair="sentence2", score="label", low=0.0, high=5.0),
        question="How similar in meaning are the two sentences, from 0 to 5?",
        family="paraphrase", license="apache-2.0", license_use="commercial", citation="cer2017stsb", rests_on=LISTED,
    ),
    Task(
        id="UNLI", source=Hub("Zhengping/UNLI"), splits=_ALL,
        kind=Regression(text="premise", pair="hypothesis", score="label", low=0.0, high=1.0),
        question="How likely is the second text to be true, given the first, from 0 to 1?",
        family="nli", license="mit", license_use="commercial", citation="chen2020unli", rests_on=LISTED,
    ),
    Task(
        id="clear/readability", source=Hub("casey-martin/CommonLit-Ease-of-Readability"), splits=_ALL,
        kind=Regression(text="Excerpt", score="BT_easiness", low=-4.0, high=2.0),
        question="How easy is the passage to read, from -4 (hard) to 2 (easy)?",
        family="probing", license="cc-by-nc-sa-4.0", license_use="non-commercial", citation="crossley2022clear",
        rests_on=LISTED,
    ),
    Task(
        id="civil_comments/toxicity_share", source=Hub("google/civil_comments"), splits=_ALL, max_rows=30000,
        kind=Regression(text="text", score="toxicity", low=0.0, high=1.0),
        question="What share of raters found the comment toxic, from 0 to 1?",
        family="hate", license="cc0-1.0", license_use="commercial", citation="borkan2019nuanced", rests_on=LISTED,
    ),
    Task(
        id="civil_comments/multilabel", source=Hub("google/civil_comments"), splits=_ALL, max_rows=30000,
        kind=Multilabel(
            text="text", labels=Above(_OFFENSES, 0.5),
            names={name: name for name in _OFFENSES}
            | {"toxicity": "toxic", "severe_toxicity": "severely toxic", "identity_attack": "identity attack",
               "sexual_explicit": "sexually explicit"},
        ),
        question="In which ways do most raters find the comment offensive?",
        family="hate", citation="borkan2019nuanced", rests_on=LISTED,  # who licenses these columns is not recorded
    ),
    Task(
        id="scirepeval/search", source=Hub("tasksource/scirepeval-search"), splits=_ALL,
        kind=Regression(text="sentence1", pair="sentence2", score="labels", low=0.0, high=14.0),
        question="How relevant is the paper to the query, judged by clicks, from 0 to 14?",
        family="science", citation="singh2023scirepeval", rests_on=LISTED,
    ),
)  # fmt: skip
