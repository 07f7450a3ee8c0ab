"""Small pictures of what was found: the best crop a SKU, and the unknown."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np

from edge.shelf.annotate import encode_jpeg
from edge.types import U8, Candidate, FrameResult

THUMBNAIL_PX = 128
MAX_UNKNOWN = 120
"""Unknown crops that are kept for the report, the most confident detections first."""


@dataclass(frozen=True, slots=True, eq=False)
class UnknownCrop:
    """A detection without a SKU: where it was seen, and the nearest SKU if there is one."""

    jpeg: bytes
    source: str
    index: int
    category: tuple[str, ...]
    nearest: Candidate | None


class CropKeeper:
    """Collects crops while frames pass by; holds at most one a SKU and ``MAX_UNKNOWN`` others."""

    def __init__(self) -> None:
        self._best: dict[str, tuple[float, bytes]] = {}
        self._unknown: list[tuple[float, int, UnknownCrop]] = []
        self._seen = 0

    def add(self, image: U8, result: FrameResult) -> None:
        """Take in a frame: its ``image (H, W, 3) uint8`` RGB and what was found in it."""
        for i, sku in enumerate(result.matches.sku_id):
            confidence = float(result.detections.confidence[i])
            if sku is not None:
                score = float(result.matches.similarity[i]) + 0.1 * confidence
                if sku not in self._best or score > self._best[sku][0]:
                    self._best[sku] = (score, thumbnail(image, result.detections.xyxy[i]))
                continue
            self._seen += 1
            full = len(self._unknown) == MAX_UNKNOWN
            if full and confidence <= self._unknown[0][0]:
                continue
            top = result.matches.top[i]
            crop = UnknownCrop(
                thumbnail(image, result.detections.xyxy[i]),
                result.source,
                result.index,
                result.matches.category[i],
                top[0] if top else None,
            )
            entry = (confidence, -self._seen, crop)
            if full:
                heapq.heapreplace(self._unknown, entry)
            else:
                heapq.heappush(self._unknown, entry)

    def best(self) -> dict[str, bytes]:
        """The JPEG of the clearest crop of each SKU."""
        return {sku: jpeg for sku, (_, jpeg) in self._best.items()}

    def unknown(self) -> list[UnknownCrop]:
        """Crops of what is not known, most confident detection first."""
        return [crop for _, _, crop in sorted(self._unknown, key=lambda e: (-e[0], -e[1]))]


def thumbnail(image: U8, xyxy: np.ndarray, *, px: int = THUMBNAIL_PX, quality: int = 82) -> bytes:
    """The box of a picture as a JPEG of at most ``px`` a side; at least one pixel."""
    height, width = image.shape[:2]
    x1, y1 = (int(np.clip(v, 0, n - 1)) for v, n in zip(xyxy[:2], (width, height), strict=True))
    x2 = int(np.clip(np.ceil(xyxy[2]), x1 + 1, width))
    y2 = int(np.clip(np.ceil(xyxy[3]), y1 + 1, height))
    crop = image[y1:y2, x1:x2]
    shrink = px / max(crop.shape[:2])
    if shrink < 1:
        size = (max(1, round(crop.shape[1] * shrink)), max(1, round(crop.shape[0] * shrink)))
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return encode_jpeg(crop, quality)
