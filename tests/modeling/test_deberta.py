"""DeBERTa attention: outputs and gradients of transformers, at any length, with and without padding."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import DebertaV2Config, DebertaV2Model

from taskloom.errors import ModelError
from taskloom.modeling import deberta
from taskloom.modeling.encoder import Encoder

VOCABULARY = 50


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """What decides how positions enter a score; small otherwise."""
    heads = draw(st.sampled_from([1, 2, 4]))
    return {
        "num_attention_heads": heads,
        "hidden_size": heads * draw(st.sampled_from([4, 8, 16])),
        "num_hidden_layers": draw(st.sampled_from([1, 2, 3])),
        "position_buckets": draw(st.sampled_from([-1, 4, 8, 32])),
        "max_relative_positions": draw(st.sampled_from([-1, 16, 64])),
        "pos_att_type": draw(st.sampled_from([["c2p", "p2c"], ["p2c", "c2p"], ["c2p"], ["p2c"], []])),
        "relative_attention": draw(st.sampled_from([True, True, True, False])),
        "share_att_key": draw(st.booleans()),
        "norm_rel_ebd": draw(st.sampled_from(["none", "layer_norm"])),
        "conv_kernel_size": draw(st.sampled_from([0, 3])),
        "position_biased_input": draw(st.booleans()),
    }


def network(values: dict[str, Any]) -> nn.Module:
    """Return transformers' network with weights large enough that attention is not even."""
    config = DebertaV2Config(
        vocab_size=VOCABULARY, intermediate_size=24, max_position_embeddings=1024, type_vocab_size=0, **values
    )
    torch.manual_seed(0)
    made = DebertaV2Model(config).eval()
    for parameter in made.parameters():
        parameter.data.normal_(0, 0.3)
    return made


def fast(reference: nn.Module) -> nn.Module:
    """Return a copy with our attention."""
    made = copy.deepcopy(reference)
    deberta.use_fast_attention(made)
    return made


def inputs(sequences: int, length: int, padded: bool) -> tuple[Tensor, Tensor | None]:
    """Return token ids, and a mask that hides some of the end of each sequence but the first."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(1, VOCABULARY, (sequences, length), generator=generator)
    if not padded:
        return ids, None
    sizes = torch.randint(1, length + 1, (sequences,), generator=generator)
    sizes[0] = length
    return ids, (torch.arange(length)[None, :] < sizes[:, None]).long()


def hidden(model: nn.Module, ids: Tensor, mask: Tensor | None) -> Tensor:
    """Return the last hidden states of all tokens that are not padding, (tokens, width)."""
    found: Tensor = model(ids, attention_mask=mask).last_hidden_state
    return found.flatten(0, 1) if mask is None else found[mask.bool()]


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradients of all parameters that have one."""
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


BASE = {
    "num_attention_heads": 4, "hidden_size": 32, "num_hidden_layers": 2, "position_buckets": 8,
    "max_relative_positions": -1, "pos_att_type": ["p2c", "c2p"], "relative_attention": True, "share_att_key": True,
    "norm_rel_ebd": "layer_norm", "conv_kernel_size": 0, "position_biased_input": False,
}  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(configs(), st.integers(1, 600) | st.integers(1, 40), st.booleans(), st.integers(1, 3))
@example(BASE, 600, True, 2)
@example(BASE, 1, False, 1)
@example(BASE | {"position_buckets": -1, "max_relative_positions": 16}, 100, True, 3)
def test_outputs_and_gradients_are_transformers_own(
    values: dict[str, Any], length: int, padded: bool, sequences: int
) -> None:
    """Outputs to 1e-5 and gradients to 1e-4 of the largest in fp32, for any config, length and padding."""
    reference = network(values)
    ours = fast(reference)
    ids, mask = inputs(sequences, length, padded)
    expected, found = hidden(reference, ids, mask), hidden(ours, ids, mask)
    assert (expected - found).abs().max() <= 1e-5 * max(1.0, float(expected.detach().abs().max()))
    with torch.inference_mode():
        assert (expected - hidden(ours, ids, mask)).abs().max() <= 1e-5 * max(1.0, float(expected.detach().abs().max()))
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    theirs = gradients(reference, (expected * weights).sum())
    mine = gradients(ours, (found * weights).sum())
    assert theirs.keys() == mine.keys()
    most = max(float(one.abs().max()) for one in theirs.values())
    for name, one in theirs.items():
        assert (one - mine[name]).abs().max() <= 1e-4 * most, name


