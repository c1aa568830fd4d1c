"""Several processes that train one model: who does what, and how their gradients become one.

There is no wrapper around the model. Every rank makes the batch of a step, which takes milliseconds, and computes its
own micro-batches: m goes to rank m mod world. Then one all_reduce adds up all gradients, flattened, and with them the
loss and the wish to stop, so that all ranks go on or stop together. Which micro-batches there are, their dropout and
their order depend on RUN.toml alone, so a run may go on with another number of processes. Of parameters that a step
uses only in part (word embeddings, head rows, task embeddings) only the rows in use travel. Rank 0 alone writes.

The price: every rank reads the prepared tasks and holds the whole optimizer state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn

PATIENCE = timedelta(hours=12)
"""How long a rank waits for the others: one prepares hundreds of tasks alone, and in the last evaluation some have done
their tasks long before the rest. A rank that died is the launcher's business, which ends the others at once."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together; a process by itself is rank 0 of 1."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def mine(self, number: int) -> bool:
        """Tell whether the piece of work with this number is this process's own."""
        return number % self.world == self.rank

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            on_gpus = distributed.get_backend() == "nccl"  # which otherwise guesses a GPU by the rank
            distributed.barrier(device_ids=[torch.cuda.current_device()] if on_gpus else None)

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """Let rank 0 do the work inside first; the others then find it done."""
        if not self.writes:
            self.wait()
        yield
        if self.writes:
            self.wait()

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, computed in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Sequence[tuple[nn.Parameter, Tensor | None]], further: Tensor) -> Tensor:
        """Add up all gradients over the ranks in one go, in place, and return the sum of `further` (fp32, (n,)).

        Each parameter comes with the rows that the step uses, or None for all of it; a rank without a gradient adds
        zeros.
        """
        if self.world == 1:
            return further
        parts = [_gradient(parameter, rows) for parameter, rows in parameters]
        flat = torch.cat([further, *(part.flatten() for part in parts)])
        distributed.all_reduce(flat)
        pieces = flat.split([len(further), *(part.numel() for part in parts)])
        for (parameter, rows), part, summed in zip(parameters, parts, pieces[1:], strict=True):
            assert parameter.grad is not None
            if rows is None:
                parameter.grad.copy_(summed.view_as(part))
            else:
                parameter.grad[rows.to(parameter.device)] = summed.view_as(part)
        total: Tensor = pieces[0]
        return total

    def gather(self, value: Mapping[str, Any]) -> list[Any]:
        """Return what each rank gave, plain JSON values, in the order of ranks."""
        if self.world == 1:
            return [value]
        mine = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(_device())
        sizes = [torch.zeros(1, dtype=torch.int64, device=mine.device) for _ in range(self.world)]
        distributed.all_gather(sizes, torch.tensor([len(mine)], device=mine.device))
        longest = max(int(size) for size in sizes)
        padded = torch.cat([mine, mine.new_zeros(longest - len(mine))])
        found = [torch.zeros_like(padded) for _ in range(self.world)]
        distributed.all_gather(found, padded)
        pairs = zip(found, sizes, strict=True)
        return [json.loads(bytes(text[: int(size)].cpu().numpy())) for text, size in pairs]


def _gradient(parameter: nn.Parameter, rows: Tensor | None) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad if rows is None else parameter.grad[rows.to(parameter.device)]


def _device() -> torch.device:
    return torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")


@contextmanager
def joined_ranks(device: str = "auto") -> Iterator[Ranks]:
    """Yield this process's place as torchrun's environment says: NCCL on GPUs, gloo elsewhere. Alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(local % torch.cuda.device_count())  # a launcher may show each process its own alone
    distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), world, local, int(os.environ.get("LOCAL_WORLD_SIZE", world)))
    except BaseException:
        if (
            not on_gpus
        ):  # NCCL would wait here for processes that wait for this one, and its message would never be told
            distributed.destroy_process_group()
        raise
    distributed.destroy_process_group()
