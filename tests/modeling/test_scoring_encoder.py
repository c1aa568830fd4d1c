"""The encoder for scoring: the same features as the one it is made of, with and without padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taskloom.modeling import scoring
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.scoring import ScoringStack, at_first_token, scoring_encoder


def inputs(encoder: Encoder, *, padded: bool) -> dict[str, torch.Tensor]:
    """Return two sequences, the second one padded."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, encoder.config.vocab_size, (2, 11), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "token_type_ids": (ids * 0 + torch.arange(11) // 6)} | (
        {"attention_mask": mask} if padded else {}
    )


@pytest.fixture(params=["tiny_bert", "tiny_deberta"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """A small encoder, of BERT's form or not."""
    return Encoder.open(request.getfixturevalue(request.param)).eval()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("short", [128, 4])
@torch.inference_mode()
def test_features_are_those_of_the_encoder(
    encoder: Encoder, padded: bool, short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pooled features agree to 1e-5 for every architecture, and with all tokens the hidden states too."""
    monkeypatch.setattr(scoring, "SHORT", short)
    given = inputs(encoder, padded=padded)
    pooled, hidden = encoder(**given)
    vector = torch.randn(2, encoder.word_embeddings.embedding_dim, generator=torch.Generator().manual_seed(1))
    whole = scoring_encoder(encoder, dtype=torch.float32)
    assert torch.allclose(at_first_token(whole)(**given)[0], pooled, atol=1e-5)
    assert torch.allclose(whole(**given)[0], pooled, atol=1e-5)
    real = given.get("attention_mask", torch.ones_like(given["input_ids"])).bool()
    assert torch.allclose(whole(**given)[1][real], hidden[real], atol=1e-5)
    shifted = encoder(**given, first_vector=vector)[0]
    assert torch.allclose(whole(**given, first_vector=vector)[0], shifted, atol=1e-5)
    assert not torch.allclose(shifted, pooled, atol=1e-3)


def test_layers_of_berts_form_are_replaced(tiny_bert: Path, tiny_deberta: Path) -> None:
    """BERT gets layers of ours, which share their weights; DeBERTa keeps its own; the encoder given stays."""
    encoder = Encoder.open(tiny_bert).eval()
    whole = scoring_encoder(encoder, dtype=torch.float32)
    first = at_first_token(whole)
    stacks = [module for one in (whole, first) for module in one.modules() if type(module) is ScoringStack]
    assert [stack.first_only for stack in stacks] == [False, True]
    assert all(one is other for one, other in zip(whole.parameters(), first.parameters(), strict=True))
    deberta = scoring_encoder(Encoder.open(tiny_deberta), dtype=torch.float32)
    for other in (encoder, deberta):
        assert not any(type(module) is ScoringStack for module in other.modules())


@torch.inference_mode()
def test_bf16_is_a_copy(tiny_bert: Path) -> None:
    """In bf16 the weights are others, features are near, and the encoder given is as it was."""
    encoder = Encoder.open(tiny_bert).eval()
    half = scoring_encoder(encoder, dtype=torch.bfloat16)
    given = inputs(encoder, padded=True)
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}
    assert torch.allclose(half(**given)[0].float(), encoder(**given)[0], atol=0.1)
