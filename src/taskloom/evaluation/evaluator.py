"""A model and prepared rows -> answers and their report, one task at a time.

Rows go through the training's own batches, sorted by length, with every choice scored. One task at a time costs a few
percent against mixed batches and keeps memory at one task's answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.batches import Batcher, MicroBatch, ragged
from taskloom.data.store import SplitStore, TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.baselines import most_frequent
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.report import TaskReport
from taskloom.evaluation.routes import Route, own_route
from taskloom.evaluation.scoring import score
from taskloom.modeling.head_table import Head
from taskloom.modeling.heads import prompts
from taskloom.modeling.model import Model, scaled_scores
from taskloom.modeling.tensors import on_device
from taskloom.recipes.recipe import Task

Array = NDArray[Any]
OUTSIDE = "O"
NO_ANSWER = -1
TOKENS_PER_MICRO_BATCH = 8192


@dataclass(frozen=True, kw_only=True)
class Answering:
    """How rows are run through a model: the tokenizer, where, in what arithmetic, and with or without task vectors."""

    tokenizer: Tokenizer
    device: torch.device
    tokens_per_micro_batch: int = TOKENS_PER_MICRO_BATCH
    autocast: torch.dtype | None = None
    use_task_embedding: bool = True

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Return the autocast context, or one that does nothing for full precision."""
        return torch.autocast(self.device.type, self.autocast) if self.autocast else nullcontext()

    def head_logits(self, model: Model, features: Tensor, head: Head) -> Tensor:
        """Return logits (units, labels) in fp32 always: the 8 bits of a bf16 logit make ties of different answers."""
        with torch.autocast(self.device.type, enabled=False):
            return model.head_logits(features, head)


def evaluate_task(
    model: Model,
    store: TaskStore,
    split: str,
    *,
    task: Task,
    tokenizer: Tokenizer,
    device: torch.device,
    max_rows: int | None = None,
    tokens_per_micro_batch: int = TOKENS_PER_MICRO_BATCH,
    use_task_embedding: bool = True,
    autocast: torch.dtype | None = None,
    head: str | Route | None = None,
    seed: int = 0,
) -> tuple[TaskReport, Predictions]:
    """Return the report of one task on one split, and every row's answer in the order of the split.

    `head` is the trained task or the route that answers, by default the task itself; its labels must be the store's.
    With `max_rows` a random part of the rows is scored, chosen by `seed` and the task; `seed` draws the bootstrap, too.
    Raises DataError without rows, UnknownTaskError and ModelError when the model cannot answer this task.
    """
    if split not in store.splits:
        has = ", ".join(store.splits) or "none"
        raise DataError(f"Task {task.versioned} has no {split} split; it has: {has}. Choose one of these.")
    rows = store.splits[split]
    places = chosen_places(len(rows), max_rows, seed=seed, task=store.task)
    if len(places) == 0:
        raise DataError(f"Task {task.versioned}: the {split} split has no usable rows. Type `taskloom show {task.id}`.")
    train_gold = _train_gold(store)
    how = Answering(
        tokenizer=tokenizer,
        device=device,
        tokens_per_micro_batch=tokens_per_micro_batch,
        autocast=autocast,
        use_task_embedding=use_task_embedding,
    )
    unseen = unseen_tag(store, train_gold if train_gold is not None and len(train_gold) else rows.labels)
    with evaluating(model):
        answers = answer(model, store, split, how=how, head=head or task.versioned, places=places, unseen=unseen)
    report = score(
        answers,
        train_gold=train_gold,
        family=task.family,
        rows_available=len(rows),
        unused_rows=store.unused.get(split, {}),
        seed=seed,
    )
    return report, answers


def answer(
    model: Model,
    store: TaskStore,
    split: str,
    *,
    how: Answering,
    head: str | Route,
    places: Array,
    unseen: int = NO_ANSWER,
) -> Predictions:
    """Return the answers of `head` (a trained task, or a route) to the rows at `places` (ascending), in that order.

    Words without a sub-word or beyond the length get the tag `unseen`. The model must be in evaluation mode.
    """
    route = own_route(model.table, head) if isinstance(head, str) else head
    place, known = route.place, route.head
    if known.kind != store.kind or (route.labels or known.labels) != store.labels:
        raise ModelError(
            f"The model's head {known.task} is a {known.kind} with labels {', '.join(known.labels) or 'none'}; task "
            f"{store.task} is a {store.kind} with {', '.join(store.labels) or 'none'}. Name a head with these labels."
        )
    rows = store.splits[split]
    batcher = Batcher(
        stores=_alone(store, place, len(model.table.heads)),
        split=split,
        tokenizer=how.tokenizer,
        max_length=rows.max_length,
        tokens_per_micro_batch=how.tokens_per_micro_batch,
    )
    collected = _Collected(rows, places, store.kind, route, unseen)
    for batch in batcher.whole_split(place, places):
        collected.add(batch, _logits(model, on_device(batch, how.device), known, how))
    scores = scaled_scores(collected.scores, known) if store.kind == "regression" else collected.probabilities()
    return Predictions(
        task=store.task,
        kind=store.kind,
        labels=store.labels,
        split=split,
        row=np.asarray(rows.rows[places], dtype=np.int64),
        gold=collected.gold(),
        scores=scores,
        offsets=collected.offsets,
        threshold=known.threshold,
    )


