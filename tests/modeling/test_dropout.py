"""Dropout on a CPU: the share, the scale, the seed, the gradient; attention equal to torch's but for the mask."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn

from taskloom.modeling import dropout as module
from taskloom.modeling.dropout import ATTENTION, Dropout, attention, dropped, set_dropout
from taskloom.modeling.encoder import Encoder


@given(some.floats(0.01, 0.9), some.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_share_and_mean_are_right(p: float, seed: int) -> None:
    """A share p is zero, and what stays is scaled so that the mean stays; 5 standard deviations either way."""
    torch.manual_seed(seed)
    count = 40_001  # no multiple of the four values that one draw gives
    found = dropped(torch.ones(count), p)
    deviation = (p * (1 - p) / count) ** 0.5
    zeros = (found == 0).float().mean().item()
    assert abs(zeros - p) < 5 * deviation + 2**-16
    assert found[found > 0].unique().item() == pytest.approx(1 / (1 - p), abs=1e-3 / (1 - p) ** 2)


def test_same_seed_same_mask_whatever_the_threads() -> None:
    """The mask depends on the seed alone, not on how many threads torch uses."""
    masks = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(7)
        masks.append(dropped(torch.ones(300, 101), 0.1))
    torch.set_num_threads(before)
    assert torch.equal(*masks)
    torch.manual_seed(8)
    assert not torch.equal(masks[0], dropped(torch.ones(300, 101), 0.1))


def test_neighbors_are_independent() -> None:
    """Values that come from one draw of 64 bits are dropped independently: correlations within 5 deviations of zero."""
    torch.manual_seed(0)
    zero = (dropped(torch.ones(400_000), 0.3) == 0).float().view(-1, 8) - 0.3
    correlation = (zero.T @ zero) / len(zero) / 0.21
    assert (correlation - torch.eye(8)).abs().max() < 5 / len(zero) ** 0.5 + 0.005


def test_gradient_goes_where_the_value_went() -> None:
    """The gradient is the scale where a value stayed and zero where it was dropped."""
    values = torch.randn(50, 60, requires_grad=True)
    found = dropped(values, 0.25)
    found.sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad, found.detach() / values.detach())


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_or_all(p: float, expected: float) -> None:
    """p = 0 changes nothing and p = 1 leaves zeros, without a division by zero."""
    assert (dropped(torch.ones(10), p) == expected).all()


def test_no_dropout_in_evaluation() -> None:
    """A module in evaluation passes its values on."""
    values = torch.randn(5, 5)
    assert Dropout(0.5).eval()(values) is values


def layer() -> nn.Module:
    """Return what `attention` asks of a layer."""
    return SimpleNamespace(is_causal=False)  # type: ignore[return-value]


@pytest.mark.parametrize("padded", [False, True])
def test_attention_is_torchs(padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a mask that drops nothing the written-out attention equals torch's, values and gradients."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, 7, 4, requires_grad=True) for _ in range(3))
    visible = torch.ones(3, 1, 7, 7, dtype=torch.bool)
    visible[1, :, :, 4:] = False
    mask = visible if padded else None
    monkeypatch.setattr(module, "dropped", lambda values, p: values)
    found, _ = attention(layer(), query, key, value, mask, dropout=0.1)
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-6)
    ours = torch.autograd.grad(found.square().sum(), [query, key, value], retain_graph=True)
    theirs = torch.autograd.grad(expected.square().sum(), [query, key, value])
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(ours, theirs, strict=True))


def test_hidden_tokens_get_nothing() -> None:
    """What is padding has no weight in training either: changing it changes no output."""
    query, key = torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4)
    visible = torch.tensor([True, True, True, False, False]).expand(2, 1, 5, 5)
    outputs = []
    for shift in (0.0, 9.0):
        value = torch.ones(2, 2, 5, 4)
        value[:, :, 3:] += shift
        torch.manual_seed(0)
        outputs.append(attention(layer(), query, key, value, visible, dropout=0.5)[0])
    assert torch.equal(*outputs)


def test_an_encoder_has_no_other_dropout(tiny_bert: Path) -> None:
    """Every dropout of an encoder is ours, its attention too, and neither stands in what is saved."""
    encoder = Encoder.open(tiny_bert)
    assert [name for name, part in encoder.named_modules() if type(part) is nn.Dropout] == []
    assert any(isinstance(part, Dropout) for part in encoder.modules())
    assert encoder.config._attn_implementation == ATTENTION
    assert ATTENTION not in encoder.config.to_json_string()


def test_eager_attention_stays(tiny_bert: Path) -> None:
    """Who asks for eager attention gets it."""
    assert Encoder.open(tiny_bert, attention="eager").config._attn_implementation == "eager"


@pytest.mark.parametrize("folder", ["tiny_bert", "tiny_deberta"])
@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_a_share_of_ones_own(folder: str, attention: str, request: pytest.FixtureRequest) -> None:
    """Without dropout an encoder in training says what it says in evaluation; its configuration stays as it was."""
    encoder = Encoder.open(request.getfixturevalue(folder), attention=attention).train()
    before, ids = encoder.config.to_dict(), torch.arange(5, 13)[None]
    set_dropout(encoder.network, 0.0)
    assert torch.equal(encoder(ids)[1], encoder(ids)[1])
    assert torch.allclose(encoder(ids)[1], encoder.eval()(ids)[1], atol=1e-6)
    set_dropout(encoder.train().network, 0.5)
    assert not torch.equal(encoder(ids)[1], encoder(ids)[1])
    assert encoder.config.to_dict() == before
