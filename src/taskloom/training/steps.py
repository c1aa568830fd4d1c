"""From a step's number to its batch: mixture, micro-batches, routing; all of it on the CPU, ahead of the step."""

from __future__ import annotations

import torch
from torch import Tensor

from taskloom.config import RunConfig
from taskloom.data.batches import Batcher, MicroBatch
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.model import Model, Prepared
from taskloom.training.loop import StepBatch
from taskloom.training.plan import Plan


class StepSource:
    """Makes the batch of any step; a pure function of (plan, seed, step)."""

    def __init__(self, plan: Plan, model: Model, tokenizer: Tokenizer, config: RunConfig) -> None:
        self.plan = plan
        self.model = model
        self.batcher = Batcher(
            plan.stores,
            "train",
            tokenizer,
            max_length=config.data.max_length,
            tokens_per_micro_batch=config.training.tokens_per_micro_batch,
            min_micro_batches=config.training.min_micro_batches,
            max_choices=config.training.max_choices,
            seed=config.seed,
        )

    def __call__(self, step: int) -> StepBatch:
        """Return the batch of `step`, counted from 1."""
        cut = self.batcher.micro_batches(self.plan.drawn(step))
        prepared = tuple(self.model.prepare(micro) for micro in cut)
        return StepBatch(
            step=step,
            micro_batches=prepared,
            examples=sum(len(micro.task) for micro in cut),
            tokens=sum(real_tokens(micro) for micro in cut),
            padded_tokens=sum(micro.input_ids.numel() for micro in cut),
            weight=sum(float(micro.weight.sum()) for micro in cut),
            used=used_rows(prepared),
        )

    def describe(self, batch: StepBatch, micro_batch: int, example: int) -> str:
        """Return "task, row" of one example, for an error message."""
        micro = batch.micro_batches[micro_batch].batch
        return f"task {self.plan.tasks[int(micro.task[example])].versioned}, row {int(micro.row[example])}"


def real_tokens(batch: MicroBatch) -> int:
    """Return how many tokens of a micro-batch are not padding."""
    return batch.input_ids.numel() if batch.attention_mask is None else int(batch.attention_mask.sum())


def used_rows(prepared: tuple[Prepared, ...]) -> dict[str, Tensor]:
    """Return which rows of the row-wise parameters a step uses, each once."""
    rows = torch.cat([one.routing.rows for one in prepared]).unique()
    tasks = torch.cat([one.routing.tasks for one in prepared]).unique()
    return {"head_weight": rows, "head_bias": rows, "task_embedding": tasks, "log_variance": tasks}
