"""The embedded sample: enrol its fronts, audit its photo, compare with its ground truth."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge import geometry
from edge.atomic import make_folder
from edge.auditor import audit_with
from edge.bundle import Bundle
from edge.console import Progress
from edge.enrolment import enrol_folder
from edge.gallery.gallery import Gallery
from edge.pipeline import Models
from edge.shelf.records import read_records
from edge.shelf.summary import AuditSummary
from edge.types import F32

SAMPLE = Path(__file__).resolve().parent / "sample"
_SAME_BOX_IOU = 0.5


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The audit of the sample and how it compares with the truth."""

    out: Path
    summary: AuditSummary
    truth: int
    found: int
    right: int

    def to_json(self) -> dict[str, object]:
        """The audit's summary with the comparison under ``truth``."""
        return {
            **self.summary.to_json(),
            "truth": {
                "facings": self.truth,
                "found": self.found,
                "right_sku": self.right,
                "accuracy": round(self.right / self.truth, 4),
            },
        }

    def to_text(self) -> str:
        """For people."""
        summary = self.summary
        spent = ", ".join(f"{stage} {ms:.0f}" for stage, ms in summary.timings_ms.items())
        return "\n".join(
            [
                f"{summary.known} facings of {len(summary.facings)} SKUs, {summary.unknown} unknown",
                f"ground truth: {self.truth} facings, {self.found} found, {self.right} with the"
                f" right SKU ({self.right / self.truth:.1%})",
                f"provider {summary.provider}, bundle {summary.bundle}; ms: {spent}",
                f"report: {self.out / 'report.html'}",
                *(
                    f"picture: {self.out / n}"
                    for names in summary.annotated.values()
                    for n in names
                ),
            ]
        )


def run_demo(out: Path, *, provider: str = "auto", progress: Progress | None = None) -> DemoResult:
    """Build the sample's gallery in ``out``, audit its photo there and score the result.

    Raises:
        EdgeError: as ``build_from_folder`` and ``audit_paths`` do.
    """
    make_folder(out)
    gallery = out / "gallery.db"
    models = Models.open(Bundle.default(), provider=provider)
    enrol_folder(models, SAMPLE / "fronts", gallery, progress=progress)
    shelf = out / "shelf.jpg"
    shutil.copyfile(SAMPLE / "shelf.jpg", shelf)
    summary = audit_with(models, Gallery.open(gallery, tower=models.embedder.tower), [shelf], out)
    truth = json.loads((SAMPLE / "truth.json").read_text())
    boxes = np.array([f["xyxy"] for f in truth["facings"]], dtype=np.float32)
    skus = [f["sku_id"] for f in truth["facings"]]
    record = next(iter(read_records(out / "results.jsonl")))
    pairs = pair_boxes(record.detections.xyxy, boxes)
    right = sum(record.matches.sku_id[d] == skus[t] for d, t in pairs)
    return DemoResult(out, summary, len(skus), len(pairs), right)


def pair_boxes(found: F32, truth: F32) -> list[tuple[int, int]]:
    """Pairs ``(found, truth)`` from IoU 0.5 on, each box at most once, best overlap first."""
    overlap = geometry.iou(found, truth)
    pairs: list[tuple[int, int]] = []
    used_found: set[int] = set()
    used_truth: set[int] = set()
    for flat in np.argsort(-overlap, axis=None):
        i, j = (int(n) for n in np.unravel_index(flat, overlap.shape))
        if overlap[i, j] < _SAME_BOX_IOU:
            break
        if i not in used_found and j not in used_truth:
            pairs.append((i, j))
            used_found.add(i)
            used_truth.add(j)
    return pairs
