"""`taskloom train RUN.toml --dry-run`: what a run would do and take, as lines for people.

Tasks are prepared, since only their rows tell shares and lengths; nothing is written to the run folder. Tokens and
padding are those of real steps, spread over the run, and the time comes from a short trial on this machine: the first
step is left out, and what is said is a step's median, so it is an estimate and not a promise.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskloom.config import RunConfig
from taskloom.progress import Progress

if TYPE_CHECKING:
    from taskloom.training.plan import Plan
    from taskloom.training.steps import StepSource

SAMPLED_STEPS = 20
TRIAL_STEPS = 4


@dataclass(frozen=True)
class Trial:
    """What a few steps took: seconds of a step after the first, and the most memory that the process held (bytes)."""

    seconds: float
    memory: int
    device: str
    precision: str


def plan_lines(config: RunConfig, *, progress: Progress | None = None) -> Iterator[str]:
    """Yield the lines; raises ConfigError and the like, as the run itself would."""
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.training.building import build_model
    from taskloom.training.plan import make_plan
    from taskloom.training.steps import StepSource
    from taskloom.workflows.preparing import prepare

    progress = progress or Progress()
    preparation = prepare(config, progress=progress)
    pairs = list(preparation.trainable())
    plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs], preparation.left_out_rows)
    yield from task_lines(plan)
    yield from head_lines(plan)
    for task, reason in preparation.left_out().items():
        yield f"not trained: {task}: {reason}"
    folder = resolve_encoder(config.encoder)
    model = build_model(config, plan, folder, progress=progress)
    source = StepSource(plan, model, Tokenizer.open(folder), config)
    yield from batch_lines(plan, source, batch_size=config.training.batch_size)
    counts = {name: parameter.numel() for name, parameter in model.named_parameters()}
    heads = sum(count for name, count in counts.items() if not name.startswith("encoder."))
    yield (
        f"parameters: {(sum(counts.values()) - heads) / 1e6:.1f}M encoder, {heads / 1e6:.2f}M heads and embeddings; "
        f"weights, gradients and moments {sum(counts.values()) * 16 / 1e9:.2f} GB"
    )
    yield from trial_lines(try_steps(config, plan, source), steps=plan.steps)


def task_lines(plan: Plan) -> Iterator[str]:
    """Yield a line a task: its expected share, its train rows, how often each is seen."""
    shares = plan.mixture.shares
    examples = plan.steps * plan.mixture.batch_size
    yield f"{'share':>7}  {'rows':>7}  {'epochs':>6}  task"
    for task, rows, share in zip(plan.tasks, plan.mixture.sizes, shares, strict=True):
        yield f"{share:7.2%}  {rows:7,}  {share * examples / rows:6.2f}  {task.versioned}"
    rows, batch_size = sum(plan.mixture.sizes), plan.mixture.batch_size
    yield f"{len(plan.tasks)} tasks, {rows:,} train rows, {plan.steps:,} steps of {batch_size} examples"


def head_lines(plan: Plan) -> Iterator[str]:
    """Yield a line for each head that several tasks share."""
    readers = defaultdict(list)
    for task, key in zip(plan.tasks, plan.keys, strict=True):
        readers[key].append(task.versioned)
    for names in readers.values():
        if len(names) > 1:
            yield f"one head for {len(names)} tasks: {', '.join(names)}"
    yield f"{len(readers)} heads"


def batch_lines(plan: Plan, source: StepSource, *, batch_size: int) -> Iterator[str]:
    """Yield what steps spread over the run are made of."""
    steps = sorted({1 + (plan.steps - 1) * number // (SAMPLED_STEPS - 1) for number in range(SAMPLED_STEPS)})
    batches = [source(step) for step in steps]
    tokens = sum(batch.tokens for batch in batches) / len(batches)
    padded = sum(batch.padded_tokens for batch in batches) / len(batches)
    cuts = statistics.fmean(len(batch.micro_batches) for batch in batches)
    yield (
        f"a step: {tokens:,.0f} tokens ({tokens / batch_size:.1f} an example) in {cuts:.1f} micro-batches, "
        f"padding {1 - tokens / padded:.1%}"
    )


def try_steps(config: RunConfig, plan: Plan, source: StepSource) -> Trial:
    """Run a few steps, the largest micro-batches first, with gradients and updates that are thrown away."""
    from taskloom.modeling.devices import choose_autocast, choose_device, set_threads
    from taskloom.training.building import make_optimizer
    from taskloom.training.gradients import Computation, Totals, accumulate
    from taskloom.training.loop import rehearse
    from taskloom.training.ranks import Ranks
    from taskloom.training.watch import peak_memory

    set_threads()
    device = choose_device(config.training.device)
    compute = Computation(config.seed, device, choose_autocast(config.training.precision, device), Ranks())
    model = source.model.to(device)
    optimizer = make_optimizer(model, config.training, steps=plan.steps)
    rehearse(model, optimizer, source.rehearsals(), compute=compute)
    seconds = []
    for step in range(1, TRIAL_STEPS + 1):
        batch, started = source(step), time.perf_counter()
        optimizer.begin(batch.used)
        loss = accumulate(model, batch, compute=compute, totals=Totals()).loss(batch)
        optimizer.clip(config.training.clip, batch.used)
        optimizer.step(step, batch.used)
        optimizer.zero_grad(batch.used)
        seconds.append(time.perf_counter() - started + 0 * loss)
    precision = "bf16" if compute.autocast else "fp32"
    return Trial(statistics.median(seconds[1:]), peak_memory(device), device.type, precision)


def trial_lines(trial: Trial, *, steps: int) -> Iterator[str]:
    """Yield what the trial took, and what the run will."""
    hours, rest = divmod(round(trial.seconds * steps), 3600)
    took = f"{trial.seconds:.2f} s a step, memory {trial.memory / 1e9:.2f} GB"
    whole = f"training takes about {hours}:{rest // 60:02d} h without evaluation"
    yield f"trial on {trial.device} in {trial.precision}: {took}; {whole}"
