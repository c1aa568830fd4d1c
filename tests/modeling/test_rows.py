"""Gathered rows: the usual gradients, in these rows and no others."""

from __future__ import annotations

import torch
from torch import nn

from taskloom.modeling.rows import gather_rows


def test_gathered_rows_have_the_usual_gradient() -> None:
    """Gathering adds up the same gradients over micro-batches as indexing, in the gathered rows and no others."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(9, 4, generator=generator)
    plain, ours = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    for rows in (torch.tensor([1, 4, 7]), torch.tensor([0, 4])):
        factor = torch.randn(len(rows), 4, generator=generator)
        (plain[rows].square() * factor).sum().backward()
        (gather_rows(ours, rows).square() * factor).sum().backward()
    assert torch.equal(plain.grad, ours.grad)
    assert ours.grad.any(dim=1).nonzero()[:, 0].tolist() == [0, 1, 4, 7]


def test_frozen_rows_get_no_gradient() -> None:
    """A parameter that is not trained stays without a gradient."""
    frozen = nn.Parameter(torch.ones(3, 2), requires_grad=False)
    factor = nn.Parameter(torch.ones(1))
    (gather_rows(frozen, torch.tensor([1])) * factor).sum().backward()
    assert frozen.grad is None and factor.grad == 2
