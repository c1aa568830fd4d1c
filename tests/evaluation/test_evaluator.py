"""A model and prepared rows -> reports; every number against a plain forward pass, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from made_models import KINDS, MAX_LENGTH, made_model, made_rows, made_store, made_task
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError, UnknownTaskError
from taskloom.evaluation.evaluator import chosen_places, evaluate_task, softmax_by_row, unseen_tag
from taskloom.evaluation.predictions import Predictions, read_predictions, write_predictions
from taskloom.evaluation.routes import place_of
from taskloom.evaluation.scoring import score
from taskloom.modeling.model import Model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer(tiny_bert: Path) -> Tokenizer:
    """The tiny encoder's tokenizer."""
    return Tokenizer.open(tiny_bert)


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> Model:
    """A model with a head of each kind."""
    return made_model(tiny_bert)


@pytest.fixture(scope="module")
def store_of(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TaskStore]:
    """Make the prepared task of a kind."""
    cache = tmp_path_factory.mktemp("stores")
    return lambda name: made_store(name, tokenizer, cache)


def evaluated(model: Model, store: TaskStore, tokenizer: Tokenizer, name: str, **more):
    """Evaluate a task on its validation split."""
    return evaluate_task(
        model, store, "validation", task=made_task(name), tokenizer=tokenizer, device=CPU, **({"seed": 0} | more)
    )


@torch.inference_mode()
def plain_logits(model: Model, folder: Path, name: str, first: str, second: str | None) -> torch.Tensor:
    """Return the head's logits for one sequence, tokenized by transformers, with the task's vector added by hand."""
    from transformers import AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(folder)(
        first, second, truncation="longest_first", max_length=MAX_LENGTH, return_tensors="pt"
    )
    place = place_of(model.table, f"made/{name}")
    pooled, _ = model.eval().encoder(**encoded, first_vector=model.task_embedding[place][None])
    return model.head_logits(pooled, model.table.heads[place])[0]


@pytest.mark.parametrize("name", ["nli", "topics", "similarity"])
def test_text_answers_equal_a_plain_pass(
    name: str, model: Model, store_of, tokenizer: Tokenizer, tiny_bert: Path
) -> None:
    """Scores of each row, in the order of the split, are those of the row alone without padding."""
    _, found = evaluated(model, store_of(name), tokenizer, name, tokens_per_micro_batch=150)
    rows = made_rows(name, 30).to_pylist()
    assert found.row.tolist() == [row["row"] for row in rows]
    for at, row in enumerate(rows):
        logits = plain_logits(model, tiny_bert, name, row["text"], row["pair"])
        expected = {
            "nli": logits.softmax(0),
            "topics": logits.sigmoid(),
            "similarity": (1 + 4 * logits[0]).clip(1, 5),
        }[name]
        np.testing.assert_allclose(found.scores[at], expected, atol=1e-5)


def test_choices_equal_a_plain_pass(model: Model, store_of, tokenizer: Tokenizer, tiny_bert: Path) -> None:
    """Probabilities over a row's own choices are the softmax of each choice scored alone."""
    _, found = evaluated(model, store_of("choices"), tokenizer, "choices", tokens_per_micro_batch=150)
    checked = 0
    for at, row in enumerate(made_rows("choices", 30).to_pylist()):
        tokens = len(tokenizer.segments([row["prompt"], row["choices"][-1]])[0])
        if not row["prompt"] or tokens + tokenizer.pair.specials > MAX_LENGTH:
            continue  # an empty prompt and a cut one are assembled by rules of their own
        logits = [plain_logits(model, tiny_bert, "choices", row["prompt"], choice) for choice in row["choices"]]
        part = slice(found.word_offsets[at], found.word_offsets[at + 1])
        np.testing.assert_allclose(found.scores[part], torch.cat(logits).softmax(0), atol=1e-5)
        checked += 1
    assert checked > 5
    assert found.gold.tolist() == [row % 2 for row in range(30)]


@pytest.mark.parametrize("name", ["entities", "parts"])
def test_words_that_the_model_never_sees_count(name: str, model: Model, store_of, tokenizer) -> None:
    """Words cut off or without a sub-word get O, or the most frequent tag, and stay in the score."""
    store = store_of(name)
    report, found = evaluated(model, store, tokenizer, name)
    rows = made_rows(name, 30).to_pylist()
    assert len(found.gold) == sum(len(row["tokens"]) for row in rows)
    assert found.gold.tolist() == [tag for row in rows for tag in row["labels"]]
    split = store.splits["validation"]
    position = split.word_starts + 1
    hidden = (split.word_starts < 0) | (position >= MAX_LENGTH - 1)
    assert hidden.sum() > 30
    training = [tag for row in made_rows(name, 8).to_pylist() for tag in row["labels"]]
    unseen = 2 if name == "entities" else max(range(2), key=training.count)
    assert set(found.scores[hidden]) == {unseen}
    assert set(found.scores[~hidden]) != {unseen}
    assert report.main == ("span_f1" if name == "entities" else "accuracy")


def test_most_frequent_tag_of_training_rows(store_of) -> None:
    """Without O, hidden words get the tag that most training words have; other kinds have none."""
    assert unseen_tag(store_of("parts"), np.array([1, 1, 0])) == 1
    assert unseen_tag(store_of("entities"), np.array([1, 1, 0])) == 2
    assert unseen_tag(store_of("nli"), np.array([1, 1, 0])) == -1


