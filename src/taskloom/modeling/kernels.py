"""CUDA kernels for DeBERTa's attention out of other packages, by `model.attention = "flash"`.

`disentangled-flash` comes first: it has dropout on attention probabilities, a fused backward, and packs padding away;
`flashdeberta` has no dropout there. Both keep the parameters under their names, so checkpoints stay ordinary. Written
after their documentation and source (1.1.1 and 0.0.8) and never run: the tests that compare them with transformers need
a GPU.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import nn
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention

from taskloom.errors import ModelError

PACKAGES = {"disentangled-flash": "disentangled_flash", "flashdeberta": "flashdeberta"}
"""By what pip calls them, in the order of preference: the name to import."""


def use_flash_attention(network: nn.Module) -> str:
    """Switch a DeBERTa-v2 or v3 network to the kernels of the best package installed, and return its name.

    Raises ModelError where no GPU or no package is, or the kernels cannot hold the network.
    """
    if not torch.cuda.is_available():
        raise ModelError('model.attention = "flash" needs a CUDA GPU, and here is none. Type model.attention=auto.')
    there = [package for package, module in PACKAGES.items() if importlib.util.find_spec(module)]
    if not there:
        raise ModelError(
            f'model.attention = "flash" needs one of the packages {", ".join(PACKAGES)}. Type `pip install '
            "disentangled-flash`, or model.attention=auto."
        )
    try:
        return _switch(network, there[0])
    except (ImportError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f'model.attention = "flash": {there[0]} cannot take this encoder ({error}). Type model.attention=auto.'
        ) from error


def _switch(network: nn.Module, package: str) -> str:
    if package == "disentangled-flash":
        from disentangled_flash import DebertaV2OptimizedEncoder, optimize_deberta

        base = getattr(network, str(network.base_model_prefix))
        optimize_deberta(base, inference=False)  # weights stay trainable; projections are made in each call
        if not isinstance(base.encoder, DebertaV2OptimizedEncoder) or getattr(base.encoder, "backend", "") == "torch":
            raise ValueError("Triton is missing, or the head width is not 32, 64 or 128")
        return package
    from flashdeberta import FlashDisentangledSelfAttention

    for module in network.modules():
        if type(module) is DisentangledSelfAttention:
            module.__class__ = FlashDisentangledSelfAttention
    return package
