"""Fine-tuning on one task, few rows or many: the training loop of a run with a plan of one task.

The head starts where it can: from a head of the model with the same labels, or from a linear probe of the model's own
features of the very rows and of the label names (Kumar et al. 2022, LP-FT: a head drawn at random bends the encoder
while it learns where the classes are). The task embedding stays zero and out of the way. What was measured of these
choices, and what was not, stands in docs/log.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.adapting.features import Features, features_of
from taskloom.adapting.probing import LinearHead, fit_head, probe_predictions
from taskloom.adapting.start import Start
from taskloom.config import DataConfig, ModelConfig, RunConfig, TrainingConfig
from taskloom.data.shots import some_of
from taskloom.data.store import TaskStore
from taskloom.errors import ConfigError, Interrupted
from taskloom.evaluation.evaluator import Answering, answer, evaluating, unseen_tag
from taskloom.evaluation.metrics import main_metric
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.report import TaskReport
from taskloom.evaluation.scoring import compute, score
from taskloom.modeling.model import Model
from taskloom.modeling.pooler import pass_first_token
from taskloom.recipes.recipe import Task
from taskloom.training.building import head_table
from taskloom.training.gradients import Computation, Totals
from taskloom.training.health import Health
from taskloom.training.loop import Events, fit
from taskloom.training.optimizer import Optimizer, layers_of
from taskloom.training.plan import Plan, make_plan
from taskloom.training.ranks import Ranks
from taskloom.training.steps import StepSource

Array = NDArray[Any]
HeadStart = Literal["auto", "reuse", "probe", "new"]
FOLDS = 4
"""Parts of the rows that a probe is left without in turn, to be held against a head that could be taken over."""

FOLDED_ROWS = 64
"""Rows that tell how large the first tokens' states are."""
HEAD_ROWS = 10_000
"""Most rows that a head starts from: training reads all of them, and a probe of more is no better start."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a task is learned. An epoch is one pass over the training rows; steps are kept between the two bounds, but
    for one pass over all rows, which many rows always get.

    `head` says where the head starts: auto is a head of the model with the same labels where it does no worse on the
    very rows than a probe (on rows left out of it), else the probe, with `penalty` and, where `names` is set and label
    names say something, each name as one more row of its label. `pooling` is one of POOLINGS, or "auto" or
    "saved": the own pooler under a head that is taken over, since it was trained on that, else the mean or, for models
    that are saved, the first token, which the own pooler is made to pass on in the end (see `modeling.pooler`).
    `frozen` counts the parts of the encoder that stay as they are, from below: 1 is the embeddings, each further one a
    layer.
    """

    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    epochs: float = 10.0
    least_steps: int = 40
    most_steps: int = 1000
    batch_size: int = 16
    layer_decay: float = 1.0
    frozen: int = 0
    head: HeadStart = "auto"
    pooling: str = "own"
    penalty: float = 0.01
    names: bool = True
    label_smoothing: float = 0.0

    def steps(self, rows: int) -> int:
        """Return the optimizer steps for so many training rows."""
        several = min(max(math.ceil(rows * self.epochs / self.batch_size), self.least_steps), self.most_steps)
        return max(several, math.ceil(min(self.epochs, 1.0) * rows / self.batch_size))


@dataclass(frozen=True)
class Tuned:
    """A model that was fine-tuned: the step whose weights it has and its validation score (minus infinity without one),
    the steps taken, and where its head started."""

    model: Model
    step: int
    steps: int
    head: str
    score: float = -math.inf


