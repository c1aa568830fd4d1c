"""AdamW over a large matrix of which a step uses a few rows, at the cost of those rows.

A row without a gradient still moves under AdamW (Loshchilov and Hutter 2019): its weights decay, and its moments carry
it on while they fade. That motion is known in advance, so it can wait until the row is used again. With m and v as they
were left, s steps ago, each missed step multiplies a weight by 1 - rate x decay and takes away

    rate x m beta1^j / (1 - beta1^t) / (sqrt(v beta2^j / (1 - beta2^t)) + epsilon),     j = 1 .. s

which is a factor of the step alone times m / (sqrt(v) + e_j), e_j = epsilon sqrt((1 - beta2^t) / beta2^j). So a row has
to remember three numbers, whatever its width: the product of the decays, the sum of the factors, and the sum of the
factors times e_j. `catch_up` applies them before a row is read. For 128,100 rows of width 768 a step of dense AdamW
reads and writes 2.8 GB; this writes 2 MB and the rows in use.

Equal to AdamW but for rounding and one approximation: all e_j of a gap are taken as their weighted mean. While 1 -
beta2^t still grows fast they differ most: in the first hundred steps a weight whose gradient is of the size of epsilon
can be off by an eighth of the rate (20 % of its way in the worst case tried, 1e-4 of it with gradients of 1e-4). After
500 steps they differ by 0.05 % a step while the factors fade by 10 %, and no way was off by more than 1e-5 of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

PIECE, PIECE_OF_GPU = 256, 65_536
"""Rows that are worked on at once: 0.8 MB of each part at width 768, which stays in a core's cache. A GPU would rather
have few calls."""


class LazyAdamW:
    """AdamW for one parameter (rows, ...); `catch_up` the rows that a step reads, then `step` with their gradient."""

    def __init__(
        self, parameter: nn.Parameter, *, betas: tuple[float, float], epsilon: float, weight_decay: float
    ) -> None:
        self.parameter = parameter
        self.betas, self.epsilon, self.weight_decay = betas, epsilon, weight_decay
        self.steps = 0
        self.piece = PIECE if parameter.device.type == "cpu" else PIECE_OF_GPU
        rows = torch.zeros(len(parameter), device=parameter.device)
        self.state = {
            "mean": torch.zeros_like(parameter, requires_grad=False),
            "square": torch.zeros_like(parameter, requires_grad=False),
            "missed": rows.clone(), "decay": rows + 1, "factor": rows.clone(), "weighted": rows,
        }  # fmt: skip

    @torch.no_grad()
    def catch_up(self, rows: Tensor | None = None) -> None:
        """Move the rows (int64, unique; None: all) to where AdamW would have them by now."""
        missed = self.state["missed"]
        behind = missed.nonzero()[:, 0] if rows is None else rows[missed[rows] > 0]
        for part in behind.split(self.piece):
            self._catch_up(part)

    def _catch_up(self, rows: Tensor) -> None:
        self.parameter.index_copy_(0, rows, self._moved(rows))
        missed = self._column("missed", rows)
        for name, beta in zip(("mean", "square"), self.betas, strict=True):
            self.state[name].index_copy_(0, rows, self.state[name].index_select(0, rows).mul_(beta**missed))
        self._forget(rows)

    def _moved(self, rows: Tensor) -> Tensor:
        """Return the weights of rows that missed a step, moved; nothing is changed."""
        decay, factor, weighted = (self._column(name, rows) for name in ("decay", "factor", "weighted"))
        size = self.state["square"].index_select(0, rows).sqrt_().add_(weighted / factor)
        way = self.state["mean"].index_select(0, rows).mul_(factor).div_(size)
        return self.parameter.detach().index_select(0, rows).mul_(decay).sub_(way)

    def _column(self, name: str, rows: Tensor) -> Tensor:
        return self.state[name][rows].view(-1, *(1,) * (self.parameter.dim() - 1))

    def _forget(self, rows: Tensor) -> None:
        for name, value in (("missed", 0.0), ("decay", 1.0), ("factor", 0.0), ("weighted", 0.0)):
            self.state[name].index_fill_(0, rows, value)

    @torch.no_grad()
    def step(self, rows: Tensor, gradient: Tensor, *, rate: float) -> None:
        """Update the rows by their gradient (len(rows), ...); all others miss one more step."""
        self.catch_up(rows)
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in self.betas)
        kept = 1 - rate * self.weight_decay
        for part, given in zip(rows.split(self.piece), gradient.split(self.piece), strict=True):
            self._step(part, given, kept, rate / first, second**0.5)
        self._miss(rate, kept, first, second)
        self._forget(rows)

    def _step(self, rows: Tensor, gradient: Tensor, kept: float, rate: float, correction: float) -> None:
        (beta1, beta2), state = self.betas, self.state
        mean = state["mean"].index_select(0, rows).lerp_(gradient, 1 - beta1)
        square = state["square"].index_select(0, rows).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        state["mean"].index_copy_(0, rows, mean)
        state["square"].index_copy_(0, rows, square)
        way = mean.div_(square.sqrt_().div_(correction).add_(self.epsilon))
        self.parameter.index_copy_(0, rows, self.parameter.index_select(0, rows).mul_(kept).sub_(way, alpha=rate))

    def _miss(self, rate: float, kept: float, first: float, second: float) -> None:
        """Let every row remember a step that it had no gradient in."""
        (beta1, beta2), state = self.betas, self.state
        missed = state["missed"].add_(1)
        state["decay"].mul_(kept)
        factor = rate * second**0.5 / first * (beta1 / beta2**0.5) ** missed
        state["factor"].mul_(kept).add_(factor)
        weighted = self.epsilon * rate * second / first * (beta1 / beta2) ** missed
        state["weighted"].mul_(kept).add_(weighted)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Have all rows where AdamW has them inside, and all bits as they were afterwards."""
        behind = self.state["missed"].nonzero()[:, 0]
        before = self.parameter.detach().index_select(0, behind)
        with torch.no_grad():
            for part in behind.split(self.piece):
                self.parameter.index_copy_(0, part, self._moved(part))
        try:
            yield
        finally:
            with torch.no_grad():
                self.parameter.index_copy_(0, behind, before)

    def state_tensors(self) -> dict[str, Tensor]:
        """Return the whole state, for a checkpoint."""
        return self.state | {"steps": torch.tensor(self.steps)}

    def load_state_tensors(self, found: dict[str, Tensor]) -> None:
        """Restore what `state_tensors` returned."""
        self.steps = int(found["steps"])
        for name, value in self.state.items():
            value.copy_(found[name])
