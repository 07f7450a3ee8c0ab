"""A gallery from a folder of pictures, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge.errors import EdgeError, GalleryError
from edge.gallery.admission import admit
from edge.gallery.catalogue import read_catalogue
from edge.gallery.folder import CATALOGUE, Picture, contradictions, find_pictures
from edge.gallery.records import NewReference, Sku
from edge.gallery.replace import replacing
from edge.gallery.store import GalleryStore
from edge.gallery.thumbnail import encode_jpeg, sharpness, shrink
from edge.gallery.twins import Enrolled
from edge.gallery.views import enrolment_views
from edge.types import U8, Embeddings

BATCH = 32
BATCH_PIXELS = 32 << 20
"""A batch ends at this many pixels too, so that large photos do not fill the memory (96 MiB)."""

Embed = Callable[[list[U8]], Embeddings]
ReadImage = Callable[[Path], U8]
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class BuildReport:
    """What was enrolled, and what was not and why; each text is one line that names a file or SKU.

    ``failures`` are pictures that could not be read, or are blurred or tiny; ``contradictions`` are
    pictures that lie under several SKUs, the same or nearly so (both enrolled only when forced).
    """

    path: str
    version: str = ""
    skus: int = 0
    references: int = 0
    failures: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every picture is enrolled without a doubt."""
        return not self.failures and not self.contradictions

    def to_json(self) -> dict[str, object]:
        """For machines: all fields, and ``complete``."""
        return asdict(self) | {"complete": self.complete}


def build_gallery(
    folder: Path,
    out: Path,
    *,
    embed: Embed,
    precision: str,
    read_image: ReadImage,
    progress: Progress | None = None,
    force: bool = False,
) -> BuildReport:
    """Enrol ``DIR/<sku_id>/*.jpg`` or ``DIR/<sku_id>.jpg``, with ``DIR/skus.csv``, into ``out``.

    ``read_image`` gives ``(H, W, 3) uint8`` RGB and raises EdgeError for a bad picture, which is
    then reported while the others go on. ``embed`` takes up to 64 such pictures at ``precision``.
    A product on a plain background is enrolled as a camera sees it (``enrolment_views``).
    ``progress`` is called with pictures done and all. A picture whose bytes lie under several SKUs
    is refused for all of them, and what ``quality.check`` finds unfit is refused, unless ``force``.

    ``out`` is replaced only when everything is on disk. Raises GalleryError when there is nothing
    to enrol or the CSV has mistakes, and whatever ``embed`` raises; then ``out`` is as it was.
    """
    report = BuildReport(str(out))
    catalogue_path = folder / CATALOGUE
    pictures, report.warnings = find_pictures(folder)
    catalogue = read_catalogue(catalogue_path) if catalogue_path.exists() else {}
    if not pictures:
        raise GalleryError(
            f"{folder}: no pictures to enrol (as <sku_id>/*.jpg or <sku_id>.jpg, one level deep)"
        )
    skus = _skus(catalogue, pictures, catalogue_path, report)
    pictures = _without_twins(pictures, report, force=force)
    with replacing(out) as new:
        _fill(new.path, pictures, skus, report, embed, precision, read_image, progress, force)
        new.publish()
    return report


def _fill(
    path: Path,
    pictures: Sequence[Picture],
    skus: Sequence[Sku],
    report: BuildReport,
    embed: Embed,
    precision: str,
    read_image: ReadImage,
    progress: Progress | None,
    force: bool,
) -> None:
    store: GalleryStore | None = None
    compared: Enrolled | None = None
    enrolled: set[str] = set()
    try:
        for done, batch in _batches(pictures, read_image, report):
            if batch:
                batch = [(p, view) for p, image in batch for view in enrolment_views(image)]
                found = embed([image for _, image in batch])
                if store is None:
                    dim = found.vectors.shape[1]
                    store = GalleryStore.create(
                        path,
                        tower=found.tower,
                        dim=dim,
                        precision=precision,
                        unpublished=True,
                    )
                    store.add_skus(skus)
                    compared = None if force else Enrolled(dim=dim)
                if compared is not None:
                    batch, found = _fit(batch, found, compared, report)
                store.add_references(_references(batch, found, store.tower))
                enrolled.update(picture.sku_id for picture, _ in batch)
                report.references += len(batch)
            if progress is not None:
                progress(done, len(pictures))
        if store is None or not report.references:
            reasons = [*report.failures, *report.contradictions]
            raise GalleryError(
                f"no picture could be enrolled: {reasons[0]} ({len(reasons)} in all)"
            )
        store.begin_history("build", f"{len(skus)} SKUs, {report.references} references")
        report.skus, report.version = len(skus), store.version
        report.warnings += [
            f"SKU {sku.sku_id!r} has no reference" for sku in skus if sku.sku_id not in enrolled
        ]
    finally:
        if store is not None:
            store.close()


