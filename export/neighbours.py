"""Free supervision from shelves: identical facings that stand side by side, beside what differs.

Shops fill a shelf with several facings of one product. Boxes of equal size in one row, close together
and alike to the current tower, are taken for one product: positives that no one labelled. Other groups
of the same photo that are clearly different are its negatives, the harder for sharing its light, its
camera and often its brand. What lies between is left out, because it may be either.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.atomic import make_folder, write_bytes, write_text
from edge.errors import ConfigError
from edge.vision.preprocess import crops
from export.embedding import F32, normalised
from export.images import Image, jpeg
from export.towers import OpenTower
from export.views import LabelledPhoto

MIN_SIDE_PX = 24
_SAME_SIZE = 1.2
_SAME_ROW = 0.75
_GAP = 0.4
_OVERLAP = 0.25
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Alike:
    """Cosines: `same` and above is one product, below `other` are two."""

    same: float = 0.9
    other: float = 0.6

    def __post_init__(self) -> None:
        if not -1 <= self.other <= self.same <= 1:
            raise ConfigError(f"other {self.other} must lie below same {self.same}, both cosines")


class Row(NamedTuple):
    """A crop in a table of groups; `family` is the photo that it was cut from."""

    path: str
    sku_id: str
    photo_id: str
    family: str


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Boxes of one photo that show one product: `(N, 4) float32`, N ≥ 2."""

    photo: Path
    xyxy: F32


def mine(
    photo: LabelledPhoto, tower: OpenTower, alike: Alike, min_side_px: int = MIN_SIDE_PX
) -> list[Group]:
    """The groups of one photo, each surely different from each other one."""
    pairs = neighbours(photo.xyxy, min_side_px)
    if not len(pairs):
        return []
    boxes = np.unique(pairs)
    image = photo.image()
    parts = [
        tower.embed(crops(image, photo.xyxy[boxes[i : i + _BATCH]], tower.preprocessing))
        for i in range(0, len(boxes), _BATCH)
    ]
    found = normalised(np.concatenate(parts))
    vectors = np.zeros((len(photo.xyxy), found.shape[1]), np.float32)
    vectors[boxes] = found
    return [Group(photo.path, photo.xyxy[i]) for i in group(pairs, vectors, alike)]


def neighbours(xyxy: F32, min_side_px: int = MIN_SIDE_PX) -> NDArray[np.int64]:
    """Pairs ``(P, 2)`` of boxes of equal size, not too small, that stand side by side in a row."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    ratio = size[:, None] / np.maximum(size[None], 1e-6)
    equal = (np.maximum(ratio, 1 / np.maximum(ratio, 1e-6)) <= _SAME_SIZE).all(axis=2)
    top = np.maximum(xyxy[:, None, 1], xyxy[None, :, 1])
    bottom = np.minimum(xyxy[:, None, 3], xyxy[None, :, 3])
    row = bottom - top >= _SAME_ROW * np.minimum(size[:, None, 1], size[None, :, 1])
    gap = xyxy[None, :, 0] - xyxy[:, None, 2]
    width = np.minimum(size[:, None, 0], size[None, :, 0])
    beside = (gap <= _GAP * width) & (gap >= -_OVERLAP * width)
    large = size.min(axis=1, initial=np.inf) >= min_side_px
    return np.argwhere(equal & row & beside & large[:, None] & large[None])


def group(pairs: NDArray[np.int64], vectors: F32, alike: Alike) -> list[NDArray[np.int64]]:
    """Chains of neighbours that are alike, joined where two show one product, as box numbers.

    A chain between `other` and `same` to a larger one is dropped: it may be either.
    """
    cosine = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    chains = _components(len(vectors), pairs[cosine >= alike.same])
    chains.sort(key=lambda chain: (-len(chain), int(chain[0])))
    groups: list[NDArray[np.int64]] = []
    for chain in chains:
        nearness = [float((vectors[chain] @ vectors[other].T).mean()) for other in groups]
        best = int(np.argmax(nearness)) if nearness else -1
        if best < 0 or nearness[best] < alike.other:
            groups.append(chain)
        elif nearness[best] >= alike.same:
            groups[best] = np.sort(np.concatenate([groups[best], chain]))
    return groups


def write_groups(
    photos: Sequence[LabelledPhoto],
    tower: OpenTower,
    out: Path,
    *,
    alike: Alike | None = None,
    min_side_px: int = MIN_SIDE_PX,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Writes the crops and `out/crops.csv` (path, sku_id, photo_id, family); numbers of groups, crops.

    Every crop is a `photo` of its own, all groups of one picture are a family: a training source
    with `reader = "csv"`, `proxies = false` and `variants` of 2 or more puts them into one batch.
    """
    make_folder(out)
    rows: list[Row] = []
    groups = 0
    for done, photo in enumerate(photos, start=1):
        for number, one in enumerate(mine(photo, tower, alike or Alike(), min_side_px)):
            name = f"{photo.path.stem}-{number:03d}"
            for place, crop in enumerate(_cut(photo.image(), one.xyxy)):
                file = f"{name}-{place:02d}.jpg"
                write_bytes(out / file, jpeg(crop))
                rows.append(Row(file, name, file, photo.path.stem))
            groups += 1
        progress(done, len(photos))
    if not groups:
        raise ConfigError(f"{out}: no identical neighbours found in {len(photos)} photos")
    write_text(out / "crops.csv", table(rows))
    return groups, len(rows)


def table(rows: Sequence[Row]) -> str:
    """The rows as a CSV file that `reader = "csv"` takes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([Row._fields, *rows])
    return out.getvalue()


def _components(count: int, links: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Sets of two or more numbers below `count` that `links` join, by union-find."""
    parent = np.arange(count)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for one, other in links.tolist():
        parent[root(one)] = root(other)
    members: dict[int, list[int]] = {}
    for i in np.unique(links).tolist():
        members.setdefault(root(i), []).append(i)
    return [np.array(sorted(m), np.int64) for m in members.values()]


def _cut(image: Image, xyxy: F32) -> Iterator[Image]:
    height, width = image.shape[:2]
    limit = np.array([width, height, width, height])
    for x1, y1, x2, y2 in np.rint(xyxy).astype(int).clip(0, limit):
        yield np.ascontiguousarray(image[y1:y2, x1:x2])
