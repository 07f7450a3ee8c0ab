"""Finds the reference boxes of real shelf photos, of close-ups cut from them, and of a 4K montage.

    python tests/benchmarks/shelves.py [--bundle DIR] [--photos 50] [--seed 0] [--threads N]

Reads ``shelves/val`` of the data folder (SHELF_EDGE_DATA or ../shared/data). Recall and precision are
one-to-one matches at IoU 0.5, boxes in order of confidence. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge import geometry
from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.pipeline import Models
from edge.types import F32, U8
from edge.vision.detector import Detector

ROOT = Path(__file__).resolve().parents[2]
Labelled = tuple[U8, F32]


def read_labelled(path: Path) -> Labelled:
    image = read_image(path)
    label = path.parents[1] / "labels" / f"{path.stem}.txt"
    rows = np.array([r.split() for r in label.read_text().splitlines()], np.float32)
    cxcywh = rows.reshape(-1, 5)[:, 1:] * np.tile(image.shape[1::-1], 2).astype(np.float32)
    centre, half = cxcywh[:, :2], cxcywh[:, 2:] / 2
    return image, np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def hits(found: F32, truth: F32) -> int:
    """Boxes of ``truth`` found, each by one box of ``found`` at most."""
    if not len(found) or not len(truth):
        return 0
    overlap = geometry.iou(found, truth)
    free = np.ones(len(truth), bool)
    for row in overlap:
        best = int(np.where(free, row, 0.0).argmax())
        if free[best] and row[best] >= 0.5:
            free[best] = False
    return int((~free).sum())


def close_up(image: U8, truth: F32, rng: np.random.Generator) -> Labelled | None:
    """Cut so that two to six facings fill the picture and none is cut through."""
    height, width = image.shape[:2]
    centres = (truth[:, :2] + truth[:, 2:]) / 2
    for _ in range(100):
        count = int(rng.integers(2, 7))
        seed = centres[rng.integers(len(truth))]
        near = np.argsort(np.abs(centres - seed).sum(axis=1))[:count]
        x1, y1 = truth[near, :2].min(axis=0)
        x2, y2 = truth[near, 2:].max(axis=0)
        room = 0.08 * max(x2 - x1, y2 - y1)
        x1, y1 = (int(max(0, np.floor(v - room))) for v in (x1, y1))
        x2, y2 = int(min(width, np.ceil(x2 + room))), int(min(height, np.ceil(y2 + room)))
        window = np.array([[x1, y1, x2, y2]], np.float32)
        visible = geometry.intersection(truth, window)[:, 0] / geometry.area(truth)
        inside = visible > 0.5
        if not 2 <= inside.sum() <= 6 or ((visible > 0.15) & (visible < 0.9)).any():
            continue
        boxes = truth[inside].clip([x1, y1, x1, y1], [x2, y2, x2, y2]) - [x1, y1, x1, y1]
        return image[y1:y2, x1:x2].copy(), boxes.astype(np.float32)
    return None


def enlarged(item: Labelled, long_side: int) -> Labelled:
    factor = long_side / max(item[0].shape[:2])
    image = cv2.resize(item[0], None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.asarray(image, np.uint8), (item[1] * factor).astype(np.float32)


def montage(items: Sequence[Labelled]) -> Labelled:
    """Nine photos on one 3840 x 2160 picture."""
    canvas = np.full((2160, 3840, 3), 114, np.uint8)
    boxes = []
    for i, (image, truth) in enumerate(items):
        height, width = image.shape[:2]
        factor = min(1280 / width, 720 / height)
        size = (round(width * factor), round(height * factor))
        x, y = 1280 * (i % 3), 720 * (i // 3)
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        canvas[y : y + size[1], x : x + size[0]] = cv2.resize(image, size, interpolation=way)
        boxes.append(truth * np.float32(factor) + np.array([x, y, x, y], np.float32))
    return canvas, np.concatenate(boxes).astype(np.float32)


def score(detector: Detector, items: Iterable[Labelled]) -> dict[str, object]:
    right = truth_count = found_count = 0
    scales: Counter[str] = Counter()
    for image, truth in items:
        found, scale = detector.detect(image)
        right += hits(found.xyxy, truth)
        truth_count += len(truth)
        found_count += len(found)
        scales[scale.split("@")[0]] += 1
    return {
        "recall": round(right / max(truth_count, 1), 4),
        "precision": round(right / max(found_count, 1), 4),
        "boxes": truth_count,
        "scales": dict(scales),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    data = Path(os.environ.get("SHELF_EDGE_DATA", ROOT.parent / "shared" / "data"))
    files = sorted((data / "shelves" / "val" / "images").iterdir())
    bundle = Bundle.load(options.bundle) if options.bundle else Bundle.default()
    detector = Models.open(bundle, threads=options.threads).detector
    photos = [read_labelled(path) for path in files[: options.photos]]
    rng = np.random.default_rng(options.seed)
    every = [(p, cut) for p in photos if (cut := close_up(*p, rng)) is not None]
    pairs = every[:10]
    cuts, all_cuts = [cut for _, cut in pairs], [cut for _, cut in every]
    nine = photos[:9]
    report = {
        "bundle": bundle.bundle_id,
        "photos": score(detector, photos),
        "close_ups": score(detector, cuts),
        "close_ups_enlarged_to_1280": score(detector, [enlarged(c, 1280) for c in cuts]),
        "originals_of_close_ups": score(detector, [p for p, _ in pairs]),
        "close_ups_of_all_photos": score(detector, all_cuts),
        "these_enlarged_to_1280": score(detector, [enlarged(c, 1280) for c in all_cuts]),
        "montage_4k": score(detector, [montage(nine)]),
        "originals_of_montage": score(detector, nine),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
