"""The built-in generators: exact, seeded, balanced, and with other words in test rows than in training rows."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from taskloom.errors import DataError, RecipeError, UnknownTaskError
from taskloom.recipes.catalog.procedural import TASKS
from taskloom.recipes.generators import (
    Generator,
    Row,
    generate,
    generate_groups,
    generators,
    zero_shot_examples,
)
from taskloom.recipes.generators.base import FUNCTION_WORDS, SPLITS, balanced_designs, nli_label, read_back
from taskloom.recipes.generators.topics import field_topics, topic_of, topic_words
from taskloom.recipes.recipe import KINDS, Builtin

ROOT = Path(__file__).resolve().parents[2]
ALL = generators()
ANSWERS = {"regression": "score", "multilabel": "labels", "token_classification": "labels"}
COLUMNS = {
    "classification": {"text", "pair", "label", "level"},
    "multilabel": {"text", "pair", "labels", "level"},
    "regression": {"text", "pair", "score", "level"},
    "multiple_choice": {"prompt", "choices", "label", "level"},
    "token_classification": {"tokens", "labels", "level"},
}
BY_LABEL = [generator for generator in ALL.values() if generator.kind == "classification" and generator.leak_free]

each = pytest.mark.parametrize("generator", ALL.values(), ids=list(ALL))
each_split = pytest.mark.parametrize("split", SPLITS)


def answer_of(generator: Generator, row: Row) -> object:
    """Return the answer column of a row."""
    return row[ANSWERS.get(generator.kind, "label")]


def inputs_of(generator: Generator, row: Row) -> Row:
    """Return a row without its answer."""
    return {name: value for name, value in row.items() if name not in (ANSWERS.get(generator.kind, "label"), "level")}


def texts_of(row: Row) -> Iterator[str]:
    """Yield every text of a row."""
    yield from (row[name] for name in ("text", "pair", "prompt") if row.get(name) is not None)
    yield from row.get("choices", ())
    if "tokens" in row:
        yield " ".join(row["tokens"])


def content_words(generator: Generator, split: str) -> set[str]:
    """Return the words of 2,000 rows that are neither function words nor what the task is about."""
    rows = generate(generator.name, split=split, rows=2000)
    words = {word for row in rows for text in texts_of(row) for word in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())}
    return words - FUNCTION_WORDS - generator.shared_words


def benchmark() -> ModuleType:
    """Return benchmarks/generators.py as a module."""
    spec = importlib.util.spec_from_file_location("generators_benchmark", ROOT / "benchmarks" / "generators.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_all_kinds_and_enough_leak_free_ones() -> None:
    """There are at least ten generators, of all five kinds, and at least five that call themselves leak-free."""
    assert len(ALL) >= 10
    assert {generator.kind for generator in ALL.values()} == set(KINDS)
    assert sum(generator.leak_free for generator in ALL.values()) >= 5
    assert sum(generator.labels == ("entailment", "neutral", "contradiction") for generator in ALL.values()) >= 2


@each
@each_split
def test_two_thousand_rows_solved_exactly(generator: Generator, split: str) -> None:
    """2,000 rows differ from each other, have the kind's columns, and the solver gets each one from its texts."""
    rows = generate(generator.name, split=split, rows=2000)
    inputs = [inputs_of(generator, row) for row in rows]
    assert len({json.dumps(row, sort_keys=True) for row in inputs}) == len(rows) == 2000
    assert {frozenset(row) for row in rows} == {frozenset(COLUMNS[generator.kind])}
    wrong = [
        row for row, given in zip(rows, inputs, strict=True) if generator.solve(given) != answer_of(generator, row)
    ]
    assert wrong == []


@each
def test_levels_are_mixed_evenly_and_can_be_chosen(generator: Generator) -> None:
    """Three levels or more, a fair share of each, and every one of them alone on request."""
    assert len(generator.levels) >= 3
    counts = Counter(row["level"] for row in generate(generator.name, split="train", rows=600))
    assert set(counts) == set(generator.levels)
    assert max(counts.values()) - min(counts.values()) <= 24
    for level in generator.levels:
        assert {row["level"] for row in generate(generator.name, split="test", rows=600, level=level)} == {level}


@each
def test_labels_are_declared_and_all_used(generator: Generator) -> None:
    """Rows use exactly the declared labels; scores stay between 0 and 5, and choices are valid indexes."""
    rows = generate(generator.name, split="train", rows=2000)
    answers = [answer_of(generator, row) for row in rows]
    if generator.kind == "regression":
        assert min(answers) == 0.0 and max(answers) == 5.0
    elif generator.kind == "multiple_choice":
        assert all(len(set(row["choices"])) == len(row["choices"]) > row["label"] >= 0 for row in rows)
    else:
        single = generator.kind == "classification"
        found = set(answers) if single else set(itertools.chain.from_iterable(answers))
        assert found == set(generator.labels)
    if generator.kind == "token_classification":
        assert all(len(row["tokens"]) == len(row["labels"]) for row in rows)


