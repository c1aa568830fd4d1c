"""The training loop: the order of events in plain sight.

Gradients, the check that they are finite, the update, the log; checkpoints and evaluation when their step has come, the
checkpoint first: it says that the evaluation is due, so a run that goes on from it makes it, even a second time.
Loss and gradient norm are the only numbers that a step waits for. Nothing here is random, so a resumed run repeats an
unbroken one bit for bit.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from taskloom.config import TrainingConfig
from taskloom.errors import Interrupted, TrainingFailed
from taskloom.modeling.model import Model
from taskloom.modeling.tensors import on_device, pinned
from taskloom.training.gradients import Computation, StepBatch, StepSums, Totals, accumulate, combine
from taskloom.training.health import Health
from taskloom.training.optimizer import Optimizer
from taskloom.training.prefetch import batches_with_clock, prefetch
from taskloom.training.ranks import Ranks
from taskloom.training.signals import stop_requested


@dataclass(frozen=True)
class Events:
    """What happens beside the arithmetic; `evaluate` and `save` are called when their step has come.

    `evaluate` returns whether training should end early, and None when it was asked to stop before it was done: it is
    told how to find out, and `save` is told that it has to be made up for.
    """

    log: Callable[[dict[str, Any]], None]
    warn: Callable[[str], None]
    save: Callable[[int, bool], None]
    evaluate: Callable[[int, Callable[[], int]], bool | None]
    describe: Callable[[StepBatch, int, int], str]
    """(batch, micro-batch, example) -> "task, row", for the message about a non-finite loss."""


def fit(
    model: Model,
    optimizer: Optimizer,
    batch_of: Callable[[int], StepBatch],
    *,
    first_step: int,
    settings: TrainingConfig,
    compute: Computation,
    events: Events,
    totals: Totals,
    health: Health,
) -> None:
    """Train from `first_step` (1-based) to the optimizer's last step, adding to `totals`.

    Raises TrainingFailed when several steps in a row are not finite, and Interrupted after saving when asked to stop.
    """
    steps = optimizer.steps
    model.train()
    ready = (lambda step: pinned(batch_of(step))) if compute.device.type == "cuda" else batch_of
    with stop_requested() as asked, prefetch(ready, first_step, steps) as batches:
        for batch in batches_with_clock(batches, totals):
            step, used = batch.step, on_device(batch.used, compute.device)
            with totals.clock("optimizer"):
                optimizer.begin(used)
            sums = accumulate(model, batch, compute=compute, totals=totals)
            with totals.clock("backward"):  # with what a GPU still computes and the wait for other processes
                stop = combine(optimizer, batch, sums, compute=compute, stop=first_of(asked))
                loss = sums.loss(batch)
            with totals.clock("optimizer"):
                norm = optimizer.clip(settings.clip, used)
                fault = health.fault(loss, norm)
                rate = optimizer.rate(step) if fault else optimizer.step(step, used)
                optimizer.zero_grad(used)
            totals.count(batch)
            families = sums.families()
            events.log({"step": step, "loss": loss, "examples": batch.examples, "lr": rate, "gradient_norm": norm,
                        "families": families} | ({"skipped": fault} if fault else {}))  # fmt: skip
            if fault:
                tell(fault, batch, sums, loss=loss, norm=norm, compute=compute, events=events, health=health)
            stop = stop if compute.ranks.world > 1 else first_of(asked)  # alone, a signal during the log counts too
            done, is_due, is_saved = step == steps, False, False
            saves = bool(settings.save_every) and step % settings.save_every == 0
            if settings.evaluate_every and step % settings.evaluate_every == 0 and not done:
                if saves and not stop:  # killed in the evaluation, a run goes on from here and makes up for it
                    events.save(step, True)
                    is_saved = True
                found = None if stop else events.evaluate(step, lambda: first_of(asked))
                done, is_due = bool(found), found is None
                stop = stop if compute.ranks.world > 1 else first_of(asked)
                model.train()
            if ((done or stop) and not (is_saved and is_due)) or (saves and not is_saved):
                events.save(step, is_due)
            if done:
                return
            if stop:
                name = signal.Signals(stop).name
                raise Interrupted(f"{name}: stopped after step {step} of {steps}, saved.", signal_number=stop)


def first_of(asked: list[int]) -> int:
    """Return the signal that asked to stop first, or 0."""
    return asked[0] if asked else 0


def tell(
    fault: str,
    batch: StepBatch,
    sums: StepSums,
    *,
    loss: float,
    norm: float,
    compute: Computation,
    events: Events,
    health: Health,
) -> None:
    """Say why a step was left out, naming the rows whose loss is not finite; raises TrainingFailed for one too many."""
    bad = [
        events.describe(batch, number, example)
        for number, losses in sums.example_losses
        for example in (~torch.isfinite(losses)).nonzero()[:, 0].tolist()
    ]
    rows = [row for found in compute.ranks.gather({"rows": bad[:MOST_NAMED]}) for row in found["rows"]]
    where = f"the loss of {'; '.join(rows[:MOST_NAMED])}" if rows else f"the gradient norm ({norm:.6g})"
    if fault == "spike":
        events.warn(f"Step {batch.step}: left out as a spike, with loss {loss:.4f} and gradient norm {norm:.4f}.")
        return
    events.warn(f"Step {batch.step}: {where} is not finite; the update was not applied.")
    health.check(batch.step, where)


MOST_NAMED = 5
"""Rows that one message names."""


def rehearse(model: Model, optimizer: Optimizer, batches: Iterable[StepBatch], *, compute: Computation) -> None:
    """Compute the largest micro-batches forward and backward before the first step, and throw the gradients away.

    Shapes that do not fit and memory that is too small show here, and not after hours; the room of the optimizer's
    moments, which the first step makes, is taken meanwhile. Raises TrainingFailed for too little memory, saying what to
    lower.
    """
    model.train()
    alone, tokens = dataclasses.replace(compute, ranks=Ranks()), 0
    try:
        moments = optimizer.room_for_moments()
        for batch in batches:
            tokens = batch.padded_tokens
            accumulate(model, batch, compute=alone, totals=Totals())
        del moments
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingFailed(
            f"The longest rows ({tokens:,} tokens in one micro-batch) do not fit into memory ({error}). "
            "Lower training.tokens_per_micro_batch, data.max_length or training.max_choices."
        ) from error
    finally:
        model.zero_grad(set_to_none=True)
