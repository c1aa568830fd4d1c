"""int8 graphs: weights and the inputs of matrix products as whole numbers of 8 bits.

What is best was measured (docs/log.md). OpenVINO with ranges of activations taken from real rows, by NNCF
(post-training quantization with SmoothQuant, Xiao et al. 2023); ONNX Runtime with ranges found anew for each input,
which needs no rows, since its static graphs were slower and further off.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from taskloom.inference.graphs import Graph, package

Array = NDArray[Any]


class Recorder:
    """A graph that keeps what it is asked."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inputs = graph.inputs
        self.seen: list[dict[str, Array]] = []

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Keep the inputs and return what the graph does."""
        self.seen.append({name: feeds[name] for name in self.inputs})
        return self.graph(feeds)


def quantize(format: str, source: Path, target: Path, feeds: Sequence[Mapping[str, Array]]) -> None:
    """Write the int8 form of a graph; `feeds` are inputs of real rows, which openvino needs and onnx does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if format == "openvino":
        _quantize_openvino(source, target, feeds)
    else:
        _quantize_onnx(source, target)


def _quantize_onnx(source: Path, target: Path) -> None:
    """All matrix products and the embedding tables; a scale for each column of a weight."""
    package("onnx")
    quantization = package("onnxruntime.quantization")
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns through the root logger that a graph could be prepared first
    try:
        quantization.quantize_dynamic(
            str(source), str(target), weight_type=quantization.QuantType.QInt8, per_channel=True
        )
    finally:
        logger.setLevel(level)


def _quantize_openvino(source: Path, target: Path, feeds: Sequence[Mapping[str, Array]]) -> None:
    nncf, openvino = package("nncf"), package("openvino")
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its progress bars; results of ours go there
        quantized = nncf.quantize(
            openvino.Core().read_model(source), nncf.Dataset([dict(feed) for feed in feeds]),
            model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds),
        )  # fmt: skip
    openvino.save_model(quantized, target, compress_to_fp16=False)
