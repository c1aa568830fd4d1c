"""Networks as graphs that other runtimes run: ONNX and OpenVINO files, opened as one kind of callable.

File names are those of optimum and sentence-transformers, so that both find them. Everything of the two runtimes is
here, imported when a graph is opened.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import ModelError, did_you_mean

Array = NDArray[Any]
TELEMETRY = "openvino_telemetry"
FORMATS = ("onnx", "openvino")
FILES = {
    ("onnx", "fp32"): "onnx/model.onnx",
    ("onnx", "int8"): "onnx/model_quantized.onnx",
    ("openvino", "fp32"): "openvino/openvino_model.xml",
    ("openvino", "int8"): "openvino/openvino_model_qint8_quantized.xml",
}
"""Where a graph of each format and precision stands in a folder."""


class Graph(Protocol):
    """An opened graph; calls from several threads wait for each other."""

    inputs: tuple[str, ...]

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        """Return the outputs for arrays named as `inputs`; further names are passed over."""


def check_format(name: str) -> None:
    """Raise ModelError for a format that is no graph's."""
    if name not in FORMATS:
        raise ModelError(f"Backend {name!r} is not one of torch, {', '.join(FORMATS)}.{did_you_mean(name, FORMATS)}")


def package(name: str) -> Any:
    """Import a package of the extra `export`; raises ModelError that says how to get it.

    openvino and nncf report each import and call to their maker. They do without where the package for that is
    missing, so it is hidden while they are imported: nothing here reaches the network.
    """
    hidden = TELEMETRY not in sys.modules
    if hidden:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            f"This needs the package {name}, which is not here ({error}). Type: pip install 'taskloom[export]'"
        ) from error
    finally:
        if hidden:
            del sys.modules[TELEMETRY]


def graphs_in(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the graphs of a folder by format and precision."""
    return {key: folder / name for key, name in FILES.items() if (folder / name).is_file()}


def open_graph(path: Path, *, threads: int = 0, bf16: bool = False) -> Graph:
    """Open an .onnx or .xml file on the CPU; `threads` 0 leaves the number to the runtime.

    `bf16` lets OpenVINO compute in bf16 what is not int8; ONNX Runtime has no such mode on CPUs. Raises ModelError
    where the runtime is missing or cannot read the file.
    """
    runtime = _OpenVino if path.suffix == ".xml" else _OnnxRuntime
    try:
        return runtime(path, threads, bf16)
    except ModelError:
        raise
    except Exception as error:  # each runtime has classes of its own for a file that it cannot read
        raise ModelError(f"{path} cannot be opened: {error}. Export it again.") from error


class _OnnxRuntime:
    def __init__(self, path: Path, threads: int, bf16: bool) -> None:
        runtime = package("onnxruntime")
        if bf16:
            raise ModelError('ONNX Runtime has no bf16 on CPUs. Take precision "fp32" or "int8", or openvino.')
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._lock = threading.Lock()
        self.inputs = tuple(entry.name for entry in self._session.get_inputs())

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        given = {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}
        with self._lock:
            return list(self._session.run(None, given))


class _OpenVino:
    def __init__(self, path: Path, threads: int, bf16: bool) -> None:
        runtime = package("openvino")
        settings = {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        model = runtime.Core().read_model(path)
        self._request = runtime.compile_model(model, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()
        self.inputs = tuple(entry.any_name for entry in model.inputs)

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        given = {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}
        with self._lock:
            found = self._request.infer(given, share_inputs=True)
            return [np.array(found[place]) for place in range(len(found))]
