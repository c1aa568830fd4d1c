"""`taskloom train RUN.toml --dry-run`: what a run would do and take, as lines for people.

Tasks are prepared, since only their rows tell shares and lengths; nothing is written to the run folder. Tokens and
padding are those of real steps, spread over the run, and the time comes from a short trial on this machine.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskloom.config import RunConfig
from taskloom.progress import Progress

if TYPE_CHECKING:
    from taskloom.training.plan import Plan
    from taskloom.training.steps import StepSource
    from taskloom.training.trial import Trial

SAMPLED_STEPS = 20


def plan_lines(config: RunConfig, *, progress: Progress | None = None) -> Iterator[str]:
    """Yield the lines; raises ConfigError and the like, as the run itself would."""
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.training.building import build_model
    from taskloom.training.gradients import Computation
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import Ranks
    from taskloom.training.steps import StepSource
    from taskloom.training.trial import try_steps
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
    compute = Computation.chosen(config, Ranks())
    model = build_model(config, plan, folder, progress=progress).to(compute.device)
    source = StepSource(plan, model, Tokenizer.open(folder), config)
    yield from batch_lines(plan, source, batch_size=config.training.batch_size)
    counts = {name: parameter.numel() for name, parameter in model.named_parameters()}
    heads = sum(count for name, count in counts.items() if not name.startswith("encoder."))
    yield (
        f"parameters: {(sum(counts.values()) - heads) / 1e6:.1f}M encoder, {heads / 1e6:.2f}M heads and embeddings; "
        f"weights, gradients and moments {sum(counts.values()) * 16 / 1e9:.2f} GB"
    )
    yield from trial_lines(try_steps(config, plan, source, compute), steps=plan.steps, minutes=config.training.minutes)


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


def trial_lines(trial: Trial, *, steps: int, minutes: float = 0.0) -> Iterator[str]:
    """Yield what the trial took, and what the run will; `minutes` may end it earlier."""
    fit = trial.steps_within(minutes) if minutes else steps
    if fit < steps:
        yield f"{minutes:g} minutes are enough for {fit:,} steps of these {steps:,}"
        steps = fit
    hours, rest = divmod(round(trial.seconds * steps), 3600)
    took = f"{trial.seconds:.2f} s a step, memory {trial.memory / 1e9:.2f} GB"
    whole = f"training takes about {hours}:{rest // 60:02d} h without evaluation"
    yield f"trial on {trial.device} in {trial.precision}: {took}; {whole}"
