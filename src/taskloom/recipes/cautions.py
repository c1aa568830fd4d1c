"""What is wrong with a data set and cannot be mended by a recipe: `taskloom show` says it, nothing else changes.

A task whose fault makes it unfit for training carries a `defect` instead. These are fit, with something to know.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from taskloom.recipes.recipe import Task

CAUTIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("pragmeval/squinky-*", "pragmeval/emobank-*"),
        "The two classes are the halves of a mean rating: rows near the middle are a coin's throw.",
    ),
    (
        ("pragmeval/persuasiveness-*", "snips_built_in_intents", "scientific-exaggeration-detection", "nan-nli/*"),
        "A few hundred rows at most, so scores have wide intervals.",
    ),
    (
        ("pragmeval/switchboard/*", "pragmeval/mrda/*"),
        "Utterances come without what was said before, on which some acts depend.",
    ),
    (("probability_words_nli/usnli",), "The labels are graded judgments, put into words of probability."),
    (("ethics/virtue",), "Four of five rows are negative, by the way the set was made."),
    (("crowdflower/economic-news",), "Annotators agree poorly; the task has half the weight."),
    (
        ("Sarcasm_News_Headline",),
        "Sarcastic headlines are from one paper and the others from another, so style tells much of the answer.",
    ),
    (
        ("lex_glue/eurlex", "lex_glue/scotus"),
        "Most texts are far longer than the usual cut, and what decides may stand behind it.",
    ),
    (
        ("linguisticprobing/tree_depth", "linguisticprobing/top_constituents", "linguisticprobing/word_content"),
        "The class names are the source's own: depths, sequences of constituents, words.",
    ),
    (("linguisticprobing/sentence_length",), "The class names are bins of lengths by a tokenizer that is not known."),
    (("hope_edi/english",), "The set was shared as a file, so its place on the hub is a copy."),
    (("liar",), "Statements come without evidence: who said them where is all that there is to go by."),
)
"""Patterns of ids, and a sentence."""


def cautions_of(task: Task) -> tuple[str, ...]:
    """Return what one should know before trusting a task."""
    return tuple(text for patterns, text in CAUTIONS if any(fnmatchcase(task.id, pattern) for pattern in patterns))
