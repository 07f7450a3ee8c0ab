from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime.quantization")

from edge.vision.session import OrtSession, SessionOptions  # noqa: E402
from export.quantise import StaticOptions, quantise_dynamic, quantise_static  # noqa: E402
from export.saturation import MAX_PAIR, pair_overrides, pair_scales  # noqa: E402

I64 = NDArray[np.int64]


def quantised(weight: NDArray[np.float32], axis: int) -> I64:
    """As onnxruntime rounds: half to even."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    whole = np.rint(weight / pair_scales(weight, axis).reshape(shape))
    return np.clip(whole, -128, 127).astype(np.int64)


def in_16_bits(activations: I64, column: I64) -> int:
    """A dot product as processors without VNNI compute it: pairs of products, saturated, then summed."""
    if len(column) % 2:
        activations, column = np.append(activations, 0), np.append(column, 0)
    pairs = (activations * column).reshape(-1, 2).sum(axis=1)
    return int(np.clip(pairs, -(2**15), 2**15 - 1).sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tail=st.floats(0.3, 3.0), shift=st.integers(0, 1))
def test_no_sum_of_products_saturates(seed: int, tail: float, shift: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = np.abs(rng.standard_normal((31, 5))) ** tail
    weight = (sizes * rng.choice([-1, 1], (31, 5)) * 10.0 ** rng.uniform(-6, 2)).astype(np.float32)
    largest = np.abs(weight).max(axis=0)
    scales = pair_scales(weight, axis=1)
    assert (scales <= np.maximum(largest / 63.4, scales.max() / 4000)).all()  # seven bits at least
    for column in quantised(weight, axis=1).T:
        loud = np.where(rng.random(31) < 0.8, 255, 0)
        column, loud = column[shift:], loud[shift:]
        assert in_16_bits(loud, column) == int((loud * column).sum())
        full = np.full(len(column), 255)
        assert in_16_bits(full, column) == int((full * column).sum())


def test_eight_bits_would_saturate() -> None:
    """What the scales guard against, and that two neighbours are what counts."""
    column = np.array([127, 127, -5, 3])
    loud = np.full(4, 255)
    assert in_16_bits(loud, column) != int((loud * column).sum())
    weight = np.array([[0.127], [0.127], [-0.005], [0.003]], np.float32)
    np.testing.assert_array_equal(quantised(weight, axis=1)[:, 0], [63, 63, -2, 1])
    apart = np.array([[0.127], [-0.127], [0.001], [0.127]], np.float32)
    np.testing.assert_array_equal(quantised(apart, axis=1)[:, 0], [126, -126, 1, 126])


def test_a_convolution_has_neighbours_in_both_orders() -> None:
    """A kernel may go through the inputs first or through the places first."""
    side_by_side = np.zeros((3, 2, 1, 2), np.float32)
    side_by_side[0, 0, 0] = 1.0  # in a row
    side_by_side[1, :, 0, 1] = 1.0  # of two inputs
    side_by_side[2, 0, 0, 0] = side_by_side[2, 1, 0, 1] = 1.0  # neither, but 1.0 beside 0.0
    whole = quantised(side_by_side, axis=0)
    assert whole.reshape(3, -1).max(axis=1).tolist() == [64, 64, 127]


def test_a_channel_of_zeros_keeps_a_scale() -> None:
    weight = np.array([[0.0, 2.0], [0.0, -1.0]], np.float32)
    scales = pair_scales(weight, axis=1)
    assert scales[0] == pytest.approx(scales[1] / 4096)
    assert (pair_scales(np.zeros((2, 2), np.float32), axis=1) > 0).all()


def test_only_what_is_quantised_gets_scales() -> None:
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "kernel": np.ones((3, 2, 1, 1), np.float32),
        "first": np.ones((4, 2, 1, 1), np.float32),
        "matrix": np.ones((2, 5), np.float32),
        "across": np.ones((6, 2), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["a", "first"], ["b"], name="conv-first"),
        helper.make_node("Conv", ["b", "kernel"], ["c"], name="conv"),
        helper.make_node("MatMul", ["c", "matrix"], ["d"], name="product"),
        helper.make_node("MatMul", ["d", "c"], ["e"], name="of-two-inputs"),
        helper.make_node("Gemm", ["e", "across"], ["f"], name="gemm", transB=1),
        helper.make_node("Relu", ["f"], ["g"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("g", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    every = ("Conv", "MatMul", "Gemm")
    found = pair_overrides(graph, ops=every, exclude=("conv-first",))
    assert {name: (len(v), v[0]["axis"]) for name, v in found.items()} == {
        "kernel": (3, 0),
        "matrix": (5, 1),
        "across": (6, 0),
    }
    assert set(pair_overrides(graph, ops=("Conv",), exclude=())) == {"first", "kernel"}
    assert MAX_PAIR * 255 < 2**15


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_product_is_quantised_with_these_scales_either_way(
    tmp_path: Path, transposed: int, mode: str
) -> None:
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((64, 48)).astype(np.float32), np.ones(48, np.float32)
    stored = np.ascontiguousarray(weight.T) if transposed else weight
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="gemm", transB=transposed)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 48])],
        [numpy_helper.from_array(stored, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file, out = tmp_path / "m.onnx", tmp_path / "q.onnx"
    onnx.save(model, str(file))
    inputs = rng.standard_normal((16, 64)).astype(np.float32)
    if mode == "static":
        quantise_static(file, out, inputs, StaticOptions(), batch=16)
    else:
        quantise_dynamic(file, out)
    (small,) = (
        numpy_helper.to_array(t).astype(int)
        for t in onnx.load(str(out)).graph.initializer
        if t.data_type == TensorProto.INT8 and len(t.dims) == 2
    )
    np.testing.assert_array_equal(small if len(small) == 64 else small.T, quantised(weight, 1))
    exact = inputs @ weight + bias
    answer = OrtSession(out, "cpu", SessionOptions(threads=1)).run(inputs)[0]
    assert np.abs(answer - exact).max() < 0.02 * np.abs(exact).max()
