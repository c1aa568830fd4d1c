"""The collection of the 420: all of it, benchmarks apart, and what is out of training with its reason."""

from __future__ import annotations

from collections import Counter

import pytest

from taskloom.recipes.catalog import catalog, collections_of, tasksource_420
from taskloom.recipes.recipe import Hub, Task
from taskloom.recipes.select import select

BY_ID = {task.id: task for task in catalog()}
COLLECTION = [BY_ID[name] for name in sorted(tasksource_420())]
BENCHMARKS = ("bigbench/*", "hendrycks_test/*", "blimp/*", "adv_glue/*", "glue_diagnostics/*", "model-written-evals")
OUT_OF_TRAINING = {
    "duplicate": (
        "cos_e/v1.0",
        "enfever_nli",
        "financial_phrasebank/sentences_50agree",
        "financial_phrasebank/sentences_66agree",
        "financial_phrasebank/sentences_75agree",
        "hyperpartisan_news_detection/byarticle",
        "hyperpartisan_news_detection/bypublisher",
        "quora",
        "sick/entailment_AB",
        "sick/entailment_BA",
    ),
    "impractical": (
        "code_x_glue_cc_clone_detection_big_clone_bench",
        "linguisticprobing/word_content",
    ),
    "low_value": (
        "bigbench/intersect_geometry",
        "crowdflower/sentiment_nuclear_power",
        "pragmeval/emobank-arousal/single_input",
        "pragmeval/emobank-valence/single_input",
    ),
    "unavailable": (
        "EffectiveFeedbackStudentWriting",
        "contrast_nli",
        "promptCoherence",
        "promptGrammar",
        "promptNLI",
        "promptProficiency",
        "promptSentiment",
        "promptSpoke",
        "species_800/species_800",
    ),
    "unsound": (
        "app_reviews",
        "blog_authorship_corpus/horoscope",
        "blog_authorship_corpus/job",
        "code_x_glue_cc_code_refinement/medium",
        "crowdflower/text_emotion",
        "gen_debiased_nli/mnli_par_z",
        "gen_debiased_nli/mnli_seq_z",
        "gen_debiased_nli/mnli_z_aug",
        "gen_debiased_nli/snli_par_z",
        "gen_debiased_nli/snli_seq_z",
        "gen_debiased_nli/snli_z_aug",
        "gpt3_nli",
        "has_part",
        "hlgd",
        "lexical_relation_classification/EVALution",
        "linguisticprobing/sentence_length",
        "paws/unlabeled_final",
        "pragmeval/mrda/single_input",
        "recast/recast_kg_relations",
    ),
}
"""What the keepers of the collection took out of training since 2022, by the kind of reason."""
OWN_REASONS = {
    "dnc": "duplicate", "bigbench/vitaminc_fact_verification": "duplicate", "bigbench/social_iqa": "duplicate",
    "bigbench/cifar10_classification": "unsound", "bigbench/color": "low_value", "bigbench/mnist_ascii": "low_value",
}  # fmt: skip
"""What we take out besides."""


def test_all_420_ids_have_a_recipe() -> None:
    """Each id of December 2022 is in the catalog, once, and in the collection of its name."""
    assert len(tasksource_420()) == 420 and len(COLLECTION) == 420
    assert all("tasksource-420" in collections_of(task) for task in COLLECTION)
    assert sum("tasksource-420" in collections_of(task) for task in catalog()) == 420


def test_kinds_are_those_of_the_collection() -> None:
    """Counts by kind; utilitarianism is a choice here, where 2022 had a made-up true or false."""
    found = Counter(task.kind.name for task in COLLECTION)
    assert found == {
        "multiple_choice": 210, "classification": 192, "token_classification": 9, "regression": 5, "multilabel": 4
    }  # fmt: skip


def test_defects_are_the_known_ones() -> None:
    """A task carries a defect if and only if it stands in the tables above, and of the kind that it stands under."""
    expected = {name: kind for kind, names in OUT_OF_TRAINING.items() for name in names} | OWN_REASONS
    assert {task.id: task.defect.kind for task in COLLECTION if task.defect} == expected
    assert all(task.defect.reason for task in COLLECTION if task.defect)


@pytest.mark.parametrize("pattern", BENCHMARKS)
def test_benchmarks_are_for_evaluation(pattern: str) -> None:
    """No benchmark is trained on by accident, and none ever on the questions that it is scored on."""
    chosen = select([pattern], exclude=()).tasks
    assert chosen and {task.role for task in chosen} == {"evaluation"}
    assert [task.id for task in chosen if task.splits.train in ("test", task.splits.test or "test")] == []


def test_training_by_default_leaves_out_benchmarks_and_defects() -> None:
    """The default exclusions take exactly the evaluation tasks and those with a defect; by name they still come."""
    trained = {task.id for task in select(["tasksource-420"], exclude=("role:evaluation", "defect:*")).tasks}
    assert trained == {task.id for task in COLLECTION if task.role == "train" and not task.defect}
    assert 180 <= len(trained) <= 190
    assert [task.id for task in select(["quora"], exclude=()).tasks] == ["quora"]


def _place(task: Task) -> str:
    return task.source.repo if isinstance(task.source, Hub) else ""


def test_every_source_has_an_owner_or_a_reason() -> None:
    """The hub refuses names without an owner: only tasks out of training, and what is read from a mirror, lack one."""
    bare = {task.id for task in COLLECTION if "/" not in _place(task) and not task.defect}
    assert bare == set()


def test_word_relations_are_named_without_a_direction_that_is_not_known() -> None:
    """The sets differ in which of the two words is the part or the kind: no class is called by one of them."""
    tasks = [task for task in COLLECTION if task.id.startswith("lexical_relation_classification/")]
    names = {ours for task in tasks for _, ours in getattr(task.kind, "names", ())}
    assert len(tasks) == 5
    assert "part and whole" in names
    assert names & {"part", "whole", "hyponym"} == set()
