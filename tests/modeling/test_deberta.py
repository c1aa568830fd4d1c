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
from taskloom.modeling import deberta, kernels
from taskloom.modeling.disentangled import attend
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.packing import Layout, Wanted, wanted

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


def differing(expected: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    """Return the parameters whose gradients differ by more than 1e-4 of their largest value. Where that is below a
    hundredth of the largest of all, as for biases whose gradients cancel out, it is measured by the latter."""
    most = max(float(one.abs().max()) for one in expected.values())
    allowed = {name: 1e-4 * max(float(one.abs().max()), most / 100) for name, one in expected.items()}
    return [name for name, one in expected.items() if float((one - found[name]).abs().max()) > allowed[name]]


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
    """Outputs to 1e-5 and gradients to 1e-4 in fp32, for any config, length and padding."""
    reference = network(values)
    ours = fast(reference)
    ids, mask = inputs(sequences, length, padded)
    expected, found = hidden(reference, ids, mask), hidden(ours, ids, mask)
    assert (expected - found).abs().max() <= 1e-5 * max(1.0, float(expected.detach().abs().max()))
    with torch.inference_mode():
        assert (expected - hidden(ours, ids, mask)).abs().max() <= 1e-5 * max(1.0, float(expected.detach().abs().max()))
        pooled = reference(ids, attention_mask=mask).last_hidden_state[:, 0]
        with wanted("first"):
            first = ours(ids, attention_mask=mask).last_hidden_state[:, 0]
        assert (pooled - first).abs().max() <= 1e-5 * max(1.0, float(pooled.abs().max()))
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    theirs = gradients(reference, (expected * weights).sum())
    mine = gradients(ours, (found * weights).sum())
    assert theirs.keys() == mine.keys()
    assert not differing(theirs, mine)


@settings(deadline=None, max_examples=15, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(configs(), st.integers(2, 300), st.booleans())
@example(BASE, 16, False)
@example(BASE, 150, True)
def test_bf16_is_as_near_to_fp32_as_transformers_own(values: dict[str, Any], length: int, padded: bool) -> None:
    """Under autocast both differ from fp32 by rounding; ours by no more than 1.5 times what transformers' differs."""
    reference = network(values)
    ours = fast(reference)
    ids, mask = inputs(3, length, padded)
    exact = hidden(reference, ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, mine = hidden(reference, ids, mask), hidden(ours, ids, mask)
    assert (mine - exact).square().mean().sqrt() <= 1.5 * (theirs - exact).square().mean().sqrt()
    weights = torch.randn(exact.shape, generator=torch.Generator().manual_seed(1))
    truth, reached = gradients(reference, (exact * weights).sum()), {}
    for model, found in ((reference, theirs), (ours, mine)):
        model.zero_grad()
        given = gradients(model, (found * weights).sum())
        reached[model] = sum(float((given[name] - one).square().sum()) for name, one in truth.items()) ** 0.5
    assert reached[ours] <= 1.5 * reached[reference]


@pytest.mark.parametrize("length", [70, 300])
@pytest.mark.parametrize("padded", [False, True])
def test_a_layer_of_real_size_is_transformers_own(padded: bool, length: int) -> None:
    """At the width, heads, buckets and shared keys of deberta-v3-base, with its weights' scale: where all distances
    have a bucket of their own, and where far ones share one."""
    config = {
        "num_attention_heads": 12, "hidden_size": 768, "num_hidden_layers": 1, "position_buckets": 256,
        "max_relative_positions": -1, "pos_att_type": ["p2c", "c2p"], "relative_attention": True,
        "share_att_key": True, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 0, "position_biased_input": False,
    }  # fmt: skip
    torch.manual_seed(0)
    reference = DebertaV2Model(DebertaV2Config(vocab_size=VOCABULARY, type_vocab_size=0, **config)).eval()
    ours = fast(reference)
    ids, mask = inputs(3, length, padded)
    expected, found = hidden(reference, ids, mask), hidden(ours, ids, mask)
    assert (expected - found).abs().max() <= 1e-5
    assert not differing(gradients(reference, expected.square().mean()), gradients(ours, found.square().mean()))


def test_padding_may_stand_anywhere_but_first() -> None:
    """Holes in a mask count as transformers counts them; a padded first token goes through transformers' own code."""
    reference = network(BASE)
    ours = fast(reference)
    ids, _ = inputs(2, 12, False)
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[0, 3:6] = 0
    assert (hidden(reference, ids, mask) - hidden(ours, ids, mask)).abs().max() < 1e-5
    mask[1, :2] = 0
    assert Layout.of(mask) is None
    assert torch.equal(hidden(reference, ids, mask), hidden(ours, ids, mask))


def test_all_hidden_states_are_given() -> None:
    """`output_hidden_states` gives the states of every layer, zero where there is padding."""
    reference = network(BASE)
    ids, mask = inputs(2, 9, True)
    assert mask is not None
    theirs = reference(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    mine = fast(reference)(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(theirs) == len(mine) == 3
    for one, other in zip(theirs, mine, strict=True):
        assert (one - other)[mask.bool()].abs().max() < 1e-5
        assert not other[~mask.bool()].any()


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


@pytest.mark.parametrize("reads", ["last", "first"])
def test_dropout_drops_probabilities_and_positions(reads: Wanted) -> None:
    """In training the output is random by torch's seed, differs from evaluation, and has its mean."""
    ours = fast(network(BASE | {"num_hidden_layers": 1}))
    layer = ours.encoder.layer[0].attention.self
    states, layout = torch.randn(2 * 12, 32), Layout(2, 12)
    given = (states, layout, False, layout.first(states) if reads == "first" else None)
    table = ours.encoder.get_rel_embedding()
    whole = layer(*given, rel_embeddings=table)[0]
    layer.train()
    layer.pos_dropout.p = 0.0
    torch.manual_seed(3)
    first = layer(*given, rel_embeddings=table)[0]
    torch.manual_seed(3)
    assert torch.equal(first, layer(*given, rel_embeddings=table)[0])
    assert not torch.equal(first, whole)
    mean = torch.stack([layer(*given, rel_embeddings=table)[0] for _ in range(400)]).mean(0)
    assert (mean - whole).abs().mean() < 0.1 * (first - whole).abs().mean()
    layer.pos_dropout.p, layer.dropout.p = 0.5, 0.0
    assert not torch.equal(layer(*given, rel_embeddings=table)[0], whole)


def test_gradients_of_dropped_probabilities() -> None:
    """With dropout the gradient is that of the function that dropped: numerically, at two blocks of queries."""
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(1, 1, 130, 2, generator=generator, dtype=torch.float64) for _ in range(3)]
    given += [torch.randn(1, 260, 2, generator=generator, dtype=torch.float64) for _ in range(2)]
    weights = torch.randn(1, 1, 130, 2, generator=generator, dtype=torch.float64)

    def loss(*tensors: Tensor) -> Tensor:
        torch.manual_seed(5)
        return (attend(*tensors, hidden=None, dropout=0.3) * weights).sum()

    tensors = [one.clone().requires_grad_() for one in given]
    loss(*tensors).backward()
    for number, tensor in enumerate(tensors):
        way = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        ends = [loss(*given[:number], given[number] + sign * 1e-6 * way, *given[number + 1 :]) for sign in (1, -1)]
        assert tensor.grad is not None
        assert float((tensor.grad * way).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-6)


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


def test_flash_without_a_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU without kernels the message names both packages and what to type."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(kernels, "PACKAGES", {"disentangled-flash": "no_such_module", "flashdeberta": "nor_this"})
    with pytest.raises(ModelError, match=r"disentangled-flash, flashdeberta.*pip install"):
        kernels.use_flash_attention(network(BASE))


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here: the kernels were not run")


@needs_gpu
@pytest.mark.parametrize("padded", [False, True])
def test_on_a_gpu_outputs_are_transformers_own(padded: bool) -> None:
    """Our arithmetic on CUDA, to 1e-4 of the largest output in fp32."""
    reference = network(BASE | {"hidden_size": 128, "num_attention_heads": 2, "position_buckets": 32}).cuda()
    ids, mask = inputs(4, 150, padded)
    mask = None if mask is None else mask.cuda()
    expected, found = (hidden(model, ids.cuda(), mask) for model in (reference, fast(reference)))
    assert (expected - found).abs().max() < 1e-4 * float(expected.detach().abs().max())


@needs_gpu
@pytest.mark.parametrize("package", kernels.PACKAGES)
@pytest.mark.parametrize("padded", [False, True])
def test_on_a_gpu_kernels_give_transformers_outputs_and_gradients(
    package: str, padded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each package that is installed, to 2e-2 of the largest value in bf16, outputs and gradients."""
    pytest.importorskip(kernels.PACKAGES[package], reason=f"{package} is not installed")
    monkeypatch.setattr(kernels, "PACKAGES", {package: kernels.PACKAGES[package]})
    reference = network(BASE | {"hidden_size": 128, "num_attention_heads": 2, "position_buckets": 32}).cuda()
    ours = copy.deepcopy(reference)
    assert kernels.use_flash_attention(ours) == package
    ids, mask = inputs(4, 150, padded)
    mask = None if mask is None else mask.cuda()
    with torch.autocast("cuda", torch.bfloat16):
        expected, found = (hidden(model, ids.cuda(), mask).float() for model in (reference, ours))
    assert (expected - found).abs().max() < 2e-2 * float(expected.detach().abs().max())
    theirs, mine = gradients(reference, expected.square().sum()), gradients(ours, found.square().sum())
    most = max(float(one.abs().max()) for one in theirs.values())
    assert all((one - mine[name]).abs().max() <= 2e-2 * most for name, one in theirs.items())
