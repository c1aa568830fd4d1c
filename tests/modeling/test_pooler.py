"""The own pooler that passes on the first token: what it gives is that state, and what it cannot do it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taskloom.modeling.encoder import Encoder
from taskloom.modeling.pooler import MOST_OFF, pass_first_token
from tiny import make_tiny

IDS = torch.arange(2, 42).reshape(4, 10)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "deberta-v2", "mpnet"])
def test_the_pooler_gives_the_first_state(architecture: str, tmp_path: Path) -> None:
    """What the network returns is the first token's last hidden state times the factor, up to the share that is said,
    for tanh and for GELU; the hidden states are what they were."""
    make_tiny(tmp_path, architecture)
    encoder = Encoder.open(tmp_path).eval()
    before = encoder(IDS)[1]
    factor = pass_first_token(encoder, before[:, 0])
    assert factor is not None
    pooled, hidden = encoder(IDS)
    assert torch.equal(hidden, before)
    off = (pooled / factor - hidden[:, 0]).abs().max() / hidden[:, 0].abs().max()
    assert off <= MOST_OFF


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["distilbert", "modernbert"])
def test_another_pooler_stays_as_it_is(architecture: str, tmp_path: Path) -> None:
    """ReLU cuts off what is negative, and a norm has no factor: nothing is changed."""
    make_tiny(tmp_path, architecture)
    encoder = Encoder.open(tmp_path).eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert pass_first_token(encoder, encoder(IDS)[1][:, 0]) is None
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
