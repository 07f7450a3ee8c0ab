"""A detector in FP16 and INT8, each behind an AP gate against its own FP32 form.

Boxes are decoded in FP32 whatever the precision: at 640 px a half knows positions to half a pixel,
and eight bits to two or three.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from edge.errors import BundleError, ConfigError
from edge.vision.preprocess import letterbox
from export.activations import MAX_ACTIVATION, largest_activation
from export.detector_evaluation import DetectorFile, evaluate_detector
from export.embedding import F32
from export.fp16 import write_fp16
from export.latency import speed_up
from export.quantise import StaticOptions, prepare, quantise_static
from export.views import LabelledPhoto

MAX_LOSS = {"fp16": 0.005, "int8": 0.01}
"""AP@[.50:.95] and AP50 that a precision may cost."""
CALIBRATION_PHOTOS = 48
_ACTIVATION_PHOTOS = 8


@dataclass(frozen=True, slots=True)
class PrecisionReport:
    """What a precision costs and gains, and what did not hold.

    ``values`` are AP and AP50 of both forms and their losses (of FP32, in 0..1), of FP16 the largest
    activation outside the decoding, and in a report of ``write_precision`` ``speed_up``: how many times
    as fast as FP32 it is on one thread of this CPU, which computes halves through FP32.
    """

    precision: Literal["fp16", "int8"]
    values: dict[str, float]
    failures: tuple[str, ...]

    def line(self) -> str:
        """In words."""
        values = self.values
        parts = [
            f"{name} {values[f'{key}_fp32']:.3f} -> {values[f'{key}_{self.precision}']:.3f}"
            f" (loss {values[f'{key}_loss']:+.4f})"
            for name, key in (("AP", "ap"), ("AP50", "ap50"))
        ]
        if "max_activation" in values:
            parts.append(f"largest activation {values['max_activation']:.4g}")
        if "speed_up" in values:
            parts.append(f"{values['speed_up']:.2f} times as fast as fp32 on this CPU")
        return ", ".join(parts)


def write_precision(
    model: DetectorFile,
    out: Path,
    precision: Literal["fp16", "int8"],
    *,
    gate: Sequence[LabelledPhoto],
    calibration: Sequence[LabelledPhoto] = (),
    threads: int | None = None,
) -> PrecisionReport:
    """Write ``out`` and measure it on ``gate``.

    Args:
        calibration: photos of which the first CALIBRATION_PHOTOS give INT8 its ranges; they must not
            be those of ``gate``.

    Raises:
        ConfigError: when INT8 has no calibration photos, or they are the gate's.
        BundleError: when the precision does not hold its gate; ``out`` is gone then.
    """
    same = {p.path.resolve() for p in gate} & {p.path.resolve() for p in calibration}
    if same:
        raise ConfigError(f"{min(same)}: calibrates INT8 and would also judge it")
    if precision == "int8":
        if not calibration:
            raise ConfigError("INT8 needs photos to calibrate on (--calibrate)")
        detector_to_int8(model, out, _inputs(model, calibration[:CALIBRATION_PHOTOS]))
    else:
        write_fp16(model.path, out, nodes=decoding_nodes(model.path))
    try:
        report = judge(model, replace(model, path=out), precision, gate, threads=threads)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    if report.failures:
        out.unlink()
        raise BundleError(f"{out}: {'; '.join(report.failures)}")
    faster = speed_up(model.path, out, max(model.spec.input_wh), batch=1)
    return replace(report, values={**report.values, "speed_up": faster})


def judge(
    full: DetectorFile,
    low: DetectorFile,
    precision: Literal["fp16", "int8"],
    photos: Sequence[LabelledPhoto],
    *,
    threads: int | None = None,
) -> PrecisionReport:
    """AP of ``low`` against ``full`` on the device's decode, whole photos."""
    one, other = (
        evaluate_detector(model, photos, model.path, threads=threads).scores
        for model in (full, low)
    )
    values = {
        "ap_fp32": one.ap,
        f"ap_{precision}": other.ap,
        "ap50_fp32": one.ap50,
        f"ap50_{precision}": other.ap50,
        "ap_loss": one.ap - other.ap,
        "ap50_loss": one.ap50 - other.ap50,
    }
    allowed = MAX_LOSS[precision]
    failures = [
        f"{name} falls from {before:.4f} to {after:.4f} in {precision}, by more than {allowed}"
        for name, before, after in (("AP", one.ap, other.ap), ("AP50", one.ap50, other.ap50))
        if after < before - allowed
    ]
    if not one.ap > 0:
        failures.append("the FP32 detector finds nothing on these photos, so nothing is compared")
    if precision == "fp16":
        inputs = _inputs(full, photos[:_ACTIVATION_PHOTOS])
        largest, node = largest_activation(full.path, inputs, nodes=decoding_nodes(full.path))
        values["max_activation"] = largest
        if not largest < MAX_ACTIVATION:
            failures.append(f"an activation of {largest:.4g} ({node}) overflows FP16")
    return PrecisionReport(precision, values, tuple(failures))


def detector_to_int8(model: DetectorFile, out: Path, calibration: F32) -> None:
    """Static QDQ of the convolutions but the first and the last of each branch of the head."""
    import onnx

    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        prepared = prepare(model.path, Path(folder))
        graph = onnx.load(str(prepared)).graph
        batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value or 4
        first = next((node.name for node in graph.node if node.op_type == "Conv"), "")
        exclude = (first, *decoding_nodes(prepared, with_last=True))
    options = StaticOptions(exclude=exclude, ops=("Conv",), calibration="minmax")
    quantise_static(model.path, out, calibration, options, batch)


def decoding_nodes(file: Path, *, with_last: bool = False) -> list[str]:
    """Names of the nodes between the head's last convolutions and the output.

    The convolution that sums a distribution over distances has one output channel and no bias; it
    belongs to the decoding. ``with_last`` adds the last convolutions themselves.
    """
    import onnx

    graph = onnx.load(str(file), load_external_data=False).graph
    makers = {output: node for node in graph.node for output in node.output}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    names: dict[str, None] = {}
    open_tensors = [output.name for output in graph.output]
    while open_tensors:
        node = makers.get(open_tensors.pop())
        if node is None or node.name in names:
            continue
        if node.op_type == "Conv":
            sums = len(node.input) == 2 and shapes.get(node.input[1], (0,))[0] == 1
            if not sums:
                if with_last:
                    names[node.name] = None
                continue
        names[node.name] = None
        if node.op_type != "Shape":  # a shape is read from feature maps: no way into the decoding
            open_tensors += node.input
    return list(names)


def _inputs(model: DetectorFile, photos: Sequence[LabelledPhoto]) -> F32:
    """The photos as the device's first pass sees them: ``(n, 3, H, W)`` or ``(n, H, W, 3)``."""
    spec = model.spec
    return np.concatenate(
        [
            letterbox(
                photo.image(), spec.input_wh, layout=spec.layout, value_range=spec.value_range
            )[0]
            for photo in photos
        ]
    )
