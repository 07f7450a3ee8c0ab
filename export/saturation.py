"""Scales of eight-bit weights with which no processor's sums of products saturate.

Processors without VNNI multiply unsigned activations with signed weights in neighbouring pairs and add
the two products in 16 bits, which saturate beyond 32,767. The usual remedy keeps every weight to seven
bits (`reduce_range`), but only the sum of two neighbours of one sign has to stay small: 128 at most,
since an activation is 255 at most. Large weights seldom stand side by side, so most channels keep nearly
eight bits, and none has less than seven.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
MAX_PAIR = 128
"""Largest sum of two neighbouring weights of one sign: 255 * 128 is 32,640."""
_LEVELS = 127
_SMALLEST = 2.0**-12


def pair_scales(weight: NDArray[Any], axis: int) -> F64:
    """A scale a channel ``(channels,)`` for ``weight``, ``axis`` being that of its output channels.

    Rounded and clipped to -127..127, two weights that any kernel may multiply side by side and that have
    one sign sum up to MAX_PAIR at most. A channel's weights are neighbours in the order of a matrix's
    column, and of a convolution's (input, row, column) as well as (row, column, input).
    """
    rows = np.moveaxis(weight.astype(np.float64), axis, 0)
    largest = np.abs(rows.reshape(len(rows), -1)).max(axis=1, initial=0.0)
    orders = [rows.reshape(len(rows), -1)]
    if rows.ndim > 2:
        orders.append(np.moveaxis(rows, 1, -1).reshape(len(rows), -1))
    for order in orders:
        pairs = np.abs(order[:, :-1] + order[:, 1:])
        same = np.sign(order[:, :-1]) == np.sign(order[:, 1:])
        largest = np.maximum(largest, np.where(same, pairs, 0.0).max(axis=1, initial=0.0))
    # rounding adds half a step to each of a pair, so 127 and not MAX_PAIR; a channel of next to nothing
    # keeps a scale at which its bias still fits 32 bits
    least = max(float(largest.max(initial=0.0)) * _SMALLEST, 1e-12)
    return np.asarray(np.maximum(largest, least) / _LEVELS)


def pair_overrides(
    graph: Any, *, ops: Collection[str], exclude: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """The scales as onnxruntime's quantiser takes them (``TensorQuantOverrides``), by weight.

    Weights are the constant second inputs of the convolutions and matrix products in ``graph``, of the
    operators ``ops`` and without the nodes ``exclude``.
    """
    from onnx import numpy_helper
    from onnxruntime.quantization import QuantType

    constants = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, list[dict[str, Any]]] = {}
    for node in graph.node:
        axis = _channel_axis(node)
        name = node.input[1] if len(node.input) > 1 else ""
        if axis is None or node.op_type not in ops or node.name in exclude or name not in constants:
            continue
        weight = numpy_helper.to_array(constants[name])
        if weight.ndim < 2:
            continue
        zero = np.array(0, np.int8)
        found[name] = [
            {
                "quant_type": QuantType.QInt8,
                "scale": np.array(scale, np.float32),
                "zero_point": zero,
            }
            for scale in pair_scales(weight, axis)
        ]
        found[name][0]["axis"] = axis
    return found


def _channel_axis(node: Any) -> int | None:
    """Which axis of its weight a node's output channels are; None where it has no such weight."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "MatMul":
        return 1
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i == 1 for a in node.attribute) else 1
    return None
