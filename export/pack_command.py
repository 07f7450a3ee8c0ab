"""From files and options to a bundle: what `edge-export pack` does before it packs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge import canary
from edge.bundle import Bundle, default_path
from edge.camera.source import read_image
from edge.errors import BundleError, ConfigError
from edge.manifest import (
    DetectorSpec,
    OperatingPoint,
    Precision,
    Preprocessing,
    Provenance,
    ScalePolicy,
    TowerSpec,
)
from edge.types import U8
from export.calibration_record import CalibrationRecord
from export.pack import CARD, BundleParts, pack
from export.pack_detector import DetectorOptions, described_detector
from export.variants import variants


@dataclass(frozen=True, slots=True)
class PackRequest:
    """Options of one pack; what is None or empty comes from the base bundle.

    ``detector`` holds one file a precision of one detector.
    """

    out: Path
    name: str
    version: str
    base: Path | None = None
    detector: tuple[Path, ...] = ()
    detector_licence: str | None = None
    detector_source: str | None = None
    class_names: tuple[str, ...] = ()
    confidence: float | None = None
    iou: float | None = None
    soft_sigma: float | None = None
    facing_px: tuple[float, float] | None = None
    enough_coverage: float | None = None
    input_size: int = 640
    tower: Path | None = None
    tower_source: str | None = None
    tower_licence: str | None = None
    similarity: float | None = None
    margin: float | None = None
    category_similarity: float | None = None
    measured: str | None = None
    operating_point: Path | None = None
    licence: str | None = None
    scene: Path | None = None
    crops: tuple[Path, ...] = ()
    card: Path | None = None


def run_pack(request: PackRequest) -> Bundle:
    """Recognise the models, complete them from the base bundle, and pack.

    Raises:
        ConfigError: when a file is missing, or an option is out of range or has no value anywhere.
        BundleError: when a model is of an unknown shape or does not fit.
    """
    base = _base(request)
    files: dict[str, Path] = {}
    try:
        scene = _scene(request, base)
        detector = _detector(request, base, scene, files)
        tower, decision = _tower(request, base, files)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise ConfigError(f"{key}: {first['msg']}") from error
    card = _read_card(request.card) if request.card is not None else _card(request, base)
    parts = BundleParts(
        name=request.name,
        version=request.version,
        licence=request.licence or _required(base, "--licence").manifest.licence,
        detector=detector,
        tower=tower,
        files=files,
        decision=decision,
        crops=_crops(request, base),
        scene=scene,
        card=card,
    )
    return pack(parts, request.out)


def _base(request: PackRequest) -> Bundle | None:
    if request.base is not None:
        return Bundle.load(request.base)
    try:
        return Bundle.load(default_path())
    except BundleError:
        return None


def _required(base: Bundle | None, option: str) -> Bundle:
    if base is None:
        raise ConfigError(f"{option} is missing, and there is no base bundle to take it from")
    return base


def _detector(
    request: PackRequest, base: Bundle | None, scene: U8, files: dict[str, Path]
) -> DetectorSpec:
    if not request.detector:
        known = _required(base, "--detector")
        spec = known.manifest.detector
        for variant in spec.variants:
            files[variant.file] = known.path / variant.file
        scale = _scale(request, spec.scale)
        changes: dict[str, Any] = {"scale": scale}
        for name in ("confidence", "iou", "soft_sigma"):
            value = getattr(request, name)
            changes |= {name: value} if value is not None else {}
        return DetectorSpec.model_validate({**spec.model_dump(), **changes})
    if not request.detector_licence or not request.detector_source:
        raise ConfigError("--detector needs --detector-licence and --detector-source")
    spec, named = described_detector(
        request.detector,
        scene,
        DetectorOptions(
            provenance=Provenance(licence=request.detector_licence, source=request.detector_source),
            class_names=request.class_names,
            confidence=request.confidence,
            iou=request.iou,
            soft_sigma=request.soft_sigma,
            input_size=request.input_size,
            scale=_scale(request, ScalePolicy()),
        ),
    )
    files |= named
    return spec


def _scale(request: PackRequest, known: ScalePolicy) -> ScalePolicy:
    given = {"facing_px": request.facing_px, "enough_coverage": request.enough_coverage}
    changes = {key: value for key, value in given.items() if value is not None}
    return ScalePolicy.model_validate({**known.model_dump(), **changes})


def _tower(
    request: PackRequest, base: Bundle | None, files: dict[str, Path]
) -> tuple[TowerSpec, dict[Precision, OperatingPoint]]:
    if request.tower is None:
        known = _required(base, "--tower")
        spec = known.manifest.tower
        for variant in spec.variants:
            files[variant.file] = known.path / variant.file
        points = dict(known.manifest.decision)
    else:
        spec = _described_tower(request, request.tower, files)
        points = {}
    if request.similarity is not None:
        point = OperatingPoint(
            similarity=request.similarity,
            margin=request.margin or 0.0,
            category_similarity=request.category_similarity,
            measured=request.measured or "set by hand",
        )
        points = {v.precision: point for v in spec.variants}
    if request.operating_point is not None:
        points |= CalibrationRecord.read(request.operating_point).points_for(spec.fingerprint)
    if not points:
        raise ConfigError("--tower needs --similarity or --operating-point of its matches")
    return spec, points


def _described_tower(request: PackRequest, path: Path, files: dict[str, Path]) -> TowerSpec:
    """The tower that `edge-export tower` wrote: ``tower.json`` with its files beside it."""
    try:
        about = json.loads(path.read_text())
        precisions: dict[Precision, str] = about["files"]
        start = about["start"]
        source = request.tower_source or f"fine-tuned from {start['model']} ({start['weights']})"
        names: dict[Precision, str] = {}
        for precision, file in precisions.items():
            names[precision] = "tower.onnx" if precision == "fp32" else f"tower.{precision}.onnx"
            files[names[precision]] = path.parent / file
        return TowerSpec(
            variants=variants(names),
            dim=about["dim"],
            preprocessing=Preprocessing.model_validate(about["preprocessing"]),
            fingerprint=about["fingerprint"],
            provenance=Provenance(licence=request.tower_licence or start["licence"], source=source),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ValidationError):
            raise
        raise ConfigError(f"{path}: not a tower description: {error!r}") from error


def _scene(request: PackRequest, base: Bundle | None) -> U8:
    if request.scene is not None:
        return read_image(request.scene)
    known = _required(base, "--scene")
    return canary.read_png(known.path / known.manifest.canary.scene)


def _crops(request: PackRequest, base: Bundle | None) -> list[U8]:
    if request.crops:
        return [read_image(path) for path in request.crops]
    known = _required(base, "--crop")
    return [canary.read_png(known.path / name) for name in known.manifest.canary.crops]


def _read_card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text") from error


def _card(request: PackRequest, base: Bundle | None) -> str:
    lines = [f"# {request.name} {request.version}", ""]
    if request.detector:
        names = ", ".join(path.name for path in request.detector)
        lines += [
            f"Detector: {names}; {request.detector_source}; licence {request.detector_licence}.",
            "",
        ]
    if base is not None:
        lines += [f"All else is that of the bundle {base.bundle_id}:", ""]
        lines += [(base.path / CARD).read_text() if (base.path / CARD).is_file() else ""]
    return "\n".join(lines)
