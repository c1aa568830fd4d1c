"""int8 with a range for each token: the numbers of its definition, and no row that suffers from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from taskloom.inference.graphs import open_graph  # noqa: E402
from taskloom.inference.per_token import INPUT_STEPS, WEIGHT_STEPS, write_per_token  # noqa: E402

WIDTH, COLUMNS, WORDS = 48, 20, 1500


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph of two products of one input and of a table, as encoders have them."""
    draw = np.random.default_rng(0)
    helper, tensor = onnx.helper, onnx.numpy_helper.from_array
    sizes = np.logspace(-3, 2, WORDS)[:, None]
    values = {name: np.clip(draw.normal(size=(WIDTH, COLUMNS)), -1, 1) for name in ("first", "second")}
    for value in values.values():
        value[4:6] = [[2], [0]]  # the others are half a range at most: no two products pass 16 bits on any processor
    values |= {"words": draw.normal(size=(WORDS, WIDTH)) * sizes}
    weights = [tensor(value.astype(np.float32), name) for name, value in values.items()]
    nodes = [
        helper.make_node("MatMul", ["states", "first"], ["one"]),
        helper.make_node("MatMul", ["states", "second"], ["other"]),
        helper.make_node("MatMul", ["one", "turned"], ["scores"]),  # both are activations: left as it is
        helper.make_node("Transpose", ["other"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Gather", ["words", "ids"], ["looked_up"]),
    ]
    nodes[2], nodes[3] = nodes[3], nodes[2]
    kind = onnx.TensorProto
    shape = ["batch", "length"]
    given = [
        helper.make_tensor_value_info("states", kind.FLOAT, [*shape, WIDTH]),
        helper.make_tensor_value_info("ids", kind.INT64, shape),
    ]
    wanted = [helper.make_tensor_value_info(name, kind.FLOAT, None) for name in ("one", "other", "scores", "looked_up")]
    model = helper.make_model(
        helper.make_graph(nodes, "products", given, wanted, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def both(graph: Path) -> tuple[Any, Any]:
    """The graph as it is and in int8."""
    write_per_token(graph, graph.with_name("int8.onnx"))
    return open_graph(graph), open_graph(graph.with_name("int8.onnx"))


def weight(graph: Path, name: str) -> np.ndarray[Any, Any]:
    """Return a weight of the graph."""
    return np.asarray(
        next(onnx.numpy_helper.to_array(one) for one in onnx.load(graph).graph.initializer if one.name == name)
    )


def by_definition(states: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the product of rows rounded to steps of their own range with columns rounded to steps of theirs."""
    low, high = states.min(-1, keepdims=True), states.max(-1, keepdims=True)
    upward = np.abs(low) < np.abs(high)
    base, far = np.where(upward, low, high), np.where(upward, high, low)
    rows = np.rint((states - base) / (far - base) * INPUT_STEPS) / INPUT_STEPS * (far - base) + base
    scale = np.abs(values).max(0, keepdims=True) / WEIGHT_STEPS
    return np.asarray(rows @ (np.rint(values / scale) * scale))


@given(
    seed=st.integers(0, 2**16),
    size=st.sampled_from([1e-3, 1.0, 300.0]),
    shift=st.sampled_from([-5.0, 0.0, 2.0]),
    far=st.sampled_from([-40, 1, 40]),
)
def test_products_are_those_of_the_definition(
    seed: int, size: float, shift: float, far: int, graph: Path, both: tuple[Any, Any]
) -> None:
    """Whatever the size and the place of the numbers, also with one that is far from the others."""
    states = np.random.default_rng(seed).normal(shift, 1, (2, 3, WIDTH)).astype(np.float32)
    states[:, 1, 7] *= far
    states *= np.float32(size)
    found = both[1]({"states": states, "ids": np.zeros((2, 3), np.int64)})
    for place, name in enumerate(("first", "second")):
        expected = by_definition(states.astype(np.float64), weight(graph, name).astype(np.float64))
        step = (states.max() - states.min()) / INPUT_STEPS * np.abs(weight(graph, name)).max()
        assert np.abs(found[place] - expected).max() <= 2.5 * step  # halves may be rounded the other way
        assert np.abs(found[place] - expected).mean() <= 0.05 * step
    assert np.allclose(found[2], found[0] @ found[1].transpose(0, 2, 1), rtol=1e-4, atol=1e-3 * size**2)


def test_a_row_does_not_depend_on_others(both: tuple[Any, Any]) -> None:
    """A token a thousand times as large beside it leaves an answer as it is; one range for both would not."""
    states = np.random.default_rng(1).normal(size=(1, 2, WIDTH)).astype(np.float32)
    beside = states * np.array([1, 1000], np.float32)[:, None]
    alone, together = (both[1]({"states": given, "ids": np.zeros((1, 2), np.int64)}) for given in (states, beside))
    assert np.array_equal(alone[0][0, 0], together[0][0, 0])
    assert not np.array_equal(alone[0][0, 1], together[0][0, 1])


def test_tables_have_a_scale_for_each_row(graph: Path, both: tuple[Any, Any]) -> None:
    """Small rows keep their digits beside rows a hundred thousand times as large."""
    ids = np.arange(WORDS).reshape(1, -1)
    found = both[1]({"states": np.ones((1, WORDS, WIDTH), np.float32), "ids": ids})[3][0]
    words = weight(graph, "words")
    assert (np.abs(found - words).max(1) <= np.abs(words).max(1) / 254 * 1.001).all()
    assert not np.array_equal(found, words)


def test_equal_numbers_and_size(graph: Path, both: tuple[Any, Any]) -> None:
    """A row without any width is its number times the column sums; the file is a third of what it was, or less."""
    states = np.full((1, 2, WIDTH), 3.0, np.float32)
    found = both[1]({"states": states, "ids": np.zeros((1, 2), np.int64)})
    assert np.allclose(found[0][0, 0], 3 * weight(graph, "first").sum(0), atol=3 * WIDTH * 4 / WEIGHT_STEPS / 2)
    assert np.isfinite(found[1]).all()
    assert graph.with_name("int8.onnx").stat().st_size < graph.stat().st_size / 3
