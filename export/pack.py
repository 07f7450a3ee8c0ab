"""Packs models, thresholds, canary and model card into a bundle folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import ValidationError

from edge.bundle import MANIFEST, Bundle, mistakes, sha256
from edge.canary import spread
from edge.errors import BundleError, ConfigError
from edge.manifest import (
    CanarySpec,
    DetectorSpec,
    Manifest,
    OperatingPoint,
    Precision,
    TowerSpec,
    Variant,
)
from edge.pipeline import naming
from edge.types import F32, U8
from edge.vision.detector import Detector
from edge.vision.embedder import Embedder
from edge.vision.session import OrtSession, SessionOptions

CARD = "MODEL_CARD.md"
GOLDEN = "canary/golden.json"
SCENE = "canary/scene.png"
_MIN_COSINE: dict[Precision, float] = {"fp32": 0.999, "fp16": 0.99, "int8": 0.97}


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What goes into a bundle.

    ``detector`` and ``tower`` describe models whose variants name files in ``files`` (bundle name to
    path on disk). ``crops`` and ``scene`` are the canary's pictures, ``(H, W, 3) uint8`` RGB.
    """

    name: str
    version: str
    licence: str
    detector: DetectorSpec
    tower: TowerSpec
    files: dict[str, Path]
    decision: dict[Precision, OperatingPoint]
    crops: Sequence[U8]
    scene: U8
    card: str
    min_cosine: dict[Precision, float] = field(default_factory=lambda: dict(_MIN_COSINE))


def pack(parts: BundleParts, out: Path) -> Bundle:
    """Write a bundle and load it back; an existing one at ``out`` is replaced only at the end.

    The canary's golden outputs are computed here, on the CPU, per precision; the smallest spread
    accepted later is half of what is measured now.

    Raises:
        ConfigError: when a file of a variant is missing, there are fewer than two crops, or a name or
            number is one that a manifest cannot hold.
        BundleError: when a model does not fit its description, or its embeddings have collapsed.
    """
    missing = [str(p) for p in parts.files.values() if not p.is_file()]
    if missing:
        raise ConfigError(f"{missing[0]}: no such file")
    if len(parts.crops) < 2:
        raise ConfigError("the canary needs two product pictures or more, to see a collapsed tower")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        for name, source in parts.files.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        crop_names = _write_canary_pictures(temporary, parts)
        golden, smallest = _golden(temporary, parts)
        (temporary / GOLDEN).write_text(json.dumps(golden))
        (temporary / CARD).write_text(parts.card)
        _write_manifest(temporary, parts, crop_names, smallest)
        Bundle.load(temporary)
        os.chmod(temporary, 0o755)
        _swap(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle.load(out)


def _write_canary_pictures(folder: Path, parts: BundleParts) -> list[str]:
    (folder / "canary").mkdir(exist_ok=True)
    names = [f"canary/crop-{i}.png" for i in range(len(parts.crops))]
    for name, image in zip([*names, SCENE], [*parts.crops, parts.scene], strict=True):
        if not cv2.imwrite(str(folder / name), image[:, :, ::-1]):
            raise BundleError(f"{folder / name}: cannot be written")
    return names


def _golden(folder: Path, parts: BundleParts) -> tuple[dict[str, Any], float]:
    embeddings: dict[str, Any] = {}
    boxes: dict[str, Any] = {}
    spreads = []
    for variant in parts.tower.variants:
        session = OrtSession(folder / variant.file, "cpu", SessionOptions())
        with naming(variant.file):
            vectors: F32 = Embedder(session, parts.tower).embed_images(parts.crops).vectors
        spreads.append(spread(vectors))
        embeddings[variant.precision] = np.round(vectors.astype(np.float64), 6).tolist()
    for variant in parts.detector.variants:
        session = OrtSession(folder / variant.file, "cpu", SessionOptions())
        with naming(variant.file):
            found, _ = Detector(session, parts.detector).detect(parts.scene)
        boxes[variant.precision] = np.round(found.xyxy.astype(np.float64), 2).tolist()
        if not len(found):
            raise BundleError(f"{variant.file}: the detector finds nothing on the canary's scene")
    if min(spreads) < 0.02:
        raise BundleError(f"the tower's embeddings have collapsed: spread {min(spreads):.4f}")
    return {"embeddings": embeddings, "boxes": boxes}, round(min(spreads) / 2, 4)


def _write_manifest(
    folder: Path, parts: BundleParts, crop_names: list[str], min_spread: float
) -> None:
    precisions = {v.precision for v in parts.tower.variants}
    files = {
        p.relative_to(folder).as_posix(): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    try:
        manifest = Manifest(
            format=1,
            name=parts.name,
            version=parts.version,
            licence=parts.licence,
            detector=parts.detector,
            tower=parts.tower,
            decision={k: v for k, v in parts.decision.items() if k in precisions},
            canary=CanarySpec(
                crops=tuple(crop_names),
                scene=SCENE,
                golden=GOLDEN,
                min_cosine={k: v for k, v in parts.min_cosine.items() if k in precisions},
                min_spread=min_spread,
            ),
            files=files,
        )
    except ValidationError as error:
        raise ConfigError(mistakes(error)) from error
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")


def _swap(temporary: Path, out: Path) -> None:
    """Put a finished folder in place: two renames, and the old one comes back if the second fails."""
    if not out.exists():
        os.replace(temporary, out)
        return
    Bundle.load(out)  # only a bundle is ever replaced
    aside = out.with_name(f".{out.name}-old-{os.getpid()}")
    os.replace(out, aside)
    try:
        os.replace(temporary, out)
    except OSError:
        os.replace(aside, out)
        raise
    shutil.rmtree(aside)


def single_variant(file: str) -> tuple[Variant, ...]:
    """One FP32 file for every provider."""
    return (
        Variant(file=file, precision="fp32", providers=("tensorrt", "cuda", "openvino", "cpu")),
    )
