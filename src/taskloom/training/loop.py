"""The training loop: the order of events in plain sight.

A step is `batch_size` examples from all tasks, cut into micro-batches. Its loss is the sum of weight x row loss over
the whole step, divided once by the sum of weights, so the cut does not change it. Dropout in micro-batch m of a step is
seeded by (seed, step, m): nothing random has to be saved, and a resumed run repeats an unbroken one bit for bit.
"""

from __future__ import annotations

import hashlib
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from taskloom.config import TrainingConfig
from taskloom.errors import Interrupted, TrainingFailed
from taskloom.modeling.model import Model, Prepared
from taskloom.training.optimizer import Optimizer


@dataclass(frozen=True)
class StepBatch:
    """All micro-batches of one step, ready for the model, with what is known of them before any arithmetic."""

    step: int
    micro_batches: tuple[Prepared, ...]
    examples: int
    tokens: int
    padded_tokens: int
    weight: float
    used: dict[str, Tensor]


PARTS = ("data", "forward", "backward", "optimizer")


@dataclass
class Totals:
    """Sums over the steps of a run; a checkpoint keeps them, so that a resumed run reports all of its steps."""

    steps: int = 0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Add the time spent inside to `part`."""
        start = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - start

    def count(self, batch: StepBatch) -> None:
        """Add one step's sizes."""
        self.steps += 1
        self.examples += batch.examples
        self.tokens += batch.tokens
        self.padded_tokens += batch.padded_tokens


@dataclass(frozen=True)
class Events:
    """What happens beside the arithmetic; `evaluate` and `save` are called when their step has come."""

    log: Callable[[dict[str, Any]], None]
    save: Callable[[int], None]
    evaluate: Callable[[int], None]
    describe: Callable[[StepBatch, int, int], str]
    """(batch, micro-batch, example) -> "task, row", for the message about a non-finite loss."""


def fit(
    model: Model,
    optimizer: Optimizer,
    batch_of: Callable[[int], StepBatch],
    *,
    first_step: int,
    settings: TrainingConfig,
    seed: int,
    device: torch.device,
    autocast: torch.dtype | None,
    events: Events,
    totals: Totals,
) -> None:
    """Train from `first_step` (1-based) to the optimizer's last step, adding to `totals`.

    Raises TrainingFailed before any update by a non-finite loss, and Interrupted after saving when asked to stop.
    """
    steps = optimizer.steps
    model.train()
    with stop_requested() as asked, prefetch(batch_of, first_step, steps) as batches:
        for batch in batches_with_clock(batches, totals):
            step = batch.step
            loss = accumulate(model, batch, seed=seed, device=device, autocast=autocast, totals=totals, events=events)
            with totals.clock("optimizer"):
                norm = optimizer.clip(settings.clip)
                if not math.isfinite(norm):
                    raise TrainingFailed(
                        f"Step {step}: the gradient norm is {norm}; the update was not applied. {REMEDY}"
                    )
                rate = optimizer.step(step, batch.used)
                optimizer.zero_grad()
            totals.count(batch)
            events.log({"step": step, "loss": loss, "examples": batch.examples, "lr": rate, "gradient_norm": norm})
            if settings.evaluate_every and step % settings.evaluate_every == 0 and step < steps:
                events.evaluate(step)
                model.train()
            if step == steps or asked or (settings.save_every and step % settings.save_every == 0):
                events.save(step)
            if asked and step < steps:
                name = signal.Signals(asked[0]).name
                raise Interrupted(f"{name}: stopped after step {step} of {steps}, saved.", signal_number=asked[0])


REMEDY = "Lower training.learning_rate or set training.precision=fp32, then run the same command in a new folder."


def accumulate(
    model: Model,
    batch: StepBatch,
    *,
    seed: int,
    device: torch.device,
    autocast: torch.dtype | None,
    totals: Totals,
    events: Events,
) -> float:
    """Add up the gradients of all micro-batches of a step and return its loss; raises TrainingFailed if not finite."""
    summed = 0.0
    for number, prepared in enumerate(batch.micro_batches):
        torch.manual_seed(dropout_seed(seed, batch.step, number))
        with totals.clock("forward"), precision_context(device, autocast):
            output = model(prepared.to(device))
        loss = float(output.loss_sum.detach())
        if not math.isfinite(loss):
            worst = int((~torch.isfinite(output.example_loss)).nonzero()[0, 0]) if output.example_loss.numel() else 0
            where = events.describe(batch, number, worst)
            raise TrainingFailed(
                f"Step {batch.step}: the loss of {where} is not finite; the update was not applied. {REMEDY}"
            )
        summed += loss
        with totals.clock("backward"):
            (output.loss_sum / batch.weight).backward()
    return summed / batch.weight


def dropout_seed(seed: int, step: int, micro_batch: int) -> int:
    """Return 63 bits that depend on nothing but the arguments."""
    digest = hashlib.sha256(f"{seed}/{step}/{micro_batch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def precision_context(device: torch.device, autocast: torch.dtype | None) -> Any:
    """Return the autocast context for `autocast`, or one that does nothing for full precision."""
    return torch.autocast(device.type, dtype=autocast) if autocast is not None else nullcontext()


@contextmanager
def stop_requested() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while inside: the step is finished and saved first. A second signal ends at once."""
    asked: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked  # handlers can only be set in the main thread
        return
    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def batches_with_clock(batches: Iterator[StepBatch], totals: Totals) -> Iterator[StepBatch]:
    """Pass batches on, counting the time spent waiting for them as "data"."""
    while True:
        with totals.clock("data"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def prefetch(
    batch_of: Callable[[int], StepBatch], first: int, last: int, *, ahead: int = 3
) -> Iterator[Iterator[StepBatch]]:
    """Make the batches of steps `first` to `last` in a thread, at most `ahead` early; errors reach the reader."""
    ready: queue.Queue[StepBatch | BaseException | None] = queue.Queue(ahead)
    leave = threading.Event()

    def put(item: StepBatch | BaseException | None) -> None:
        while not leave.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(first, last + 1):
                put(batch_of(step))
                if leave.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001  handed to the reader, which raises it
            put(error)

    def read() -> Iterator[StepBatch]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, daemon=True, name="batches")
    thread.start()
    try:
        yield read()
    finally:
        leave.set()
        thread.join()
