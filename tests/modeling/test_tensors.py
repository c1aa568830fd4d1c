"""Values whose tensors all move, whatever holds them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from made_batches import random_batch, table
from taskloom.modeling.tensors import on_device, pinned


@dataclasses.dataclass(frozen=True)
class Held:
    """A tensor in everything that a step's batch has."""

    plain: torch.Tensor
    named: dict[str, torch.Tensor]
    several: tuple[torch.Tensor | None, ...]
    inner: Held | None = None
    count: int = 3


def held(tensor: torch.Tensor) -> Held:
    """Return the same tensor in each place."""
    one = Held(tensor, {"a": tensor}, (tensor, None))
    return dataclasses.replace(one, inner=one)


def test_every_tensor_moves_and_all_else_stays() -> None:
    """On another device the value has the same shape and numbers; on a CPU it is the same value."""
    value, meta = held(torch.ones(2)), torch.device("meta")
    assert on_device(value, torch.device("cpu")) is value
    moved = on_device(value, meta)
    assert moved.inner is not None and moved.count == 3
    for one in (moved, moved.inner):
        assert {one.plain.device, one.named["a"].device, one.several[0].device} == {meta}  # type: ignore[union-attr]
        assert one.several[1] is None
    batch = on_device(random_batch(table()), meta)
    assert {part.device for part in vars(batch).values() if part is not None} == {meta}


def test_every_tensor_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Page-locked memory needs a GPU, so a stand-in counts what would lie there."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    value = pinned(held(torch.ones(2)))
    assert value.inner is not None
    for one in (value, value.inner):
        assert [float(part.sum()) for part in (one.plain, one.named["a"], one.several[0])] == [4.0] * 3  # type: ignore[union-attr]
