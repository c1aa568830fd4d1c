"""A label for each word: parts of speech, chunks, named entities and slots.

Label names are the source's own wherever it has names, so that the order of class ids does not matter; entity sets with
equal names share a head (broad_twitter_corpus and wikiann do). Bare B and I tags get the name of what they mark.
"""

from __future__ import annotations

from taskloom.recipes.catalog.grounds import HUB_PAGE
from taskloom.recipes.expressions import Field
from taskloom.recipes.recipe import Defect, Hub, Splits, Task, TokenClassification, Where

_ALL = Splits(train="train", validation="validation", test="test")
_ENTITIES = TokenClassification(tokens="tokens", labels="ner_tags")
_SPECIES = TokenClassification(tokens="tokens", labels="ner_tags", names={"O": "O", "B": "B-Species", "I": "I-Species"})
_PENN = "Which Penn Treebank part of speech does each word have?"
_CHUNKS = "Which words form base phrases (chunks)?"
_CONLL = (
    ("pos_tags", "pos", _PENN),
    ("chunk_tags", "pos", _CHUNKS),
    ("ner_tags", "ner", "Which words name persons, organizations, locations and others?"),
)
_CHEMICALS_AND_DISEASES = ("O", "B-Chemical", "B-Disease", "I-Disease", "I-Chemical")
_ONTONOTES = (
    "PERSON", "NORP", "FAC", "ORG", "GPE", "LOC", "PRODUCT", "DATE", "TIME", "PERCENT", "MONEY", "QUANTITY", "ORDINAL",
    "CARDINAL", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE",
)  # fmt: skip
_WIKIANN = (("en", "en"), ("de", "de"))


def _in_both_forms(names: tuple[str, ...]) -> dict[str, str]:
    """Names for a set that one copy stores with class names and another as bare integers in this order."""
    return {name: name for name in names} | {str(place): name for place, name in enumerate(names)}


def _tags(labels: Field, names: dict[str, str] | tuple[str, ...] | None = None) -> TokenClassification:
    return TokenClassification(tokens="tokens", labels=labels, names=names)


