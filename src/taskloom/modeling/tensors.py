"""Every tensor in nested dataclasses, tuples and dicts: on another device, or ready to be copied there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Value = TypeVar("Value")


def on_device(value: Value, device: torch.device) -> Value:
    """Return the value with its tensors on `device`; from pinned ones the copy is made while the device computes."""
    if device.type == "cpu":
        return value
    waits = device.type != "cuda"  # an Apple GPU may read memory after it was freed (pytorch/pytorch#139550)
    return cast(Value, _each(value, lambda tensor: tensor.to(device, non_blocking=not waits)))


def pinned(value: Value) -> Value:
    """Return the value with its tensors in page-locked memory: a copy of more than 64 KB from other memory waits until
    the GPU has done all that it was given before (CUDA Runtime API, "API synchronization behavior")."""
    return cast(Value, _each(value, lambda tensor: tensor.pin_memory()))


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each(one, change) for one in value)
    if isinstance(value, dict):
        return {name: _each(one, change) for name, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _each(getattr(value, field.name), change) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value
