"""One run from its plan to its report: the model built or restored, the loop's events, the last evaluation."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from taskloom.config import RunConfig
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.evaluation.evaluator import evaluate_task
from taskloom.evaluation.predictions import write_predictions
from taskloom.evaluation.report import TaskReport, summarize
from taskloom.modeling.encoder import Encoder, choose_autocast, choose_device, resolve_encoder, set_threads
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model
from taskloom.progress import Bar, Progress
from taskloom.recipes.recipe import Task
from taskloom.training.checkpoint import Checkpoint, newest_checkpoint, remove_old, save_checkpoint
from taskloom.training.loop import Events, Totals, fit, precision_context
from taskloom.training.optimizer import Optimizer, layers_of
from taskloom.training.plan import Plan
from taskloom.training.run_folder import RunFolder
from taskloom.training.steps import StepSource


@dataclass
class Trainer:
    """What the events of a run share."""

    config: RunConfig
    run: RunFolder
    plan: Plan
    model: Model
    tokenizer: Tokenizer
    optimizer: Optimizer
    device: torch.device
    autocast: torch.dtype | None
    progress: Progress
    totals: Totals
    step: int = 0

    def train(self) -> None:
        """Run the steps that are left; the state after the last one is saved."""
        if self.step >= self.plan.steps:
            return
        source = StepSource(self.plan, self.model, self.tokenizer, self.config)
        with self.progress.bar("training", self.plan.steps, done=self.step) as bar:
            fit(
                self.model,
                self.optimizer,
                source,
                first_step=self.step + 1,
                settings=self.config.training,
                seed=self.config.seed,
                device=self.device,
                autocast=self.autocast,
                events=Events(lambda entry: self._log(entry, bar), self._save, self._evaluate_some, source.describe),
                totals=self.totals,
            )

    def evaluate(
        self, *, max_rows: int | None = None, title: str = "evaluating", keep: bool = False
    ) -> dict[str, dict[str, TaskReport]]:
        """Score every trained task on its validation split, else on test; `keep` writes per-row predictions."""
        reports: dict[str, dict[str, TaskReport]] = {}
        self.model.eval()
        with self.progress.bar(title, len(self.plan.tasks)) as bar:
            for task, store in zip(self.plan.tasks, self.plan.stores, strict=True):
                for split in scored_splits(task, store)[:1]:
                    with precision_context(self.device, self.autocast):
                        report, predictions = evaluate_task(
                            self.model,
                            store,
                            split,
                            task=task,
                            tokenizer=self.tokenizer,
                            max_rows=max_rows,
                            tokens_per_micro_batch=self.config.training.tokens_per_micro_batch,
                            device=self.device,
                            seed=self.config.seed,
                        )
                    reports[task.versioned] = {split: report}
                    if keep:
                        write_predictions(predictions, self.run.predictions)
                bar.advance(note=task.id)
        return reports

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a checkpoint."""
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_tensors(checkpoint.optimizer)
        for name, value in checkpoint.values["totals"].items():
            setattr(self.totals, name, value)
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
            "peak_memory_bytes": peak_memory(self.device),
            "precision": "bf16" if self.autocast else "fp32",
            "device": self.device.type,
            "seconds_by_part": {part: round(value, 3) for part, value in totals.seconds.items()},
        }

    def _log(self, entry: dict[str, Any], bar: Bar) -> None:
        self.step = entry["step"]
        self.run.log({**entry, "loss": round(entry["loss"], 6), "gradient_norm": round(entry["gradient_norm"], 6)})
        bar.advance(note=f"loss {entry['loss']:.3f}")

    def _save(self, step: int) -> None:
        save_checkpoint(
            self.run.checkpoints,
            step=step,
            weights=self.model.state_dict(),
            optimizer=self.optimizer.state_tensors(),
            values={"totals": dataclasses.asdict(self.totals)},
        )
        remove_old(self.run.checkpoints, keep=self.config.training.keep_checkpoints)

    def _evaluate_some(self, step: int) -> None:
        summary = summarize(self.evaluate(max_rows=self.config.evaluation.max_rows, title=f"evaluating, step {step}"))
        entry = {"step": step, "mean_score": summary.mean_score, "mean_majority": summary.mean_majority}
        self.run.log(entry)
        self.progress.say(f"step {step}: mean score {summary.mean_score}, trivial answer {summary.mean_majority}")


def start_trainer(config: RunConfig, run: RunFolder, plan: Plan, *, progress: Progress) -> Trainer:
    """Build the model of a plan and restore the newest checkpoint, if there is one."""
    set_threads()
    device = choose_device(config.training.device)
    folder = resolve_encoder(config.encoder)
    encoder = Encoder.open(folder, seed=config.seed, attention=config.model.attention)
    model = Model(
        encoder,
        head_table(plan.tasks, plan.stores, plan.keys),
        seed=config.seed,
        task_embedding_drop=config.model.task_embedding_drop,
        loss_scaling=config.model.loss_scaling,
        label_smoothing=config.training.label_smoothing,
    ).to(device)
    named = {name: parameter for name, parameter in model.named_parameters() if name.startswith("encoder.")}
    optimizer = Optimizer(
        encoder=named,
        rows=model.row_parameters(),
        layer_of=layers_of(named),
        settings=config.training,
        steps=plan.steps,
    )
    autocast = choose_autocast(config.training.precision, device)
    tokenizer = Tokenizer.open(folder)
    trainer = Trainer(config, run, plan, model, tokenizer, optimizer, device, autocast, progress, Totals())
    checkpoint = newest_checkpoint(run.checkpoints, warn=progress.say)
    if checkpoint is not None:
        trainer.restore(checkpoint)
        progress.say(f"continuing after step {checkpoint.step} of {plan.steps}")
    run.resume_log(trainer.step)
    return trainer


def head_table(tasks: Sequence[Task], stores: Sequence[TaskStore], keys: Sequence[str]) -> HeadTable:
    """Return which head rows each task reads."""
    return HeadTable.make(
        [
            {"task": task.versioned, "id": task.id, "kind": store.kind, "labels": store.labels, "key": key,
             "low": store.low, "high": store.high}
            for task, store, key in zip(tasks, stores, keys, strict=True)
        ]
    )  # fmt: skip


def scored_splits(task: Task, store: TaskStore) -> list[str]:
    """Return the labelled splits of a task that are not trained on, the one that stands for it first."""
    order = ("test", "validation") if task.role == "evaluation" else ("validation", "test")
    return [split for split in order if split in store.splits]


def peak_memory(device: torch.device) -> int:
    """Return the most memory this process has held so far, in bytes: the accelerator's, else the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0  # no such figure in the standard library there
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