def _fit(
    batch: list[tuple[Picture, U8]], found: Embeddings, compared: Enrolled, report: BuildReport
) -> tuple[list[tuple[Picture, U8]], Embeddings]:
    if len(found) != len(batch):
        return batch, found  # said where both are put together
    fit = admit(batch, found.vectors, compared)
    report.failures += fit.unfit
    report.contradictions += fit.contradictory
    report.warnings += fit.near_duplicates
    return [batch[row] for row in fit.rows], Embeddings(found.vectors[fit.rows], found.tower)


def _batches(
    pictures: Sequence[Picture], read_image: ReadImage, report: BuildReport
) -> Iterator[tuple[int, list[tuple[Picture, U8]]]]:
    """Pictures done so far, and the readable ones of the next batch."""
    batch: list[tuple[Picture, U8]] = []
    pixels = 0
    for done, picture in enumerate(pictures, 1):
        try:
            image = read_image(picture.path)
            batch.append((picture, image))
            pixels += image.shape[0] * image.shape[1]
        except EdgeError as error:
            text = str(error)
            named = str(picture.path) in text
            report.failures.append(text if named else f"{picture.path}: {text}")
        if len(batch) == BATCH or pixels >= BATCH_PIXELS or done == len(pictures):
            yield done, batch
            batch, pixels = [], 0


def _references(
    batch: Sequence[tuple[Picture, U8]], found: Embeddings, tower: str
) -> list[NewReference]:
    if len(found) != len(batch) or found.tower != tower:
        raise GalleryError(
            f"the image tower gave {len(found)} vectors of {found.tower} for {len(batch)} pictures"
            f" of {tower}"
        )
    references = []
    for (picture, image), vector in zip(batch, found.vectors, strict=True):
        small = shrink(image)
        references.append(
            NewReference(
                sku_id=picture.sku_id,
                vector=vector,
                jpeg=encode_jpeg(small),
                source=str(picture.path),
                source_sha256=picture.sha256,
                quality=sharpness(small),
            )
        )
    return references


def _skus(
    catalogue: dict[str, Sku], pictures: Sequence[Picture], path: Path, report: BuildReport
) -> list[Sku]:
    """All SKUs of the catalogue and of the pictures, sorted by id."""
    skus = dict(catalogue)
    for sku_id in sorted({picture.sku_id for picture in pictures} - set(catalogue)):
        try:
            skus[sku_id] = Sku(sku_id)
        except ValueError as error:
            raise GalleryError(f"{path.parent}: {error}") from error
        if catalogue:
            report.warnings.append(f"{path}: SKU {sku_id!r} is not listed")
    return [skus[sku_id] for sku_id in sorted(skus)]


def _without_twins(
    pictures: Sequence[Picture], report: BuildReport, *, force: bool
) -> list[Picture]:
    refused: set[Path] = set()
    for group in contradictions(pictures):
        skus = ", ".join(sorted({picture.sku_id for picture in group}))
        text = f"the same picture under SKUs {skus}: {', '.join(str(p.path) for p in group)}"
        report.contradictions.append(text)
        if not force:
            refused.update(picture.path for picture in group)
    kept: list[Picture] = []
    seen: set[tuple[str, str]] = set()
    for picture in pictures:
        twin = (picture.sku_id, picture.sha256)
        if picture.path in refused:
            continue
        if picture.sha256 and twin in seen:
            report.warnings.append(f"{picture.path}: the same picture again, passed over")
            continue
        seen.add(twin)
        kept.append(picture)
    return kept
