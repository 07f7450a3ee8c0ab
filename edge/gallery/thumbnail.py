"""The small picture that a reference keeps, and how sharp it is."""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import GalleryError
from edge.types import U8

LONG_SIDE_PX = 256
JPEG_QUALITY = 90


def shrink(image: U8) -> U8:
    """``image (H, W, 3)`` RGB at most 256 px on its long side, antialiased; never enlarged."""
    height, width = image.shape[:2]
    scale = LONG_SIDE_PX / max(height, width)
    if scale >= 1.0:
        return image
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def encode_jpeg(image: U8) -> bytes:
    """``image (H, W, 3)`` RGB as a JPEG. Raises GalleryError when OpenCV cannot encode it."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise GalleryError(f"a picture of {image.shape} cannot be written as a JPEG")
    return bytes(data.tobytes())


def sharpness(image: U8) -> float:
    """Variance of the Laplacian of the grey picture (Pech-Pacheco et al., 2000); 0 when even."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
