"""``site.json``: which bundle and which gallery a device uses, switched together or not at all.

A gallery's vectors mean something to the tower that made them only, so both are named in one file that
is replaced in one step: a reader sees the old pair or the new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.atomic import write_text
from edge.bundle import Bundle
from edge.errors import BundleError, ConfigError, GalleryError
from edge.gallery.store import GalleryStore

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Site:
    """A bundle and a gallery that belong together, as absolute paths, and what they are."""

    bundle: Path
    gallery: Path
    bundle_id: str
    gallery_id: str
    tower: str

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "bundle": str(self.bundle),
            "gallery": str(self.gallery),
            "bundle_id": self.bundle_id,
            "gallery_id": self.gallery_id,
            "tower": self.tower,
        }


def switch_site(path: Path, bundle: Path, gallery: Path) -> Site:
    """Make ``path`` name this bundle and this gallery, after both were checked.

    Paths are kept relative to the file's folder where they lie in it. The file is replaced in one
    step that survives a power cut.

    Raises:
        BundleError, GalleryError: one of them is damaged, or another tower made the gallery; the
            file is as it was.
        OutputError: the file cannot be written.
    """
    loaded = Bundle.load(bundle)
    with GalleryStore.open(gallery, tower=loaded.manifest.tower.fingerprint) as store:
        site = Site(
            bundle.resolve(),
            gallery.resolve(),
            loaded.bundle_id,
            store.gallery_id,
            store.tower,
        )
    home = path.parent.resolve()
    record = {
        "format": FORMAT,
        **site.to_json(),
        "bundle": _shown(site.bundle, home),
        "gallery": _shown(site.gallery, home),
    }
    write_text(path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return site


def read_site(path: Path) -> Site:
    """The pair that ``path`` names, after both were found to be what they were at the switch.

    Raises:
        ConfigError: the file is missing, damaged or of another format.
        BundleError, GalleryError: the bundle or gallery at its place is another than it names.
    """
    site = _parse(path)
    bundle = Bundle.load(site.bundle)
    if bundle.bundle_id != site.bundle_id:
        raise BundleError(
            f"{path}: names bundle {site.bundle_id}, but {site.bundle} is {bundle.bundle_id}"
        )
    with GalleryStore.open(site.gallery, tower=bundle.manifest.tower.fingerprint) as store:
        if store.gallery_id != site.gallery_id:
            raise GalleryError(
                f"{path}: names gallery {site.gallery_id}, but {site.gallery} is {store.gallery_id}"
            )
    return site


def site_text(path: Path) -> bytes:
    """What the file says; it is replaced as a whole, so another text is another switch.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse(path: Path) -> Site:
    text = site_text(path)
    try:
        record: Any = json.loads(text)
        if record["format"] != FORMAT:
            raise ConfigError(
                f"{path}: format {record['format']!r} is not known (this version reads {FORMAT})"
            )
        home = path.parent.resolve()
        return Site(
            home / record["bundle"],
            home / record["gallery"],
            str(record["bundle_id"]),
            str(record["gallery_id"]),
            str(record["tower"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: damaged: {error}") from error


def _shown(path: Path, home: Path) -> str:
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
