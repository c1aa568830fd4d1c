"""int8 graphs: weights and the inputs of matrix products as whole numbers of 8 bits.

What is best was measured (docs/log.md). For OpenVINO ranges of activations are taken from real rows, by NNCF
(post-training quantization with SmoothQuant, Xiao et al. 2023), and where that moves too many decisions, as it does of
encoders that were trained for long, every token has a range of its own. ONNX Runtime always runs the latter, since its
static graphs were slower and further off.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from taskloom.inference.graphs import Graph, package
from taskloom.inference.per_token import write_per_token
from taskloom.inference.tracing import write_openvino

Array = NDArray[Any]
Way = Literal["static", "per token"]
WAYS: dict[str, tuple[Way, ...]] = {"onnx": ("per token",), "openvino": ("static", "per token")}
"""How int8 may be made for a format, the fastest first and the closest to fp32 last."""


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


def quantize(way: Way, source: Path, target: Path, feeds: Sequence[Mapping[str, Array]]) -> None:
    """Write the int8 form of an fp32 ONNX graph, for the runtime that the suffix of `target` names (.onnx, .xml).

    `feeds` are inputs of real rows, which "static" takes its ranges from; "per token" finds them while it runs.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if way == "static":
        _quantize_static(source, target, feeds)
    elif target.suffix == ".onnx":
        write_per_token(source, target)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_per_token(source, Path(folder) / target.with_suffix(".onnx").name)
            write_openvino(Path(folder) / target.with_suffix(".onnx").name, target)


def _quantize_static(source: Path, target: Path, feeds: Sequence[Mapping[str, Array]]) -> None:
    nncf, openvino = package("nncf"), package("openvino")
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its progress bars; results of ours go there
        quantized = nncf.quantize(
            openvino.Core().read_model(source), nncf.Dataset([dict(feed) for feed in feeds]),
            model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds),
        )  # fmt: skip
    openvino.save_model(quantized, target, compress_to_fp16=False)