def fine_tune(
    start: Start,
    task: Task,
    store: TaskStore,
    places: Array,
    *,
    settings: Settings,
    seed: int,
    max_length: int,
    evaluate: Callable[[Model], float] | None = None,
    evaluations: int = 0,
    patience: int = 0,
    features: Features | None = None,
    tell: Callable[[], None] | None = None,
) -> Tuned:
    """Train on the train rows at `places`, and return the model; it shares its encoder with `start` until the next.

    With `evaluate`, which returns a score (higher is better), the model is scored before the first step, about
    `evaluations` times on the way and at the end, the best weights are kept, and `patience` scores in a row without a
    better one end it. `features`, where they are at hand, are those of the rows at `places` by the untouched encoder.
    `tell` is called after each step.
    """
    every = max(1, settings.steps(len(places)) // evaluations) if evaluate is not None and evaluations else 0
    config = _config(settings, rows=len(places), seed=seed, max_length=max_length, evaluate_every=every)
    rest = np.setdiff1d(np.arange(len(store.splits["train"])), places)
    plan = make_plan(config, [task], [store], {task.id: rest})
    rows, how, pooling = _head_rows(start, task, store, places, settings, max_length, features)
    model = _model(start, plan, pooling, rows, config)
    optimizer = _optimizer(model, config.training, steps=plan.steps, frozen=settings.frozen)
    source = StepSource(plan, model, start.tokenizer, config)
    best = _Best(model, optimizer, evaluate, patience, tell or _nothing)
    if evaluate is not None:
        best(0)  # a head that starts well may be as good as it gets
    try:
        fit(
            model, optimizer, source, first_step=1, settings=config.training,
            compute=Computation(seed, start.device, start.how.autocast, Ranks()),
            events=Events(log=best.log, warn=_ignore, save=_ignore, evaluate=best, describe=source.describe),
            totals=Totals(), health=Health(),
        )  # fmt: skip
    except Interrupted as error:
        told = f"Stopped at step {best.last} of {plan.steps} of a fine-tuning, of which nothing is kept."
        raise Interrupted(told, signal_number=error.exit_code - 128) from error
    optimizer.settle()
    best.finish()
    if settings.pooling == "saved" and model.encoder.pooling == "first":
        read_own_pooler(model.eval(), start, store, places, max_length=max_length)
    return Tuned(model.eval(), best.step, best.last, how, best.score)


def _model(start: Start, plan: Plan, pooling: str, rows: LinearHead | None, config: RunConfig) -> Model:
    """Return the start's untouched encoder under one head, with its rows where they are known."""
    encoder = start.fresh()
    encoder.pooling = pooling
    model = Model(
        encoder, head_table(plan.tasks, plan.stores, plan.keys), seed=config.seed, task_embedding_drop=1.0,
        label_smoothing=config.training.label_smoothing,
    ).to(start.device)  # fmt: skip
    if rows is not None:
        _set_head(model, rows)
    return model


def _optimizer(model: Model, settings: TrainingConfig, *, steps: int, frozen: int) -> Optimizer:
    """Return the optimizer of all but the task embedding and the `frozen` lowest parts, which need no gradient."""
    named = {name: value for name, value in model.named_parameters() if name.startswith("encoder.")}
    layer_of = layers_of(named)
    if frozen > (parts := max(layer_of.values()) + 1):
        raise ConfigError(f"frozen = {frozen}: this encoder has {parts} parts, its embeddings and its layers.")
    for name, parameter in named.items():
        parameter.requires_grad = layer_of[name] >= frozen
    return Optimizer(
        encoder=named, rows={name: value for name, value in model.row_parameters().items() if name != "task_embedding"},
        layer_of=layer_of, settings=settings, steps=steps, sparse=[model.word_embeddings],
    )  # fmt: skip


def _config(settings: Settings, *, rows: int, seed: int, max_length: int, evaluate_every: int) -> RunConfig:
    training = TrainingConfig(
        steps=settings.steps(rows), batch_size=settings.batch_size, learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate, layer_decay=settings.layer_decay,
        label_smoothing=settings.label_smoothing, min_micro_batches=1, tokens_per_micro_batch=4096,
        evaluate_every=evaluate_every,
    )  # fmt: skip
    return RunConfig(
        name="finetune", seed=seed, data=DataConfig(max_length=max_length), model=ModelConfig(), training=training
    )


def _head_rows(
    start: Start,
    task: Task,
    store: TaskStore,
    places: Array,
    settings: Settings,
    max_length: int,
    features: Features | None,
) -> tuple[LinearHead | None, str, str]:
    """Return the rows that the head starts from, what they are in words, and the pooling that they read.

    Where a head could be taken over, it is held against the probe on the very rows: its score on all of them against
    the probe's on rows left out of its fit. The better one is taken, and the old head where they are level.
    """
    fits = settings.pooling in ("own", "auto", "saved") or store.kind == "token_classification"
    known = start.matching_head(store, task.id) if settings.head in ("auto", "reuse") and fits else None
    pooling = start.saved_pooling() if settings.pooling == "saved" else settings.pooling.replace("auto", "mean")
    if settings.head == "new" or (settings.head == "reuse" and known is None):
        return None, "new", pooling
    if settings.head == "reuse":
        return known, "reuse", "own"
    if features is None:
        places = some_of(store.splits["train"], task.id, places, most=HEAD_ROWS, what="head")
        features = start.features(store, "train", places, max_length=max_length)
    names = start.name_features(task, store) if settings.names else None

    def fit_on(some: Features) -> LinearHead:
        return fit_head(some, store, "train", pooling=pooling, penalty=settings.penalty, names=names)

    def score_of(head: LinearHead, some: Features, pooling: str) -> float:
        found = compute(probe_predictions(head, some, store, "train", pooling=pooling, unseen=0))
        main = found.values[main_metric(store.kind, store.labels)]
        return -1.0 if main is None else main

    if known is not None:
        folds = [(np.setdiff1d(places, places[at::FOLDS]), places[at::FOLDS]) for at in range(FOLDS)]
        folds = [(rest, out) for rest, out in folds if len(rest) and len(out)]
        apart = [score_of(fit_on(features.of(rest)), features.of(out), pooling) for rest, out in folds]
        if not apart or score_of(known, features, "own") >= float(np.mean(apart)):
            return known, "reuse", "own"
    return fit_on(features), "probe" if names is None else "probe with names", pooling


@torch.no_grad()
def read_own_pooler(model: Model, start: Start, store: TaskStore, places: Array, *, max_length: int) -> None:
    """Have a head that reads the first token's state read it through the own pooler, as exported heads do."""
    if store.kind != "token_classification":
        some = features_of(model.encoder, store, "train", places[:FOLDED_ROWS], how=start.how, max_length=max_length)
        factor = pass_first_token(model.encoder, torch.from_numpy(some.values["first"]).to(start.device))
        assert factor is not None, "the start's pooler could pass it on"
        model.head_weight.div_(factor)
    model.encoder.pooling = "own"


@torch.no_grad()
def _set_head(model: Model, rows: LinearHead) -> None:
    places = list(model.table.heads[0].rows)
    model.head_weight[places] = torch.from_numpy(rows.weight).to(model.head_weight)
    model.head_bias[places] = torch.from_numpy(rows.bias).to(model.head_bias)


def _ignore(*_: object) -> None:
    """Neither checkpoints nor warnings are kept of a training that takes a minute."""


def _nothing() -> None:
    """Nobody watches."""


class _Best:
    """Remembers the weights of the best evaluation and says when to stop."""

    def __init__(
        self,
        model: Model,
        optimizer: Optimizer,
        evaluate: Callable[[Model], float] | None,
        patience: int,
        tell: Callable[[], None],
    ) -> None:
        self.model, self.optimizer, self.evaluate = model, optimizer, evaluate
        self.patience, self.tell = patience, tell
        self.step = self.last = self.since = 0
        self.evaluated = -1
        self.score = -math.inf
        self.weights: dict[str, Tensor] = {}

    def log(self, entry: dict[str, Any]) -> None:
        """Remember the last step that was taken."""
        self.last = entry["step"]
        self.tell()

    def __call__(self, step: int, _stop: object = None) -> bool:
        """Score the model after a step, within seconds; returns whether to end."""
        assert self.evaluate is not None
        with self.optimizer.settled():
            score, self.evaluated = self.evaluate(self.model), step
            self.since += 1
            if score > self.score:
                self.score, self.step, self.since = score, step, 0
                self.weights = {name: value.to("cpu", copy=True) for name, value in self.model.state_dict().items()}
        return 0 < self.patience <= self.since

    def finish(self) -> None:
        """Score the last step too, and take the best weights."""
        if self.evaluate is None:
            self.step = self.last
            return
        if self.evaluated != self.last:
            self(self.last)
        if self.weights:
            self.model.load_state_dict(self.weights)


LOG_SHARE = 1e-3
"""What a nat of log loss counts against the main metric: a handful of validation rows leaves many steps level."""


def answers_of(
    model: Model, task: Task, store: TaskStore, split: str, *, how: Answering, places: Array | None = None
) -> Predictions:
    """Return a fine-tuned model's answers to the rows at `places` (default: all) of a split."""
    rows = store.splits[split]
    chosen = np.arange(len(rows)) if places is None else places
    unseen = unseen_tag(store, np.asarray(store.splits["train"].labels))
    with evaluating(model):
        return answer(model, store, split, how=how, head=task.versioned, places=chosen, unseen=unseen)


def report_on(
    model: Model, task: Task, store: TaskStore, split: str, *, how: Answering, places: Array | None, seed: int
) -> TaskReport | None:
    """Return the report of a fine-tuned model on a split, or on its rows at `places`; None where there is no row."""
    available = len(store.splits[split])
    if not (available if places is None else len(places)):
        return None
    answers = answers_of(model, task, store, split, how=how, places=places)
    return score(
        answers, train_gold=np.asarray(store.splits["train"].labels), family=task.family, rows_available=available,
        unused_rows=store.unused.get(split, {}), seed=seed,
    )  # fmt: skip


def fine_score(model: Model, task: Task, store: TaskStore, split: str, *, how: Answering, places: Array) -> float:
    """Return the main metric, less LOG_SHARE of the mean log loss where there is one; an undefined metric counts -1."""
    answers = answers_of(model, task, store, split, how=how, places=places)
    main = compute(answers).values[main_metric(store.kind, store.labels)]
    return (-1.0 if main is None else main) - LOG_SHARE * _log_loss(answers)


def _log_loss(answers: Predictions) -> float:
    if answers.kind == "classification":
        right = answers.scores[np.arange(len(answers)), answers.gold]
    elif answers.kind == "multiple_choice":
        right = answers.scores[answers.word_offsets[:-1] + answers.gold]
    elif answers.kind == "multilabel":
        right = np.where(answers.gold > 0, answers.scores, 1 - answers.scores)
    else:
        return 0.0
    return float(-np.log(np.maximum(right, 1e-9)).mean())
