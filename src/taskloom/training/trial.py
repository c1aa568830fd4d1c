"""A short trial of a run's steps on this machine: what one takes, and how many fit into a time.

The first step is left out, and what counts is the median of the others, so it is an estimate and not a promise.
Gradients and updates are thrown away with the model that they were tried on.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass

from taskloom.config import RunConfig
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.encoder import resolve_encoder
from taskloom.progress import Progress
from taskloom.training.building import build_model, make_optimizer
from taskloom.training.gradients import Computation, Totals, accumulate, combine
from taskloom.training.loop import rehearse
from taskloom.training.plan import Plan
from taskloom.training.ranks import Ranks
from taskloom.training.steps import StepSource
from taskloom.training.watch import peak_memory

TRIAL_STEPS = 6


@dataclass(frozen=True)
class Trial:
    """What a few steps took: seconds of a step after the first, and the most memory that the process held (bytes)."""

    seconds: float
    memory: int
    device: str
    precision: str

    def steps_within(self, minutes: float) -> int:
        """Return how many steps fit into so many minutes, one at least."""
        return max(1, int(minutes * 60 / self.seconds))


def try_steps(config: RunConfig, plan: Plan, source: StepSource, compute: Computation) -> Trial:
    """Run a few steps, the largest micro-batches first; of several processes all take part and get the same answer.

    The model of `source` is on the device already: batches are cut otherwise where nothing is padded, on a CPU.
    """
    model = source.model
    optimizer = make_optimizer(model, config.training, steps=plan.steps)
    rehearse(model, optimizer, source.rehearsals(), compute=compute)
    seconds = []
    for step in range(1, TRIAL_STEPS + 1):
        batch, started = source(step), time.perf_counter()
        optimizer.begin(batch.used)
        sums = accumulate(model, batch, compute=compute, totals=Totals())
        combine(optimizer, batch, sums, compute=compute, stop=0)
        optimizer.clip(config.training.clip, batch.used)
        optimizer.step(step, batch.used)
        optimizer.zero_grad(batch.used)
        sums.loss(batch)  # waits for the device
        seconds.append(time.perf_counter() - started)
    (first, *_) = compute.ranks.gather({"seconds": statistics.median(seconds[1:])})
    return Trial(first["seconds"], peak_memory(compute.device), compute.device.type, compute.precision)


def within_minutes(config: RunConfig, plan: Plan, *, ranks: Ranks, progress: Progress) -> Plan:
    """Return the plan with as many of its steps as fit into `training.minutes`."""
    minutes, folder = config.training.minutes, resolve_encoder(config.encoder)
    compute = Computation.chosen(config, ranks)
    model = build_model(config, plan, folder, progress=Progress()).to(compute.device)
    trial = try_steps(config, plan, StepSource(plan, model, Tokenizer.open(folder), config), compute)
    steps = min(plan.steps, trial.steps_within(minutes))
    progress.say(f"{minutes:g} minutes at {trial.seconds:.2f} s a step: {steps:,} steps, of at most {plan.steps:,}")
    return dataclasses.replace(plan, steps=steps)
