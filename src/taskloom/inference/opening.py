"""Any folder that holds a model -> the model, on the runtime asked for.

Three kinds: a model folder with all heads, an export with graphs of one head, and a classifier in Hugging Face form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from taskloom.errors import ModelError
from taskloom.evaluation.calibration import read_temperatures
from taskloom.inference.backends import check_backend, on_backend
from taskloom.inference.folders import described_head, open_classifier
from taskloom.inference.graph_networks import over_head_graph
from taskloom.inference.graphs import graphs_in, open_graph
from taskloom.modeling.model import HEADS_JSON, Model, read_record


@dataclass(frozen=True)
class Opened:
    """A network, how it runs (`precision` is empty for torch, whose autocast decides), and the most tokens it reads.

    `temperatures` are those fitted for its heads, by the key of the head.
    """

    network: Model
    backend: str
    precision: str
    max_length: int
    temperatures: Mapping[str, float] = field(default_factory=dict)


def open_network(folder: Path, *, backend: str, precision: str, device: torch.device) -> Opened:
    """Open the model in a folder; raises ModelError when there is none or it cannot run as asked."""
    whole = (folder / HEADS_JSON).is_file()
    if whole and not (folder / "config.json").is_file():
        raise ModelError(
            f'{folder} is an adapter. Open its encoder and give it: load_model(ENCODER, adapter="{folder}").'
        )
    if not whole and (graphs := graphs_in(folder)):
        wanted = _wanted(graphs, backend, precision)
        if wanted or not any(folder.glob("*.safetensors")):
            return _open_graphs(folder, graphs, wanted, (backend, precision), device)
    record = read_record(folder) if whole else {}
    length = int(record["max_length"]) if whole else described_head(folder)[1]
    temperatures = read_temperatures(record)
    network = Model.load(folder) if whole else open_classifier(folder)
    chosen = ("onnx" if precision == "int8" else "torch") if backend == "auto" else backend
    check_backend(chosen, precision, device)
    if chosen == "torch":
        return Opened(network, "torch", "", length, temperatures)
    found = "fp32" if precision == "auto" else precision
    return Opened(on_backend(network, folder, backend=chosen, precision=found), chosen, found, length, temperatures)


def _wanted(graphs: dict[tuple[str, str], Path], backend: str, precision: str) -> tuple[str, str] | None:
    """Return which graph is asked for: openvino before onnx, and where the precision is open int8 before fp32."""
    formats = ("openvino", "onnx") if backend == "auto" else (backend,)
    kinds = ("int8", "fp32") if precision == "auto" else ("int8",) if precision == "int8" else ("fp32",)
    return next(((form, kind) for form in formats for kind in kinds if (form, kind) in graphs), None)


def _open_graphs(
    folder: Path,
    graphs: dict[tuple[str, str], Path],
    wanted: tuple[str, str] | None,
    asked: tuple[str, str],
    device: torch.device,
) -> Opened:
    if wanted is None:
        there = ", ".join(f"{form} in {kind}" for form, kind in graphs)
        raise ModelError(f"{folder} holds {there}, and not {asked[0]} in {asked[1]}. Export the model in that form.")
    check_backend(*wanted, device)
    head, length = described_head(folder)
    bf16 = asked[1] == "bf16"
    graph = open_graph(graphs[wanted], threads=torch.get_num_threads(), bf16=bf16)
    return Opened(over_head_graph(graph, head), wanted[0], "bf16" if bf16 else wanted[1], length)
