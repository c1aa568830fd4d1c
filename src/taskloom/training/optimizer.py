"""AdamW over two kinds of parameters, and the learning rate as a pure function of the step.

The encoder goes through torch's fused AdamW, its word embeddings through a lazy one of ours that ends in the same place
(`lazy_adamw`). Head rows and task embeddings go through a row-wise AdamW of ours: in a
step only some tasks are drawn, and a dense AdamW would still move the rows of all the others by momentum and decay. A
row's moments, its bias correction and its decay advance only in the steps that use it (lazy Adam; Kingma and Ba 2015,
Loshchilov and Hutter 2019), so a rare task's head is not eaten away between its turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from taskloom.config import TrainingConfig
from taskloom.training.lazy_adamw import LazyAdamW

BETAS = (0.9, 0.999)
EPSILON = 1e-8


def learning_rate(step: int, *, steps: int, peak: float, schedule: str, warmup_steps: int) -> float:
    """Return the rate of `step` (1-based): linear warm-up over at most a tenth of `steps`, then the schedule."""
    warmup = min(warmup_steps, steps // 10)
    if step <= warmup:
        return peak * step / warmup
    progress = (step - warmup - 1) / max(1, steps - warmup)
    if schedule == "constant":
        return peak
    if schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (1 - progress)


class RowAdamW:
    """AdamW that touches only the rows used in a step; works on parameters of shape (rows, ...)."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, weight_decay: float) -> None:
        self.parameters = dict(parameters)
        self.weight_decay = weight_decay
        self.state = {
            name: {
                "mean": torch.zeros_like(parameter),
                "square": torch.zeros_like(parameter),
                "steps": torch.zeros(parameter.shape[0], device=parameter.device),
            }
            for name, parameter in self.parameters.items()
        }

    @torch.no_grad()
    def step(self, used: Mapping[str, Tensor], *, rate: float) -> None:
        """Update the rows `used[name]` (int64, unique) of each parameter from its gradient."""
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                rows = used[name].to(parameter.device)
                moved = rows[parameter.grad[rows].flatten(1).any(dim=1)] if parameter.dim() > 1 else rows
                self._step_rows(parameter, self.state[name], moved, rate)

    def _step_rows(self, parameter: nn.Parameter, state: dict[str, Tensor], rows: Tensor, rate: float) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad[rows]
        mean = state["mean"][rows].lerp_(gradient, 1 - BETAS[0])
        square = state["square"][rows].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        steps = state["steps"][rows] + 1
        shape = (-1,) + (1,) * (gradient.dim() - 1)
        first = (1 - BETAS[0] ** steps).view(shape)
        second = (1 - BETAS[1] ** steps).view(shape)
        values = parameter[rows] * (1 - rate * (self.weight_decay if parameter.dim() > 1 else 0.0))
        values -= rate * (mean / first) / ((square / second).sqrt() + EPSILON)
        parameter[rows] = values
        state["mean"][rows], state["square"][rows], state["steps"][rows] = mean, square, steps


