"""Choosing the scale at which a detector sees a frame.

One picture may hold two facings that fill it or five hundred that are a few pixels wide, and a
detector works over a limited range of object sizes. The whole picture is looked at first; from what
that pass finds, other scales are tried where they may find more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge import geometry
from edge.errors import ConfigError
from edge.manifest import ScalePolicy
from edge.types import Detections

_CHOICE = re.compile(r"^(shrink|tiles)@(\d+(?:\.\d+)?)$")
_PYRAMID = (0.5, 0.28, 0.16)  # side by side they fit one input
_SMALL_QUANTILE = 0.25
_MAX_ENLARGE = 2.0
_MAX_TILE_FACTOR = 8.0
_CLEARLY_BETTER = 1.1


@dataclass(frozen=True, slots=True)
class Scale:
    """``mode`` whole, shrink or tiles; ``factor`` is input pixels a frame pixel.

    Written ``whole``, ``shrink@0.31``, ``tiles@0.75``: the form found in results can be given back
    as a fixed choice for a fixed camera.
    """

    mode: str
    factor: float

    def __str__(self) -> str:
        return self.mode if self.mode == "whole" else f"{self.mode}@{self.factor:.3g}"


def parse_scale(text: str, whole: float) -> Scale | None:
    """A fixed choice from its written form, or None for ``auto``.

    Args:
        whole: the factor at which the whole frame fits the input.

    Raises:
        ConfigError: when the form is not known.
    """
    if text == "auto":
        return None
    if text == "whole":
        return Scale("whole", whole)
    if text == "shrink":
        return Scale("shrink", whole / 2)
    if text == "tiles":
        return Scale("tiles", 1.0)
    found = _CHOICE.match(text)
    if found is None or float(found[2]) <= 0:
        raise ConfigError(
            f"scale {text!r} is not known (auto, whole, shrink, tiles, shrink@FACTOR, tiles@FACTOR)"
        )
    factor = float(found[2])
    if found[1] == "tiles" and factor > _MAX_TILE_FACTOR:
        raise ConfigError(f"scale {text!r}: tiles are enlarged at most {_MAX_TILE_FACTOR:g} times")
    return Scale(found[1], min(factor, whole) if found[1] == "shrink" else factor)


def whole_factor(frame_wh: tuple[int, int], input_wh: tuple[int, int]) -> float:
    """The factor of the first pass: the whole frame fits, and a small one is not enlarged."""
    return min(input_wh[0] / frame_wh[0], input_wh[1] / frame_wh[1], 1.0)


def coverage(found: Detections, frame_wh: tuple[int, int]) -> float:
    """Share of the frame under boxes, weighted by confidence: what the right scale makes large.

    Letters taken for products and facings lost for their size both leave a shelf uncovered.
    """
    areas = geometry.area(found.xyxy)
    return float((areas * found.confidence).sum() / (frame_wh[0] * frame_wh[1]))


def facing_px(found: Detections, factor: float, quantile: float = 0.5) -> float:
    """Facing size (square root of box area) in input pixels, the median by default; NaN for none."""
    if not len(found):
        return math.nan
    return float(np.quantile(np.sqrt(geometry.area(found.xyxy)), quantile)) * factor


def choose(
    detect: Callable[[Sequence[Scale]], list[Detections]],
    frame_wh: tuple[int, int],
    input_wh: tuple[int, int],
    policy: ScalePolicy,
) -> tuple[Detections, Scale]:
    """Run the passes that pay and return the best result and its scale.

    The whole frame is enough when facings have a size the detector knows and cover the frame.
    Otherwise a pyramid of smaller scales is tried (they share one input), a last one that brings the
    best of them into range, and tiles where facings are small or few and the frame has pixels to
    give. The largest coverage wins, and the whole frame unless another is clearly better.

    Args:
        detect: finds products at each of several scales.
    """
    whole = Scale("whole", whole_factor(frame_wh, input_wh))
    low, high = policy.facing_px
    middle = math.sqrt(low * high)
    tried: list[tuple[float, Detections, Scale]] = []

    def attempt(scales: Sequence[Scale]) -> None:
        for scale, found in zip(scales, detect(scales), strict=True):
            tried.append((coverage(found, frame_wh), found, scale))

    attempt([whole])
    score, found, _ = tried[0]
    size = facing_px(found, whole.factor)
    sparse = score < policy.enough_coverage
    if low <= size <= high and not sparse:
        return found, whole
    if sparse or size > high:
        attempt([Scale("shrink", whole.factor * step) for step in _PYRAMID])
        _, found, scale = max(tried, key=lambda t: t[0])
        size = facing_px(found, scale.factor)
        wanted = scale.factor * middle / size if size > 0 else whole.factor
        if scale.mode == "shrink" and not low <= size <= high and wanted < whole.factor:
            attempt([Scale("shrink", wanted)])
    tiles = _tiles(max(tried, key=lambda t: t[0]), frame_wh, input_wh, policy)
    if tiles is not None:
        attempt([tiles])
    _, found, scale = max(tried, key=lambda t: t[0] / (1.0 if t[2] == whole else _CLEARLY_BETTER))
    return found, scale


def _tiles(
    best: tuple[float, Detections, Scale],
    frame_wh: tuple[int, int],
    input_wh: tuple[int, int],
    policy: ScalePolicy,
) -> Scale | None:
    """Tiles that would show facings larger than the whole frame does, or None."""
    score, found, scale = best
    whole = whole_factor(frame_wh, input_wh)
    size = facing_px(found, scale.factor)
    low, high = policy.facing_px
    if scale.mode == "shrink" or (size >= low and score >= policy.enough_coverage):
        return None
    # of small facings a pass finds the larger ones, so that their median says too little
    small = facing_px(found, scale.factor, _SMALL_QUANTILE)
    wanted = scale.factor * math.sqrt(low * high) / small if small > 0 else 2.0 * whole
    wanted = min(max(wanted, 1.5 * whole), max(1.0, whole * _MAX_ENLARGE))
    if wanted <= 1.2 * whole:
        return None
    return Scale("tiles", fit_tiles(frame_wh, input_wh, wanted, policy))


def fit_tiles(
    frame_wh: tuple[int, int], input_wh: tuple[int, int], factor: float, policy: ScalePolicy
) -> float:
    """The largest factor up to ``factor`` whose tiles stay within the policy's number."""
    while len(tile_origins(frame_wh, input_wh, factor, policy.overlap)) > policy.max_tiles:
        factor *= 0.9
    return factor


def tile_origins(
    frame_wh: tuple[int, int], input_wh: tuple[int, int], factor: float, overlap: float
) -> list[tuple[int, int, int, int]]:
    """Evenly spread regions ``(x1, y1, x2, y2)`` in frame pixels that cover the frame."""
    axes = []
    for frame, size in zip(frame_wh, input_wh, strict=True):
        tile = min(frame, int(size / factor))
        step = tile * (1.0 - overlap)
        count = 1 if tile >= frame else math.ceil((frame - tile) / step) + 1
        starts = np.linspace(0, frame - tile, count).round().astype(int)
        axes.append([(int(s), int(s) + tile) for s in starts])
    return [(x1, y1, x2, y2) for y1, y2 in axes[1] for x1, x2 in axes[0]]
