"""The arrays with a meaning. Frozen; shape and dtype are checked where an object is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def _check(
    name: str, array: npt.NDArray[np.generic], dtype: type, shape: tuple[object, ...]
) -> None:
    """Raise ValueError unless ``array`` has this dtype and shape (a str stands for any length)."""
    ok = isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == len(shape)
    if ok:
        ok = all(isinstance(s, str) or s == n for s, n in zip(shape, array.shape, strict=True))
    if not ok:
        expected = f"{np.dtype(dtype).name} ({', '.join(str(s) for s in shape)})"
        got = (
            f"{array.dtype.name} {array.shape}"
            if isinstance(array, np.ndarray)
            else type(array).__name__
        )
        raise ValueError(f"{name} must be {expected}, got {got}")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded picture: ``image (H, W, 3) uint8`` RGB, and where and when it was taken (UTC)."""

    image: U8
    camera_id: str
    index: int
    captured_at: datetime

    def __post_init__(self) -> None:
        _check("image", self.image, np.uint8, ("H", "W", 3))
        if 0 in self.image.shape:
            raise ValueError(f"image must not be empty, got {self.image.shape}")
        if self.captured_at.tzinfo is None:
            raise ValueError("captured_at must be timezone-aware")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return int(self.image.shape[1]), int(self.image.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes of one frame, highest confidence first.

    ``xyxy (N, 4) float32`` in frame pixels, x2/y2 exclusive; ``confidence (N,) float32`` in 0..1;
    ``class_id (N,) int32``.
    """

    xyxy: F32
    confidence: F32
    class_id: I32

    def __post_init__(self) -> None:
        _check("xyxy", self.xyxy, np.float32, ("N", 4))
        n = len(self.xyxy)
        _check("confidence", self.confidence, np.float32, (n,))
        _check("class_id", self.class_id, np.int32, (n,))

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def empty(cls) -> Detections:
        """No box at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """``vectors (N, D) float32`` of L2 norm 1, and the fingerprint of the tower that made them."""

    vectors: F32
    tower: str

    def __post_init__(self) -> None:
        _check("vectors", self.vectors, np.float32, ("N", "D"))
        if len(self.vectors):
            norms = np.linalg.norm(self.vectors, axis=1)
            if not np.all(np.abs(norms - 1.0) < 1e-2):
                worst = norms[np.argmax(np.abs(norms - 1.0))]
                raise ValueError(f"vectors must have L2 norm 1, got {worst:.4g}")

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """Nearest references: ``reference_id (N, k) int64`` (-1 = none), ``similarity (N, k) float32``.

    Similarity is cosine, descending along each row; -inf where there is no neighbour.
    """

    reference_id: I64
    similarity: F32

    def __post_init__(self) -> None:
        _check("reference_id", self.reference_id, np.int64, ("N", "k"))
        _check("similarity", self.similarity, np.float32, self.reference_id.shape)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One SKU that a crop may show, with its cosine similarity."""

    sku_id: str
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The decision per detection; all fields have N entries.

    ``sku_id`` is None where unknown; ``category`` is the deepest path that is certain enough (empty
    when none); ``similarity`` and ``margin`` (best minus best other SKU) are ``(N,) float32`` cosine;
    ``probability (N,) float32`` is that of the answer given (SKU or category), of the best SKU where
    there is none, and NaN until calibrated; ``top`` holds the best k SKUs.
    """

    sku_id: tuple[str | None, ...]
    category: tuple[tuple[str, ...], ...]
    similarity: F32
    margin: F32
    probability: F32
    top: tuple[tuple[Candidate, ...], ...]

    def __post_init__(self) -> None:
        n = len(self.sku_id)
        for name in ("similarity", "margin", "probability"):
            _check(name, getattr(self, name), np.float32, (n,))
        if len(self.category) != n or len(self.top) != n:
            raise ValueError(f"category and top must have {n} entries")

    def __len__(self) -> int:
        return len(self.sku_id)

    @classmethod
    def empty(cls) -> Matches:
        """No detection, no match."""
        none = np.zeros(0, np.float32)
        return cls((), (), none, none, none, ())


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All that is known about one frame, without its pixels."""

    source: str
    index: int
    captured_at: datetime
    size_wh: tuple[int, int]
    scale: str
    provider: str
    bundle_id: str
    gallery_version: str
    detections: Detections
    matches: Matches
    timings_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.detections) != len(self.matches):
            raise ValueError(
                f"matches must have one entry a detection: {len(self.matches)} for"
                f" {len(self.detections)}"
            )