@pytest.mark.parametrize("length", [16, 100])
@pytest.mark.parametrize("padded", [False, True])
def test_bf16_is_as_near_to_fp32_as_transformers_own(length: int, padded: bool) -> None:
    """Under autocast both differ from fp32 by rounding; ours by no more than 1.5 times what transformers' differs."""
    reference = network(BASE)
    ours = fast(reference)
    ids, mask = inputs(3, length, padded)
    exact = hidden(reference, ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, mine = hidden(reference, ids, mask), hidden(ours, ids, mask)
    assert (mine - exact).abs().mean() <= 1.5 * (theirs - exact).abs().mean()
    assert (mine - exact).abs().max() <= 2 * (theirs - exact).abs().max()


def test_projections_are_kept_until_a_weight_changes() -> None:
    """At inference the table is projected once; an update of a weight, or another arithmetic, makes it anew."""
    reference = network(BASE)
    ours = fast(reference)
    ids, _ = inputs(2, 20, False)
    attention = next(module for module in ours.modules() if isinstance(module, deberta.FastSelfAttention))
    with torch.inference_mode():
        hidden(ours, ids, None)
        first = attention.kept
        hidden(ours, ids[:, :7], None)
        assert attention.kept is first
    for change in ("rel_embeddings.weight", "LayerNorm.bias", "layer.0.attention.self.key_proj.weight"):
        for model in (reference, ours):
            with torch.no_grad():
                model.encoder.get_parameter(change).add_(0.3)
        with torch.inference_mode():
            assert (hidden(reference, ids, None) - hidden(ours, ids, None)).abs().max() < 1e-5, change
        assert attention.kept is not first
        first = attention.kept
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        hidden(ours, ids, None)
    assert attention.kept is not first


def test_dropout_drops_probabilities_and_positions() -> None:
    """In training the output is random by torch's seed, differs from evaluation, and has its mean."""
    ours = fast(network(BASE | {"num_hidden_layers": 1}))
    layer = ours.encoder.layer[0].attention.self
    states = torch.randn(2, 12, 32)
    table = ours.encoder.get_rel_embedding()
    whole = layer(states, None, rel_embeddings=table)[0]
    layer.train()
    layer.pos_dropout.p = 0.0
    torch.manual_seed(3)
    first = layer(states, None, rel_embeddings=table)[0]
    torch.manual_seed(3)
    assert torch.equal(first, layer(states, None, rel_embeddings=table)[0])
    assert not torch.equal(first, whole)
    mean = torch.stack([layer(states, None, rel_embeddings=table)[0] for _ in range(400)]).mean(0)
    assert (mean - whole).abs().mean() < 0.1 * (first - whole).abs().mean()


def test_attentions_are_given_on_request() -> None:
    """`output_attentions` gives the probabilities that transformers gives."""
    reference = network(BASE)
    ids, mask = inputs(2, 9, True)
    assert mask is not None
    theirs = reference(ids, attention_mask=mask, output_attentions=True).attentions
    mine = fast(reference)(ids, attention_mask=mask, output_attentions=True).attentions
    for one, other in zip(theirs, mine, strict=True):
        seen = (mask[:, None, :, None] * mask[:, None, None, :]).bool().expand_as(one)
        assert (one - other)[seen].abs().max() < 1e-5


def test_switching_back_is_exact(tiny_deberta: Path, tmp_path: Path) -> None:
    """An encoder opens with our attention, saves an ordinary checkpoint, and "eager" is transformers' own."""
    opened = Encoder.open(tiny_deberta)
    assert any(isinstance(module, deberta.FastSelfAttention) for module in opened.modules())
    eager = Encoder.open(tiny_deberta, attention="eager")
    assert not any(isinstance(module, deberta.FastSelfAttention) for module in eager.modules())
    assert opened.state_dict().keys() == eager.state_dict().keys()
    ids = torch.randint(5, 20, (2, 11))
    for one, other in zip(opened.eval()(ids), eager.eval()(ids), strict=True):
        assert (one - other).abs().max() < 1e-5
    opened.network_without().save_pretrained(tmp_path)  # type: ignore[operator]
    again = DebertaV2Model.from_pretrained(tmp_path).eval()
    assert (again(ids).last_hidden_state - eager(ids)[1]).abs().max() < 1e-5
    deberta.use_reference_attention(opened)
    assert [type(module) for module in opened.modules()] == [type(module) for module in eager.modules()]
    assert torch.equal(opened(ids)[1], eager(ids)[1])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_flash_without_a_gpu_says_what_to_type(tiny_deberta: Path) -> None:
    """`flash` on a machine without a GPU is refused with what to type instead."""
    with pytest.raises(ModelError, match=r"needs a CUDA GPU.*attention=auto"):
        Encoder.open(tiny_deberta, attention="flash")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("kernels", ["ours", "flash"])
def test_on_a_gpu_outputs_are_transformers_own(kernels: str) -> None:
    """On CUDA, ours to 1e-4 in fp32, and flashdeberta's kernels, where installed, to 2e-2 in bf16."""
    reference = network(BASE | {"hidden_size": 128, "num_attention_heads": 2, "position_buckets": 32}).cuda()
    ours = copy.deepcopy(reference)
    if kernels == "flash":
        pytest.importorskip("flashdeberta")
        deberta.use_flash_attention(ours)
    else:
        deberta.use_fast_attention(ours)
    ids, mask = inputs(4, 50, True)
    assert mask is not None
    with torch.autocast("cuda", torch.bfloat16, enabled=kernels == "flash"):
        expected, found = (hidden(model, ids.cuda(), mask.cuda()).float() for model in (reference, ours))
    assert (expected - found).abs().max() < (2e-2 if kernels == "flash" else 1e-4) * float(
        expected.detach().abs().max()
    )
