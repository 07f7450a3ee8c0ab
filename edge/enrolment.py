"""Pictures into a gallery, and pictures looked up in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.console import Progress
from edge.errors import CameraError
from edge.gallery.build import BuildReport, build_gallery
from edge.gallery.gallery import Gallery
from edge.gallery.views import enrolment_views
from edge.pipeline import Models
from edge.types import Candidate


@dataclass(frozen=True, slots=True)
class Found:
    """What one picture looks like; ``error`` is set where it could not be read."""

    picture: str
    sku_id: str | None
    name: str | None
    category: tuple[str, ...]
    top: tuple[Candidate, ...]
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "picture": self.picture,
            "sku_id": self.sku_id,
            "name": self.name,
            "category": list(self.category),
            "top": [{"sku_id": c.sku_id, "similarity": round(c.similarity, 5)} for c in self.top],
            "error": self.error,
        }

    def to_text(self) -> str:
        """For people: the decision, then the candidates."""
        if self.error is not None:
            return f"{self.picture}: error: {self.error}"
        verdict = f"{self.sku_id} {self.name}" if self.sku_id else "unknown"
        lines = [f"{self.picture}: {verdict}"]
        lines += [f"  {c.similarity:.3f}  {c.sku_id}" for c in self.top]
        return "\n".join(lines)


def build_from_folder(
    folder: Path,
    out: Path,
    *,
    bundle: Path | None = None,
    provider: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Enrol a folder with a bundle's tower; see ``build_gallery``."""
    return enrol_folder(_models(bundle, provider), folder, out, force=force, progress=progress)


def enrol_folder(
    models: Models,
    folder: Path,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """``build_from_folder`` with models that are open already."""
    return build_gallery(
        folder,
        out,
        embed=models.embedder.embed_images,
        precision=models.tower_precision,
        read_image=read_image,
        progress=progress,
        force=force,
    )


def search_pictures(
    file: Path,
    pictures: Sequence[Path],
    *,
    bundle: Path | None = None,
    provider: str = "auto",
    locale: str = "en",
) -> list[Found]:
    """Look up whole pictures of one product each; an unreadable one is reported in its place."""
    models = _models(bundle, provider)
    manifest = models.bundle.manifest
    gallery = Gallery.open(file, tower=manifest.tower.fingerprint)
    matcher = gallery.matcher(manifest.decision[models.tower_precision])
    found = []
    for picture in pictures:
        try:
            image = read_image(picture)
        except CameraError as error:
            found.append(Found(str(picture), None, None, (), (), str(error)))
            continue
        seen = enrolment_views(image)[0]
        matches = gallery.match(models.embedder.embed_images([seen]), matcher)
        sku_id = matches.sku_id[0]
        name = gallery.name(sku_id, locale) if sku_id is not None else None
        found.append(Found(str(picture), sku_id, name, matches.category[0], matches.top[0]))
    return found


def _models(bundle: Path | None, provider: str) -> Models:
    loaded = Bundle.load(bundle) if bundle is not None else Bundle.default()
    return Models.open(loaded, provider=provider)
