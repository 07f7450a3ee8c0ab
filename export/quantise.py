"""FP32 ONNX → INT8 ONNX by onnxruntime's quantiser, static (QDQ) or dynamic.

Activations are unsigned and weights signed, with a scale a channel at which sums of products do not
saturate on processors without VNNI (`export.saturation`). Unsigned weights (U8U8) need no such care, but
run at a third of FP32's speed where there is VNNI.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.atomic import write_bytes
from edge.errors import BundleError
from export.embedding import F32
from export.saturation import pair_overrides

Calibration = Literal["minmax", "percentile", "entropy"]
_WEIGHTED = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class StaticOptions:
    """How ranges are found and what is quantised; nodes in `exclude` stay in FP32.

    `ops` limits quantisation to these operators; None leaves the choice to onnxruntime.
    """

    exclude: tuple[str, ...] = ()
    ops: tuple[str, ...] | None = None
    calibration: Calibration = "minmax"


def quantise_static(fp32: Path, out: Path, images: F32, options: StaticOptions, batch: int) -> None:
    """Write a QDQ model calibrated on ``images (n, …) float32``, n ≥ 1, in batches of ``batch``.

    Raises:
        BundleError: when onnxruntime cannot quantise the model.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    # the calibrator stacks what it saw, so all batches have one size
    padded = np.resize(images, (-(-len(images) // batch) * batch, *images.shape[1:]))
    with tempfile.TemporaryDirectory(dir=out.parent) as folder, _quantiser(fp32):
        prepared, quantised = prepare(fp32, Path(folder)), Path(folder) / "int8.onnx"
        name = input_name(prepared)
        scales = pair_overrides(
            _graph(prepared), ops=options.ops or _WEIGHTED, exclude=options.exclude
        )

        class _Batches(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._starts = iter(range(0, len(padded), batch))

            def get_next(self) -> dict[str, F32] | None:
                at = next(self._starts, None)
                return None if at is None else {name: padded[at : at + batch]}

        quantize_static(
            str(prepared),
            str(quantised),
            _Batches(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(options.ops) if options.ops is not None else None,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # of weights that have no scale of their own
            calibrate_method=methods[options.calibration],
            nodes_to_exclude=list(options.exclude),
            extra_options={
                "ActivationSymmetric": False,
                "WeightSymmetric": True,
                "TensorQuantOverrides": scales,
            },
        )
        write_bytes(out, quantised.read_bytes())


def quantise_dynamic(fp32: Path, out: Path, *, exclude: Collection[str] = ()) -> None:
    """Write a model whose weight matrices are INT8 and whose activations are quantised as it runs.

    Only products with constant matrices are quantised: convolutions gain nothing from it.

    Raises:
        BundleError: when onnxruntime cannot quantise the model.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(dir=out.parent) as folder, _quantiser(fp32):
        prepared, quantised = prepare(fp32, Path(folder)), Path(folder) / "int8.onnx"
        ops = ["MatMul", "Gemm"]
        quantize_dynamic(
            str(prepared),
            str(quantised),
            op_types_to_quantize=ops,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(exclude),
            extra_options={
                "MatMulConstBOnly": True,
                "TensorQuantOverrides": pair_overrides(_graph(prepared), ops=ops, exclude=exclude),
            },
        )
        write_bytes(out, quantised.read_bytes())


def prepare(fp32: Path, folder: Path) -> Path:
    """The model with shapes inferred and batch norms folded, as the quantiser wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = folder / "prepared.onnx"
    with _quiet():
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
    return prepared


def input_name(file: Path) -> str:
    """The name of a model's first input."""
    import onnx

    return str(onnx.load(str(file), load_external_data=False).graph.input[0].name)


def _graph(file: Path) -> Any:
    import onnx

    return onnx.load(str(file)).graph


@contextmanager
def _quantiser(fp32: Path) -> Iterator[None]:
    try:
        with _quiet():
            yield
    except OSError:
        raise
    except Exception as error:  # the quantiser raises whatever its parts raise
        raise BundleError(f"{fp32}: cannot be quantised: {error!r}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(max(logging.ERROR, level))
    try:
        yield
    finally:
        root.setLevel(level)