@pytest.mark.parametrize("name", ["span_tags", "role_tags"])
def test_tags_are_valid_iob2(name: str) -> None:
    """An I- tag follows a B- or I- tag of its type."""
    for row in generate(name, split="test", rows=400):
        for before, tag in itertools.pairwise(["O", *row["labels"]]):
            assert not tag.startswith("I-") or before[2:] == tag[2:]


@each
def test_words_and_templates_are_disjoint_between_splits(generator: Generator) -> None:
    """No content word and no template of one split occurs in another one."""
    words = {split: content_words(generator, split) for split in SPLITS}
    for one, two in itertools.combinations(SPLITS, 2):
        assert words[one] & words[two] == set()
        assert set(generator.templates[one]) & set(generator.templates[two]) == set()
    assert all(len(generator.templates[split]) >= 2 for split in SPLITS)


@pytest.mark.parametrize("generator", BY_LABEL, ids=[generator.name for generator in BY_LABEL])
@each_split
def test_each_text_meets_each_label_equally_often(generator: Generator, split: str) -> None:
    """Within a group a text stands with each of its group's labels equally often, and so does a pair.

    So bags of words of text and pair, put together in whatever linear way, cannot know the label.
    """
    for group in generate_groups(generator.name, split=split, rows=600):
        counts = Counter(row["label"] for row in group)
        assert len(counts) >= 2
        assert len(set(counts.values())) == 1
        if group[0]["pair"] is None:
            continue
        for column in ("text", "pair"):
            by_text = Counter((row[column], row["label"]) for row in group)
            assert set(by_text.values()) == {1}
            assert len(by_text) == len({row[column] for row in group}) * len(counts)


def test_agreement_words_meet_both_labels_equally_often() -> None:
    """Within a group each word and each two neighbors stand as often in good sentences as in bad ones."""
    for group in generate_groups("agreement", split="train", rows=400):
        counts: Counter[tuple[str, str]] = Counter()
        for row in group:
            words = ["<s>", *row["text"].split(), "</s>"]
            counts.update((row["label"], part) for part in [*words, *map(" ".join, itertools.pairwise(words))])
        parts = {part for _, part in counts}
        assert all(counts["acceptable", part] == counts["unacceptable", part] for part in parts)


@pytest.mark.parametrize("name", ["where_is", "number_choice"])
def test_the_right_choice_may_stand_anywhere(name: str) -> None:
    """Over 2,000 rows no position is right more than 4 points off its even share (4 standard errors)."""
    rows = generate(name, split="train", rows=2000)
    counts = Counter(row["label"] for row in rows)
    assert len(counts) == len(rows[0]["choices"])
    assert all(abs(count / 2000 - 1 / len(counts)) < 0.042 for count in counts.values())


def test_scores_do_not_show_in_one_text_or_in_lengths() -> None:
    """Both sentences of a similarity row are equally long, and each score has as many rows as any other."""
    rows = generate("edit_similarity", split="train", rows=2000)
    assert all(len(row["text"]) == len(row["pair"]) for row in rows)
    for level in (1, 2, 3):
        counts = Counter(row["score"] for row in rows if row["level"] == level)
        assert max(counts.values()) - min(counts.values()) <= 1


@each
def test_rows_depend_on_the_seed_alone(generator: Generator) -> None:
    """The same call gives the same rows, another seed gives others, and fewer rows are a prefix of more."""
    rows = generate(generator.name, split="validation", rows=120)
    assert rows == generate(generator.name, split="validation", rows=120)
    assert rows[:50] == generate(generator.name, split="validation", rows=50)
    assert rows != generate(generator.name, split="validation", rows=120, seed=1)


