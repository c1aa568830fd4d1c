"""The architecture's own pooler, made to pass on the first token's state: a head fitted on that state can be exported.

Between the first token and the head of an exported model stand a linear layer and an activation, trained for something
else or never. From 16 rows a class a probe of a trained 22M encoder is worth 3 points more by the first token's last
hidden state than by what this pooler makes of it (docs/log.md, 2026-11-27). The layer becomes a small multiple of the
identity, so that the activation sees values where tanh and GELU are straight lines, and whoever reads the pooler
divides by the slope.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from taskloom.modeling.encoder import Encoder

LARGEST = 0.01
"""The largest value that the activation sees: tanh bends there by 0.003 %, GELU by 0.8 %."""
MOST_OFF = 0.02
"""Error of what is passed on, as a share of the largest state, from which the pooler is left as it is."""


@torch.no_grad()
def pass_first_token(encoder: Encoder, states: Tensor) -> float | None:
    """Make the own pooler give the first token's last hidden state times a factor, and return the factor.

    `states` (n, width) are some of these states, which tell how large they are. Returns None, and changes nothing, for
    a pooler that cannot pass them on: one without a linear layer of its own, or that cuts off what is negative.
    """
    pooler = _pooler(encoder)
    if pooler is None:
        return None
    layer: nn.Linear = pooler.dense
    before, was_training = (layer.weight.clone(), layer.bias.clone()), pooler.training
    largest = float(states.abs().max())
    layer.weight.copy_(torch.eye(len(layer.weight), device=layer.weight.device) * (LARGEST / largest))
    layer.bias.zero_()
    given = pooler.eval()(states[:, None])
    pooler.train(was_training)
    factor = float((given * states).sum() / states.square().sum())
    if factor > 0 and float((given - factor * states).abs().max()) <= MOST_OFF * factor * largest:
        return factor
    layer.weight.copy_(before[0])
    layer.bias.copy_(before[1])
    return None


def _pooler(encoder: Encoder) -> Any:
    """Return the module between hidden states and last linear layer, where it is a square layer and what follows."""
    for owner, name in ((encoder.base, "pooler"), (encoder.network, "pooler"), (encoder.network, "classifier")):
        found = getattr(owner, name, None)
        layer = getattr(found, "dense", None)
        if isinstance(layer, nn.Linear) and layer.in_features == layer.out_features and layer.bias is not None:
            return found
    return None
