"""An ONNX graph with its matrix products in whole numbers of 8 bits, and a range of its own for each token.

What a trained encoder hands from layer to layer differs from token to token by more than 8 bits hold in one range: with
one range for a whole batch, as ONNX Runtime's own quantization finds it, 93 % of the decisions of a trained entailment
head were those of fp32, with a range for each token 99.0 % (docs/log.md). So each row x of a product's input becomes
`(x - base) / width`, in 0..1 and known ahead as such, which any runtime turns into 8 bits, and the product is put right
with that row's own two numbers (per-token quantization, Yao et al. 2022, ZeroQuant). Weights have a scale for each
column, embedding tables one for each row. It takes no rows to find ranges with. The price: 1.1 times the time of one
range for all.

`base` is the smaller of the row's two ends by size, and `width` the way to the other one, so that one large number, of
either sign, leaves all others near 0: processors without VNNI cut off the sum of two products of an input and a weight
at 16 bits, which large inputs beside large weights would reach.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.inference.graphs import package

Array = NDArray[Any]
INPUT_STEPS = 255
"""Steps of an input's range, 0 to 255."""
WEIGHT_STEPS = 96
"""Steps of a weight's range on each side of zero. On such a processor agreement was 96 % with 127 steps, where sums are
often cut off, 98.8 % with 96, and 97.6 % with 63, where nothing can be cut off."""
TABLE_STEPS = 127
LEAST_ROWS = 1024
"""Rows from which a table is worth its own form: 8 bits of the words, all bits of positions and types."""
SMALLEST = 1e-9
"""The least width of a range: a row of equal numbers has none."""


def write_per_token(source: Path, target: Path) -> None:
    """Write the int8 form of an fp32 ONNX graph. Products of two activations and small tables stay as they are."""
    onnx = package("onnx")
    model = onnx.load(str(source))
    _Rewriting(onnx, model.graph).apply()
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(target))


class _Rewriting:
    """One pass over the nodes of a graph, which are put in their order of computation again as they are replaced."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.given = {one.name: one for one in graph.initializer}
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {
            "steps_to_unit": np.array(1 / INPUT_STEPS, np.float32), "zero": np.array(0, np.uint8),
            "smallest": np.array(SMALLEST, np.float32), "no_width": np.array(0, np.float32),
        }  # fmt: skip
        self.inputs: set[str] = set()

    def apply(self) -> None:
        """Replace nodes and weights of the graph."""
        for node in self.graph.node:
            self._replacement(node)(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        kept = [one for one in self.graph.initializer if one.name in used]
        added = [self.onnx.numpy_helper.from_array(value, f"int8/{name}") for name, value in self.constants.items()]
        del self.graph.initializer[:]
        self.graph.initializer.extend([*kept, *added])

    def _replacement(self, node: Any) -> Callable[[Any], None]:
        weight = {"MatMul": 1, "Gather": 0}.get(node.op_type)
        shape = () if weight is None else self._shape(node.input[weight])
        if len(shape) != 2 or (node.op_type == "Gather" and (shape[0] < LEAST_ROWS or _axis(node))):
            return self.nodes.append
        return self._product if node.op_type == "MatMul" else self._table

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.given[name].dims) if name in self.given else ()

    def _add(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **options))
        return output

    def _constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return f"int8/{name}"

    def _product(self, node: Any) -> None:
        """x W = width of x times (8 bits of x) (8 bits of W), and base of x times the column sums of W."""
        (row, weight), out = node.input, node.output[0]
        self._row(row)
        name = f"{out}/int8"
        of_base = self._add("Mul", [f"{row}/base", self._weight(weight)], f"{name}/of_base")
        product = self._add("MatMul", [f"{row}/int8", f"{weight}/int8"], f"{name}/product")
        spread = self._add("Mul", [product, f"{row}/width"], f"{name}/spread")
        self._add("Add", [spread, of_base], out)

    def _row(self, row: str) -> None:
        """Bring an input into 0..1 and to 8 bits, once for all products that read it."""
        if row in self.inputs:
            return
        self.inputs.add(row)
        high = self._add("ReduceMax", [row], f"{row}/high", axes=[-1], keepdims=1)
        low = self._add("ReduceMin", [row], f"{row}/low", axes=[-1], keepdims=1)
        sizes = [self._add("Abs", [end], f"{end}/size") for end in (low, high)]
        base = self._add("Where", [self._add("Less", sizes, f"{row}/upward"), low, high], f"{row}/base")
        far = self._add("Where", [f"{row}/upward", high, low], f"{row}/far")
        found = self._add("Sub", [far, base], f"{row}/found_width")
        flat = self._add("Equal", [found, "int8/no_width"], f"{row}/is_flat")
        width = self._add("Where", [flat, "int8/smallest", found], f"{row}/width")
        way = self._add("Sub", [row, base], f"{row}/way")
        unit = self._add("Div", [way, width], f"{row}/unit")
        how = ["int8/steps_to_unit", "int8/zero"]
        whole = self._add("QuantizeLinear", [unit, *how], f"{row}/whole")
        self._add("DequantizeLinear", [whole, *how], f"{row}/int8")

    def _weight(self, name: str) -> str:
        """Bring a weight (width, columns) to 8 bits, once; returns the name of its column sums."""
        sums = f"{name}/sums"
        if sums not in self.constants:
            whole, scale = _whole(self.onnx.numpy_helper.to_array(self.given[name]), 0, WEIGHT_STEPS)
            inputs = [
                self._constant(f"{name}/whole", whole), self._constant(f"{name}/scale", scale[0]),
                self._constant(f"{name}/zeros", np.zeros(scale.shape[1], np.int8)),
            ]  # fmt: skip
            self._add("DequantizeLinear", inputs, f"{name}/int8", axis=1)
            self._constant(sums, (whole * scale).sum(0, dtype=np.float32))
        return f"int8/{sums}"

    def _table(self, node: Any) -> None:
        """Look up whole numbers and the scale of their row."""
        (table, ids), out = node.input, node.output[0]
        whole, scale = _whole(self.onnx.numpy_helper.to_array(self.given[table]), 1, TABLE_STEPS)
        rows = self._add("Gather", [self._constant(f"{table}/whole", whole), ids], f"{out}/whole")
        scales = self._add("Gather", [self._constant(f"{table}/scale", scale), ids], f"{out}/scale")
        self._add("Mul", [self._add("Cast", [rows], f"{out}/cast", to=self.onnx.TensorProto.FLOAT), scales], out)


def _whole(values: Array, axis: int, steps: int) -> tuple[Array, Array]:
    """Return values as int8 and their scales along `axis`, which is kept with length one."""
    scale = np.maximum(np.abs(values).max(axis, keepdims=True) / steps, SMALLEST).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def _axis(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
