"""A network -> an ONNX file, and from there an OpenVINO one: batch and length stay open.

One trace serves both runtimes: OpenVINO reads ONNX. The trace is torch's TorchScript exporter, which needs no package
beyond torch, and gave the same numbers as the network for all eight architectures tried, where the one over
`torch.export` needs onnxscript. The network is traced in evaluation mode with transformers' own attention.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.inference.graphs import package
from taskloom.modeling.deberta import use_reference_attention
from taskloom.modeling.encoder import Encoder, quiet

OPSET = 17
IDS, MASK, TYPES, VECTOR = "input_ids", "attention_mask", "token_type_ids", "first_vector"


class _Logits(nn.Module):
    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *values: Tensor) -> Any:
        return self.network(**dict(zip(self.names, values, strict=True))).logits


class _Features(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        types = rest[0] if len(rest) > 1 else None
        found: tuple[Tensor, Tensor] = self.encoder(
            input_ids, attention_mask=attention_mask, token_type_ids=types, first_vector=rest[-1]
        )
        return found


def write_head_graph(network: nn.Module, kind: str, path: Path) -> None:
    """Trace a Hugging Face network with a head to an ONNX file with the output `logits`.

    Inputs are int64 (batch, length), those of multiple choice (batch, choices, length).
    """
    names = [IDS, MASK, *[TYPES] * _takes_types(network)]
    axes = ("batch", "choices", "length") if kind == "multiple_choice" else ("batch", "length")
    example = torch.full((2, 3, 5) if len(axes) == 3 else (2, 5), 5)
    mask = torch.ones_like(example)
    mask[0, ..., 3:] = 0  # a trace without padding would leave the mask out
    feeds = dict(zip(names, (example, mask, torch.zeros_like(example)), strict=False))
    given = {"multiple_choice": axes[:2], "token_classification": axes}.get(kind, axes[:1])
    _write(_Logits(network, names), feeds, dict.fromkeys(names, axes) | {"logits": given}, path)


def write_features_graph(folder: Path, path: Path) -> None:
    """Trace the encoder of a model folder to an ONNX file that gives what all heads read.

    Inputs: ids, mask and (where the network reads them) types, int64 (batch, length), and `first_vector`, float32
    (batch, word width), which is added to the first word embedding. Outputs: `pooled` (batch, width) and `hidden`
    (batch, length, width).
    """
    encoder = Encoder.open(folder)
    use_reference_attention(encoder.network)
    ids = torch.full((2, 5), 5)
    mask = torch.ones_like(ids)
    mask[0, 3:] = 0
    feeds = {IDS: ids, MASK: mask} | ({TYPES: torch.zeros_like(ids)} if encoder.reads_types else {})
    axes: dict[str, tuple[str, ...]] = dict.fromkeys(feeds, ("batch", "length"))
    feeds[VECTOR] = torch.zeros(2, encoder.word_embeddings.embedding_dim)
    axes |= {VECTOR: ("batch",), "pooled": ("batch",), "hidden": ("batch", "length")}
    _write(_Features(encoder), feeds, axes, path)


def write_openvino(onnx: Path, path: Path) -> None:
    """Write an ONNX file as OpenVINO's pair of .xml and .bin, weights in fp32."""
    openvino = package("openvino")
    path.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=False)


@torch.no_grad()
def _write(module: nn.Module, feeds: Mapping[str, Tensor], axes: Mapping[str, Sequence[str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on Python values in a trace, which the parity check answers for
        torch.onnx.export(
            module.eval(), tuple(feeds.values()), str(path), dynamo=False, opset_version=OPSET,
            input_names=list(feeds), output_names=[name for name in axes if name not in feeds],
            dynamic_axes={name: dict(enumerate(open_axes)) for name, open_axes in axes.items()},
        )  # fmt: skip


def _takes_types(network: nn.Module) -> bool:
    takes = TYPES in inspect.signature(network.forward).parameters
    return takes and getattr(network.config, "type_vocab_size", 0) > 1
