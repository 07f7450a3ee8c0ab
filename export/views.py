"""Training views of shelf photos: windows cut at a chosen scale, with the boxes they still show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError
from export.images import read_rgb

PAD_VALUE = 114
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo on disk and its boxes: ``xyxy (N, 4) float32`` in photo pixels."""

    path: Path
    xyxy: npt.NDArray[np.float32]
    size_wh: tuple[int, int]

    def image(self) -> npt.NDArray[np.uint8]:
        """Decode the photo as ``(H, W, 3) uint8`` RGB."""
        return read_rgb(self.path)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A square training picture: ``image (S, S, 3) uint8`` RGB and ``xyxy (N, 4) float32``."""

    image: npt.NDArray[np.uint8]
    xyxy: npt.NDArray[np.float32]


def read_yolo_folder(root: Path, limit: int | None = None) -> list[LabelledPhoto]:
    """Read ``root/images/*`` (or ``photos``) with their ``root/labels/*.txt`` (YOLO, class unused).

    ``limit`` stops after so many photos, in the order of their names.

    Raises:
        ConfigError: when there is no such folder, a photo has no label file, or a label line has no
            five numbers.
    """
    photos = []
    folder = root / "images" if (root / "images").is_dir() else root / "photos"
    if not folder.is_dir():
        raise ConfigError(f"{root}: holds neither images/ nor photos/")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    for path in found[:limit]:
        label = root / "labels" / f"{path.stem}.txt"
        if not label.is_file():
            raise ConfigError(f"{path}: its label file {label} is missing")
        rows = [line.split() for line in label.read_text().splitlines() if line.strip()]
        if any(len(row) != 5 for row in rows):
            raise ConfigError(f"{label}: every line must hold five numbers: class cx cy w h")
        height, width = read_rgb(path).shape[:2]
        cxcywh = np.array(rows, dtype=np.float32).reshape(-1, 5)[:, 1:]
        centre, size = cxcywh[:, :2], cxcywh[:, 2:]
        unit = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        scale = np.array([width, height, width, height], dtype=np.float32)
        photos.append(LabelledPhoto(path, unit * scale, (width, height)))
    return photos


def cut_view(
    image: npt.NDArray[np.uint8],
    xyxy: npt.NDArray[np.float32],
    *,
    size: int,
    scale: float,
    rng: np.random.Generator,
    min_visible: float = 0.35,
) -> View:
    """Resize by ``scale`` and cut a random ``size`` x ``size`` window, padded outside the photo.

    Boxes of which less than ``min_visible`` (share of area) stays in the window are dropped.
    """
    height, width = image.shape[:2]
    left = _offset(width * scale, size, rng)
    top = _offset(height * scale, size, rng)
    interpolation = cv2.INTER_LINEAR
    if scale < 1.0:
        # area averaging first: a plain warp would alias when it shrinks
        new_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, new_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        pixel_scale = 1.0
    else:
        pixel_scale = scale
    matrix = np.array([[pixel_scale, 0, -left], [0, pixel_scale, -top]], dtype=np.float64)
    window = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=interpolation,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(PAD_VALUE, PAD_VALUE, PAD_VALUE),
    )
    moved = xyxy * np.float32(scale) - np.array([left, top, left, top], dtype=np.float32)
    # the picture's own edge clips too: a close-up may be smaller than the window
    right, bottom = min(size, width * scale - left), min(size, height * scale - top)
    edges = np.array([max(0.0, -left), max(0.0, -top), right, bottom], dtype=np.float32)
    clipped = moved.clip(edges[[0, 1, 0, 1]], edges[[2, 3, 2, 3]])
    area = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    visible = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
    keep = visible >= min_visible * np.maximum(area, 1e-6)
    keep &= (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) >= 2.0
    return View(np.asarray(window, dtype=np.uint8), clipped[keep].astype(np.float32))


def few_facings(
    image: npt.NDArray[np.uint8], xyxy: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Cut a photo down to a few neighbouring facings, as a close-up shows them.

    Returns the cut ``(h, w, 3) uint8`` and all boxes in its pixels, also those outside it.
    """
    if not len(xyxy):
        return image, xyxy
    centres = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    seed = centres[int(rng.integers(len(xyxy)))]
    near = np.argsort(np.abs(centres - seed).sum(axis=1))[: int(rng.integers(1, 9))]
    low, high = xyxy[near, :2].min(axis=0), xyxy[near, 2:].max(axis=0)
    room = (high - low).max() * rng.uniform(0.0, 0.25, size=4)
    limit = np.array([image.shape[1], image.shape[0]])
    x1, y1 = np.floor(low - room[:2]).astype(int).clip(0, limit - 8)
    x2, y2 = np.maximum(np.ceil(high + room[2:]).astype(int).clip(0, limit), [x1 + 8, y1 + 8])
    origin = np.array([x1, y1, x1, y1], dtype=np.float32)
    return image[y1:y2, x1:x2], xyxy - origin


def jitter_colour(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Random exposure, contrast, white balance and saturation; same shape and dtype."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, size=3)
    bias = rng.uniform(-18, 18)
    saturation = rng.uniform(0.6, 1.35)
    # grey + saturation * (colour - grey), grey being the mean of the three
    matrix = (saturation * np.eye(3) + (1 - saturation) / 3) * gain
    shifted = np.column_stack([matrix, np.full(3, bias)])
    return np.asarray(cv2.transform(image, shifted), dtype=np.uint8)


def endless(items: Sequence[LabelledPhoto], rng: np.random.Generator) -> Iterator[LabelledPhoto]:
    """Shuffled passes over ``items``, one after the other, without end."""
    while True:
        for i in rng.permutation(len(items)):
            yield items[int(i)]


def _offset(extent: float, size: int, rng: np.random.Generator) -> float:
    """Window start along one axis: inside a larger photo, anywhere around a smaller one."""
    room = extent - size
    if room >= 0:
        slack = min(0.1 * size, room / 2)
        return float(rng.uniform(-slack, room + slack))
    return float(rng.uniform(room, 0.0))
