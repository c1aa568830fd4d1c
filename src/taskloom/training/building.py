"""From a plan to its untrained model and optimizer: encoder, head rows, what a model trained before brings along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from taskloom.config import ModelConfig, RunConfig, TrainingConfig
from taskloom.data.store import TaskStore
from taskloom.errors import ConfigError
from taskloom.modeling.dropout import set_dropout
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.keeping import Keeping
from taskloom.modeling.model import Model
from taskloom.modeling.warm_start import is_model_folder, warm_start
from taskloom.progress import Progress
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import matches
from taskloom.training.optimizer import Optimizer, layers_of
from taskloom.training.plan import Plan


def build_model(config: RunConfig, plan: Plan, folder: Path, *, progress: Progress) -> Model:
    """Return the untrained model of a plan; from a taskloom model folder its heads and embeddings are taken over."""
    encoder = Encoder.open(folder, seed=config.seed, attention=config.model.attention)
    if config.training.dropout != "own":
        set_dropout(encoder.network, config.training.dropout)
    model = Model(
        encoder,
        head_table(plan.tasks, plan.stores, plan.keys),
        seed=config.seed,
        task_embedding_drop=[embedding_drop(task, config.model) for task in plan.tasks],
        loss_scaling=config.model.loss_scaling,
        label_smoothing=config.training.label_smoothing,
        multilabel_loss=config.model.multilabel_loss,
    )
    if config.training.keep:
        if model.table.matching() is None:
            raise ConfigError(
                f"training.keep = {config.training.keep:g} keeps what matching recasts compare, and none is trained. "
                'Add "matching" to data.recast, or leave training.keep out.'
            )
        model.keeping = Keeping(
            Encoder.open(folder, seed=config.seed, attention=config.model.attention), config.training.keep
        )
    if config.training.compile:
        encoder.compile_layers()
    if is_model_folder(folder):
        progress.say(warm_start(model, folder))
    return model


def embedding_drop(task: Task, settings: ModelConfig) -> float:
    """Return how often a task's embedding is dropped: its own id counts alone, else the last pattern that matches."""
    drops = settings.task_embedding_drops
    found = [drops[name] for name in (task.id, task.versioned) if name in drops]
    found += [drop for name, drop in reversed(drops.items()) if matches(name, task)]
    return found[0] if found else settings.task_embedding_drop


@torch.no_grad()
def average_with_start(model: Model, config: RunConfig, folder: Path) -> None:
    """Give the encoder's first weights their share of the weights as they are (Wortsman et al. 2022, WiSE-FT).

    What the checkpoint lacked, and was drawn at random, is not averaged.
    """
    start = Encoder.open(folder, seed=config.seed, attention=config.model.attention)
    first, drawn = dict(start.named_parameters()), {f"network.{name}" for name in start.new_parameters}
    for name, parameter in model.encoder.named_parameters():
        if name not in drawn:
            parameter.lerp_(first[name].to(parameter), config.training.start_share)


def head_table(tasks: Sequence[Task], stores: Sequence[TaskStore], keys: Sequence[str]) -> HeadTable:
    """Return which head rows each task reads."""
    return HeadTable.make(
        [
            {"task": task.versioned, "id": task.id, "kind": store.kind, "labels": store.labels, "key": key,
             "low": store.low, "high": store.high}
            for task, store, key in zip(tasks, stores, keys, strict=True)
        ]
    )  # fmt: skip


def make_optimizer(model: Model, settings: TrainingConfig, *, steps: int) -> Optimizer:
    """Return the optimizer of all of a model's parameters; word embeddings are updated when they are read."""
    named = {name: parameter for name, parameter in model.named_parameters() if name.startswith("encoder.")}
    return Optimizer(
        encoder=named,
        rows=model.row_parameters(),
        layer_of=layers_of(named),
        settings=settings,
        steps=steps,
        sparse=[model.word_embeddings],
    )
