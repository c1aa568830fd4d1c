"""Heads: who shares rows, and losses without loops that equal the plain ones task by task."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from made_batches import NLI, TASKS, described, random_batch, table, take
from taskloom.data.batches import MicroBatch
from taskloom.errors import ModelError
from taskloom.modeling.head_table import Head, HeadTable
from taskloom.modeling.heads import example_losses, linear, route
from taskloom.recipes.recipe import KINDS

WIDTH = 8


def rows_of(*tasks: dict[str, object]) -> list[tuple[int, ...]]:
    """Return the rows of each task."""
    return [head.rows for head in HeadTable.make(tasks).heads]


def test_equal_label_sets_share_rows_in_their_own_order() -> None:
    """Tasks with one key read the same row for the same label, whatever their order and spelling."""
    first, second = rows_of(
        described("a", "classification", NLI, key="nli"),
        described("b", "classification", ("Contradiction", "Entailment", "neutral"), key="nli"),
    )
    assert first == (0, 1, 2)
    assert second == (2, 0, 1)


def test_order_of_tasks_does_not_decide_who_shares() -> None:
    """In both orders of the tasks the same labels meet."""
    one, other = described("a", "classification", NLI, key="k"), described("b", "classification", NLI[::-1], key="k")
    for tasks in ((one, other), (other, one)):
        first, second = rows_of(*tasks)
        assert first == second[::-1]


def test_other_keys_have_other_rows() -> None:
    """Tasks without a common key share nothing, even with equal labels; each kind has the rows that it needs."""
    table = HeadTable.make(TASKS)
    rows = {head.id: set(head.rows) for head in table.heads}
    assert rows["choice/a"] == rows["choice/b"] and len(rows["choice/a"]) == 1
    assert len(rows["similarity"]) == 1 and len(rows["emotions"]) == 4 and len(rows["tags"]) == 3
    private = [rows[name] for name in ("nli/a", "topic", "emotions", "similarity", "choice/a", "tags")]
    assert len(set.union(*private)) == sum(map(len, private)) == table.size
    first, second = rows_of(
        described("a", "classification", ("no", "yes")), described("b", "classification", ("no", "yes"))
    )
    assert not set(first) & set(second)


def test_labels_that_normalize_alike_stay_apart() -> None:
    """Signs, whose normalized names are all empty, keep their own rows; a label given twice is refused."""
    assert rows_of(described("a", "classification", ("+", "-"))) == [(0, 1)]
    with pytest.raises(ModelError, match=r"a@1 has the labels x, x\. Each label must be there once"):
        rows_of(described("a", "classification", ("x", "x")))


def test_table_survives_json() -> None:
    """What heads.json holds gives the same table back."""
    heads = table()
    again = HeadTable.from_json(json.loads(json.dumps(heads.to_json())))
    assert again == heads
    assert np.array_equal(again.flat_rows, heads.flat_rows) and np.array_equal(again.starts, heads.starts)


def test_five_thousand_tasks() -> None:
    """A large table keeps every task's rows in its label order."""
    tasks = [described(f"t{n}", "classification", ("a", "b", f"c{n}"), key=f"key {n % 2500}") for n in range(5000)]
    heads = HeadTable.make(tasks)
    assert heads.size == 2500 * 4
    assert heads.heads[2500].rows[:2] == heads.heads[0].rows[:2]
    assert heads.places["t4999"] == heads.places["t4999@1"] == 4999


def test_zero_shot_head() -> None:
    """Three-way entailment is preferred, read by the most tasks; then two-way; else there is none."""
    two = described("two", "classification", ("not_entailment", "entailment"), key="two")
    own = described("own", "classification", NLI)
    common = [described(name, "classification", NLI, key="nli") for name in ("x", "y")]
    topic = described("topic", "classification", ("a", "b"))

    def found(*tasks: dict[str, object]) -> str | None:
        head = HeadTable.make(tasks).zero_shot()
        return head.id if head else None

    assert found(topic, two, own, *common) == "x"
    assert found(topic, two, own) == "own"
    assert found(topic, two) == "two"
    assert found(topic, described("tags", "token_classification", NLI)) is None


def plain_loss(
    example: int, logits: Tensor, words: Tensor, batch: MicroBatch, head: Head, *, smoothing: float
) -> Tensor:
    """Return one example's loss from torch's own functions, without routing.

    `logits` (sequences, all rows) and `words` (words, all rows) are those of the whole head matrix.
    """
    rows, own = list(head.rows), torch.isin(batch.sequence_example, torch.tensor(example))
    mine, label = logits[own], batch.label[example]
    if head.kind == "classification":
        return functional.cross_entropy(mine[:, rows], label[None], label_smoothing=smoothing)
    if head.kind == "multilabel":
        target = torch.zeros(1, len(rows))
        target[0, batch.positives[batch.positives[:, 0] == example, 1]] = 1
        return functional.binary_cross_entropy_with_logits(mine[:, rows], target)
    if head.kind == "regression":
        return functional.mse_loss(mine[0, rows[0]], batch.score[example])
    if head.kind == "multiple_choice":
        return functional.cross_entropy(mine[:, rows].T, label[None], label_smoothing=smoothing)
    tagged = batch.sequence_example[batch.word_sequence] == example
    return functional.cross_entropy(words[tagged][:, rows], batch.word_label[tagged], label_smoothing=smoothing)


