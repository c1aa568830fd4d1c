"""What a person sees of a run while it goes on: speed, time left, losses by family, the best evaluation, memory."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from taskloom.training.gradients import Totals


@dataclass
class Speed:
    """How fast a run has gone over its last steps, for people who watch it."""

    last: deque[tuple[float, int, int, int]] = field(default_factory=lambda: deque(maxlen=20))

    def take(self, totals: Totals) -> None:
        """Remember where the run is now."""
        self.last.append((time.monotonic(), totals.examples, totals.tokens, totals.padded_tokens))

    def __str__(self) -> str:
        if len(self.last) < 2:
            return "no speed yet"
        seconds, examples, tokens, padded = (new - old for new, old in zip(self.last[-1], self.last[0], strict=True))
        return f"{examples / max(seconds, 1e-9):.0f} examples/s, padding {1 - tokens / max(1, padded):.0%}"

    def left(self, steps: int) -> str:
        """Return how long so many steps will take at this speed."""
        if len(self.last) < 2:
            return "time left unknown"
        each = (self.last[-1][0] - self.last[0][0]) / (len(self.last) - 1)
        minutes, seconds = divmod(round(each * steps), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d} left"


@dataclass
class Best:
    """The best evaluation so far by mean score, and how many came after it."""

    score: float | None = None
    step: int = 0
    since: int = 0

    def take(self, score: float | None, step: int) -> bool:
        """Count an evaluation; returns whether it is the best."""
        if score is None or (self.score is not None and score <= self.score):
            self.since += 1
            return False
        self.score, self.step, self.since = score, step, 0
        return True


TELL_EVERY = 100
"""Steps between two lines with the loss of each family; log.jsonl and TensorBoard have them for every step."""


def family_means(steps: Sequence[Mapping[str, float]]) -> str:
    """Return the mean of each family over the steps that it took part in, as a line: "nli 0.812, topic 0.334"."""
    found: dict[str, list[float]] = {}
    for step in steps:
        for family, loss in step.items():
            found.setdefault(family, []).append(loss)
    return ", ".join(f"{family} {sum(losses) / len(losses):.3f}" for family, losses in sorted(found.items()))


def peak_memory(device: torch.device) -> int:
    """Return the most memory this process has held so far, in bytes: the accelerator's, else the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return 0  # no such figure in the standard library there
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
