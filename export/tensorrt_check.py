"""Whether TensorRT can take an ONNX model, read from the file: no GPU is needed.

The operators are those that onnx-tensorrt's support matrix (docs/operators.md, TensorRT 9.2) lists as
accepted and that picture models use. What a GPU makes of a model shows only there: `export.engine`
builds the engine where there is one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import InferenceError
from edge.vision.tensorrt import tensorrt_options

_NAMES = """
Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat
Constant ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout
Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm
GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log
LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mod Mul Neg Not OneHot Or PRelu Pad Pow
QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd
ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Sigmoid
Sign Sin Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile
TopK Transpose Trilu Unsqueeze Upsample Where
"""
ACCEPTED = frozenset(_NAMES.split())
MAX_OPSET = 19
MAX_RANK = 8
_RESIZE_MODES = (b"nearest", b"linear")


@dataclass(frozen=True, slots=True)
class TensorRtReport:
    """The optimisation profile (`min`, `opt`, `max`) and what stands in TensorRT's way."""

    profile: dict[str, str]
    failures: tuple[str, ...]


def check_tensorrt(file: Path, batch_sizes: Sequence[int]) -> TensorRtReport:
    """Reads opset, operators, types and shapes of `file`; an empty list of failures means accepted."""
    import onnx

    model = onnx.load(str(file))
    failures = [
        f"{node.domain}::{node.op_type} ({node.name}) runs only in ONNX Runtime"
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx")
    ]
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset > MAX_OPSET:
        failures.append(f"opset {opset} is above {MAX_OPSET}")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx"):
            failures += _node_failures(node, constants)
    failures += _shape_failures(model)
    profile: dict[str, str] = {}
    try:
        profile = _profile(file, model, batch_sizes)
    except InferenceError as error:
        failures.append(str(error))
    return TensorRtReport(profile, tuple(dict.fromkeys(failures)))


def _node_failures(node: Any, constants: dict[str, Any]) -> list[str]:
    kind, name = node.op_type, node.name
    if kind not in ACCEPTED:
        return [f"{kind} ({name}) is not in TensorRT's list of operators"]
    attributes = {a.name: a for a in node.attribute}
    if kind == "MaxPool" and len(node.output) > 1:
        return [f"MaxPool ({name}) asks for indices"]
    if kind == "LayerNormalization" and len([o for o in node.output if o]) > 1:
        return [f"LayerNormalization ({name}) asks for more than its first output"]
    if kind == "Resize" and "mode" in attributes and attributes["mode"].s not in _RESIZE_MODES:
        return [f"Resize ({name}) is {attributes['mode'].s.decode()}, not nearest or linear"]
    weight = constants.get(node.input[1]) if kind in ("Conv", "ConvTranspose") else None
    if weight is not None and len(weight.dims) not in (4, 5):
        return [f"{kind} ({name}) is neither 2D nor 3D"]
    if kind in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
        return _zero_point_failures(node, constants)
    return []


def _zero_point_failures(node: Any, constants: dict[str, Any]) -> list[str]:
    import onnx
    from onnx import numpy_helper

    point = constants.get(node.input[2])
    if point is None or point.data_type == onnx.TensorProto.INT32:
        return []
    if point.data_type != onnx.TensorProto.INT8 or numpy_helper.to_array(point).any():
        return [f"{node.op_type} ({node.name}) is not symmetric INT8"]
    return []


def _shape_failures(model: Any) -> list[str]:
    import onnx

    failures = []
    for side, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            dims = value.type.tensor_type.shape.dim
            if any(not d.dim_value for d in dims[1:]):
                failures.append(f"{side} {value.name} has a dynamic size beside the batch")
    banned = {
        onnx.TensorProto.DOUBLE: "double",
        onnx.TensorProto.STRING: "string",
        onnx.TensorProto.COMPLEX64: "complex",
    }
    del model.graph.value_info[:]  # what tools left there may be out of date
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        return [*failures, f"shapes cannot be inferred: {str(error).splitlines()[0]}"]
    for value in (*inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        if tensor.elem_type in banned:
            failures.append(f"{value.name} is of type {banned[tensor.elem_type]}")
        if len(tensor.shape.dim) > MAX_RANK:
            failures.append(f"{value.name} has {len(tensor.shape.dim)} dimensions")
    return failures


def _profile(file: Path, model: Any, batch_sizes: Sequence[int]) -> dict[str, str]:
    given = model.graph.input[0]
    shape = tuple(d.dim_value or None for d in given.type.tensor_type.shape.dim)
    with tempfile.TemporaryDirectory() as cache:
        options = tensorrt_options(file, given.name, shape, batch_sizes, Path(cache))
    keys = ("min", "opt", "max")
    return {k: str(options.get(f"trt_profile_{k}_shapes", "fixed")) for k in keys}
