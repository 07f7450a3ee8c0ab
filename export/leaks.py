"""Pictures that stand on both sides of an evaluation: identical files and near-duplicates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from export.datasets import Sample
from export.embedding import F32
from export.images import Image, read_rgb

NEAR_BITS = 4


@dataclass(frozen=True, slots=True)
class Leak:
    """Two pictures that are the same file (`bits` = −1), differ in a few hash bits, or look the same
    to a tower (`cosine`; its hash bits are not counted then).
    """

    gallery: Path
    query: Path
    bits: int
    cosine: float | None = None


def find_leaks(
    gallery: Sequence[Sample], queries: Sequence[Sample], near_bits: int = NEAR_BITS
) -> list[Leak]:
    """All pairs of a gallery and a query picture that are identical or nearly so."""
    digests: dict[str, list[Path]] = {}
    for sample in gallery:
        digests.setdefault(file_digest(sample.path), []).append(sample.path)
    leaks = [
        Leak(path, sample.path, -1)
        for sample in queries
        for path in digests.get(file_digest(sample.path), [])
    ]
    same = {(leak.gallery, leak.query) for leak in leaks}
    left = np.array([difference_hash(read_rgb(s.path)) for s in gallery])
    for sample in queries:
        bits = np.bitwise_count(left ^ difference_hash(read_rgb(sample.path)))
        for index in np.flatnonzero(bits <= near_bits).tolist():
            pair = (gallery[index].path, sample.path)
            if pair not in same:
                leaks.append(Leak(*pair, int(bits[index])))
    return leaks


def near_by_embedding(
    gallery: Sequence[Sample], queries: Sequence[Sample], one: F32, other: F32, floor: float = 0.995
) -> list[Leak]:
    """Pairs whose embeddings, (G, D) and (Q, D) of norm 1, have a cosine of `floor` or more.

    It finds what hashes miss (a shifted cut of the same photo), and is only as good as the tower:
    such pairs are reported as suspects, never refused.
    """
    cosines = other @ one.T
    pairs = np.argwhere(cosines >= floor).tolist()
    return [Leak(gallery[g].path, queries[q].path, 0, float(cosines[q, g])) for q, g in pairs]


def refuse_leaks(leaks: Sequence[Leak]) -> None:
    """Raises ConfigError naming the first pairs where there are any."""
    if leaks:
        shown = "; ".join(f"{leak.query} ~ {leak.gallery}" for leak in leaks[:3])
        raise ConfigError(
            f"{len(leaks)} query picture(s) stand in the gallery too, or nearly: {shown}"
        )


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes; a file that cannot be read raises ConfigError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def difference_hash(image: Image) -> np.uint64:
    """64 bits: is each of 8×8 grey cells brighter than its right neighbour (dHash)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits: NDArray[np.bool_] = small[:, 1:] > small[:, :-1]
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes(), "little"))