def test_rows_do_not_depend_on_the_hash_seed() -> None:
    """Another process with another PYTHONHASHSEED makes the same rows of every generator, and imports nothing big."""
    program = (
        "import json, sys\n"
        "from taskloom.recipes.generators import generate, generators, zero_shot_examples\n"
        "rows = [generate(name, split='train', rows=40) for name in generators()] + [zero_shot_examples(20)]\n"
        "print(json.dumps([rows, sorted({'torch', 'numpy', 'pyarrow', 'datasets'} & set(sys.modules))]))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    rows, heavy = json.loads(outputs[0])
    assert heavy == []
    assert rows[0] == generate("label_nli", split="train", rows=40)


def test_wrong_requests_say_what_is_allowed() -> None:
    """Unknown names, splits and levels, and too many rows, are user errors that name what there is."""
    with pytest.raises(UnknownTaskError, match="Did you mean 'label_nli'"):
        generate("label-nli", split="train", rows=1)
    with pytest.raises(RecipeError, match="train, validation, test"):
        generate("label_nli", split="dev", rows=1)
    with pytest.raises(RecipeError, match="not one of 1, 2, 3"):
        generate("label_nli", split="train", rows=1, level=9)
    with pytest.raises(DataError, match="fewer than 1000000 different rows"):
        generate("overlap_nli", split="validation", rows=1_000_000, level=1)


def test_topics_have_words_of_their_own() -> None:
    """Over 60 topics, ten words each, none shared, none the name of a topic; fields have near topics in every split."""
    topics = [topic for split in SPLITS for topic in topic_words(split)]
    words = [word for split in SPLITS for own in topic_words(split).values() for word in own]
    assert len(set(topics)) == len(topics) >= 60
    assert {len(own) for split in SPLITS for own in topic_words(split).values()} == {10}
    assert len(set(words)) == len(words) == len(topic_of())
    assert set(words) & set(topics) == set()
    assert all(len(near) >= 2 for split in SPLITS for near in field_topics(split).values())


def test_label_nli_holds_its_test_labels_out() -> None:
    """No topic of a test or validation row, and no word of one, occurs in training rows; texts never name a topic."""
    trained = {
        word for row in generate("label_nli", split="train", rows=2000) for word in re.findall(r"\w+", str(row).lower())
    }
    topics = {topic for split in SPLITS for topic in topic_words(split)}
    for split in ("validation", "test"):
        for topic, words in topic_words(split).items():
            assert not trained & {topic, *words}
    for split in SPLITS:
        rows = generate("label_nli", split=split, rows=2000)
        assert not topics & {word for row in rows for word in re.findall(r"\w+", row["text"].lower())}


def test_zero_shot_examples_are_of_held_out_topics() -> None:
    """Texts with candidate labels: all held out, the right one among them, in no fixed place, and no text twice."""
    examples = zero_shot_examples(rows=240, seed=3)
    held_out = set(topic_words("test"))
    assert len({example["text"] for example in examples}) == len(examples) == 240
    for example in examples:
        assert example["label"] in example["labels"]
        assert len(set(example["labels"])) == 8
        assert set(example["labels"]) <= held_out
        named = {topic_of()[word] for word in re.findall(r"\w+", example["text"].lower()) if word in topic_of()}
        assert named == {example["label"]}
    assert {example["label"] for example in examples} == held_out
    assert len({example["labels"].index(example["label"]) for example in examples}) == 8
    assert zero_shot_examples(5, candidates=4) == zero_shot_examples(5, candidates=4)


def test_nli_label_over_worlds() -> None:
    """A claim entails what holds in all its worlds, contradicts what holds in none, and is neutral otherwise."""
    assert [nli_label(0b011, other) for other in (0b111, 0b110, 0b100)] == ["entailment", "neutral", "contradiction"]


def test_designs_pair_each_form_with_each_label_once() -> None:
    """Two of three facts against one: every premise and every hypothesis of a design has all three labels once."""
    worlds = list(itertools.product((False, True), repeat=3))
    facts = {(atom, value): sum(1 << n for n, world in enumerate(worlds) if world[atom] == value)
             for atom in range(3) for value in (False, True)}  # fmt: skip
    pairs = [facts[one] & facts[two] for one, two in itertools.combinations(facts, 2) if one[0] != two[0]]
    designs = balanced_designs(pairs, list(facts.values()), nli_label, tries=300)
    assert designs
    for design in designs:
        for side in (0, 1):
            assert set(Counter((part[side], part[2]) for part in design).values()) == {1}
        assert all(label == nli_label(one, two) and one != two for one, two, label in design)


def test_templates_can_be_read_back() -> None:
    """A slot that is used twice must hold the same words twice."""
    assert list(read_back(["The {a} saw the {a}."], "The cat saw the cat.")) == [("The {a} saw the {a}.", {"a": "cat"})]
    assert list(read_back(["The {a} saw the {a}."], "The cat saw the dog.")) == []


def test_catalog_declares_every_generator() -> None:
    """builtin/NAME for each one, with the generator's kind and labels in its order."""
    assert [task.id for task in TASKS] == [f"builtin/{name}" for name in ALL]
    for task in TASKS:
        assert isinstance(task.source, Builtin)
        generator = ALL[task.source.name]
        assert task.kind.name == generator.kind
        assert tuple(dict(getattr(task.kind, "names", ()) or ()).values()) == generator.labels


def test_document_shows_every_generator_with_a_real_row() -> None:
    """docs/generators.md has a section and a row of the table for each one, and its examples are rows of test."""
    text = (ROOT / "docs" / "generators.md").read_text(encoding="utf-8")
    shown = [json.loads(line) for line in re.findall(r"^\{.*\}$", text, re.MULTILINE)]
    for name in ALL:
        assert f"## {name}\n" in text
        assert f"| `{name}` |" in text
        assert any(row in shown for row in generate(name, split="test", rows=400))


def test_benchmark_sees_a_leak_and_no_leak() -> None:
    """The bag of bigrams finds the mentioned topics and not who gave; the solver is right on all rows."""
    module = benchmark()
    inside, _, exact = module.measure(ALL["topic_mentions"], 300)
    assert inside.bigrams > inside.majority + 3
    assert exact == 100.0
    inside, _, exact = module.measure(ALL["role_tags"], 300)
    assert inside.within()
    assert exact == 100.0