@torch.inference_mode()
def _logits(model: Model, batch: MicroBatch, head: Head, how: Answering) -> Tensor:
    """Return fp32 logits of one task's batch, (sequences, labels), or (words, labels) for tags."""
    with how.arithmetic():
        pooled, words = model.features(batch, use_task_embedding=how.use_task_embedding)
    return how.head_logits(model, words if head.kind == "token_classification" else pooled, head)


def chosen_places(rows: int, max_rows: int | None, *, seed: int, task: str) -> Array:
    """Return all places of a split, or a random part of `max_rows` of them in ascending order."""
    if max_rows is None or rows <= max_rows:
        return np.arange(rows)
    generator = np.random.default_rng([seed, zlib.crc32(task.encode())])
    return np.sort(generator.choice(rows, max_rows, replace=False))


def unseen_tag(store: TaskStore, gold: Array) -> int:
    """Return the tag for words that the model never sees: O, or the most frequent one where there is no O."""
    if store.kind != "token_classification":
        return NO_ANSWER
    return store.labels.index(OUTSIDE) if OUTSIDE in store.labels else most_frequent(gold, len(store.labels))


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Switch dropout off, and back to what it was, so that a model can be evaluated in the middle of training."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)


def softmax_by_row(logits: Array, offsets: Array) -> Array:
    """Return the softmax of each row's own part of flat logits, float32 (choices of all rows,)."""
    sizes = np.diff(offsets)
    if len(sizes) == 0:
        return logits
    powers = np.exp(logits - np.repeat(np.maximum.reduceat(logits, offsets[:-1]), sizes))
    return np.asarray(powers / np.repeat(np.add.reduceat(powers, offsets[:-1]), sizes))


class _Collected:
    """Outputs of length-sorted batches, put back in the order of the rows asked for."""

    def __init__(self, rows: SplitStore, places: Array, kind: str, route: Route, unseen: int) -> None:
        self.rows, self.places, self.kind, self.route = rows, places, kind, route
        self.position = np.full(len(rows), -1, dtype=np.int64)
        self.position[places] = np.arange(len(places))
        self.offsets = self._offsets()
        if kind == "token_classification":
            self.scores = np.full(self._size(), unseen, dtype=np.int64)
        elif kind in ("classification", "multilabel"):
            self.scores = np.full((len(places), len(route.labels)), np.nan, dtype=np.float32)
        else:
            self.scores = np.full(self._size(), np.nan, dtype=np.float32)

    def add(self, batch: MicroBatch, logits: Tensor) -> None:
        """Take the logits of a batch: (sequences, labels), or (words, labels) for tags."""
        at = self.position[batch.place.numpy()]
        if self.kind == "token_classification":
            words = self._starts()[at[batch.word_sequence.numpy()]] + batch.word_index.numpy()
            self.scores[words] = logits.argmax(1).cpu().numpy()
        elif self.kind == "multiple_choice":
            choices = ~prompts(batch)
            sizes = np.bincount(batch.sequence_example.numpy()[choices], minlength=len(at))
            self.scores[ragged(self._starts()[at], sizes)] = logits[:, 0].cpu().numpy()[choices]
        elif self.kind == "regression":
            self.scores[at] = logits[:, 0].cpu().numpy()
        else:
            found = logits.softmax(1) if self.kind == "classification" else logits.sigmoid()
            self.scores[at] = self.route.of_labels(found.cpu().numpy())

    def probabilities(self) -> Array:
        """Return the scores; those of choices as probabilities within their row."""
        return softmax_by_row(self.scores, self._starts(end=True)) if self.kind == "multiple_choice" else self.scores

    def gold(self) -> Array:
        """Return the labels of the rows asked for, those of tags one a word."""
        if self.kind == "token_classification":
            starts = self.rows.word_offsets[self.places]
            return np.asarray(self.rows.labels[ragged(starts, np.diff(self._starts(end=True)))])
        return np.asarray(self.rows.labels[self.places])

    def _offsets(self) -> Array | None:
        if self.kind == "token_classification":
            sizes = np.diff(self.rows.word_offsets)[self.places]
        elif self.kind == "multiple_choice":
            sizes = self.rows.choices[self.places]
        else:
            return None
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def _starts(self, *, end: bool = False) -> Array:
        assert self.offsets is not None
        return self.offsets if end else self.offsets[:-1]

    def _size(self) -> int:
        return len(self.places) if self.offsets is None else int(self.offsets[-1])


def _train_gold(store: TaskStore) -> Array | None:
    return np.asarray(store.splits["train"].labels) if "train" in store.splits else None


def _alone(store: TaskStore, place: int, tasks: int) -> Sequence[TaskStore]:
    """Return a list of stores in which only `place` is filled: batches count tasks as the model does."""
    return [cast(TaskStore, store if number == place else None) for number in range(tasks)]
