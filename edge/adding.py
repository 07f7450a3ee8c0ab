"""`edge gallery add`: pictures of one product into a gallery that is in use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.errors import CameraError, ConfigError
from edge.gallery.catalogue import parse_category
from edge.gallery.gtin import parse_gtin
from edge.gallery.names import canonical_locale
from edge.gallery.quality import check
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.gallery.thumbnail import encode_jpeg, sharpness, shrink
from edge.gallery.twins import Enrolled
from edge.gallery.views import enrolment_views
from edge.pipeline import Models


@dataclass(frozen=True, slots=True)
class SkuFacts:
    """What a call says about a product; what it does not say stays as it is."""

    gtin: str | None = None
    brand: str | None = None
    category: str | None = None
    names: tuple[str, ...] = ()
    """``Milk`` (English) or ``de=Milch``."""

    def apply(self, sku: Sku) -> Sku:
        """``sku`` with these facts; ConfigError that names the value that is wrong."""
        try:
            names = dict(sku.names)
            for text in self.names:
                locale, equals, name = text.partition("=")
                names[canonical_locale(locale) if equals else "en"] = name if equals else text
            return replace(
                sku,
                gtin=parse_gtin(self.gtin) if self.gtin else sku.gtin,
                brand=self.brand or sku.brand,
                category=parse_category(self.category) if self.category else sku.category,
                names=names,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


@dataclass(slots=True)
class AddReport:
    """What was enrolled; ``refused`` and ``failures`` say of each other picture why it was not.

    ``known`` are pictures that are enrolled for the product already.
    """

    gallery: str
    sku_id: str
    version: str = ""
    new_sku: bool = False
    reference_ids: list[int] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every picture is enrolled."""
        return not self.refused and not self.failures

    def to_json(self) -> dict[str, object]:
        """For machines: all fields, and ``complete``."""
        return asdict(self) | {"complete": self.complete}

    def to_text(self) -> str:
        """For people: one line."""
        new = "new " if self.new_sku else ""
        known = f", {len(self.known)} known already" if self.known else ""
        return (
            f"{self.gallery}: {new}SKU {self.sku_id!r}, {len(self.reference_ids)} references"
            f" added{known}, {self.version}"
        )


def add_pictures(
    file: Path,
    pictures: Sequence[Path],
    sku_id: str,
    facts: SkuFacts,
    *,
    bundle: Path | None = None,
    provider: str = "auto",
    force: bool = False,
) -> AddReport:
    """Enrol pictures of one product, as one change; the product is created where it is new.

    A picture that ``quality.check`` finds unfit is refused unless ``force``, one that cannot be
    read is reported; the others are enrolled. Where there are none left, a new product is not
    created. Without ``pictures``, only what is known about the product is changed.

    Raises:
        ConfigError: a wrong id, GTIN, locale or category.
        GalleryError: no such gallery, one of another tower, in use, or a GTIN that is taken.
    """
    try:
        sku = facts.apply(Sku(sku_id))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    models = _models(bundle, provider) if pictures else None
    tower = models.bundle.manifest.tower.fingerprint if models else None
    report = AddReport(str(file), sku_id)
    with GalleryStore.open(file, tower=tower, read_only=False) as store:
        before = {found.sku_id: found for found in store.skus()}.get(sku_id)
        report.new_sku = before is None
        sku = facts.apply(before) if before is not None else sku
        references = []
        if models is not None:
            references = _references(pictures, sku_id, store, models, report, force=force)
        if before is None and pictures and not references:
            report.new_sku = False
        else:
            with store.change("add", f"{len(references)} for SKU {sku_id!r}"):
                store.add_sku(sku) if before is None else store.update_sku(sku)
                report.reference_ids = list(store.add_references(references))
        report.version = store.version
    return report


def _models(bundle: Path | None, provider: str) -> Models:
    loaded = Bundle.load(bundle) if bundle is not None else Bundle.default()
    return Models.open(loaded, provider=provider)


def _references(
    pictures: Sequence[Path],
    sku_id: str,
    store: GalleryStore,
    models: Models,
    report: AddReport,
    *,
    force: bool,
) -> list[NewReference]:
    enrolled = Enrolled(store)
    references: list[NewReference] = []
    for picture in pictures:
        try:
            image = read_image(picture)
            sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
        except CameraError as error:
            report.failures.append(str(error))
            continue
        owners = store.same_picture(sha256)
        if sku_id in owners.values() or any(sha256 == r.source_sha256 for r in references):
            report.known.append(str(picture))
            continue
        views = enrolment_views(image)
        vectors = models.embedder.embed_images(views).vectors
        reasons = check(views[0], vectors[0], sku_id, enrolled)
        other = sorted(set(owners.values()))
        if other and not any(reason.startswith("contradictory") for reason in reasons):
            reasons.append(f"contradictory: the same picture is SKU {other[0]!r}")
        if reasons and not force:
            report.refused.append(f"{picture}: {'; '.join(reasons)}")
            continue
        enrolled.add(sku_id, str(picture), views[0], vectors[0])
        for view, vector in zip(views, vectors, strict=True):
            small = shrink(view)
            jpeg, quality = encode_jpeg(small), sharpness(small)
            references.append(NewReference(sku_id, vector, jpeg, str(picture), sha256, quality))
    return references
