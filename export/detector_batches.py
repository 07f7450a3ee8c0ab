"""Training batches of the detector: taught views of photos, close-ups, and rendered scenes."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import ConfigError
from export.ahead import ahead
from export.dense import DenseTeacher, flip_dense
from export.images import ImageCache
from export.views import (
    LabelledPhoto,
    View,
    cut_view,
    endless,
    few_facings,
    jitter_colour,
    read_yolo_folder,
)

if TYPE_CHECKING:
    from export.train_detector import DetectorTraining

SIZE = 640

Batch = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]


def batches(config: DetectorTraining, rng: np.random.Generator) -> Iterator[Batch]:
    """Endless batches: pictures ``(B, 3, S, S) float32`` 0..1, dense targets ``(D, A, 5)`` of the
    first D pictures, and boxes of the others in ultralytics' form.

    Raises:
        ConfigError: when a folder holds no photo, or a photo or label cannot be read.
    """
    photos = _some(config.photos)
    scenes = _some(config.scenes) if config.scenes else []
    teacher = DenseTeacher(config.teacher, config.threads)
    cache = ImageCache(config.cache_mb)
    stream, close_stream = endless(photos, rng), endless(photos, rng)
    scene_stream = endless(scenes, rng)
    pool: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]] = []
    while True:
        # a pool of taught views, renewed slowly: the teacher costs a third of a step otherwise
        fresh = config.new_views_per_step if len(pool) >= 64 else 16
        for _ in range(fresh):
            view = _photo_view(cache, next(stream), rng, *config.scales, whole=True)
            taught = (view.image, teacher(view.image))
            if len(pool) < config.pool:
                pool.append(taught)
            else:
                pool[int(rng.integers(len(pool)))] = taught
        images, dense = [], []
        for i in rng.integers(len(pool), size=config.dense_per_step):
            image, target = pool[int(i)]
            if rng.random() < 0.5:
                image, target = image[:, ::-1], flip_dense(target, SIZE)
            images.append(jitter_colour(image, rng))
            dense.append(target.astype(np.float32))
        views = [
            _photo_view(cache, photo, rng, 1.5, 7.0) if i % 2 else _close_up(cache, photo, rng)
            for i, photo in zip(range(config.close_per_step), close_stream, strict=False)
        ]
        if scenes:
            views += [
                _photo_view(cache, next(scene_stream), rng, 0.7, 3.0)
                for _ in range(config.scene_per_step)
            ]
        images += [jitter_colour(view.image, rng) for view in views]
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0)
        yield (
            batch.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(np.stack(dense)),
            _box_batch(views),
        )


def prefetched(source: Iterator[Batch], depth: int = 3) -> Generator[Batch]:
    """Prepare batches in a thread: the teacher and the cutting cost a quarter of a step."""
    return ahead(repeat(partial(next, source)), workers=1, depth=depth)


def _some(folder: Path) -> list[LabelledPhoto]:
    photos = read_yolo_folder(folder)
    if not photos:
        raise ConfigError(f"{folder}: no photos in images/ or photos/")
    return photos


def _photo_view(
    cache: ImageCache,
    photo: LabelledPhoto,
    rng: np.random.Generator,
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> View:
    """A view whose scale puts the photo's long side at ``low`` to ``high`` times the input size.

    With ``whole`` most of them are near 1, the scale at which the device shows a whole photo.
    """
    ends = math.log(low), math.log(high)
    exponent = rng.triangular(ends[0], 0.0, ends[1]) if whole else rng.uniform(*ends)
    scale = math.exp(exponent) * SIZE / max(photo.size_wh)
    return cut_view(cache.get(photo.path), photo.xyxy, size=SIZE, scale=scale, rng=rng)


def _close_up(cache: ImageCache, photo: LabelledPhoto, rng: np.random.Generator) -> View:
    """A few facings cut out, small or filling the input, with nothing but padding around."""
    image, xyxy = few_facings(cache.get(photo.path), photo.xyxy, rng)
    long_side = math.exp(rng.uniform(math.log(70), math.log(SIZE)))
    return cut_view(image, xyxy, size=SIZE, scale=long_side / max(image.shape[:2]), rng=rng)


def _box_batch(views: list[View]) -> dict[str, torch.Tensor]:
    index = np.concatenate([np.full(len(v.xyxy), i) for i, v in enumerate(views)])
    xyxy = np.concatenate([v.xyxy for v in views]) / SIZE
    xywh = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    return {
        "batch_idx": torch.from_numpy(index.astype(np.float32)),
        "cls": torch.zeros(len(index), 1),
        "bboxes": torch.from_numpy(xywh.astype(np.float32)),
    }
