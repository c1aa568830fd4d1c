"""From a step's number to its batch: mixture, micro-batches, head routing; all of it on the CPU, ahead of the step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from taskloom.config import RunConfig
from taskloom.data.batches import micro_batches
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.model import Model
from taskloom.training.loop import StepBatch
from taskloom.training.plan import Plan


class StepSource:
    """Makes the batch of any step; a pure function of (plan, seed, step)."""

    def __init__(self, plan: Plan, model: Model, tokenizer: Tokenizer, config: RunConfig) -> None:
        self.plan = plan
        self.model = model
        self.tokenizer = tokenizer
        self.config = config

    def __call__(self, step: int) -> StepBatch:
        """Return the batch of `step`, counted from 1."""
        task, row, epoch = self.plan.mixture.batch(step)
        training = self.config.training
        cut = micro_batches(
            self.plan.train_splits,
            task,
            row,
            epoch,
            tokenizer=self.tokenizer,
            tokens_per_micro_batch=training.tokens_per_micro_batch,
            min_micro_batches=training.min_micro_batches,
            max_length=self.config.data.max_length,
            max_choices=training.max_choices,
            seed=self.config.seed,
            training=True,
        )
        prepared = tuple(self.model.prepare(micro) for micro in cut)
        tokens = sum(int(micro.input_ids.numel() if micro.attention_mask is None else micro.attention_mask.sum()) for micro in cut)
        return StepBatch(
            step=step,
            micro_batches=prepared,
            examples=len(task),
            tokens=tokens,
            padded_tokens=sum(micro.input_ids.numel() for micro in cut),
            weight=float(sum(float(micro.weight.sum()) for micro in cut)),
            used=used_rows(prepared, np.unique(task)),
        )

    def describe(self, batch: StepBatch, micro_batch: int, example: int) -> str:
        """Return "task, row" of one example, for an error message."""
        micro = batch.micro_batches[micro_batch].batch
        task = self.plan.tasks[int(micro.task[example])]
        return f"task {task.versioned}, row {int(micro.row[example])}"
