"""From a step's number to its batch: mixture, micro-batches, routing; all of it on the CPU, ahead of the step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from taskloom.config import RunConfig
from taskloom.data.batches import Batcher, Drawn, MicroBatch
from taskloom.data.hashing import hashed, key_of
from taskloom.data.rows import CLASSES
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model, Prepared
from taskloom.training.gradients import StepBatch
from taskloom.training.plan import Plan


class StepSource:
    """Makes the batch of any step; a pure function of (plan, seed, step)."""

    def __init__(self, plan: Plan, model: Model, tokenizer: Tokenizer, config: RunConfig) -> None:
        self.plan = plan
        self.model = model
        self.pool_steps = config.training.pool_steps
        self._pool = -1, Drawn(*(np.zeros(0, np.int64) for _ in range(3)))
        self.seed = config.seed
        self.families = tuple(sorted({task.family for task in plan.tasks}))
        self.family_of_task = torch.tensor([self.families.index(task.family) for task in plan.tasks])
        self.batcher = Batcher(
            plan.stores,
            "train",
            tokenizer,
            max_length=config.data.max_length,
            tokens_per_micro_batch=config.training.tokens_per_micro_batch,
            min_micro_batches=config.training.min_micro_batches,
            max_choices=config.training.max_choices,
            seed=config.seed,
            packed=model.encoder.packs,
        )
        balanced = config.training.class_weights == "balanced"
        self.class_weights = balanced_weights(plan, model.table) if balanced else None
        self.word_embeddings = model.word_embeddings

    def __call__(self, step: int) -> StepBatch:
        """Return the batch of `step`, counted from 1."""
        return self._batch(step, self.batcher.micro_batches(self.drawn(step)))

    def drawn(self, step: int) -> Drawn:
        """Return the rows of a step: the mixture's own, or its part of a pool of several steps sorted by length."""
        if self.pool_steps == 1:
            return self.plan.drawn(step)
        pool, part = divmod(step - 1, self.pool_steps)
        known, rows = self._pool
        if known != pool:
            rows = self._pooled(pool)
            self._pool = pool, rows
        turn = np.argsort(hashed(key_of("pool", self.seed, pool), np.arange(self.pool_steps)))
        size = len(rows) // self.pool_steps
        return rows.take(np.arange(turn[part] * size, (turn[part] + 1) * size))

    def _pooled(self, pool: int) -> Drawn:
        """Return the rows of all steps of a pool, by length.

        The mixture replays its counts from the start for a step before the last one, so a pool is drawn once and kept.
        """
        steps = range(pool * self.pool_steps + 1, (pool + 1) * self.pool_steps + 1)
        drawn = [self.plan.drawn(one) for one in steps]
        rows = Drawn(*(np.concatenate([getattr(one, name) for one in drawn]) for name in ("task", "place", "epoch")))
        return rows.take(self.batcher.by_length(rows))

    def rehearsals(self) -> Iterator[StepBatch]:
        """Yield the longest rows of each kind of task, as many as fit into one micro-batch: what takes the most memory.

        Every kind has losses of its own, so a shape that does not fit shows only in a batch of its kind.
        """
        most = self.batcher.max_choices or 1
        lengths = [split.lengths * np.minimum(split.sequences, most) for split in self.plan.train_splits]
        longest: dict[tuple[str, bool], int] = {}
        for task, split in enumerate(self.plan.train_splits):
            kind = split.kind, split.apart
            if lengths[task].max() > lengths[longest.setdefault(kind, task)].max():
                longest[kind] = task
        for task in longest.values():
            count = max(1, self.batcher.tokens_per_micro_batch // int(lengths[task].max()))
            places = np.argsort(-lengths[task], kind="stable")[:count]
            drawn = Drawn(np.full(len(places), task), places, np.zeros_like(places))
            yield self._batch(0, [self.batcher.assemble(drawn)])

    def _batch(self, step: int, cut: Sequence[MicroBatch]) -> StepBatch:
        if self.class_weights is not None:
            cut = [self._weighed(micro, self.class_weights) for micro in cut]
        prepared = tuple(self.model.prepare(micro) for micro in cut)
        return StepBatch(
            step=step,
            micro_batches=prepared,
            examples=sum(len(micro.task) for micro in cut),
            tokens=sum(micro.real_tokens for micro in cut),
            padded_tokens=sum(one.computed_tokens for one in prepared),
            weight=sum(float(micro.weight.sum()) for micro in cut),
            used=used_rows(prepared) | {self.word_embeddings: torch.cat([m.input_ids.flatten() for m in cut]).unique()},
            families=self.families,
            family_of=tuple(self.family_of_task[micro.task] for micro in cut),
        )

    def _weighed(self, micro: MicroBatch, class_weights: Tensor) -> MicroBatch:
        is_class = micro.kind == CLASSES  # the label of a choice is a place, beyond the task's one row
        first = torch.from_numpy(self.model.table.starts)[micro.task]
        factor = class_weights[torch.where(is_class, first + micro.label, 0)]
        return dataclasses.replace(micro, weight=micro.weight * torch.where(is_class, factor, 1.0))

    def describe(self, batch: StepBatch, micro_batch: int, example: int) -> str:
        """Return "task, row" of one example, for an error message."""
        micro = batch.micro_batches[micro_batch].batch
        return f"task {self.plan.tasks[int(micro.task[example])].versioned}, row {int(micro.row[example])}"


def balanced_weights(plan: Plan, table: HeadTable) -> Tensor:
    """Return a weight for each label of each task, one task after the other (fp32).

    It is rows / (classes x rows of the class) for classification, as in scikit-learn, and 1 for the other kinds.
    """
    weights = torch.ones(len(table.flat_rows))
    for place, (store, split) in enumerate(zip(plan.stores, plan.train_splits, strict=True)):
        if store.kind == "classification":
            counts = np.bincount(split.labels, minlength=len(store.labels))
            balanced = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
            weights[table.starts[place] : table.starts[place + 1]] = torch.from_numpy(balanced).float()
    return weights


def used_rows(prepared: tuple[Prepared, ...]) -> dict[str, Tensor]:
    """Return which rows of the row-wise parameters a step uses, each once."""
    rows = torch.cat([one.routing.rows for one in prepared]).unique()
    tasks = torch.cat([one.routing.tasks for one in prepared]).unique()
    return {"head_weight": rows, "head_bias": rows, "task_embedding": tasks, "log_variance": tasks}
