"""Gates between one tower and its other forms: the same answers, or no export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import BundleError
from edge.manifest import Preprocessing
from export.activations import MAX_ACTIVATION, largest_activation
from export.datasets import Dataset, Sample
from export.embedding import F32, Embed, normalised, onnx_embed, torch_embed, whole
from export.images import read_rgb
from export.metrics import I64, hits, rank, spread
from export.precision import FP32_ISLANDS, tail_nodes

if TYPE_CHECKING:
    from export.backbones import ImageTower

MIN_COSINE = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.9}
MIN_SPREAD = 0.2
HALF_IMAGES = 32
CALIBRATION_IMAGES = 256


@dataclass(frozen=True, slots=True)
class GateReport:
    """Measured values and the conditions that did not hold (none = passed)."""

    values: dict[str, float]
    failures: tuple[str, ...]

    def require(self, file: Path) -> None:
        """Raises BundleError when a condition failed."""
        if self.failures:
            raise BundleError(f"{file}: {'; '.join(self.failures)}")

    def line(self) -> str:
        """One line for logs."""
        text = ", ".join(f"{name} {value:.5g}" for name, value in self.values.items())
        return text + ("" if not self.failures else " FAILED: " + "; ".join(self.failures))


@dataclass(frozen=True, slots=True, eq=False)
class GateData:
    """Labelled crops: one gallery, and queries of the same SKUs that it does not hold.

    `calibration` gives INT8 its ranges; by default the gallery does. It never judges.
    """

    gallery: Dataset
    queries: Dataset
    calibration: Dataset | None = None

    def gallery_images(self, spec: Preprocessing) -> F32:
        """(G, 3, S, S) float32."""
        return _images(self.gallery.samples, spec)

    def query_images(self, spec: Preprocessing) -> F32:
        """(Q, 3, S, S) float32."""
        return _images(self.queries.samples, spec)

    def calibration_images(self, spec: Preprocessing) -> F32:
        """(n, 3, S, S) float32, CALIBRATION_IMAGES at most, spread over the set."""
        samples = (self.calibration or self.gallery).samples
        step = -(-len(samples) // CALIBRATION_IMAGES)
        return _images(samples[::step], spec)

    def labels(self) -> tuple[I64, I64]:
        """Numbers of the gallery's and the queries' SKUs."""
        ids = {label: i for i, label in enumerate(self.gallery.labels)}
        gallery = np.array([ids[s.label] for s in self.gallery.samples], np.int64)
        return gallery, np.array([ids.get(s.label, -1) for s in self.queries.samples], np.int64)


def onnx_gate(tower: ImageTower, file: Path, images: F32) -> GateReport:
    """FP32 ONNX against torch, each picture alone against in a batch, finite, not collapsed."""
    reference = in_batches(torch_embed(tower), images)
    run = onnx_embed(file)
    exported = in_batches(run, images)
    alone = np.concatenate([run(images[i : i + 1]) for i in range(min(8, len(images)))])
    values = {
        "min_cosine": min_cosine(reference, exported),
        "batch_cosine": min_cosine(exported[: len(alone)], alone),
        "spread": spread(exported),
        "max_norm_error": float(np.abs(np.linalg.norm(exported, axis=1) - 1).max()),
    }
    return _judge(values, exported, {"min_cosine": MIN_COSINE["fp32"], "batch_cosine": 0.99999})


def int8_gate(fp32: Path, int8: Path, data: GateData, spec: Preprocessing) -> GateReport:
    """INT8 top-1 within a point of FP32, with galleries of INT8 and of FP32."""
    return _low_precision_gate(onnx_embed(fp32), onnx_embed(int8), data, spec, "int8")


def fp16_gate(
    tower: ImageTower, fp32: Path, fp16: Path, data: GateData, spec: Preprocessing
) -> GateReport:
    """FP16 against FP32, what halves would have to hold, and a true half-precision run in torch.

    ONNX Runtime's CPU provider computes FP16 through FP32 casts and would hide an overflow.
    """
    from export.half import half_embed

    report = _low_precision_gate(onnx_embed(fp32), onnx_embed(fp16), data, spec, "fp16")
    images = data.query_images(spec)[:HALF_IMAGES]
    largest, node = largest_activation(
        fp32, images, islands=FP32_ISLANDS, nodes=tail_nodes(onnx_graph(fp32))
    )
    half = in_batches(half_embed(tower), images)
    finite = bool(np.isfinite(half).all())
    cosine = min_cosine(in_batches(torch_embed(tower), images), half) if finite else 0.0
    values = {**report.values, "max_activation": largest, "min_cosine_half": cosine}
    failures = report.failures
    if not largest < MAX_ACTIVATION:
        failures += (f"an activation of {largest:.4g} ({node}) overflows FP16",)
    if not finite:
        failures += ("true half precision gives NaN or Inf",)
    elif not cosine >= MIN_COSINE["fp16"]:
        failures += (f"true half precision: cosine {cosine:.6f} is below {MIN_COSINE['fp16']}",)
    return GateReport(values, failures)


def onnx_graph(file: Path) -> Any:
    """The graph of an ONNX file."""
    import onnx

    return onnx.load(str(file), load_external_data=False).graph


def min_cosine(one: F32, other: F32) -> float:
    """The least cosine between rows of the same number."""
    return float((normalised(one) * normalised(other)).sum(axis=1).min())


def in_batches(embed: Embed, images: F32, batch: int = 16) -> F32:
    """Embeds (N, 3, S, S) a few at a time."""
    return np.concatenate([embed(images[i : i + batch]) for i in range(0, len(images), batch)])


def _low_precision_gate(
    full: Embed, low: Embed, data: GateData, spec: Preprocessing, name: str
) -> GateReport:
    gallery, queries = data.gallery_images(spec), data.query_images(spec)
    full_gallery, full_queries = in_batches(full, gallery), in_batches(full, queries)
    low_gallery, low_queries = in_batches(low, gallery), in_batches(low, queries)
    gallery_labels, truth = data.labels()

    def top1(references: F32, vectors: F32) -> tuple[float, I64]:
        ranking = rank(references, gallery_labels, normalised(vectors), k=1)
        return float(hits(ranking, truth, 1).mean()), ranking.label[:, 0]

    reference, answers = top1(full_gallery, full_queries)
    own, own_answers = top1(low_gallery, low_queries)
    mixed, _ = top1(full_gallery, low_queries)
    values = {
        "min_cosine": min_cosine(full_queries, low_queries),
        "top1_fp32": reference,
        f"top1_{name}": own,
        f"top1_{name}_queries_fp32_gallery": mixed,
        "top1_agreement": float((answers == own_answers).mean()),
        "spread": spread(low_queries),
    }
    report = _judge(values, low_queries, {"min_cosine": MIN_COSINE[name]})
    failures = list(report.failures)
    if name == "fp16" and values["top1_agreement"] < 0.998:
        failures.append(f"top-1 agreement {values['top1_agreement']:.4f} is below 0.998")
    for label, value in ((f"{name}", own), (f"{name} against an FP32 gallery", mixed)):
        if value < reference - 0.01:
            failures.append(f"top-1 of {label} {value:.4f} is over a point below {reference:.4f}")
    return GateReport(values, tuple(failures))


def _judge(values: dict[str, float], vectors: F32, least: dict[str, float]) -> GateReport:
    failures = [
        f"{name} {values[name]:.6f} is below {floor}"
        for name, floor in least.items()
        if not values[name] >= floor
    ]
    if not np.isfinite(vectors).all():
        failures.append("embeddings hold NaN or Inf")
    if not values["spread"] >= MIN_SPREAD:
        failures.append(f"embeddings collapsed: spread {values['spread']:.3f} < {MIN_SPREAD}")
    return GateReport(values, tuple(failures))


def _images(samples: Sequence[Sample], spec: Preprocessing) -> F32:
    return np.concatenate([whole(read_rgb(sample.path), spec) for sample in samples])
