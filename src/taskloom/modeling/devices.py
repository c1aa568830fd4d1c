"""Where a model runs, in which arithmetic, and with how many threads."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

import torch

from taskloom.errors import ModelError

WORTH_IT = 1.2
"""How many times as fast products must be in bf16 for a CPU to take it; measured: 2.0 on AMD's Zen 4, 0.5 to 0.6 on a
Xeon whose virtual machine has AVX-512 BF16 and no AMX, where a training step took 3.7 s in bf16 and 2.1 s in fp32."""


def hardware_has_bf16(device: torch.device) -> bool:
    """Tell whether bf16 is fast on a device: CUDA from compute capability 8, CPUs where it is when it is tried.

    That a CPU has the instructions says nothing of their speed, so they are timed, once for a number of threads.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        there = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return there and _cpu_has_bf16() and cpu_gain_of_bf16(torch.get_num_threads()) >= WORTH_IT
    return False


@cache
def cpu_gain_of_bf16(threads: int) -> float:
    """Return how many times as fast as in fp32 a product of a small encoder's size is in bf16, with so many threads.

    The fastest of ten turns each, 0.1 s in all: other programs can only make a turn slower.
    """
    assert threads == torch.get_num_threads()
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    factors = {kind: (torch.ones(512, 384, dtype=kind), torch.ones(1536, 384, dtype=kind)) for kind in seconds}
    for _ in range(10):
        for kind, (states, weight) in factors.items():
            started = time.perf_counter()
            torch.nn.functional.linear(states, weight)
            seconds[kind] = min(seconds[kind], time.perf_counter() - started)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_device(name: str) -> torch.device:
    """Return the device that a setting names; "auto" is cuda, else mps, else cpu. Raises ModelError if it is absent."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present.get(name, False):
        there = ", ".join(kind for kind, found in present.items() if found)
        raise ModelError(
            f"Device {name!r} is not on this machine. Here are: {there}. Type training.device=cpu, or auto."
        )
    return torch.device(name)


def choose_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """Return bf16 for autocast, or None for full precision; "auto" is bf16 where the hardware is fast at it."""
    if precision == "bf16" or (precision == "auto" and hardware_has_bf16(device)):
        return torch.bfloat16
    return None


def set_threads(*, share: int = 1) -> None:
    """Use every core that the process may run on, or its part of them where `share` processes run side by side.

    A container's limit is below what the machine reports. OMP_NUM_THREADS, where it is set, is the user's own word: two
    trainings with a thread for each core wait for each other at less than a tenth of the speed.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = os.environ.get("OMP_NUM_THREADS", "")
    most = int(said) if said.isdecimal() and int(said) else count or 1
    torch.set_num_threads(max(1, min(most, (count or 1) // share)))
