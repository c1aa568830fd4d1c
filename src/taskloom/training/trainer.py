"""One run from its plan to its report: the model built or restored, the loop's events, the last evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskloom.config import RunConfig
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import ConfigError
from taskloom.evaluation.engine import Engine, Job, fingerprint, scored_splits
from taskloom.evaluation.evaluator import Answering, evaluate_task
from taskloom.evaluation.report import TaskReport, summarize
from taskloom.evaluation.routes import own_route
from taskloom.evaluation.thresholds import choose_thresholds
from taskloom.modeling.devices import choose_autocast
from taskloom.modeling.encoder import resolve_encoder
from taskloom.modeling.model import Model
from taskloom.progress import Bar, Progress
from taskloom.recipes.recipe import Task
from taskloom.training.building import average_with_start, build_model, make_optimizer
from taskloom.training.checkpoint import (
    Checkpoint,
    agreed_checkpoint,
    load_checkpoint,
    remove_old,
    save_checkpoint,
    step_name,
)
from taskloom.training.gradients import Computation, Totals
from taskloom.training.health import Health
from taskloom.training.loop import Events, fit, rehearse
from taskloom.training.optimizer import Optimizer
from taskloom.training.plan import Plan
from taskloom.training.ranks import Ranks
from taskloom.training.run_folder import RunFolder
from taskloom.training.steps import StepSource
from taskloom.training.trackers import Tracker, close_trackers, flat, open_trackers
from taskloom.training.watch import TELL_EVERY, Best, Speed, family_means, peak_memory


class EvaluationStopped(Exception):
    """An evaluation was asked to stop before it was done."""


@dataclass
class Trainer:
    """What the events of a run share."""

    config: RunConfig
    run: RunFolder
    plan: Plan
    model: Model
    tokenizer: Tokenizer
    optimizer: Optimizer
    compute: Computation
    progress: Progress
    totals: Totals = field(default_factory=Totals)
    health: Health = field(default_factory=Health)
    best: Best = field(default_factory=Best)
    trackers: list[Tracker] = field(default_factory=list)
    step: int = 0
    speed: Speed = field(default_factory=Speed)
    recent: list[dict[str, float]] = field(default_factory=list)
    evaluation_is_due: bool = False
    """Whether the state was saved before the evaluation of its step was done."""

    @property
    def stopped_early(self) -> bool:
        """Whether the last evaluations were no better, as often as `training.early_stop` allows."""
        return 0 < self.config.training.early_stop <= self.best.since

    def train(self) -> None:
        """Run the steps that are left; the state after the last one is saved. Trackers are closed whatever happens."""
        try:
            self._train()
        finally:
            close_trackers(self.trackers, warn=self.progress.say)

    def _train(self) -> None:
        if self.evaluation_is_due:
            self._evaluate_on_the_way(self.step)
            self.evaluation_is_due = False
        if self.step < self.plan.steps and not self.stopped_early:
            source = StepSource(self.plan, self.model, self.tokenizer, self.config)
            rehearse(self.model, self.optimizer, source.rehearsals(), compute=self.compute)
            with self.progress.bar("training", self.plan.steps, done=self.step) as bar:
                fit(
                    self.model,
                    self.optimizer,
                    source,
                    first_step=self.step + 1,
                    settings=self.config.training,
                    compute=self.compute,
                    events=Events(
                        log=lambda entry: self._log(entry, bar), warn=self.progress.say, save=self._save,
                        evaluate=self._evaluate_on_the_way, describe=source.describe,
                    ),
                    totals=self.totals,
                    health=self.health,
                )  # fmt: skip
        self.optimizer.settle()  # after the last save: a run with more steps goes on from bits that nobody moved
        self._take_best()
        if self.config.training.start_share:
            average_with_start(self.model, self.config, resolve_encoder(self.config.encoder))
        self._choose_thresholds()

    def _choose_thresholds(self) -> None:
        found = choose_thresholds(self.model, list(self.plan.stores), how=self._how(), seed=self.config.seed)
        self.model.table = self.model.table.with_thresholds(found)

    def evaluate(
        self,
        *,
        max_rows: int | None = None,
        title: str = "evaluating",
        keep: bool = False,
        stopping: Callable[[], int] = int,
    ) -> dict[str, dict[str, TaskReport]]:
        """Score every trained task on its validation split, else on test.

        `keep` is the last pass: all rows, per-row answers kept, baselines and scores without task embedding beside; it
        goes on where a killed one was. Each process scores some of the tasks, whole, so that no number depends on how
        many there are. Raises EvaluationStopped when `stopping` says so between two tasks; several processes wait for
        each other and do not stop.
        """
        ranks, mine = self.compute.ranks, {}
        self.model.eval()
        engine = self.engine() if keep else None
        with self.progress.bar(title, len(self.plan.tasks)) as bar:
            for number, (task, store) in enumerate(zip(self.plan.tasks, self.plan.stores, strict=True)):
                if ranks.world == 1 and stopping():
                    raise EvaluationStopped
                passed = keep and task.recast is not None and not self.config.evaluation.recasts
                for split in scored_splits(task, store.splits) if ranks.mine(number) and not passed else []:
                    if engine is None:
                        report = self._score(task, store, split, max_rows)
                    else:
                        route = own_route(self.model.table, task.versioned)
                        report = engine.evaluate(Job(task, store, split, route, self.plan.left_out.get(task.id)))
                    mine[task.versioned] = {split: report.model_dump(mode="json")}
                bar.advance(note=task.id)
        found = {name: splits for part in ranks.gather(mine) for name, splits in part.items()}
        return {
            task.versioned: {
                split: TaskReport.model_validate(report) for split, report in found[task.versioned].items()
            }
            for task in self.plan.tasks
            if task.versioned in found
        }

    def engine(self) -> Engine:
        """Return what scores all rows of a task with the model as it is now."""
        settings = self.config.evaluation
        return Engine(
            model=self.model, model_key=fingerprint(self.model), how=self._how(), folder=self.run.predictions,
            both=settings.without_embedding, baselines=settings.baselines, seed=self.config.seed,
        )  # fmt: skip

    def _how(self) -> Answering:
        return Answering(
            tokenizer=self.tokenizer,
            device=self.compute.device,
            tokens_per_micro_batch=self.config.training.tokens_per_micro_batch,
            autocast=self.compute.autocast,
        )

    def _score(self, task: Task, store: TaskStore, split: str, max_rows: int | None) -> TaskReport:
        report, _ = evaluate_task(
            self.model,
            store,
            split,
            task=task,
            tokenizer=self.tokenizer,
            max_rows=max_rows,
            tokens_per_micro_batch=self.config.training.tokens_per_micro_batch,
            device=self.compute.device,
            autocast=self.compute.autocast,
            seed=self.config.seed,
        )
        return report

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a checkpoint, and what precision "auto" chose then: it might choose another today."""
        if self.config.training.precision == "auto" and "precision" in checkpoint.values:
            autocast = choose_autocast(checkpoint.values["precision"], self.compute.device)
            self.compute = dataclasses.replace(self.compute, autocast=autocast)
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_tensors(checkpoint.optimizer)
        for name, value in checkpoint.values["totals"].items():
            setattr(self.totals, name, value)
        self.health.restore(checkpoint.values["health"])
        self.best = Best(**checkpoint.values["best"])
        self.evaluation_is_due = checkpoint.values.get("evaluation_is_due", False)
        self.step = checkpoint.step

    def training_figures(self) -> dict[str, Any]:
        """Return the `training` part of results.json."""
        totals, seconds = self.totals, max(sum(self.totals.seconds.values()), 1e-9)
        return {
            "steps": self.step,
            "examples": totals.examples,
            "seconds": round(seconds, 3),
            "examples_per_second": round(totals.examples / seconds, 2),
            "tokens_per_second": round(totals.tokens / seconds, 1),
            "padding_share": round(1 - totals.tokens / max(1, totals.padded_tokens), 4),
            "peak_memory_bytes": peak_memory(self.compute.device),
            "precision": self.compute.precision,
            "device": self.compute.device.type,
            "processes": self.compute.ranks.world,
            "skipped_not_finite": self.health.not_finite,
            "skipped_spikes": self.health.spikes,
            "stopped_early": self.stopped_early,
            "best_step": self.best.step,
            "seconds_by_part": {part: round(value, 3) for part, value in totals.seconds.items()},
        }

    def _log(self, entry: dict[str, Any], bar: Bar) -> None:
        self.step = entry["step"]
        self._track({**entry, "loss": round(entry["loss"], 6), "gradient_norm": round(entry["gradient_norm"], 6)})
        self.speed.take(self.totals)
        self.recent.append(entry["families"])
        if self.step % TELL_EVERY == 0:
            self.progress.say(f"step {self.step}: loss {family_means(self.recent)}")
            self.recent.clear()
        bar.advance(note=f"loss {entry['loss']:.3f}, {self.speed}, {self.speed.left(self.plan.steps - self.step)}")

    def _track(self, entry: Mapping[str, Any]) -> None:
        self.run.log(entry)
        for tracker in self.trackers:
            tracker.log(entry["step"], flat(entry))

    def _save(self, step: int, evaluation_is_due: bool) -> None:
        if self.compute.ranks.writes:
            values = {"totals": dataclasses.asdict(self.totals), "health": self.health.state()}
            save_checkpoint(
                self.run.checkpoints,
                step=step,
                weights=self.model.state_dict(),
                optimizer=self.optimizer.state_tensors(),
                values=values
                | {
                    "best": dataclasses.asdict(self.best),
                    "evaluation_is_due": evaluation_is_due,
                    "precision": self.compute.precision,
                },
            )
            kept = self.config.training.keep_checkpoints
            remove_old(self.run.checkpoints, keep=kept)
            remove_old(self.run.best, keep=kept + 1)  # each kept checkpoint finds the best of its own time
        self.compute.ranks.wait()

    def _evaluate_on_the_way(self, step: int, stopping: Callable[[], int] = int) -> bool | None:
        with self.optimizer.settled():
            return self._evaluate_some(step, stopping)

    def _evaluate_some(self, step: int, stopping: Callable[[], int] = int) -> bool | None:
        """Score a sample of each task; returns whether training should end early, None if it was stopped itself."""
        title, most = f"evaluating, step {step}", self.config.evaluation.max_rows
        try:
            summary = summarize(self.evaluate(max_rows=most, title=title, stopping=stopping))
        except EvaluationStopped:
            return None
        means = {kind: part.mean_score for kind, part in summary.by_kind.items()}
        self._track({"step": step, "mean_score": summary.mean_score, "mean_majority": summary.mean_majority,
                     "evaluation": means})  # fmt: skip
        self.progress.say(f"step {step}: mean score {summary.mean_score}, trivial answer {summary.mean_majority}")
        is_best = self.best.take(summary.mean_score, step)
        if is_best and self.config.training.best_checkpoint and self.compute.ranks.writes:
            save_checkpoint(self.run.best, step=step, weights=self.model.state_dict(), optimizer={}, values={})
        if self.stopped_early:
            self.progress.say(
                f"stopping early: no better mean score than {self.best.score} of step {self.best.step} in "
                f"{self.best.since} evaluations"
            )
        return self.stopped_early

    def _take_best(self) -> None:
        """With `training.best_checkpoint`, end with the weights of the best evaluation, the last step's among them."""
        if not self.config.training.best_checkpoint:
            return
        self._evaluate_some(self.step)
        self.compute.ranks.wait()
        if self.best.score is None:
            self.progress.say("best checkpoint: no task has rows that can be scored, so the last step is taken")
            return
        self.model.load_state_dict(load_checkpoint(self.run.best / step_name(self.best.step)).weights)
        self.progress.say(f"best checkpoint: step {self.best.step}, mean score {self.best.score}")


