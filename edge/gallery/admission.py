"""Which pictures of a batch are fit to be enrolled; the reasons against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.gallery.folder import Picture
from edge.gallery.quality import CONTRADICTORY, NEAR_DUPLICATE, check
from edge.gallery.twins import Enrolled
from edge.types import F32, U8


@dataclass(slots=True)
class Admission:
    """``rows`` of the batch that are fit; each text is one line that names a picture and why not."""

    rows: list[int] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    near_duplicates: list[str] = field(default_factory=list)
    contradictory: list[str] = field(default_factory=list)


def admit(batch: Sequence[tuple[Picture, U8]], vectors: F32, enrolled: Enrolled) -> Admission:
    """Check the pictures of a batch, and add the fit ones to ``enrolled``.

    A row a view, with its vector; the views of a picture follow each other and are judged by the
    first of them, which is the sharpest.
    """
    found = Admission()
    nearby = enrolled.near(vectors)
    last, fit = None, False
    for row, (picture, view) in enumerate(batch):
        if picture is not last:
            last = picture
            reasons = check(view, vectors[row], picture.sku_id, enrolled, nearby[row])
            fit = not reasons
            if fit:
                enrolled.add(picture.sku_id, str(picture.path), view, vectors[row])
            else:
                _report(found, f"{picture.path}: {'; '.join(reasons)}", reasons)
        if fit:
            found.rows.append(row)
    return found


def _report(found: Admission, line: str, reasons: Sequence[str]) -> None:
    if any(reason.startswith(CONTRADICTORY) for reason in reasons):
        found.contradictory.append(line)
    elif all(reason.startswith(NEAR_DUPLICATE) for reason in reasons):
        found.near_duplicates.append(f"{line}, passed over")
    else:
        found.unfit.append(line)
