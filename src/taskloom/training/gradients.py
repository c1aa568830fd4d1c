"""One step's gradients: micro-batch by micro-batch, then added up over the processes.

The loss of a step is the sum of weight x row loss over all of it, divided once by the sum of weights, so the cut into
micro-batches does not change it. Dropout in micro-batch m of a step is seeded by (seed, step, m): nothing random has to
be saved. Losses stay on the device until the step is complete.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from taskloom.config import RunConfig
from taskloom.errors import ConfigError
from taskloom.modeling.devices import choose_autocast, choose_device, set_threads
from taskloom.modeling.model import Model, Prepared
from taskloom.modeling.tensors import on_device
from taskloom.training.optimizer import Optimizer
from taskloom.training.ranks import Ranks


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
    families: tuple[str, ...]
    family_of: tuple[Tensor, ...]
    """The family of each example, as its place in `families`; a tensor (examples,) for each micro-batch."""


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
class Computation:
    """Where and how the arithmetic is done."""

    seed: int
    device: torch.device
    autocast: torch.dtype | None
    ranks: Ranks

    @classmethod
    def chosen(cls, config: RunConfig, ranks: Ranks) -> Computation:
        """Return what a run's settings mean on this machine, and take this process's share of its cores.

        Of several processes the first one chooses the precision: each one's trial of bf16 could end otherwise.
        Raises ConfigError where several were asked for on an Apple GPU, ModelError for a device that is not there.
        """
        set_threads(share=ranks.local_world)
        device = choose_device(config.training.device)
        if device.type == "mps" and ranks.world > 1:
            if config.training.device == "mps":
                raise ConfigError("training.device=mps is for one process. Start one, or type training.device=cpu.")
            device = torch.device("cpu")  # gloo, which adds up gradients here, knows no Apple GPU
        (first, *_) = ranks.gather({"bf16": choose_autocast(config.training.precision, device) is not None})
        return cls(config.seed, device, torch.bfloat16 if first["bf16"] else None, ranks)

    @property
    def precision(self) -> str:
        """The arithmetic in use: "fp32" or "bf16"."""
        return "bf16" if self.autocast else "fp32"


@dataclass
class StepSums:
    """What the micro-batches of a step add up to, on the device: the loss, and by family its sum and its examples."""

    loss_sum: Tensor
    by_family: Tensor
    example_losses: list[tuple[int, Tensor]]
    names: tuple[str, ...]

    def loss(self, batch: StepBatch) -> float:
        """Return the loss of the step."""
        return float(self.loss_sum) / batch.weight

    def families(self) -> dict[str, float]:
        """Return the mean loss of the examples of each family that takes part."""
        sums, counts = self.by_family.cpu().tolist()
        return {name: round(s / n, 6) for name, s, n in zip(self.names, sums, counts, strict=True) if n}


def accumulate(model: Model, batch: StepBatch, *, compute: Computation, totals: Totals) -> StepSums:
    """Add up losses and gradients of those micro-batches of a step that are this process's own."""
    device = compute.device
    sums = StepSums(
        torch.zeros((), device=device), torch.zeros(2, len(batch.families), device=device), [], batch.families
    )
    for number, prepared in enumerate(batch.micro_batches):
        if not compute.ranks.mine(number):
            continue
        torch.manual_seed(dropout_seed(compute.seed, batch.step, number))
        with totals.clock("forward"), precision_context(device, compute.autocast):
            output = model(on_device(prepared, device))
        with totals.clock("backward"):
            (output.loss_sum / batch.weight).backward()
        losses = output.example_loss.detach()
        family = on_device(batch.family_of[number], device)
        sums.loss_sum += output.loss_sum.detach()
        sums.by_family.index_add_(1, family, torch.stack([losses, torch.ones_like(losses)]))
        sums.example_losses.append((number, losses))
    return sums


def combine(optimizer: Optimizer, batch: StepBatch, sums: StepSums, *, compute: Computation, stop: int) -> int:
    """Add up gradients and losses over all processes; returns the signal by which one of them was asked to stop, or 0.

    Several signals at once give their sum; SIGINT and SIGTERM are told apart by which was sent.
    """
    if compute.ranks.world == 1:
        return stop
    asked = [float(stop == signal.SIGINT), float(stop == signal.SIGTERM)]
    further = torch.cat([sums.loss_sum[None], sums.by_family.flatten(), sums.loss_sum.new_tensor(asked)])
    summed = compute.ranks.sum_gradients(optimizer.with_rows(batch.used), further)
    sums.loss_sum, sums.by_family = summed[0], summed[1:-2].view_as(sums.by_family)
    interrupted, terminated = summed[-2:].tolist()
    return int(signal.SIGINT if interrupted else signal.SIGTERM if terminated else 0)


def dropout_seed(seed: int, step: int, micro_batch: int) -> int:
    """Return 63 bits that depend on nothing but the arguments."""
    digest = hashlib.sha256(f"{seed}/{step}/{micro_batch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def precision_context(device: torch.device, autocast: torch.dtype | None) -> Any:
    """Return the autocast context for `autocast`, or one that does nothing for full precision."""
    return torch.autocast(device.type, dtype=autocast) if autocast is not None else nullcontext()
