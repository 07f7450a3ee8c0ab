"""What TensorRT makes of a tower: the engine's own answers where there is a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.manifest import TowerSpec
from edge.vision.session import OrtSession, SessionOptions, available_providers
from export.embedding import F32, onnx_embed
from export.parity import HALF_IMAGES, GateReport, in_batches, min_cosine
from export.tensorrt_check import check_tensorrt

MIN_COSINE = 0.99
BATCH_SIZES: tuple[int, ...] = TowerSpec.model_fields["batch_sizes"].default


def on_tensorrt(report: GateReport, file: Path, images: F32) -> GateReport:
    """`report` with what stands in TensorRT's way, and where there is a GPU its cosine to the CPU."""
    failures = report.failures + tuple(
        f"TensorRT: {failure}" for failure in check_tensorrt(file, BATCH_SIZES).failures
    )
    values = dict(report.values)
    cosine = engine_cosine(file, images[:HALF_IMAGES], BATCH_SIZES)
    if cosine is not None:
        values["min_cosine_tensorrt"] = cosine
        if not cosine >= MIN_COSINE:
            failures += (f"TensorRT: cosine {cosine:.4f} to the CPU is below {MIN_COSINE}",)
    return GateReport(values, failures)


def engine_cosine(file: Path, images: F32, batch_sizes: Sequence[int]) -> float | None:
    """The least cosine of TensorRT's answers to the CPU's, or None where there is no TensorRT.

    The first call builds the engine, which takes minutes. Raises InferenceError where that fails.
    """
    if "tensorrt" not in available_providers():
        return None
    session = OrtSession(file, "tensorrt", SessionOptions(batch_sizes=tuple(batch_sizes)))

    def embed(batch: F32) -> F32:
        return session.run(batch)[0]

    one = in_batches(onnx_embed(file), images)
    return min_cosine(one, in_batches(embed, images, max(batch_sizes)))
