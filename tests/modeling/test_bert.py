"""Tokens without padding: the numbers of the padded path, forward and backward, for each architecture that packs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from made_batches import random_batch, table, take
from taskloom.data.batches import MicroBatch, cut_evenly
from taskloom.modeling.bert import ARCHITECTURES, attend
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.token_layout import ROUND, Layout, layout_of
from tiny import make_tiny

TRIED = ("bert", "roberta", "electra")


@pytest.fixture(params=TRIED)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    """A tiny encoder of each architecture that packs, without dropout."""
    make_tiny(tmp_path, request.param)
    return without_dropout(Encoder.open(tmp_path))


def without_dropout(encoder: Encoder) -> Encoder:
    """Switch dropout off, training mode on."""
    for module in encoder.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    return encoder.train()


def both(encoder: Encoder, batch: MicroBatch) -> list[tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]:
    """Return pooled features, features of the words and all gradients, padded and packed."""
    found = []
    for layout in (None, layout_of(batch)):
        vectors = torch.linspace(-1, 1, encoder.word_embeddings.embedding_dim).repeat(len(batch.input_ids), 1)
        vectors.requires_grad_()
        if layout is None:
            pooled, hidden = encoder(
                batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids,
                first_vector=vectors,
            )  # fmt: skip
            words = hidden[batch.word_sequence, batch.word_position]
        else:
            pooled, words = encoder.forward_packed(
                batch.input_ids, layout, token_type_ids=batch.token_type_ids, first_vector=vectors
            )
        encoder.zero_grad()
        weights = torch.linspace(0.1, 1, pooled.shape[1])
        ((pooled * weights).square().sum() + (words * weights).square().sum()).backward()
        gradients = {name: value.grad.clone() for name, value in encoder.named_parameters() if value.grad is not None}
        found.append((pooled.detach(), words.detach(), gradients | {"vectors": vectors.grad}))
    return found


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("tagging", [True, False])
def test_packed_numbers_are_the_padded_ones(encoder: Encoder, padded: bool, tagging: bool) -> None:
    """Features and every gradient are equal to rounding, with padding and without, with labelled words and without."""
    assert encoder.packs
    batch = random_batch(table(), padded=padded)
    one, other = both(encoder, batch if tagging else take(batch, (batch.task < 7).nonzero()[:, 0]))
    torch.testing.assert_close(other[0], one[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other[1], one[1], rtol=1e-5, atol=1e-5)
    assert other[2].keys() == one[2].keys()
    largest = max(float(gradient.abs().max()) for gradient in one[2].values())
    for name, gradient in one[2].items():
        torch.testing.assert_close(other[2][name], gradient, rtol=1e-4, atol=1e-6 * largest, msg=name)


def test_what_does_not_pack(tmp_path: Path) -> None:
    """Other architectures, and layers that are compiled, take the padded path."""
    for architecture in ("distilbert", "modernbert", "deberta-v2"):
        make_tiny(tmp_path / architecture, architecture)
        assert not Encoder.open(tmp_path / architecture).packs
    make_tiny(tmp_path / "bert", "bert")
    compiled = Encoder.open(tmp_path / "bert")
    compiled.compiled = True
    assert not compiled.packs
    assert set(TRIED) <= set(ARCHITECTURES)


def test_attention_and_its_gradient(tiny_bert: Path) -> None:
    """With dropout, the gradient written out is that of finite differences under the same random numbers."""
    layout = layout_of(random_batch(table(), examples=5))
    key, value, query = torch.randn(3, len(layout.flat), 4, dtype=torch.float64)

    def seeded(*values: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        each = len(values[0]) == len(values[1])
        return attend(*values, layout.blocks, each=each, heads=2, dropout=0.3)

    for asked in (query, query[layout.firsts]):
        assert torch.autograd.gradcheck(seeded, tuple(one.clone().requires_grad_() for one in (asked, key, value)))


def test_every_token_has_one_place() -> None:
    """A layout holds each real token once, in blocks that follow each other, rounded up with tokens nobody reads."""
    batch = random_batch(table(), examples=60, length=40)
    layout = layout_of(batch)
    real = int(batch.attention_mask.sum())
    assert sorted(layout.flat[:real].tolist()) == batch.attention_mask.flatten().nonzero()[:, 0].tolist()
    assert len(layout.flat) % ROUND == 0 and len(layout.flat) - real < ROUND
    assert [block.start for block in layout.blocks[1:]] == [block.end for block in layout.blocks[:-1]]
    assert (layout.blocks[0].start, layout.blocks[-1].end) == (0, real)
    assert len(layout.blocks) > 1
    ids = batch.input_ids.flatten()[layout.flat]
    words = layout.words[: layout.word_count]
    assert torch.equal(ids[layout.firsts[layout.rank]], batch.input_ids[:, 0])
    assert torch.equal(ids[words], batch.input_ids[batch.word_sequence, batch.word_position])
    assert torch.equal(layout.position[words], batch.word_position)


def test_padding_is_never_read(encoder: Encoder) -> None:
    """Whatever stands at padded places, no number changes."""
    batch = random_batch(table())
    layout: Layout = layout_of(batch)
    other = dataclasses.replace(batch, input_ids=torch.where(batch.attention_mask.bool(), batch.input_ids, 77))
    found = [encoder.forward_packed(one.input_ids, layout, token_type_ids=None, first_vector=None)[0]
             for one in (batch, other)]  # fmt: skip
    assert torch.equal(*found)


def test_even_cuts() -> None:
    """Parts have about equal tokens, stay near the budget, and a long example is no reason for an empty part."""
    tokens = np.sort(np.random.default_rng(0).integers(5, 60, 400))
    parts = np.split(tokens, cut_evenly(tokens, budget=8192, at_least=4))
    assert len(parts) == 4 and max(map(sum, parts)) - min(map(sum, parts)) < 120
    parts = np.split(tokens, cut_evenly(tokens, budget=1000, at_least=4))
    assert max(map(sum, parts)) < 1000 + 60
    assert all(len(part) for part in np.split(tokens, cut_evenly(np.array([1, 1, 500]), budget=100, at_least=4)))
    assert cut_evenly(np.array([7]), budget=100, at_least=4) == []
