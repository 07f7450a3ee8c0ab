"""FP32 ONNX → INT8 and FP16 files of the same tower."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.atomic import write_bytes
from edge.errors import BundleError
from export.embedding import F32

FP32_ISLANDS = (
    "LayerNormalization",
    "Softmax",
    "ReduceL2",
    "ReduceSum",
    "ReduceMean",
    "LpNormalization",
    "Div",
    "Sqrt",
    "Pow",
    "Clip",
)
_TAIL = {*FP32_ISLANDS, "Expand", "Shape", "Concat", "Reshape", "Max", "Mul", "Gemm", "MatMul"}


def to_int8(
    fp32: Path, out: Path, calibration: F32, *, batch: int = 16, first_fp32: int = 3
) -> None:
    """Static QDQ quantisation, calibrated on (n, 3, S, S) float32 store crops, n ≥ 1.

    Activations are unsigned, weights signed a channel with `reduce_range`: seven bits cannot
    saturate the 16-bit sums of processors without VNNI. ReLU and clipping are folded into the
    quantisation before them. The first `first_fp32` convolutions (few channels, so seven bits cost
    the most there and time the least), the projection and the normalisation stay in FP32.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    name = onnx.load(str(fp32), load_external_data=False).graph.input[0].name
    # the calibrator stacks what it saw, so all batches have one size
    padded = np.resize(calibration, (-(-len(calibration) // batch) * batch, *calibration.shape[1:]))

    class _Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts = iter(range(0, len(padded), batch))

        def get_next(self) -> dict[str, F32] | None:
            at = next(self._parts, None)
            return None if at is None else {name: padded[at : at + batch]}

    with tempfile.TemporaryDirectory(dir=out.parent) as folder, _quiet():
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        first = [node.name for node in graph.node if node.op_type == "Conv"][:first_fp32]
        quantize_static(
            str(prepared),
            str(quantised),
            _Crops(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[*first, *_tail(graph)],
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        write_bytes(out, quantised.read_bytes())


def to_fp16(fp32: Path, out: Path) -> None:
    """Half precision inside, float32 input and output, FP32 islands where halves overflow.

    The islands (FP32_ISLANDS) are normalisations and softmax; weights beyond the range of a half
    are refused with BundleError.
    """
    import onnx
    from onnx import numpy_helper
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(str(fp32))
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size and float(np.abs(values).max()) > 3e4:
            raise BundleError(f"{fp32}: {tensor.name} exceeds the range of FP16")
    converted = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=list(FP32_ISLANDS), disable_shape_infer=False
    )
    write_bytes(out, converted.SerializeToString())


def _tail(graph: Any) -> list[str]:
    """Names of the nodes from the projection to the output: cheap, and the most sensitive."""
    makers = {output: node for node in graph.node for output in node.output}
    names: list[str] = []
    open_tensors = [output.name for output in graph.output]
    while open_tensors:
        node = makers.get(open_tensors.pop())
        if node is not None and node.op_type in _TAIL and node.name not in names:
            names.append(node.name)
            # a projection ends the tail; what feeds it is the trunk
            if node.op_type not in ("Gemm", "MatMul"):
                open_tensors += node.input
    return names


@contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(max(logging.ERROR, level))
    try:
        yield
    finally:
        root.setLevel(level)
