"""FP32 ONNX → INT8 and FP16 files of the same tower."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

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


def to_int8(
    fp32: Path, out: Path, calibration: F32, *, keep_fp32: Sequence[str] = (), batch: int = 16
) -> None:
    """Static QDQ quantisation, calibrated on (n, 3, S, S) float32 store crops.

    Activations are unsigned, weights signed a channel with `reduce_range`: seven bits cannot
    saturate the 16-bit sums of processors without VNNI. Nodes named in `keep_fp32`, and the final
    normalisation, stay in FP32.
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

    class _Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts = iter(np.array_split(calibration, max(1, len(calibration) // batch)))

        def get_next(self) -> dict[str, F32] | None:
            part = next(self._parts, None)
            return None if part is None else {name: np.ascontiguousarray(part)}

    logging.getLogger().setLevel(max(logging.WARNING, logging.getLogger().level))
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
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
            op_types_to_quantize=["Conv", "MatMul", "Gemm", "Add", "GlobalAveragePool"],
            nodes_to_exclude=list(keep_fp32),
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
