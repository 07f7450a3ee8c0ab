"""The one implementation of preprocessing: for the device, enrolment, evaluation and training."""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.geometry import LetterboxTransform
from edge.manifest import Preprocessing
from edge.types import F32, U8
from edge.vision.antialias import resize_antialias

# OpenCV's threads would wait, spinning, on the cores that the runtime's threads need a moment later
cv2.setNumThreads(1)

PAD_VALUE = 114
_KERNELS = {"bilinear-antialias": "bilinear", "bicubic-antialias": "bicubic"}
_UPSCALE = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def resize(image: U8, size_wh: tuple[int, int], interpolation: str = "bilinear") -> U8:
    """Resize ``(H, W, 3) uint8``: area averaging along sides that shrink, ``interpolation`` along
    sides that grow. (A plain bilinear or bicubic resize aliases when it shrinks.)
    """
    height, width = image.shape[:2]
    new_w, new_h = size_wh
    if (width, height) == (new_w, new_h):
        return image
    shrunk = (min(new_w, width), min(new_h, height))
    if shrunk != (width, height):
        image = np.asarray(cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if shrunk != (new_w, new_h):
        grown = cv2.resize(image, (new_w, new_h), interpolation=_UPSCALE[interpolation])
        image = np.asarray(grown, dtype=np.uint8)
    return image


def blank(input_wh: tuple[int, int]) -> U8:
    """An empty canvas ``(H, W, 3) uint8`` in the padding grey."""
    return np.full((input_wh[1], input_wh[0], 3), PAD_VALUE, dtype=np.uint8)


def paste(
    canvas: U8,
    image: U8,
    scale: float,
    *,
    at_xy: tuple[int, int] | None = None,
    origin_xy: tuple[int, int] = (0, 0),
) -> LetterboxTransform:
    """Draw a resized picture into ``canvas`` and return the transform applied.

    Args:
        canvas: ``(H, W, 3) uint8``, changed in place.
        image: ``(h, w, 3) uint8``; a view of a larger frame when ``origin_xy`` says where it was cut.
        scale: canvas pixels a picture pixel.
        at_xy: upper left corner; centred by default.

    Raises:
        ValueError: when the picture does not fit there at ``scale``.
    """
    width, height = int(image.shape[1]), int(image.shape[0])
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    room_w, room_h = int(canvas.shape[1]) - new_w, int(canvas.shape[0]) - new_h
    left, top = at_xy if at_xy is not None else (room_w // 2, room_h // 2)
    if not (0 <= left <= room_w and 0 <= top <= room_h):
        raise ValueError(
            f"{width}x{height} at scale {scale:.3g} does not fit"
            f" {canvas.shape[1]}x{canvas.shape[0]} at ({left}, {top})"
        )
    canvas[top : top + new_h, left : left + new_w] = resize(image, (new_w, new_h))
    return LetterboxTransform(
        scale_xy=(new_w / width, new_h / height),
        pad_xy=(float(left), float(top)),
        origin_xy=(float(origin_xy[0]), float(origin_xy[1])),
    )


def to_tensor(canvas: U8, layout: str, value_range: str) -> F32:
    """A canvas as a batch of one, ``(1, 3, H, W)`` or ``(1, H, W, 3) float32``."""
    factor = 1.0 / 255.0 if value_range == "0-1" else 1.0
    if layout == "nhwc":
        return np.multiply(canvas, np.float32(factor), dtype=np.float32)[None]
    return np.asarray(cv2.dnn.blobFromImage(canvas, factor), dtype=np.float32)


def letterbox(
    image: U8,
    input_wh: tuple[int, int],
    *,
    scale: float | None = None,
    layout: Literal["nchw", "nhwc"] = "nchw",
    value_range: Literal["0-1", "0-255"] = "0-1",
    origin_xy: tuple[int, int] = (0, 0),
) -> tuple[F32, LetterboxTransform]:
    """Place a picture in a model's input, aspect kept, centred, padded with grey.

    Args:
        image: ``(H, W, 3) uint8`` RGB.
        scale: input pixels a frame pixel; by default the largest that fits.
        layout: channel order of the result.
        value_range: of the result.
        origin_xy: where ``image`` was cut from its frame.

    Returns:
        The batch of one as ``float32``, and the transform applied.

    Raises:
        ValueError: when the picture does not fit at ``scale``.
    """
    if scale is None:
        scale = min(input_wh[0] / image.shape[1], input_wh[1] / image.shape[0])
    canvas = blank(input_wh)
    transform = paste(canvas, image, scale, origin_xy=origin_xy)
    return to_tensor(canvas, layout, value_range), transform


def crops(image: U8, xyxy: F32, spec: Preprocessing, out: F32 | None = None) -> F32:
    """Cut boxes out of a frame and bring them into a tower's input.

    Args:
        image: ``(H, W, 3) uint8`` RGB.
        xyxy: ``(N, 4) float32`` boxes in frame pixels; rounded to whole pixels, clipped to the
            frame, at least one pixel a side.
        out: written to and returned where given: touching fresh memory costs more than the work.

    Returns:
        ``(N, 3, S, S) float32``, normalised as ``(x / 255 - mean) / std``.
    """
    size = spec.size
    if out is None:
        out = np.empty((len(xyxy), 3, size, size), dtype=np.float32)
    square = np.empty((size, size, 3), dtype=np.uint8)
    tables = _tables(spec.mean, spec.std)
    for i, (x1, y1, x2, y2) in enumerate(_whole_pixels(xyxy, image.shape[1], image.shape[0])):
        _fit(image[y1:y2, x1:x2], spec, square)
        _normalise(square, tables, out[i])
    return out


@functools.lru_cache(maxsize=8)
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> list[F32]:
    """The normalised value of each of the 256 levels, per channel: a look-up beats arithmetic."""
    level = np.arange(256, dtype=np.float64) / 255.0
    return [
        ((level - m) / s).astype(np.float32).reshape(1, 256) for m, s in zip(mean, std, strict=True)
    ]


def _normalise(square: U8, tables: list[F32], planes: F32) -> None:
    for channel, (plane, table) in enumerate(zip(cv2.split(square), tables, strict=True)):
        cv2.LUT(plane, table, dst=planes[channel])


def _whole_pixels(xyxy: F32, width: int, height: int) -> npt.NDArray[np.int64]:
    low = np.floor(xyxy[:, :2] + 0.5).astype(np.int64)
    high = np.floor(xyxy[:, 2:] + 0.5).astype(np.int64)
    limit = np.array([width, height])
    low = low.clip(0, limit - 1)
    high = np.maximum(high.clip(1, limit), low + 1)
    return np.concatenate([low, high], axis=1)


def _fit(crop: U8, spec: Preprocessing, out: U8) -> None:
    """Write one crop into ``out (S, S, 3)`` by the manifest's resize mode."""
    size = spec.size
    height, width = crop.shape[:2]
    if spec.interpolation in _KERNELS:
        _fit_antialias(crop, spec, out)
        return
    if spec.resize == "stretch":
        out[:] = resize(crop, (size, size), spec.interpolation)
        return
    if spec.resize == "crop":
        scale = size / min(height, width)
        # cut first: what falls outside the centre is never resized
        keep_w, keep_h = min(width, round(size / scale)), min(height, round(size / scale))
        left, top = (width - keep_w) // 2, (height - keep_h) // 2
        centre = crop[top : top + keep_h, left : left + keep_w]
        out[:] = resize(centre, (size, size), spec.interpolation)
        return
    scale = size / max(height, width)
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - new_w) // 2, (size - new_h) // 2
    out[:] = np.round(np.asarray(spec.mean) * 255.0).astype(np.uint8)
    out[top : top + new_h, left : left + new_w] = resize(crop, (new_w, new_h), spec.interpolation)


def _fit_antialias(crop: U8, spec: Preprocessing, out: U8) -> None:
    """The same with Pillow's resize; sizes and offsets are rounded as torchvision and open_clip do."""
    size, kernel = spec.size, _KERNELS[spec.interpolation]
    height, width = crop.shape[:2]
    if spec.resize == "stretch":
        out[:] = resize_antialias(crop, (size, size), kernel)
        return
    if spec.resize == "crop":
        short = min(height, width)
        new_w, new_h = int(size * width / short), int(size * height / short)
        left, top = round((new_w - size) / 2), round((new_h - size) / 2)
        window = (left, top, left + size, top + size)
        out[:] = resize_antialias(crop, (new_w, new_h), kernel, window)
        return
    scale = size / max(height, width)
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - new_w) // 2, (size - new_h) // 2
    out[:] = np.round(np.asarray(spec.mean) * 255.0).astype(np.uint8)
    out[top : top + new_h, left : left + new_w] = resize_antialias(crop, (new_w, new_h), kernel)