def test_a_sum_over_labels_is_the_mean_times_their_number() -> None:
    """With multilabel_loss "sum" the loss of such a row is its mean times its labels; no other loss changes."""
    heads = table()
    batch = random_batch(heads)
    routing = route(batch, heads)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(batch.input_ids), len(routing.rows), generator=generator)
    words = torch.randn(len(batch.word_sequence), len(routing.rows), generator=generator)
    mean, summed = (
        example_losses(logits, words, batch, routing, label_smoothing=0.0, multilabel_loss=way)
        for way in ("mean", "sum")
    )
    several = batch.kind == KINDS.index("multilabel")
    assert several.any() and not several.all()
    torch.testing.assert_close(summed[several], mean[several] * 4)  # made "emotions" has four labels
    assert torch.equal(summed[~several], mean[~several])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_losses_equal_the_plain_ones(seed: int, smoothing: float) -> None:
    """Every example's loss is what torch's function gives for its task alone, with and without smoothing."""
    heads = table()
    generator = torch.Generator().manual_seed(seed)
    batch = random_batch(heads, seed=seed, examples=8 + 9 * seed)
    pooled = torch.randn(len(batch.input_ids), WIDTH, generator=generator) * 3
    words = torch.randn(len(batch.word_label), WIDTH, generator=generator) * 3
    weight = torch.randn(heads.size, WIDTH, generator=generator)
    bias = torch.randn(heads.size, generator=generator)
    routing = route(batch, heads)
    found = example_losses(
        linear(pooled, weight[routing.rows], bias[routing.rows]),
        linear(words, weight[routing.rows], bias[routing.rows]),
        batch,
        routing,
        label_smoothing=smoothing,
    )
    logits, word_logits = pooled @ weight.T + bias, words @ weight.T + bias
    expected = [
        plain_loss(example, logits, word_logits, batch, heads.heads[int(task)], smoothing=smoothing)
        for example, task in enumerate(batch.task)
    ]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-5)


def losses_of(batch: MicroBatch, heads: HeadTable) -> Tensor:
    """Return the losses for features and head rows that are all alike."""
    routing = route(batch, heads)
    pooled, words = torch.ones(len(batch.input_ids), WIDTH), torch.ones(len(batch.word_label), WIDTH)
    weight, bias = torch.ones(len(routing.rows), WIDTH), torch.zeros(len(routing.rows))
    logits = [linear(units, weight, bias) for units in (pooled, words)]
    return example_losses(*logits, batch, routing, label_smoothing=0.0)


def test_even_logits_give_the_loss_at_chance() -> None:
    """With all logits equal, the loss is the log of the number of own labels or choices, not of the union's columns."""
    heads = table()
    batch = random_batch(heads, examples=16)
    losses, routing = losses_of(batch, heads), route(batch, heads)
    for task in (0, 2, 5, 7):
        chosen = batch.task == task
        choices = torch.bincount(batch.sequence_example)[chosen].float()
        count = choices if task == 5 else torch.full_like(choices, len(heads.heads[task].labels))
        torch.testing.assert_close(losses[chosen], count.log())
        torch.testing.assert_close(routing.log_count[chosen], count.log())
    assert (routing.log_count[(batch.task == 3) | (batch.task == 4)] == 1).all()


def test_row_without_words_has_no_loss() -> None:
    """A tagged row of which no word is left costs nothing, and does not spoil the others."""
    heads = table()
    batch = random_batch(heads, examples=16)
    first = int((batch.task == 7).nonzero()[0, 0])
    gone = batch.sequence_example[batch.word_sequence] == first
    names = ("word_sequence", "word_position", "word_label", "word_index")
    losses = losses_of(dataclasses.replace(batch, **{name: getattr(batch, name)[~gone] for name in names}), heads)
    assert losses[first] == 0 and torch.isfinite(losses).all()


@pytest.mark.parametrize("task", range(len(TASKS)))
def test_micro_batch_of_one_task(task: int) -> None:
    """A micro-batch of a single kind routes only that task's rows."""
    heads = table()
    batch = random_batch(heads, examples=16)
    alone = take(batch, (batch.task == task).nonzero()[:, 0])
    routing = route(alone, heads)
    assert routing.tasks.tolist() == [task]
    assert routing.rows.tolist() == sorted(heads.heads[task].rows)
    torch.testing.assert_close(losses_of(alone, heads), losses_of(batch, heads)[batch.task == task])


def test_infinite_logits_of_other_tasks_do_not_leak() -> None:
    """A huge logit in another task's column leaves the loss and its gradient finite."""
    heads = table()
    batch = random_batch(heads, examples=8)
    routing = route(batch, heads)
    logits = torch.where(routing.sequence_mask, 0.0, 1e4).requires_grad_()
    words = torch.where(routing.word_mask, 0.0, 1e4)
    losses = example_losses(logits, words, batch, routing, label_smoothing=0.1)
    losses.sum().backward()
    assert losses.max() < 10
    assert torch.isfinite(logits.grad).all() and (logits.grad[~routing.sequence_mask] == 0).all()


def test_logits_are_in_full_precision_under_autocast() -> None:
    """The head is computed in fp32 where the encoder runs in bf16."""
    features, weight = torch.randn(5, 64), torch.randn(3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = linear(features.bfloat16(), weight, torch.zeros(3))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, features.bfloat16().float() @ weight.T)
