"""`edge gallery enrol`: opens what both of its steps need, and finds out which one is due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.bundle import Bundle
from edge.console import Progress
from edge.errors import ConfigError
from edge.gallery.gallery import Gallery
from edge.naming import NamingReport, enrol_clusters
from edge.pipeline import Models
from edge.proposal import FOLDER, FORM, Proposal, Shown, propose_clusters, read_shown, sha256_of
from edge.shelf.unknowns import FILE


def enrol_from_audit(
    audit: Path,
    gallery: Path | None = None,
    *,
    form: Path | None = None,
    anew: bool = False,
    similarity: float | None = None,
    force: bool = False,
    locale: str = "en",
    bundle: Path | None = None,
    provider: str = "auto",
    progress: Progress | None = None,
) -> Proposal | NamingReport:
    """Cluster what the audit did not know, or enrol it where the CSV is filled in.

    Step two is due when ``form`` is given, or when the CSV in the folder is not as it was written.
    ``gallery`` is the one of the audit by default.

    Raises:
        ConfigError: no such audit, no gallery known, or a CSV that belongs to an earlier audit.
        BundleError, GalleryError, InferenceError, OutputError: as the two steps do.
    """
    shown = None if anew else _due(audit, form)
    target = gallery if gallery is not None else _gallery_of(audit)
    if shown is not None and target is None:
        raise ConfigError(f"{audit}: the audit had no gallery: name one with --gallery")
    models = Models.open(
        Bundle.load(bundle) if bundle is not None else Bundle.default(), provider=provider
    )
    if shown is not None and target is not None:
        written = form if form is not None else audit / FOLDER / FORM
        return enrol_clusters(audit, written, shown, target, models, force=force)
    tower = models.bundle.manifest.tower.fingerprint
    enrolled = None
    if target is not None and target.exists():
        enrolled = Gallery.open(target, tower=tower)
    return propose_clusters(
        audit, models, enrolled, similarity=similarity, locale=locale, progress=progress
    )


def _due(audit: Path, form: Path | None) -> Shown | None:
    """What is on the contact sheet when it is time to enrol it."""
    written = audit / FOLDER / FORM
    if form is None and not written.exists():
        return None
    shown = read_shown(audit)
    if form is None and sha256_of(written) == shown.form_sha256:
        return None
    if sha256_of(audit / FILE) != shown.archive_sha256:
        raise ConfigError(
            f"{form or written}: filled in for an earlier audit in this folder: enrol again with"
            " --anew, or audit into another folder"
        )
    return shown


def _gallery_of(audit: Path) -> Path | None:
    """The gallery that the audit used, where it says so and it is still there."""
    path = audit / "summary.json"
    try:
        summary: Any = json.loads(path.read_text(encoding="utf-8"))
        named = summary["gallery"].get("path")
    except OSError as error:
        raise ConfigError(f"{path}: not there: {audit} is no folder of an audit") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged: {error}") from error
    return Path(named) if isinstance(named, str) and Path(named).exists() else None
