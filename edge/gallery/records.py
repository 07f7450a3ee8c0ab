"""What a gallery holds: SKUs, their references, and one consistent reading of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from edge.gallery.gtin import parse_gtin
from edge.gallery.names import canonical_locale
from edge.types import F32, I32, I64


@dataclass(frozen=True, slots=True)
class Sku:
    """A product: ``names`` by BCP 47 locale, ``category`` from the coarsest level to the finest.

    Raises ValueError that names the value for an empty or unprintable text, a wrong GTIN, or a
    locale that is not in its usual spelling.
    """

    sku_id: str
    gtin: str | None = None
    brand: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    category: tuple[str, ...] = ()

    @property
    def category_edges(self) -> tuple[tuple[str, str], ...]:
        """Each level with the next finer one; a level that repeats its parent's name is no edge."""
        pairs = zip(self.category, self.category[1:], strict=False)
        return tuple(dict.fromkeys(pair for pair in pairs if pair[0] != pair[1]))

    def __post_init__(self) -> None:
        _check_text("sku_id", self.sku_id)
        if self.brand is not None:
            _check_text("brand", self.brand)
        for level in self.category:
            _check_text("category level", level)
        _check_path(self.category)
        for locale, name in self.names.items():
            _check_text(f"name in {locale}", name)
            if canonical_locale(locale) != locale:
                raise ValueError(f"locale {locale!r} must be written {canonical_locale(locale)!r}")
        if self.gtin is not None and parse_gtin(self.gtin) != self.gtin:
            raise ValueError(f"GTIN {self.gtin!r} must hold digits only")


def _check_text(name: str, text: str) -> None:
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError(f"{name} must be printable text, not empty or padded, got {text!r}")


def _check_path(category: tuple[str, ...]) -> None:
    passed: list[str] = []
    for level in category:
        if level in passed[:-1]:
            below = passed[passed.index(level) + 1]
            raise ValueError(
                f"category {' > '.join(category)!r} runs in a circle: {level!r} is above {below!r}"
                " and below it"
            )
        if level not in passed:
            passed.append(level)


@dataclass(frozen=True, slots=True, eq=False)
class NewReference:
    """A picture of a SKU to be enrolled.

    ``vector (D,) float32`` of L2 norm 1; ``jpeg`` of at most 256 px on its long side; ``source`` is
    where the picture came from and ``source_sha256`` the hash of that file; ``quality`` is the
    picture's sharpness (``edge.gallery.thumbnail.sharpness``). ``created_at`` is now, unless the
    reference was enrolled earlier, elsewhere.
    """

    sku_id: str
    vector: F32
    jpeg: bytes
    source: str
    source_sha256: str
    quality: float
    created_at: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A reference as it is stored; ``created_at`` is ISO 8601 in UTC, ``seq`` its last change."""

    reference_id: int
    sku_id: str
    vector: F32
    jpeg: bytes
    source: str
    source_sha256: str
    quality: float
    created_at: str
    seq: int


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSet:
    """All vectors of a gallery.

    ``ids (N,) int64`` ascending; ``sku_index (N,) int32`` into the list of SKUs sorted by id;
    ``vectors (N, D) float32`` of L2 norm 1; ``digest`` is a hash over all of it.
    """

    ids: I64
    sku_index: I32
    vectors: F32
    digest: str

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, dim: int) -> ReferenceSet:
        """No reference of dimension ``dim``."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros((0, dim), np.float32), "")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One committed state of a gallery; ``skus`` are sorted by id."""

    version: str
    last_seq: int
    skus: tuple[Sku, ...]
    references: ReferenceSet


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """The difference between a committed state that a reader has and the latest one.

    Exact and without overlap: an id is in one of ``ids``, ``removed`` and ``relabelled``. An id
    stands for one vector for ever. ``ids`` may hold one that a reader removed long ago: undo has
    brought it back, with the same vector.
    """

    since: int
    last_seq: int
    version: str
    ids: I64
    """References that are new since then: ``(A,) int64``, ascending."""
    sku_ids: tuple[str, ...]
    """The SKU of each of ``ids``."""
    vectors: F32
    """The vector of each of ``ids``: ``(A, D) float32`` of L2 norm 1, verified."""
    removed: I64
    """References that are gone: ``(R,) int64``, ascending."""
    relabelled: Mapping[int, str]
    """The SKU, now, of each reference that had another one then."""
    skus: tuple[Sku, ...]
    """SKUs that are new or changed, sorted by id."""
    removed_skus: tuple[str, ...]
    """SKUs that are gone, sorted."""
    sku_count: int
    reference_count: int
    """What the gallery holds now, so that a reader can check what it has after following."""

    @property
    def empty(self) -> bool:
        """Whether the reader has the latest state already."""
        return self.since == self.last_seq


@dataclass(frozen=True, slots=True)
class Change:
    """A committed change as the journal shows it; ``seq`` is its number, ``created_at`` in UTC.

    ``undone_by`` is the change that took it back, where one did; ``undoable`` is false for undo and
    redo themselves and for what begins a history, such as a build.
    """

    seq: int
    kind: str
    created_at: str
    summary: str
    undone_by: int | None
    undoable: bool

    def to_json(self) -> dict[str, object]:
        """For machines: all fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a full reading of a gallery found; ``problems`` is empty when all holds.

    ``version`` is None when the gallery cannot be opened at all.
    """

    path: str
    version: str | None
    skus: int
    references: int
    problems: tuple[str, ...]
    skus_without_reference: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.problems

    def to_json(self) -> dict[str, object]:
        """For machines: all fields, and ``ok``."""
        return asdict(self) | {"ok": self.ok}
