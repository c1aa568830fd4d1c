"""Which runtime a model's encoder runs on: torch, or a graph that is made once and kept in the cache.

A trained model has many heads, so its graph is that of its features; heads stay small products in torch. int8 graphs of
this kind find the ranges of numbers while they run. OpenVINO's fastest need rows, which a model folder has not:
`taskloom export --int8 --calibrate` makes them, for one head.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from taskloom.data.locks import locked
from taskloom.data.store import cache_folder
from taskloom.errors import ModelError, did_you_mean
from taskloom.inference.graph_networks import with_features_graph
from taskloom.inference.graphs import FILES, FORMATS, check_format, open_graph
from taskloom.inference.quantizing import quantize
from taskloom.inference.tracing import write_features_graph, write_openvino
from taskloom.modeling.model import Model, new_folder

BACKENDS = ("torch", *FORMATS)
PRECISIONS = ("auto", "fp32", "bf16", "int8")
TRACED = 2
"""Counts changes in how graphs are made; those made otherwise are made anew."""


def check_backend(backend: str, precision: str, device: torch.device) -> None:
    """Raise ModelError for a runtime that is unknown or cannot do what is asked."""
    if backend not in BACKENDS:
        raise ModelError(f"Backend {backend!r} is not one of {', '.join(BACKENDS)}.{did_you_mean(backend, BACKENDS)}")
    if backend == "torch" and precision == "int8":
        raise ModelError("torch has no int8 here: its own moved one decision in four. Take backend onnx.")
    if backend != "torch" and device.type != "cpu":
        raise ModelError(f"Backend {backend} runs on the CPU, not on {device.type}. Give device cpu, or backend torch.")


def on_backend(model: Model, folder: Path, *, backend: str, precision: str) -> Model:
    """Return the model of a folder with its encoder on another runtime than torch."""
    path = features_graph(folder, format=backend, precision="int8" if precision == "int8" else "fp32")
    graph = open_graph(path, threads=torch.get_num_threads(), bf16=precision == "bf16")
    return with_features_graph(model, graph)


def features_graph(folder: Path, *, format: str, precision: str) -> Path:
    """Return the graph of a folder's encoder, from the cache or made now (2 s for 22M parameters)."""
    check_format(format)
    cache = cache_folder()
    place = cache / "graphs" / f"{_fingerprint(folder)}-{format}-{precision}"
    path = place / FILES[format, precision]
    if path.is_file():
        return path
    with locked(cache / "locks" / f"{place.name}.lock"):
        if not path.is_file():
            with new_folder(place) as temporary:
                _make(folder, temporary, format, precision)
    return path


def _make(folder: Path, out: Path, format: str, precision: str) -> None:
    traced = out / FILES["onnx", "fp32"]
    write_features_graph(folder, traced)
    if precision == "int8":
        quantize("per token", traced, out / FILES[format, "int8"], [])
    elif format == "openvino":
        write_openvino(traced, out / FILES["openvino", "fp32"])
    if (format, precision) != ("onnx", "fp32"):
        traced.unlink()


def _fingerprint(folder: Path) -> str:
    digest = hashlib.blake2b(f"{TRACED} {torch.__version__}".encode(), digest_size=12)
    for path in (folder / "config.json", *sorted(folder.glob("*.safetensors"))):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "blake2b").digest())
    return digest.hexdigest()
