"""What a run's settings mean on a machine."""

from __future__ import annotations

import pytest
import torch

from taskloom.config import RunConfig, TrainingConfig
from taskloom.errors import ConfigError
from taskloom.training import gradients
from taskloom.training.gradients import Computation
from taskloom.training.ranks import Ranks


def config(device: str) -> RunConfig:
    """Return settings with a device, whole precision."""
    return RunConfig(name="made", training=TrainingConfig(device=device, precision="fp32"))


def test_several_processes_leave_an_apple_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What adds up their gradients does not know it: "auto" is the CPU then, and asking for it is a mistake."""
    monkeypatch.setattr(gradients, "choose_device", lambda name: torch.device("mps"))
    monkeypatch.setattr(Ranks, "gather", lambda ranks, value: [value])
    assert Computation.chosen(config("auto"), Ranks()).device.type == "mps"
    assert Computation.chosen(config("auto"), Ranks(0, 2)).device.type == "cpu"
    with pytest.raises(ConfigError, match=r"training.device=mps is for one process"):
        Computation.chosen(config("mps"), Ranks(0, 2))


def test_first_process_chooses_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one's trial of bf16 could end otherwise."""
    monkeypatch.setattr(Ranks, "gather", lambda ranks, value: [{"bf16": True}, value])
    found = Computation.chosen(config("cpu"), Ranks(1, 2))
    assert (found.autocast, found.precision) == (torch.bfloat16, "bf16")