@pytest.mark.parametrize("name", KINDS)
def test_batch_size_does_not_change_answers(name: str, model: Model, store_of, tokenizer: Tokenizer) -> None:
    """One sequence at a time or all at once: the same answers to 1e-5."""
    answers = [evaluated(model, store_of(name), tokenizer, name, tokens_per_micro_batch=size)[1] for size in (1, 10**6)]
    np.testing.assert_allclose(answers[0].scores, answers[1].scores, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_subset_is_a_part_of_the_whole(name: str, model: Model, store_of, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """With max_rows a seeded part of the rows is scored, with the answers that they have in the whole."""
    whole = evaluated(model, store_of(name), tokenizer, name)[1]
    report, part = evaluated(model, store_of(name), tokenizer, name, max_rows=7, seed=3)
    again, other = (evaluated(model, store_of(name), tokenizer, name, max_rows=7, seed=seed)[1] for seed in (3, 4))
    assert (report.rows, report.rows_available, len(part)) == (7, 30, 7)
    assert part.row.tolist() == again.row.tolist() != other.row.tolist()
    for at, row in enumerate(part.row):
        np.testing.assert_allclose(of_row(part, at), of_row(whole, whole.row.tolist().index(row)), atol=1e-5)
    assert score(read_predictions(write_predictions(part, tmp_path))).metrics == report.metrics


def of_row(answers: Predictions, at: int) -> np.ndarray:
    """Return the scores of one row."""
    if answers.offsets is None:
        return answers.scores[at]
    return answers.scores[answers.offsets[at] : answers.offsets[at + 1]]


def test_report_has_what_the_store_knows(model: Model, store_of, tokenizer: Tokenizer) -> None:
    """Unused rows come from the store, the trivial answer from its training labels."""
    report, answers = evaluated(model, store_of("nli"), tokenizer, "nli")
    assert report.unused_rows == {"null_text": 2}
    assert report.majority["accuracy"] == pytest.approx(1 / 3)
    assert report.metrics["accuracy"] == np.mean(answers.scores.argmax(1) == np.arange(30) % 3)
    assert report.family == "other"


def test_task_embedding_is_used_whole_or_not_at_all(model: Model, store_of, tokenizer: Tokenizer) -> None:
    """With and without it the answers differ, and each is the same every time, also for a model in training mode."""
    model.train()
    answers = [
        evaluated(model, store_of("nli"), tokenizer, "nli", use_task_embedding=used)[1].scores
        for used in (True, True, False, False)
    ]
    assert model.training
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[2], answers[3])
    assert np.abs(answers[0] - answers[2]).max() > 1e-3


def test_logits_are_fp32_under_bf16(model: Model, store_of, tokenizer: Tokenizer) -> None:
    """With bf16 arithmetic, inside or around the call, logits keep more than 8 bits."""
    inside = evaluated(model, store_of("similarity"), tokenizer, "similarity", autocast=torch.bfloat16)[1]
    with torch.autocast("cpu", torch.bfloat16):
        around = evaluated(model, store_of("similarity"), tokenizer, "similarity")[1]
    for answers in (inside, around):
        logits = torch.from_numpy((answers.scores.astype(np.float64) - 1) / 4).float()
        within = (logits > 0.01) & (logits < 0.99)
        assert within.any()
        assert (logits.bfloat16().float() - logits)[within].abs().max() > 1e-5
    np.testing.assert_array_equal(inside.scores, around.scores)


def test_head_of_another_task_must_have_the_same_labels(model: Model, store_of, tokenizer: Tokenizer) -> None:
    """Rows can be answered by another head only if it has their labels."""
    with pytest.raises(ModelError, match=r"made/topics@1 is a multilabel"):
        evaluated(model, store_of("nli"), tokenizer, "nli", head="made/topics")


def test_unknown_task_split_and_rows(model: Model, store_of, tokenizer: Tokenizer, tiny_bert: Path) -> None:
    """Each mistake is named with what there is."""
    with pytest.raises(UnknownTaskError, match=r"Did you mean 'made/nli'.* 6 trained tasks"):
        place_of(model.table, "made/nil")
    with pytest.raises(UnknownTaskError, match="trained on made/nli@1, not on made/nli@2"):
        place_of(model.table, "made/nli@2")
    assert place_of(model.table, "made/nli") == place_of(model.table, "made/nli@1") == 0
    with pytest.raises(DataError, match="no test split; it has: train, validation"):
        evaluate_task(model, store_of("nli"), "test", task=made_task("nli"), tokenizer=tokenizer, device=CPU)
    with pytest.raises(DataError, match="no usable rows"):
        evaluated(model, store_of("nli"), tokenizer, "nli", max_rows=0)


def test_chosen_places_depend_on_the_task() -> None:
    """Two tasks of one size are not sampled at the same places."""
    assert chosen_places(5, None, seed=0, task="a").tolist() == [0, 1, 2, 3, 4]
    first, second = (chosen_places(1000, 50, seed=0, task=task) for task in "ab")
    assert len(set(first)) == 50
    assert first.tolist() == sorted(first) != second.tolist()


def test_softmax_by_row_is_softmax_of_each_row() -> None:
    """Large logits do not overflow, and every row sums to one."""
    found = softmax_by_row(np.array([1000.0, 1000.0, 0.0, 1.0, 2.0]), np.array([0, 2, 5]))
    expected = [0.5, 0.5, *torch.tensor([0.0, 1.0, 2.0]).softmax(0).tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-7)
