"""Recovers accuracy that INT8 lost by fitting the FP32 projection to the features that INT8 gives.

Quantisation shifts and shrinks the trunk's features in a way that is much the same for all pictures.
The projection after it is FP32 and linear, so it can undo what is linear in that: it is fitted by
ridge regression, towards its old weights, so that INT8 embeddings meet the FP32 ones (the bias
correction of Nagel et al., ICCV 2019, carried to the whole last layer). No labels are needed.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.atomic import write_bytes
from export.embedding import F32, onnx_embed
from export.parity import in_batches
from export.precision import tail_nodes

RIDGE = 0.003
"""Pull towards the old weights, as a share of the sum of the features' squares."""
_HELD_OUT = 4

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Projection:
    """``weight (in, out)``, ``bias (out,)`` or None, and the tensors' names in the graph."""

    given: str
    result: str
    names: tuple[str, ...]
    weight: F64
    bias: F64 | None
    transposed: bool

    def __call__(self, features: F64) -> F64:
        return np.asarray(features @ self.weight + (0.0 if self.bias is None else self.bias))

    def fitted(self, features: F64, goal: F64) -> _Projection:
        """Ridge regression of what this projection misses."""
        missed = goal - self(features)
        mean_x, mean_y = features.mean(axis=0), missed.mean(axis=0)
        if self.bias is None:
            mean_x, mean_y = np.zeros_like(mean_x), np.zeros_like(mean_y)
        x, y = features - mean_x, missed - mean_y
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += max(RIDGE * float(np.trace(gram)), 1e-12)
        change = np.linalg.solve(gram, x.T @ y)
        bias = None if self.bias is None else self.bias + mean_y - mean_x @ change
        weight = self.weight + change
        return _Projection(self.given, self.result, self.names, weight, bias, self.transposed)


def refit_projection(fp32: Path, int8: Path, images: F32) -> bool:
    """Rewrites `int8` with a projection fitted on ``images (n, 3, S, S)`` where that helps.

    It is first fitted on three pictures of four: only where the cosine to FP32 rises on the others is
    it fitted on all and written. False where nothing was changed, also because the tower does not end
    in one linear projection with constant weights.
    """
    full, low = _read(fp32), _read(int8)
    if full is None or low is None or len(images) < 2 * _HELD_OUT:
        return False
    goal = _tensor(fp32, full.result, images)
    seen = _tensor(int8, low.given, images)
    held = np.arange(len(images)) % _HELD_OUT == 0
    trial = low.fitted(seen[~held], goal[~held])
    if _cosine(trial(seen[held]), goal[held]) <= _cosine(low(seen[held]), goal[held]):
        return False
    _write(int8, low.fitted(seen, goal))
    return True


def _read(file: Path) -> _Projection | None:
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    nodes = {node.name: node for node in graph.node}
    tail = [nodes[name] for name in tail_nodes(graph)]
    found = [node for node in tail if node.op_type in ("Gemm", "MatMul")]
    constants = {t.name: t for t in graph.initializer}
    if not found or not set(found[0].input[1:]) <= set(constants):
        return None
    node = found[0]
    joined = any(n.op_type == "Concat" and node.input[0] in n.output for n in tail)
    if len(found) > 1 and not joined:
        return None
    options = {a.name: a for a in node.attribute}
    if any(k in options and options[k].f != 1.0 for k in ("alpha", "beta")) or (
        "transA" in options and options["transA"].i
    ):
        return None
    transposed = "transB" in options and options["transB"].i == 1
    values = [numpy_helper.to_array(constants[n]).astype(np.float64) for n in node.input[1:]]
    return _Projection(
        node.input[0],
        node.output[0],
        tuple(node.input[1:]),
        values[0].T if transposed else values[0],
        values[1] if len(values) > 1 else None,
        transposed,
    )


def _write(file: Path, projection: _Projection) -> None:
    import onnx
    from onnx import numpy_helper

    weight = projection.weight.T if projection.transposed else projection.weight
    values = dict(zip(projection.names, (weight, projection.bias), strict=False))
    model = onnx.load(str(file))
    for tensor in model.graph.initializer:
        value = values.get(tensor.name)
        if value is not None:
            fitted = np.ascontiguousarray(value, dtype=np.float32)
            tensor.CopyFrom(numpy_helper.from_array(fitted, tensor.name))
    write_bytes(file, model.SerializeToString())


def _cosine(one: F64, other: F64) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(norms, 1e-12)).mean())


def _tensor(file: Path, name: str, images: F32) -> F64:
    """What flows through the tensor `name`, ``(n, width)``."""
    import onnx
    from onnx import TensorProto, helper

    model: Any = onnx.load(str(file))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        shown = Path(folder) / "shown.onnx"
        onnx.save(model, str(shown))
        values = in_batches(onnx_embed(shown), images)
    return values.reshape(len(images), -1).astype(np.float64)
