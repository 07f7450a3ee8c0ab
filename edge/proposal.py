"""Step one of enrolling from an audit: crops that it did not know, clustered for a person to name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.atomic import make_folder, write_bytes, write_text
from edge.console import Progress
from edge.errors import ConfigError
from edge.gallery.form import FormRow, form_text
from edge.gallery.gallery import Gallery
from edge.gallery.quality import flaws
from edge.gallery.thumbnail import sharpness
from edge.gallery.twins import decode
from edge.pipeline import Models
from edge.shelf.annotate import encode_jpeg
from edge.shelf.clusters import cluster, representatives
from edge.shelf.contact_sheet import PICTURES, SheetCluster, draw_sheets
from edge.shelf.unknowns import FILE, KeptCrop, read_unknown
from edge.types import F32, U8, Candidate, Embeddings

FOLDER = "enrol"
FORM = "clusters.csv"
STATE = "clusters.json"
FORMAT = 1
LEAST_SIMILARITY = 0.8
"""Mean similarity down to which crops are one cluster, halfway from the operating point to 1 if higher.

Measured with the default tower on nine rendered photos of three stores: with a third of 60 SKUs not
enrolled, every cluster holds one SKU (purity 100%) and a SKU is 1.3 clusters; with nothing enrolled,
95% and 1.3 (at 0.7: 85% and 1.0; at 0.85: 98% and 1.5). A SKU in two clusters costs a line to fill
in, two SKUs in one a wrong reference. Chaining neighbours gave 84% at the same 1.1 clusters a SKU.
"""
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Proposal:
    """What step one wrote: the clusters, their crops, the sheets and the CSV to fill in."""

    form: Path
    sheets: tuple[Path, ...]
    crops: int
    clusters: int

    complete = True

    def problems(self) -> list[str]:
        """Nothing: what goes wrong here is an error."""
        return []

    def to_text(self) -> str:
        """For people: what to do now."""
        first, *more = self.sheets
        sheets = f"{first} to {more[-1].name}" if more else str(first)
        return (
            f"{self.crops} unknown facings in {self.clusters} clusters; see {sheets}\n"
            f"fill in {self.form}: sku_id, and what else is known; lines left empty are skipped\n"
            "then give the same command again"
        )

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "step": "clusters",
            "csv": str(self.form),
            "sheets": [str(sheet) for sheet in self.sheets],
            "crops": self.crops,
            "clusters": self.clusters,
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """What step two needs of step one: the crops on the contact sheet by cluster, and the SHA-256 of
    the archive that they are from and of the CSV as it was written."""

    crops: dict[int, tuple[str, ...]]
    archive_sha256: str
    form_sha256: str


def propose_clusters(
    audit: Path,
    models: Models,
    gallery: Gallery | None,
    *,
    similarity: float | None = None,
    locale: str = "en",
    progress: Progress | None = None,
) -> Proposal:
    """Cluster an audit's unknown crops into ``audit/enrol``: contact sheets and a CSV to fill in.

    Pictures that could not be enrolled (tiny, blurred) are counted but not shown, where others of
    their cluster can. Files of an earlier step one there are replaced.

    Raises:
        ConfigError: no audit, or nothing unknown in it.
        OutputError: a file cannot be written.
    """
    archive = audit / FILE
    crops = read_unknown(archive)
    if not crops:
        raise ConfigError(f"{archive}: there is no unknown product to enrol")
    images = [decode(crop.jpeg, f"{archive}: {crop.name}") for crop in crops]
    vectors = _embed(models, images, progress)
    point = models.bundle.manifest.decision[models.tower_precision]
    threshold = max(LEAST_SIMILARITY, (1 + point.similarity) / 2)
    numbers = cluster(vectors, threshold if similarity is None else similarity)
    rows: list[FormRow] = []
    cards: list[SheetCluster] = []
    shown: dict[int, list[str]] = {}
    for number in range(int(numbers.max()) + 1):
        members = np.flatnonzero(numbers == number)
        best = _best(members.tolist(), images, vectors)
        near = _nearest(gallery, models, vectors[best])
        name = gallery.name(near.sku_id, locale) if gallery and near else ""
        rows.append(_row(number + 1, len(members), near, name))
        hint = f"nearest {near.similarity:.2f}: {name}" if near else ""
        cards.append(SheetCluster(number + 1, len(members), hint, [images[i] for i in best]))
        shown[number + 1] = [crops[i].name for i in best]
    return _write(audit / FOLDER, archive, crops, rows, cards, shown, locale)


def read_shown(audit: Path) -> Shown:
    """What step one wrote into the audit's folder; ConfigError when it cannot be read."""
    path = audit / FOLDER / STATE
    try:
        state: Any = json.loads(path.read_bytes())
        if state["format"] != FORMAT:
            raise ConfigError(
                f"{path}: format {state['format']!r} is not known (this version reads {FORMAT})"
            )
        crops = {int(n): tuple(str(c) for c in names) for n, names in state["clusters"].items()}
        return Shown(crops, str(state["archive_sha256"]), str(state["form_sha256"]))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged: {error}") from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _embed(models: Models, images: list[U8], progress: Progress | None) -> F32:
    parts = []
    for start in range(0, len(images), _BATCH):
        parts.append(models.embedder.embed_images(images[start : start + _BATCH]).vectors)
        if progress is not None:
            progress(min(start + _BATCH, len(images)), len(images))
    return np.concatenate(parts)


def _best(members: list[int], images: list[U8], vectors: F32) -> list[int]:
    """The members to show: those that could be enrolled, or all where none could."""
    usable = [i for i in members if not flaws(images[i])] or members
    sharp = np.array([sharpness(images[i]) for i in usable])
    return [usable[i] for i in representatives(vectors[usable], sharp, PICTURES)]


def _nearest(gallery: Gallery | None, models: Models, vectors: F32) -> Candidate | None:
    """The SKU that one of the vectors comes nearest to."""
    if gallery is None:
        return None
    matcher = gallery.matcher(models.bundle.manifest.decision[models.tower_precision])
    top = gallery.match(Embeddings(vectors, gallery.tower), matcher).top
    return max((t[0] for t in top if t), key=lambda one: one.similarity, default=None)


def _row(number: int, count: int, near: Candidate | None, name: str) -> FormRow:
    if near is None:
        return FormRow(number, count)
    return FormRow(number, count, near.sku_id, name, near.similarity)


def _write(
    folder: Path,
    archive: Path,
    crops: Sequence[KeptCrop],
    rows: Sequence[FormRow],
    cards: Sequence[SheetCluster],
    shown: dict[int, list[str]],
    locale: str,
) -> Proposal:
    make_folder(folder)
    for old in folder.glob("sheet-*.jpg"):
        old.unlink()
    title = f"{len(crops)} unknown facings in {len(rows)} clusters: name them in {FORM}"
    sheets = []
    for number, page in enumerate(draw_sheets(cards, title), 1):
        sheets.append(folder / f"sheet-{number:02d}.jpg")
        write_bytes(sheets[-1], encode_jpeg(page))
    text = form_text(rows, locale)
    state = {
        "format": FORMAT,
        "archive_sha256": sha256_of(archive),
        "form_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "clusters": shown,
    }
    # the form comes last: where it is, all that it speaks of is there
    write_text(folder / STATE, json.dumps(state, indent=1) + "\n")
    write_text(folder / FORM, text)
    return Proposal(folder / FORM, tuple(sheets), len(crops), len(rows))
