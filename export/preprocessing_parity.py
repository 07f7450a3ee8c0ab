"""The device's preprocessing against the transform that a checkpoint was made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ConfigError
from edge.manifest import Preprocessing
from export.embedding import F32, Embed, normalised, torch_embed, whole
from export.images import Image
from export.parity import GateReport, in_batches
from export.views import read_yolo_folder

if TYPE_CHECKING:
    from torch import Tensor

    from export.backbones import ImageTower

MIN_COSINE = 0.99
CROPS = 200
_LEAST_PX = 16
_PHOTOS = 40
Transform = Callable[[Any], "Tensor"]


def shelf_crops(folder: Path, count: int = CROPS, *, seed: int = 0) -> list[Image]:
    """Products cut out of the photos of a YOLO folder, drawn with `seed`.

    Raises ConfigError where its first photos hold fewer.
    """
    photos = read_yolo_folder(folder, _PHOTOS)
    boxes = [
        (number, box)
        for number, photo in enumerate(photos)
        for box in photo.xyxy
        if min(box[2:] - box[:2]) >= _LEAST_PX
    ]
    if len(boxes) < count:
        raise ConfigError(
            f"{folder}: {len(boxes)} products in its first photos, {count} are needed"
        )
    picked = np.random.default_rng(seed).permutation(len(boxes))[:count]
    crops = []
    for number in sorted({boxes[i][0] for i in picked}):
        image = photos[number].image()
        for x1, y1, x2, y2 in (np.rint(boxes[i][1]) for i in picked if boxes[i][0] == number):
            part = image[max(0, int(y1)) : int(y2), max(0, int(x1)) : int(x2)]
            crops.append(np.ascontiguousarray(part))
    return crops


def checkpoint_transform(model: str, tower: ImageTower) -> Transform:
    """The library's own evaluation transform of `tower`, loaded as `model`: PIL image → (3, S, S).

    `model` is `timm:…`, `open_clip:…` or `hf-clip:FOLDER`.
    """
    library, _, name = model.partition(":")
    if library == "timm":
        import timm

        data = timm.data.resolve_model_data_config(tower.trunk)
        # whole crops, as on the device: a box has no border to throw away
        transform: Transform = timm.data.create_transform(**{**data, "crop_pct": 1.0})
        return transform
    if library == "open_clip":
        import open_clip

        options = open_clip.transform.PreprocessCfg(**tower.trunk.preprocess_cfg)
        own: Transform = open_clip.transform.image_transform_v2(options, is_train=False)
        return own
    if library == "hf-clip":
        from transformers import CLIPImageProcessor

        processor = CLIPImageProcessor.from_pretrained(name, local_files_only=True)
        return lambda image: processor(image, return_tensors="pt")["pixel_values"][0]
    raise ConfigError(
        f"model {model!r} has no transform of its own (timm:…, open_clip:…, hf-clip:…)"
    )


def preprocessing_cosines(
    embed: Embed, spec: Preprocessing, transform: Transform, images: Sequence[Image]
) -> F32:
    """Per picture (H, W, 3) uint8 RGB: cosine of its embedding by the device's preprocessing to its
    embedding by `transform`.
    """
    from PIL import Image as Pillow

    device = np.concatenate([whole(image, spec) for image in images])
    theirs = np.stack([np.asarray(transform(Pillow.fromarray(image))) for image in images])
    if theirs.shape != device.shape:
        raise ConfigError(f"the transform gives {theirs.shape}, the device {device.shape}")
    one = normalised(in_batches(embed, device))
    other = normalised(in_batches(embed, theirs.astype(np.float32)))
    return np.asarray((one * other).sum(axis=1), np.float32)


def preprocessing_gate(tower: ImageTower, model: str, images: Sequence[Image]) -> GateReport:
    """The least cosine over `images`, and a failure where any falls below MIN_COSINE."""
    transform = checkpoint_transform(model, tower)
    cosines = preprocessing_cosines(torch_embed(tower), tower.preprocessing, transform, images)
    return judge(cosines)


def judge(cosines: F32) -> GateReport:
    """One cosine a picture; the gate's values and failures."""
    low, count = float(cosines.min()), int((cosines < MIN_COSINE).sum())
    values = {"min_cosine_preprocessing": low, "crops": float(len(cosines))}
    if not low >= MIN_COSINE:
        return GateReport(
            values,
            (
                f"{count} of {len(cosines)} pictures differ by preprocessing (least cosine "
                f"{low:.4f} < {MIN_COSINE})",
            ),
        )
    return GateReport(values, ())
