"""FP32 ONNX → FP16 ONNX with islands that stay in FP32, weights included."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from edge.atomic import write_bytes
from edge.errors import BundleError
from export.activations import MAX_ACTIVATION


def write_fp16(
    fp32: Path, out: Path, *, ops: Collection[str] = (), nodes: Collection[str] = ()
) -> None:
    """Write `out`: half precision inside, float32 input and output, and FP32 for `ops` and `nodes`.

    Raises:
        BundleError: when a weight outside the islands exceeds the range of a half.
    """
    import onnx
    from onnx import numpy_helper
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(str(fp32))
    _transpose_later(model.graph)
    full = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    islands = [n for n in model.graph.node if n.op_type in ops or n.name in nodes]
    own = {id(n) for n in islands}
    halved = {name for n in model.graph.node if id(n) not in own for name in n.input}
    for name, values in full.items():
        largest = float(np.abs(values).max(initial=0.0))
        if name in halved and not largest < MAX_ACTIVATION:
            raise BundleError(f"{fp32}: {name} exceeds the range of FP16")
    converted = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=list(ops),
        node_block_list=sorted(nodes),
        disable_shape_infer=False,
    )
    _restore(converted.graph, full)
    _sort(converted.graph)
    del converted.graph.value_info[:]  # the converter leaves the types of before
    write_bytes(out, converted.SerializeToString())


def _transpose_later(graph: Any) -> None:
    """Product with a matrix first, then the transposition of the axes before the last: the same values.

    ONNX Runtime 1.32 crashes on the CPU when it fuses a half-precision product with such a
    transposition of its input, which is how open_clip's transformers begin each attention.
    """
    makers = {output: node for node in graph.node for output in node.output}
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    for product in [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in matrices]:
        turn = makers.get(product.input[0])
        if turn is None or turn.op_type != "Transpose":
            continue
        order = list(turn.attribute[0].ints)
        if order[-1] != len(order) - 1:
            continue
        later = type(turn).FromString(turn.SerializeToString())
        later.name = f"{product.name}_turned"
        later.input[0], later.output[0] = f"{product.output[0]}_unturned", product.output[0]
        product.input[0], product.output[0] = turn.input[0], later.input[0]
        graph.node.insert(list(graph.node).index(product) + 1, later)
    read = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    for node in [n for n in graph.node if n.op_type == "Transpose" and n.output[0] not in read]:
        graph.node.remove(node)


def _restore(graph: Any, full: dict[str, np.ndarray[Any, Any]]) -> None:
    """Give islands their weights back in FP32 where the converter rounded and widened them again.

    (A convolution whose weights come out of such a cast crashes ONNX Runtime 1.32, too.)
    """
    import onnx
    from onnx import numpy_helper

    for node in list(graph.node):
        to = next((a.i for a in node.attribute if a.name == "to"), None)
        if node.op_type == "Cast" and to == onnx.TensorProto.FLOAT and node.input[0] in full:
            value = full[node.input[0]]
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    used |= {value.name for value in graph.output}
    for tensor in list(graph.initializer):
        if tensor.name not in used:
            graph.initializer.remove(tensor)


def _sort(graph: Any) -> None:
    """Nodes after those that feed them: the converter puts its casts at the end."""
    makers = {output: node for node in graph.node for output in node.output}
    placed: set[int] = set()
    ordered: list[Any] = []
    for last in list(graph.node):
        waiting = [last]
        while waiting:
            node = waiting[-1]
            before = [makers[n] for n in node.input if n in makers and id(makers[n]) not in placed]
            if before:
                waiting += before
                continue
            waiting.pop()
            if id(node) not in placed:
                placed.add(id(node))
                ordered.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)
