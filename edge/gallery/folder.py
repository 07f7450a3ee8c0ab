"""A folder of pictures to enrol: ``DIR/<sku_id>/*.jpg`` or ``DIR/<sku_id>.jpg``."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import GalleryError

CATALOGUE = "skus.csv"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_NOT_OURS = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file of a SKU and the SHA-256 of its bytes (empty when it cannot be read)."""

    sku_id: str
    path: Path
    sha256: str


def find_pictures(folder: Path) -> tuple[list[Picture], list[str]]:
    """All pictures of a folder, sorted by SKU and name, and a warning for all that was passed over.

    Raises GalleryError when the folder is missing.
    """
    if not folder.is_dir():
        raise GalleryError(f"{folder}: no such folder")
    pictures: list[Picture] = []
    warnings: list[str] = []
    for entry in _entries(folder):
        if entry.is_dir():
            inside = [_picture(entry.name, path, warnings) for path in _entries(entry)]
            found = [picture for picture in inside if picture is not None]
            if not found:
                warnings.append(f"{entry}: no pictures for SKU {entry.name!r}")
            pictures += found
        elif entry.name != CATALOGUE:
            alone = _picture(entry.stem, entry, warnings)
            pictures += [alone] if alone is not None else []
    return sorted(pictures, key=lambda p: (p.sku_id, str(p.path))), warnings


def contradictions(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Groups of pictures with the same bytes that lie under different SKUs."""
    groups: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.sha256:
            groups[picture.sha256].append(picture)
    return [group for group in groups.values() if len({p.sku_id for p in group}) > 1]


def _entries(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _NOT_OURS
    )


def _picture(sku_id: str, path: Path, warnings: list[str]) -> Picture | None:
    if not path.is_file() or path.suffix.lower() not in PICTURES:
        warnings.append(f"{path}: not a picture ({', '.join(PICTURES)}), passed over")
        return None
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        sha256 = ""  # reading it again fails with a reason that names it
    return Picture(unicodedata.normalize("NFC", sku_id), path, sha256)
