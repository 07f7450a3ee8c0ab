"""Opens what an audit needs (bundle, gallery, pictures) and runs it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from edge.bundle import Bundle
from edge.camera.source import count_hint, iter_frames
from edge.console import Progress
from edge.errors import ConfigError
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.shelf.audit import run_audit
from edge.shelf.facings import Product
from edge.shelf.summary import AuditSummary
from edge.site import read_site


def audit_paths(
    paths: Sequence[str | Path],
    out: Path,
    *,
    bundle: Path | None = None,
    gallery: Path | None = None,
    site: Path | None = None,
    every_s: float = 1.0,
    scale: str | None = None,
    locale: str = "en",
    provider: str = "auto",
    progress: Progress | None = None,
) -> AuditSummary:
    """Audit pictures and clips into the folder ``out``; bad inputs are failures in the summary.

    ``site`` is a site.json that names bundle and gallery, instead of these two.

    Raises:
        ConfigError: when an option is out of range, or ``site`` given beside what it names.
        BundleError, GalleryError, InferenceError: when models or gallery cannot be used.
        OutputError: when ``out`` cannot be written.
    """
    if not (math.isfinite(every_s) and every_s > 0):
        raise ConfigError(f"--every must be above 0 seconds, got {every_s}")
    if site is not None:
        if bundle is not None or gallery is not None:
            raise ConfigError(
                "--site names the bundle and the gallery: leave --bundle and --gallery out"
            )
        pair = read_site(site)
        bundle, gallery = pair.bundle, pair.gallery
    loaded = Bundle.load(bundle) if bundle is not None else Bundle.default()
    tower = loaded.manifest.tower.fingerprint
    enrolled = Gallery.open(gallery, tower=tower) if gallery is not None else None
    models = Models.open(loaded, provider=provider, scale=scale)
    return audit_with(
        models, enrolled, paths, out, every_s=every_s, locale=locale, progress=progress
    )


def audit_with(
    models: Models,
    enrolled: Gallery | None,
    paths: Sequence[str | Path],
    out: Path,
    *,
    every_s: float = 1.0,
    locale: str = "en",
    progress: Progress | None = None,
) -> AuditSummary:
    """``audit_paths`` with models and gallery that are open already."""
    total = count_hint(paths, every_s=every_s) if progress is not None else 0
    return run_audit(
        iter_frames(paths, every_s=every_s),
        Pipeline(models, enrolled),
        out,
        products=products_of(enrolled, locale),
        bundle_id=models.bundle.bundle_id,
        gallery=describe(enrolled),
        provider=models.provider,
        progress=(lambda done, _: progress(done, total)) if progress is not None else None,
    )


def products_of(gallery: Gallery | None, locale: str) -> dict[str, Product]:
    """Names, brands and categories by SKU, for reports."""
    if gallery is None:
        return {}
    return {
        sku.sku_id: Product(gallery.name(sku.sku_id, locale), sku.brand or "", sku.category)
        for sku in gallery.skus.values()
    }


def describe(gallery: Gallery | None) -> dict[str, object]:
    """What a summary says about the gallery; empty without one."""
    if gallery is None:
        return {}
    return {
        "file": gallery.path.name,
        "path": str(gallery.path.resolve()),
        "version": gallery.version,
        "skus": len(gallery.skus),
        "references": len(gallery),
        "index": gallery.index.kind,
    }
