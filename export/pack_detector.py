"""From detector files to what a manifest says of them: one detector, in one precision or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.canary import box_agreement
from edge.errors import BundleError, ConfigError
from edge.manifest import DetectorSpec, Precision, Provenance, ScalePolicy
from edge.types import F32, U8
from edge.vision.detector import Detector
from edge.vision.session import OrtSession, SessionOptions
from export.recognise import recognise_detector, recognised_spec
from export.variants import precision_of, variants

MIN_AGREEMENT = 0.7
"""F1 between the boxes of two precisions on the canary's scene; two detectors have far less."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What the files do not say; None takes the default of ``recognised_spec``."""

    provenance: Provenance
    class_names: tuple[str, ...] = ()
    confidence: float | None = None
    iou: float | None = None
    soft_sigma: float | None = None
    input_size: int = 640
    scale: ScalePolicy | None = None


def described_detector(
    paths: Sequence[Path], scene: U8, options: DetectorOptions
) -> tuple[DetectorSpec, dict[str, Path]]:
    """The manifest's entry of a detector, and its files by their names in the bundle.

    Args:
        paths: one file a precision, as ``edge-export detector`` writes them, in any order; what each
            computes in is read from it.
        scene: ``(H, W, 3) uint8`` RGB, a shelf picture on which head and boxes are compared.

    Raises:
        ConfigError: when a file is missing, or two are of one precision.
        BundleError: when a head is not known, or a file differs from the first in its input, head or
            classes, or finds other products on ``scene``.
    """
    by_precision: dict[Precision, Path] = {}
    for path in paths:
        precision = precision_of(path)
        if precision in by_precision:
            raise ConfigError(f"{path} and {by_precision[precision]}: both are {precision}")
        by_precision[precision] = path
    names = {p: "detector.onnx" if len(paths) == 1 else _name(p) for p in by_precision}
    first = next((by_precision[p] for p in ("fp32", "fp16") if p in by_precision), paths[0])
    layout = recognise_detector(first, scene, options.input_size)
    spec = recognised_spec(
        layout,
        "detector.onnx",
        provenance=options.provenance,
        class_names=options.class_names,
        confidence=options.confidence,
        iou=options.iou,
        soft_sigma=options.soft_sigma,
        scale=options.scale,
    )
    if len(paths) > 1:
        expected = _boxes(first, spec, scene)
        for path in (path for path in paths if path != first):
            other = recognise_detector(path, scene, options.input_size)
            if other != layout:
                raise BundleError(f"{path}: {other.line()}, but {first}: {layout.line()}")
            agreement = box_agreement(_boxes(path, spec, scene), expected)
            if agreement < MIN_AGREEMENT:
                raise BundleError(
                    f"{path}: not the detector of {first}: on the scene their boxes agree by"
                    f" {agreement:.2f} (F1), at least {MIN_AGREEMENT} is expected of one detector"
                )
    spec = spec.model_copy(update={"variants": variants(names)})
    return spec, {names[p]: path for p, path in by_precision.items()}


def _name(precision: Precision) -> str:
    return "detector.onnx" if precision == "fp32" else f"detector.{precision}.onnx"


def _boxes(path: Path, spec: DetectorSpec, scene: U8) -> F32:
    found, _ = Detector(OrtSession(path, "cpu", SessionOptions()), spec).detect(scene)
    return found.xyxy
