"""A detector on labelled photos, through the device's own letterbox, decode and suppression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle import Bundle
from edge.errors import ConfigError
from edge.manifest import DetectorSpec, Provenance
from edge.types import F32, Detections
from edge.vision.detector import Detector
from edge.vision.session import OrtSession, SessionOptions
from export.detector_scores import DetectorScores, PrecisionRecall, precision_recall, score
from export.recognise import recognise_detector, recognised_spec
from export.views import LabelledPhoto, read_yolo_folder

FLOOR = 0.01
"""Confidence from which detections count for AP: the curve needs more than a device keeps."""


@dataclass(frozen=True, slots=True)
class DetectorFile:
    """An ONNX detector and what a manifest says about it."""

    path: Path
    spec: DetectorSpec


@dataclass(frozen=True, slots=True, eq=False)
class DetectorEvaluation:
    """One detector on one folder; ``scale`` is how it saw the photos, as results write it."""

    folder: Path
    scale: str
    confidence: float
    scores: DetectorScores
    curve: PrecisionRecall

    def to_json(self) -> dict[str, Any]:
        """Scores, and precision and recall at the confidence at which the device would work."""
        precision, recall = self.curve.at_confidence(self.confidence)
        return {
            "folder": str(self.folder),
            "scale": self.scale,
            **self.scores.to_json(),
            "at_confidence": {
                "confidence": self.confidence,
                "precision": round(precision, 4),
                "recall": round(recall, 4),
            },
        }


def open_detector(
    path: Path, photos: Sequence[LabelledPhoto], *, input_size: int = 640
) -> DetectorFile:
    """A bundle's FP32 detector with its own thresholds, or an ONNX file that is recognised.

    Raises:
        ConfigError: when there is no such file, or no photo to recognise it on.
        BundleError: when its head has a layout that is not known.
    """
    if path.is_dir():
        bundle = Bundle.load(path)
        spec = bundle.manifest.detector
        chosen = next((v for v in spec.variants if v.precision == "fp32"), spec.variants[0])
        return DetectorFile(bundle.path / chosen.file, spec)
    if not photos:
        raise ConfigError(f"{path}: no photo to recognise its head on")
    layout = recognise_detector(path, photos[0].image(), input_size)
    provenance = Provenance(licence="unknown", source=path.name)
    spec = recognised_spec(layout, path.name, provenance=provenance)
    return DetectorFile(path, spec)


def read_photos(folder: Path, limit: int | None = None) -> list[LabelledPhoto]:
    """The labelled photos of a YOLO folder or of rendered scenes, the first ``limit`` of them.

    Raises:
        ConfigError: when the folder holds none, or a label is missing or malformed.
    """
    photos = read_yolo_folder(folder, limit)
    if not photos:
        raise ConfigError(f"{folder}: no photos in images/ or photos/")
    return photos


def evaluate_detector(
    model: DetectorFile,
    photos: Sequence[LabelledPhoto],
    folder: Path,
    *,
    scale: str = "whole",
    floor: float = FLOOR,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DetectorEvaluation:
    """AP and recall of the device's detections. All classes count as one: a product.

    With ``scale`` ``auto`` the choice of scale depends on what is found, so detections below the
    manifest's confidence are not asked for and AP ends there.
    """
    spec = model.spec
    if scale != "auto":
        spec = spec.model_copy(update={"confidence": min(floor, spec.confidence)})
    session = OrtSession(model.path, "cpu", SessionOptions(threads=threads))
    detector = Detector(session, spec, scale)
    found: list[Detections] = []
    for number, photo in enumerate(photos, start=1):
        found.append(detector.detect(photo.image())[0])
        progress(number, len(photos))
    truth: list[F32] = [photo.xyxy for photo in photos]
    return DetectorEvaluation(
        folder,
        scale,
        model.spec.confidence,
        score(found, truth),
        precision_recall(found, truth),
    )