TASKS = (
    *(
        Task(
            id=f"conll2003/{column}", source=Hub("tomaarsen/conll2003"), kind=_tags(column), splits=_ALL,
            question=question, family=family, license="other", license_use="non-commercial",
            citation="tjong2003conll",
        )
        for column, family, question in _CONLL
    ),
    Task(
        id="wnut_17/wnut_17", source=Hub("flaitenberger/wnut_17"), kind=_ENTITIES, splits=_ALL,
        question="Which words name emerging entities of six types?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="derczynski2017wnut",
    ),
    Task(
        id="broad_twitter_corpus", source=Hub("GateNLP/broad_twitter_corpus"), kind=_ENTITIES, splits=_ALL,
        question="Which words name persons, organizations and locations?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="derczynski2016broad",
    ),
    *(
        Task(
            id=f"wikiann/{config}", source=Hub("unimelb-nlp/wikiann", config), kind=_ENTITIES, splits=_ALL,
            language=language, question="Which words name persons, organizations and locations?",
            family="ner", citation="rahimi2019massively",
        )
        for config, language in _WIKIANN
    ),
    Task(
        id="ontonotes_english/SpeedOfMagic--ontonotes_english", splits=_ALL,
        source=Hub("SpeedOfMagic/ontonotes_english", None, "refs/convert/parquet"),
        kind=_tags("ner_tags", ("O", *(f"{mark}-{name}" for name in _ONTONOTES for mark in "BI"))),
        question="Which words name entities of the 18 OntoNotes types?",
        family="ner", citation="pradhan2013ontonotes", rests_on=HUB_PAGE,
    ),
    Task(  # the tags of the hub's test split are placeholders
        id="acronym_identification", source=Hub("amirveyseh/acronym_identification"), kind=_tags("labels"),
        splits=Splits(train="train", validation="validation"),
        question="Which words are acronyms (short) and their spelled-out forms (long)?",
        family="ner", license="mit", license_use="non-commercial", citation="veyseh2020acronym",
    ),
    Task(
        id="ncbi_disease/ncbi_disease", source=Hub("ncbi/ncbi_disease", None, "refs/convert/parquet"),
        kind=_ENTITIES, splits=_ALL, question="Which words name diseases?", family="ner", citation="dogan2014ncbi",
    ),
    Task(
        id="jnlpba/jnlpba", version=2, source=Hub("jnlpba/jnlpba", None, "refs/convert/parquet"), kind=_ENTITIES,
        splits=Splits(train="train", validation="validation"),
        where=(Where("tokens", ("-DOCSTART-",), keep=False),),  # 2: a tenth of the rows are marks between abstracts
        question="Which words name DNA, RNA, proteins, cell types and cell lines?",
        family="ner", citation="collier2004jnlpba",
    ),
    Task(
        id="bc5cdr", source=Hub("tner/bc5cdr"), splits=_ALL,
        kind=_tags("tags", _in_both_forms(_CHEMICALS_AND_DISEASES)),
        question="Which words name chemicals and diseases?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="li2016bc5cdr",
    ),
    Task(
        id="scierc_ner", source=Hub("allenai/scierc_ner"), kind=_ENTITIES, splits=_ALL,
        question="Which words name tasks, methods, metrics, materials and other scientific terms?",
        family="ner", citation="luan2018scierc",
    ),
    Task(
        id="anatem", source=Hub("cambridgeltl/anatem"), kind=_ENTITIES, splits=_ALL,
        question="Which words name parts of the anatomy?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="pyysalo2014anatem",
    ),
    Task(
        id="bionlp13cg", source=Hub("cambridgeltl/bionlp13cg"), kind=_ENTITIES, splits=_ALL,
        question="Which words name the genes, cells, cancers and other entities of cancer genetics?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="pyysalo2013cg",
    ),
    Task(
        id="linnaeus/linnaeus", source=Hub("cambridgeltl/linnaeus", "linnaeus"), kind=_SPECIES, splits=_ALL,
        question="Which words name species?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="gerner2010linnaeus",
    ),
    Task(
        id="species_800/species_800", source=Hub("species_800", "species_800"), kind=_SPECIES, splits=_ALL,
        defect=Defect("unavailable", "the source files are gone"),
        question="Which words name species?", family="ner", citation="pafilis2013species",
    ),
    Task(
        id="germeval2014", source=Hub("gwlms/germeval2014"), kind=_ENTITIES, splits=_ALL, language="de",
        question="Which words name persons, organizations, locations and others?",
        family="ner", license="cc-by-4.0", license_use="commercial", citation="benikova2014germeval",
    ),
    Task(
        id="lener_br/lener_br", source=Hub("peluz/lener_br", "lener_br"), kind=_ENTITIES, splits=_ALL, language="pt",
        question="Which words of the Brazilian legal text name persons, places, times, laws and cases?",
        family="ner", citation="luz2018lener",
    ),
    Task(
        id="twitter_pos/ritter", source=Hub("strombergnlp/twitter_pos", "ritter"), kind=_tags("pos_tags"), splits=_ALL,
        question=_PENN, family="pos", license="gpl-3.0", license_use="commercial", citation="ritter2011ner",
    ),
    Task(
        id="twitter_chunk", source=Hub("aritter/twitter_chunk"), kind=_tags("chunk_tags"),
        splits=Splits(train="train", test="test"),
        question=_CHUNKS, family="pos", license="gpl-3.0", license_use="commercial", citation="ritter2011ner",
    ),
    Task(
        id="universal_dependencies/en_ewt/upos", source=Hub("universal-dependencies/universal_dependencies", "en_ewt"),
        kind=_tags("upos"), splits=_ALL, question="Which universal part of speech does each word have?",
        family="pos", license="other", citation="silveira2014gold",
    ),
    *(
        Task(
            id=name, source=Hub(f"MiuLab/{name}"), kind=_tags("slots"), splits=_ALL,
            question="Which words fill which slot of the request?", family="intent", citation=citation,
        )
        for name, citation in (("atis", "hemphill1990atis"), ("snips", "coucke2018snips"))
    ),
)  # fmt: skip
