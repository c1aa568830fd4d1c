"""The built-in tasks: rows that are made, with exact labels; docs/generators.md says what each one tests.

Label names are written out, so that listing tasks makes no row; a test compares them with the generators'.
"""

from __future__ import annotations

from collections.abc import Mapping

from taskloom.recipes.recipe import (
    Builtin,
    Classification,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)


def _same(*names: str) -> dict[str, str]:
    """Return names that stay what they are, in this order."""
    return {name: name for name in names}


_NLI = _same("entailment", "neutral", "contradiction")
_NLI_QUESTION = "Does the first text entail the second, contradict it, or neither?"


def _pair(names: Mapping[str, str]) -> Classification:
    return Classification(text="text", pair="pair", label="label", names=names)


def _task(name: str, kind: Kind, question: str) -> Task:
    return Task(
        id=f"builtin/{name}", source=Builtin(name), kind=kind, question=question,
        splits=Splits(train="train", validation="validation", test="test"),
        family="procedural", license="apache-2.0", license_use="commercial",
    )  # fmt: skip


_CHOICE = MultipleChoice(prompt="prompt", choices="choices", label="label")
_THREE_WAY = _pair(_NLI)

TASKS: tuple[Task, ...] = (
    _task("label_nli", _THREE_WAY, "Is the text about the topic that the second text names?"),
    _task(
        "topic_mentions",
        Multilabel(
            text="text",
            labels="labels",
            names=_same("astronomy", "camping", "cheese", "chess", "elections", "gardening", "knitting", "opera"),
        ),
        "Which topics does the text go into?",
    ),
    _task("quantifier_nli", _THREE_WAY, _NLI_QUESTION),
    _task("negation_nli", _THREE_WAY, _NLI_QUESTION),
    _task("number_nli", _THREE_WAY, _NLI_QUESTION),
    _task("number_choice", _CHOICE, "Which number is the one that is asked for?"),
    _task("temporal_nli", _THREE_WAY, _NLI_QUESTION),
    _task(
        "overlap_nli",
        _pair(_same("entailment", "not_entailment")),
        "Does the first text entail the second?",
    ),
    _task(
        "agreement",
        Classification(text="text", label="label", names=_same("unacceptable", "acceptable")),
        "Does the verb agree with its subject?",
    ),
    _task("where_is", _CHOICE, "Where is the person or the thing?"),
    _task(
        "switches",
        Multilabel(text="text", labels="labels", names=_same("fan", "heater", "lamp", "radio")),
        "Which devices are on at the end?",
    ),
    _task(
        "span_tags",
        TokenClassification(
            tokens="tokens",
            labels="labels",
            names=_same("O", "B-DATE", "I-DATE", "B-QUANTITY", "I-QUANTITY", "B-PERSON", "I-PERSON", "B-PLACE"),
        ),
        "Which words are dates, quantities, persons and places?",
    ),
    _task(
        "role_tags",
        TokenClassification(tokens="tokens", labels="labels", names=_same("O", "B-GIVER", "B-RECEIVER", "B-WITNESS")),
        "Who gives, and who receives?",
    ),
    _task(
        "edit_similarity",
        Regression(text="text", pair="pair", score="score", low=0.0, high=5.0),
        "How much of the first sentence is the same in the second, from 0 to 5?",
    ),
)