class Optimizer:
    """What the loop steps: the encoder's AdamW, dense and lazy, and the row-wise one, under one schedule.

    `sparse` names parameters of the encoder of which a step uses some rows; `begin` a step before they are read.
    Groups: no decay on biases and norms; heads and task embeddings at `head_learning_rate` (0: the same rate);
    `layer_decay` below 1 lowers the rate of each encoder layer by that factor from top to bottom.
    """

    def __init__(
        self,
        *,
        encoder: Mapping[str, nn.Parameter],
        rows: Mapping[str, nn.Parameter],
        layer_of: Mapping[str, int],
        settings: TrainingConfig,
        steps: int,
        sparse: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.steps = steps
        self.encoder = {name: parameter for name, parameter in encoder.items() if parameter.requires_grad}
        dense = {name: parameter for name, parameter in self.encoder.items() if name not in sparse}
        self.dense = torch.optim.AdamW(
            _groups(dense, layer_of, settings), lr=settings.learning_rate, betas=BETAS, eps=EPSILON, fused=True
        )
        self.lazy = {
            name: LazyAdamW(parameter, betas=BETAS, epsilon=EPSILON, weight_decay=settings.weight_decay)
            for name, parameter in self.encoder.items()
            if name in sparse
        }
        self.scale = {name: _scale(layer_of, name, settings) for name in self.lazy}
        self.rowwise = RowAdamW(rows, weight_decay=settings.weight_decay)

    def rate(self, step: int, *, peak: float | None = None) -> float:
        """Return the learning rate of `step`, counted from 1."""
        settings = self.settings
        return learning_rate(
            step,
            steps=self.steps,
            peak=settings.learning_rate if peak is None else peak,
            schedule=settings.schedule,
            warmup_steps=settings.warmup_steps,
        )

    def begin(self, used: Mapping[str, Tensor]) -> None:
        """Bring the rows that a step reads to where the steps without them have moved them."""
        for name, lazy in self.lazy.items():
            lazy.catch_up(used[name].to(lazy.parameter.device))

    def settle(self) -> None:
        """Bring all rows to where they belong, at the end of training."""
        for lazy in self.lazy.values():
            lazy.catch_up()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Have all rows where they belong inside, for an evaluation, and the training's own bits afterwards."""
        with ExitStack() as stack:
            for lazy in self.lazy.values():
                stack.enter_context(lazy.settled())
            yield

    def step(self, step: int, used: Mapping[str, Tensor]) -> float:
        """Apply the gradients of `step`; `used` names the rows that took part. Returns the encoder's rate."""
        rate = self.rate(step)
        for group in self.dense.param_groups:
            group["lr"] = rate * group["scale"]
        self.dense.step()
        for name, lazy in self.lazy.items():
            rows = used[name].to(lazy.parameter.device)
            if lazy.parameter.grad is not None:
                lazy.step(rows, lazy.parameter.grad[rows], rate=rate * self.scale[name])
        head_peak = self.settings.head_learning_rate or self.settings.learning_rate
        self.rowwise.step(used, rate=self.rate(step, peak=head_peak))
        return rate

    def room_for_moments(self) -> list[Tensor]:
        """Return as much uninitialized memory as the moments will take that the first step makes."""
        return [torch.empty_like(parameter) for group in self.dense.param_groups for parameter in group["params"]
                if parameter not in self.dense.state for _moment in BETAS]  # fmt: skip

    def all_parameters(self) -> Iterator[nn.Parameter]:
        """Yield every parameter that is trained."""
        yield from self.encoder.values()
        yield from self.rowwise.parameters.values()

    def with_rows(self, used: Mapping[str, Tensor]) -> list[tuple[nn.Parameter, Tensor | None]]:
        """Return every parameter with the rows that a step uses, or None where it uses all."""
        dense = [(parameter, used.get(name)) for name, parameter in self.encoder.items()]
        return dense + [(parameter, used.get(name)) for name, parameter in self.rowwise.parameters.items()]

    def zero_grad(self, used: Mapping[str, Tensor] | None = None) -> None:
        """Drop all gradients; on a CPU, where only the rows `used` have one, set these to zero and keep the matrix.

        A new matrix of zeros for each step costs more than the update: 140 to 600 ms for the 394 MB of DeBERTa-v3's
        word embeddings, most of it the first touch of its pages, against 50 ms for AdamW.
        """
        for name, parameter in (*self.encoder.items(), *self.rowwise.parameters.items()):
            rows = None if used is None else used.get(name)
            if rows is None or parameter.grad is None or parameter.device.type != "cpu":
                parameter.grad = None
            else:
                parameter.grad.index_fill_(0, rows, 0.0)

    def clip(self, limit: float, used: Mapping[str, Tensor] | None = None) -> float:
        """Scale the gradients to a norm of at most `limit` (0: leave them) and return the norm before.

        `used` names the rows that have a gradient, so that nobody looks for one in 128,100 others.
        """
        parts = [
            (parameter.grad, None if rows is None else rows.to(parameter.device))
            for parameter, rows in self.with_rows(used or {})
            if parameter.grad is not None
        ]
        gradients = [whole if rows is None else whole[rows] for whole, rows in parts]
        if not gradients:
            return 0.0
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if limit:
            torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
            for (whole, rows), scaled in zip(parts, gradients, strict=True):
                if rows is not None:
                    whole.index_copy_(0, rows, scaled)
        return float(norm)

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the whole state as flat named tensors, for a checkpoint."""
        flat = {}
        for name, parameter in self.encoder.items():
            for part, value in self.dense.state.get(parameter, {}).items():
                flat[f"dense.{name}.{part}"] = value
        for name, lazy in self.lazy.items():
            flat |= {f"lazy.{name}.{part}": value for part, value in lazy.state_tensors().items()}
        for name, state in self.rowwise.state.items():
            flat |= {f"rows.{name}.{part}": value for part, value in state.items()}
        return flat

    def load_state_tensors(self, flat: Mapping[str, Tensor]) -> None:
        """Restore what `state_tensors` returned."""
        for name, parameter in self.encoder.items():
            prefix = f"dense.{name}."
            parts = {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}
            parts = {part: value for part, value in parts.items() if "." not in part}
            if parts:
                self.dense.state[parameter] = {  # the fused AdamW wants the count of steps on the device, too
                    part: value.to(parameter.device, copy=True) for part, value in parts.items()
                }
        for name, lazy in self.lazy.items():
            lazy.load_state_tensors({part: flat[f"lazy.{name}.{part}"] for part in lazy.state_tensors()})
        for name, state in self.rowwise.state.items():
            for part in state:
                state[part].copy_(flat[f"rows.{name}.{part}"])


def _groups(
    encoder: Mapping[str, nn.Parameter], layer_of: Mapping[str, int], settings: TrainingConfig
) -> list[dict[str, object]]:
    """Group parameters by (decays, scale of the rate): biases and norms, which have one dimension, do not decay."""
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {} if encoder else {(False, 1.0): []}
    for name, parameter in encoder.items():
        groups.setdefault((parameter.dim() > 1, _scale(layer_of, name, settings)), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": settings.weight_decay if decays else 0.0, "scale": scale}
        for (decays, scale), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _scale(layer_of: Mapping[str, int], name: str, settings: TrainingConfig) -> float:
    """Return the factor on the rate of a parameter's layer."""
    top = max(layer_of.values(), default=0)
    return float(settings.layer_decay ** (top - layer_of.get(name, top)))


def layers_of(names: Iterable[str]) -> dict[str, int]:
    """Return the layer of each encoder parameter, by the number in its name: embeddings 0, layer k at k + 1."""
    found = {name: _layer_number(name) for name in names}
    top = max((layer for layer in found.values() if layer is not None), default=0) + 1
    return {
        name: 0 if "embeddings" in name and layer is None else (top if layer is None else layer + 1)
        for name, layer in found.items()
    }


def _layer_number(name: str) -> int | None:
    parts = name.split(".")
    numbers = [int(part) for before, part in pairwise(parts) if part.isdigit() and before in ("layer", "layers")]
    return numbers[0] if numbers else None
