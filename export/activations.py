"""The largest values inside an ONNX model: what half precision would have to hold.

ONNX Runtime's CPU provider computes FP16 through FP32 casts, so a model that overflows on a GPU
answers rightly there. Recording what flows between the nodes shows it without one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from export.embedding import F32

MAX_ACTIVATION = 3e4
"""Half of what FP16 holds (65,504), as room for pictures that nobody has shown yet."""
_BATCH = 4


def largest_activation(
    model: Path, images: F32, *, islands: Collection[str] = (), nodes: Collection[str] = ()
) -> tuple[float, str]:
    """The largest absolute value that a node gives on ``images``, and the name of that node.

    Args:
        islands: operators whose outputs do not count (kept in FP32).
        nodes: names of nodes whose outputs do not count.

    Returns:
        infinity for a value that is not finite; 0 and "" where nothing is left to record.
    """
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    loaded = onnx.load(str(model))
    makers = {
        node.output[0]: node.name or node.op_type
        for node in loaded.graph.node
        if node.op_type not in islands and node.name not in nodes
    }
    typed = onnx.shape_inference.infer_shapes(loaded).graph
    floats = {
        value.name
        for value in (*typed.value_info, *typed.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    del loaded.graph.output[:]
    wanted = [name for name in makers if name in floats]
    loaded.graph.output.extend(
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in wanted
    )
    if not wanted:
        return 0.0, ""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    largest, where = 0.0, ""
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        shown = Path(folder) / "shown.onnx"
        onnx.save(loaded, str(shown))
        session = ort.InferenceSession(str(shown), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        batch = given.shape[0] if isinstance(given.shape[0], int) else _BATCH
        padded = np.resize(images, (-(-len(images) // batch) * batch, *images.shape[1:]))
        for i in range(0, len(padded), batch):
            outputs = session.run(None, {given.name: padded[i : i + batch]})
            for name, value in zip(wanted, outputs, strict=True):
                top = float(np.abs(value).max(initial=0.0))
                top = top if np.isfinite(top) else float("inf")
                if top > largest:
                    largest, where = top, makers[name]
    return largest, where
