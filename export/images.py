"""Pictures from disk to RGB arrays, with a bounded cache for the small sets used in training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, OutputError

Image = NDArray[np.uint8]


def read_rgb(path: Path) -> Image:
    """(H, W, 3) uint8 RGB. Unreadable or missing files raise ConfigError naming the file."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ConfigError(f"{path}: not a readable image")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8, copy=False)


def jpeg(image: Image, quality: int = 95) -> bytes:
    """`image (H, W, 3) uint8` RGB as a JPEG file; OutputError where it cannot be encoded."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OutputError(f"OpenCV could not encode an image of shape {image.shape} as JPEG")
    return bytes(data)


class ImageCache:
    """Decoded pictures, of at most `max_side` pixels if set, kept in memory up to `limit_mb`."""

    def __init__(self, limit_mb: int, max_side: int | None = None) -> None:
        self._left = limit_mb * 2**20
        self._max_side = max_side
        self._images: dict[Path, Image] = {}

    def get(self, path: Path) -> Image:
        """The picture, shrunk so that its longest side is at most `max_side`; not to be changed."""
        image = self._images.get(path)
        if image is not None:
            return image
        image = read_rgb(path)
        if self._max_side is not None:
            image = shrink(image, self._max_side)
        if image.nbytes <= self._left:
            self._left -= image.nbytes
            self._images[path] = image
        return image


def shrink(image: Image, max_side: int) -> Image:
    """Area-averaged so that the longest side is at most `max_side`; smaller pictures unchanged."""
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
