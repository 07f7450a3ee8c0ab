"""Step two of enrolling from an audit: what a person wrote into the CSV becomes SKUs and references."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge.errors import GalleryError
from edge.gallery.form import Filled, read_form
from edge.gallery.quality import NEAR_DUPLICATE, check
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.gallery.thumbnail import sharpness
from edge.gallery.twins import Enrolled, decode
from edge.pipeline import Models
from edge.proposal import Shown
from edge.shelf.unknowns import FILE, KeptCrop, read_unknown
from edge.types import U8

_BATCH = 64


@dataclass(slots=True)
class NamingReport:
    """What was enrolled, and what was not and why; each text is one line.

    ``known`` pictures were enrolled before; ``passed_over`` are near-duplicates; ``refused`` are
    other pictures that were not fit; ``lost`` are SKUs that got no picture; ``empty`` the clusters
    whose lines were left empty.
    """

    gallery: str
    version: str = ""
    new_skus: list[str] = field(default_factory=list)
    references: int = 0
    known: int = 0
    passed_over: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every SKU that was named has a picture."""
        return not self.lost

    def problems(self) -> list[str]:
        """What a person should look at, a line each."""
        lost = [f"error: SKU {sku_id!r} is not enrolled: it has no picture" for sku_id in self.lost]
        return [*(f"refused: {line}" for line in [*self.passed_over, *self.refused]), *lost]

    def to_text(self) -> str:
        """For people."""
        parts = [f"{self.references} references enrolled, {len(self.new_skus)} new SKUs"]
        if self.known:
            parts.append(f"{self.known} pictures were enrolled already")
        if self.empty:
            numbers = ", ".join(str(n) for n in self.empty[:12])
            more = ", …" if len(self.empty) > 12 else ""
            parts.append(f"{len(self.empty)} clusters left empty ({numbers}{more})")
        return f"{self.gallery}: {'; '.join(parts)}; {self.version or 'not written'}"

    def to_json(self) -> dict[str, object]:
        """For machines: all fields, and ``complete``."""
        return {"step": "enrolled", **asdict(self), "complete": self.complete}


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A crop of the contact sheet that is to be enrolled."""

    filled: Filled
    number: int
    crop: KeptCrop
    image: U8
    sha256: str

    @property
    def what(self) -> str:
        return f"cluster {self.filled.cluster} picture {self.number}"


def enrol_clusters(
    audit: Path, form: Path, shown: Shown, gallery: Path, models: Models, *, force: bool = False
) -> NamingReport:
    """Enrol the pictures of a contact sheet for the SKUs that the CSV ``form`` names.

    Only pictures that are on the sheet are enrolled. SKUs that are new are created; a picture that
    is enrolled for its SKU already is counted and left. All of it is one change of the gallery.
    A gallery that is not there is created. ``force`` enrols also what ``quality.check`` refuses.

    Raises:
        GalleryError: mistakes in the CSV, all at once, or a gallery of another tower; nothing is
            enrolled then.
    """
    tower = models.bundle.manifest.tower
    report = NamingReport(str(gallery))
    store = (
        GalleryStore.open(gallery, tower=tower.fingerprint, read_only=False)
        if gallery.exists()
        else None
    )
    try:
        skus = {sku.sku_id: sku for sku in store.skus()} if store else {}
        counts = {number: len(crops) for number, crops in shown.crops.items()}
        filled, report.empty = read_form(form, counts, skus)
        pictures = _pictures(audit, filled, shown)
        enrolled = Enrolled(store, dim=tower.dim)
        references = _fit(pictures, store, enrolled, models, report, force=force)
        if store is None and references:
            store = GalleryStore.create(
                gallery, tower=tower.fingerprint, dim=tower.dim, precision=models.tower_precision
            )
        if store is not None:
            _commit(store, filled, skus, references, report)
    finally:
        if store is not None:
            store.close()
    return report


def _pictures(audit: Path, filled: Sequence[Filled], shown: Shown) -> list[_Picture]:
    archive = audit / FILE
    crops = {crop.name: crop for crop in read_unknown(archive)}
    pictures = []
    for row in filled:
        for number, name in enumerate(shown.crops[row.cluster], 1):
            if number in row.leave_out:
                continue
            if name not in crops:
                raise GalleryError(f"{archive}: {name} is missing")
            jpeg = crops[name].jpeg
            image = decode(jpeg, f"{archive}: {name}")
            sha256 = hashlib.sha256(jpeg).hexdigest()
            pictures.append(_Picture(row, number, crops[name], image, sha256))
    return pictures


def _fit(
    pictures: Sequence[_Picture],
    store: GalleryStore | None,
    enrolled: Enrolled,
    models: Models,
    report: NamingReport,
    *,
    force: bool,
) -> list[NewReference]:
    """What is to be enrolled; the reasons against the others go to the report."""
    references = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        vectors = models.embedder.embed_images([p.image for p in batch]).vectors
        nearby = enrolled.near(vectors)
        for picture, vector, near in zip(batch, vectors, nearby, strict=True):
            sku_id = picture.filled.sku.sku_id
            owners = store.same_picture(picture.sha256) if store else {}
            if sku_id in owners.values():
                report.known += 1
                continue
            reasons = check(picture.image, vector, sku_id, enrolled, near)
            if reasons and not force:
                duplicate = all(reason.startswith(NEAR_DUPLICATE) for reason in reasons)
                line = f"{picture.what} for SKU {sku_id!r}: {'; '.join(reasons)}"
                (report.passed_over if duplicate else report.refused).append(line)
                continue
            enrolled.add(sku_id, picture.what, picture.image, vector)
            quality = sharpness(picture.image)
            crop = picture.crop
            references.append(
                NewReference(sku_id, vector, crop.jpeg, crop.seen, picture.sha256, quality)
            )
    return references


def _commit(
    store: GalleryStore,
    filled: Sequence[Filled],
    skus: dict[str, Sku],
    references: list[NewReference],
    report: NamingReport,
) -> None:
    pictured = {reference.sku_id for reference in references}
    named = {row.sku.sku_id: row.sku for row in filled}
    new = [sku for sku_id, sku in named.items() if sku_id not in skus and sku_id in pictured]
    more = [sku for sku_id, sku in named.items() if sku_id in skus and sku != skus[sku_id]]
    report.lost = [sku_id for sku_id in named if sku_id not in pictured and sku_id not in skus]
    if new or more or references:
        with store.change("enrol", f"{len(references)} pictures of {len(pictured)} SKUs"):
            for sku in more:
                store.update_sku(sku)
            store.add_skus(new)
            store.add_references(references)
    report.new_skus = [sku.sku_id for sku in new]
    report.references = len(references)
    report.version = store.version
