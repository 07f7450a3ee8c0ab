"""The canary: small pictures with golden outputs, run wherever a bundle meets a provider.

A provider that computes something else, or a tower whose embeddings have collapsed, is refused
before it can answer with confidence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import geometry
from edge.bundle import Bundle
from edge.errors import BundleError
from edge.manifest import Precision
from edge.types import F32, U8
from edge.vision.detector import Detector
from edge.vision.embedder import Embedder

_SAME_BOX_IOU = 0.8
_HALF_PROVIDERS = ("tensorrt", "openvino")


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """What was measured: the worst cosine to the golden embeddings, the spread, the box agreement."""

    cosine: float
    spread: float
    box_agreement: float

    def to_json(self) -> dict[str, float]:
        """Rounded for a report."""
        return {name: round(getattr(self, name), 5) for name in self.__slots__}


def check(
    bundle: Bundle,
    detector: Detector,
    embedder: Embedder,
    precision: tuple[Precision, Precision],
) -> CanaryReport:
    """Run the canary on loaded models; ``precision`` is the detector's and the tower's.

    Raises:
        BundleError: when an answer is too far from its golden one, or embeddings have collapsed.
    """
    spec = bundle.manifest.canary
    golden = _golden(bundle.path / spec.golden)
    crops = [read_png(bundle.path / name) for name in spec.crops]
    vectors = embedder.embed_images(crops).vectors
    expected = _array(bundle, golden, "embeddings", precision[1], vectors.shape)
    cosine = float((vectors * expected).sum(axis=1).min())
    where = f"{bundle.path}: canary on {embedder.provider}"
    needed = spec.min_cosine[precision[1]]
    if embedder.provider in _HALF_PROVIDERS:
        needed = min(needed, spec.min_cosine_half)
    if not cosine >= needed:
        raise BundleError(
            f"{where}: tower ({precision[1]}) differs from its golden embeddings: cosine"
            f" {cosine:.4f} < {needed}"
        )
    measured_spread = spread(vectors)
    if not measured_spread >= spec.min_spread:
        raise BundleError(
            f"{where}: embeddings have collapsed: spread {measured_spread:.4f} < {spec.min_spread}"
        )
    found, _ = detector.detect(read_png(bundle.path / spec.scene))
    boxes = _array(bundle, golden, "boxes", precision[0], ("n", 4))
    agreement = box_agreement(found.xyxy, boxes)
    if not agreement >= spec.min_box_agreement:
        raise BundleError(
            f"{where}: detector ({precision[0]}) differs from its golden boxes: agreement"
            f" {agreement:.3f} < {spec.min_box_agreement}"
        )
    return CanaryReport(cosine, measured_spread, agreement)


def spread(vectors: F32) -> float:
    """Mean cosine distance between different rows of unit vectors ``(N, D)``, N >= 2."""
    n = len(vectors)
    total = float((vectors @ vectors.T).sum() - (vectors * vectors).sum())
    return 1.0 - total / (n * (n - 1))


def box_agreement(a: F32, b: F32) -> float:
    """F1 of two sets of boxes, a pair being the same box from IoU 0.8; 1 when both are empty."""
    if not len(a) and not len(b):
        return 1.0
    if not len(a) or not len(b):
        return 0.0
    overlap = geometry.iou(a, b) >= _SAME_BOX_IOU
    return float((overlap.any(axis=1).sum() + overlap.any(axis=0).sum()) / (len(a) + len(b)))


def read_png(path: Path) -> U8:
    """A picture of the bundle as ``(H, W, 3) uint8`` RGB.

    Raises:
        BundleError: when it cannot be decoded.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise BundleError(f"{path}: canary picture cannot be decoded")
    return np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8)


def _golden(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        return {"embeddings": dict(data["embeddings"]), "boxes": dict(data["boxes"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: golden outputs cannot be read: {error!r}") from error


def _array(
    bundle: Bundle,
    golden: dict[str, Any],
    kind: str,
    precision: str,
    shape: tuple[int | str, ...],
) -> F32:
    """The golden array of a kind; a str in ``shape`` stands for any length."""
    path = bundle.path / bundle.manifest.canary.golden
    if precision not in golden[kind]:
        raise BundleError(f"{path}: no golden {kind} for {precision}")
    try:
        array = np.asarray(golden[kind][precision], dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path}: golden {kind} for {precision} are no array") from error
    fits = len(array.shape) == len(shape) and all(
        isinstance(s, str) or s == n for s, n in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise BundleError(f"{path}: golden {kind} must be {shape}, got {array.shape}")
    return array
