"""The device's preprocessing against the transform that a checkpoint was made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import BundleError, ConfigError
from edge.manifest import Preprocessing
from export.embedding import F32, Embed, normalised, whole
from export.images import Image

if TYPE_CHECKING:
    from torch import Tensor

MIN_COSINE = 0.99
Transform = Callable[[Any], "Tensor"]


def checkpoint_transform(model: str) -> Transform:
    """The library's own evaluation transform of `timm:…` or `open_clip:…`: PIL image → (3, S, S)."""
    library, _, name = model.partition(":")
    if library == "timm":
        import timm

        data = timm.data.resolve_data_config({}, model=timm.create_model(name))
        # whole crops, as on the device: a box has no border to throw away
        transform: Transform = timm.data.create_transform(**{**data, "crop_pct": 1.0})
        return transform
    if library == "open_clip":
        import open_clip

        made = open_clip.create_model(name)
        config = open_clip.get_model_preprocess_cfg(made)
        options = open_clip.transform.PreprocessCfg(**config)
        own: Transform = open_clip.transform.image_transform_v2(options, is_train=False)
        return own
    raise ConfigError(f"model {model!r} has no transform of its own (timm:…, open_clip:…)")


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
    one, other = normalised(embed(device)), normalised(embed(theirs.astype(np.float32)))
    return np.asarray((one * other).sum(axis=1), np.float32)


def require_same(cosines: F32, model: str) -> None:
    """Raises BundleError where a picture falls below MIN_COSINE."""
    low = float(cosines.min())
    if low < MIN_COSINE:
        count = int((cosines < MIN_COSINE).sum())
        raise BundleError(
            f"{model}: {count} of {len(cosines)} pictures differ by preprocessing (least cosine "
            f"{low:.4f} < {MIN_COSINE})"
        )