def start_trainer(
    config: RunConfig, run: RunFolder, plan: Plan, *, progress: Progress, ranks: Ranks | None = None
) -> Trainer:
    """Build the model of a plan and restore the newest checkpoint, if there is one."""
    ranks = ranks or Ranks()
    compute = Computation.chosen(config, ranks)
    folder = resolve_encoder(config.encoder)
    model = build_model(config, plan, folder, progress=progress).to(compute.device)
    optimizer = make_optimizer(model, config.training, steps=plan.steps)
    trainer = Trainer(config, run, plan, model, Tokenizer.open(folder), optimizer, compute, progress)
    trainer.health.skip_spikes = config.training.skip_spikes
    checkpoint = agreed_checkpoint(run.checkpoints, ranks, warn=progress.say)
    if checkpoint is not None:
        if checkpoint.step > plan.steps:
            raise ConfigError(
                f"{run.path} has done {checkpoint.step} steps, and {plan.steps} are asked for. Ask for "
                f"{checkpoint.step} or more by training.steps, or type `name=NEW_NAME` for a new run."
            )
        trainer.restore(checkpoint)
        progress.say(f"continuing after step {checkpoint.step} of {plan.steps}")
    if ranks.writes:
        run.resume_log(trainer.step, evaluation_is_due=trainer.evaluation_is_due)
        trainer.trackers = open_trackers(
            config.output.track, folder=run.path, name=config.name, config=config.model_dump(mode="json"),
            step=trainer.step,
        )  # fmt: skip
    return trainer
