"""Which steps are left out: those that are not finite, spikes on request; three in a row end the run."""

from __future__ import annotations

import math
import random

import pytest

from taskloom.errors import TrainingFailed
from taskloom.training.health import WINDOW, Health


@pytest.mark.parametrize("loss, norm", [(math.nan, 1.0), (1.0, math.inf), (-math.inf, math.nan)])
def test_what_is_not_finite_is_left_out(loss: float, norm: float) -> None:
    """Loss or gradient norm: one that is not finite is enough."""
    health = Health()
    assert health.fault(loss, norm) == "not finite"
    assert health.not_finite == 1
    assert list(health.losses) == []


def test_three_in_a_row_end_the_run_and_others_do_not() -> None:
    """A finite step between two others starts the count anew."""
    health = Health()
    for values in ((math.nan, 1), (math.nan, 1), (1, 1), (math.nan, 1), (1, math.nan)):
        health.fault(*values)
        health.check(1, "the loss of x")
    health.fault(math.nan, 1)
    with pytest.raises(TrainingFailed, match="Step 9: the loss of x is not finite, 3 steps in a row"):
        health.check(9, "the loss of x")


@pytest.mark.parametrize("asked", [True, False])
def test_spikes_are_skipped_if_asked_for(asked: bool) -> None:
    """A loss 7 deviations above the last 128 is a spike, one 5 above is none; without the setting neither is."""
    health = Health(skip_spikes=asked)
    for number in range(WINDOW):
        assert health.fault(1.0 + 0.1 * (-1) ** number, 2.0 + 0.1 * (-1) ** number) is None
    assert health.fault(1.5, 2.0) is None
    assert health.fault(1.75, 2.0) == ("spike" if asked else None)
    assert health.fault(1.0, 2.75) == ("spike" if asked else None)
    assert health.spikes == 2 * asked


def test_no_spike_before_the_window_is_full() -> None:
    """The first steps of a run vary more than any later ones."""
    health = Health(skip_spikes=True)
    assert [health.fault(10.0**number, 1.0) for number in range(20)] == [None] * 20


def test_a_new_level_is_not_skipped_for_ever() -> None:
    """When the loss stays high, it soon counts as usual."""
    health = Health(skip_spikes=True)
    noise = random.Random(0)
    for _ in range(WINDOW):
        health.fault(1 + 0.01 * noise.random(), 1.0)
    found = [health.fault(2 + 0.01 * noise.random(), 1.0) for _ in range(30)]
    assert found[0] == "spike"
    assert found[10:] == [None] * 20


def test_a_clean_run_has_no_false_alarm() -> None:
    """Of 20,000 steps with normal noise around a falling loss not one is a spike."""
    health = Health(skip_spikes=True)
    noise = random.Random(0)
    for step in range(20_000):
        health.fault(1 / (1 + step / 1000) + noise.gauss(0, 0.05), 1 + noise.gauss(0, 0.1))
    assert health.spikes == 0


def test_state_survives() -> None:
    """A restored one judges as the one that was saved would have."""
    health, other = Health(skip_spikes=True), Health(skip_spikes=True)
    for number in range(WINDOW + 5):
        health.fault(1.0 + 0.1 * (-1) ** number, 1.0)
    health.fault(math.nan, 1.0)
    other.restore(health.state())
    assert other == health
    assert other.losses.maxlen == WINDOW
