"""Whether a step's update is applied: never one that is not finite, and on request none far above the recent ones.

A single bad row must not end a run of three days, and must not spoil it either: its step is left out and told, with
the tasks and rows at fault. Three such steps in a row are no accident, and end the run. A spike is a loss or a gradient
norm more than 6 standard deviations above the mean of the last 128 finite steps, as in OLMo-core's SkipStepOptimizer
(Groeneveld et al. 2024); spikes count among them, so that a new level is not skipped for ever. All of it is a function
of the steps so far, and is kept in checkpoints.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from taskloom.errors import TrainingFailed

WINDOW = 128
SIGMAS = 6.0
PATIENCE = 3
REMEDY = "Lower training.learning_rate or set training.precision=fp32, then run the same command in a new folder."


@dataclass
class Health:
    """Losses and gradient norms of the last finite steps, and how many steps were left out."""

    skip_spikes: bool = False
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    norms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    in_a_row: int = 0
    not_finite: int = 0
    spikes: int = 0

    def fault(self, loss: float, norm: float) -> str | None:
        """Return why a step with this loss and gradient norm is left out, or None when it is applied; counts it."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.in_a_row += 1
            self.not_finite += 1
            return "not finite"
        self.in_a_row = 0
        far = _far_above(loss, self.losses) or _far_above(norm, self.norms)
        self.losses.append(loss)
        self.norms.append(norm)
        if self.skip_spikes and far:
            self.spikes += 1
            return "spike"
        return None

    def check(self, step: int, where: str) -> None:
        """Raise TrainingFailed when too many steps in a row were not finite."""
        if self.in_a_row >= PATIENCE:
            raise TrainingFailed(
                f"Step {step}: {where} is not finite, {self.in_a_row} steps in a row; none of these updates was "
                f"applied. {REMEDY}"
            )

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        counts = {"in_a_row": self.in_a_row, "not_finite": self.not_finite, "spikes": self.spikes}
        return {"losses": list(self.losses), "norms": list(self.norms), **counts}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.losses.extend(state["losses"])
        self.norms.extend(state["norms"])
        self.in_a_row, self.not_finite, self.spikes = (state[name] for name in ("in_a_row", "not_finite", "spikes"))


def _far_above(value: float, recent: deque[float]) -> bool:
    """Tell whether a value is a spike; there is none before the window is full."""
    return len(recent) == WINDOW and value > statistics.fmean(recent) + SIGMAS * statistics.pstdev(recent)
