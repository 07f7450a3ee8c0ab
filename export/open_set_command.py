"""`edge-export evaluate --protocol open-set`: towers and pictures in, one summary a tower out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.atomic import make_folder, write_text
from edge.bundle import Bundle
from edge.errors import ConfigError
from edge.manifest import OperatingPoint
from export.calibrate import divide, labelled, with_categories
from export.calibration_record import CalibrationRecord
from export.datasets import Dataset
from export.embedding import embed_samples
from export.evaluation_report import write_open_set
from export.leaks import find_leaks, refuse_leaks
from export.metrics import OpenSetCurve, open_set_curve
from export.open_set import OpenSetOptions, Split, run_calibrated, run_split
from export.open_set_report import summarise
from export.tasks import make_task, open_dataset
from export.towers import open_tower


@dataclass(frozen=True, slots=True)
class OpenSetRequest:
    """Options of one open-set evaluation.

    Without ``queries`` the gallery's clean pictures are enrolled and the others asked; without clean
    ones each SKU's photos are divided. With ``calibration``, the operating point of that file is judged;
    otherwise each split calibrates on the half of the SKUs that it does not ask.
    """

    towers: tuple[str, ...]
    gallery: str
    queries: str | None = None
    category: str | None = None
    categories: Path | None = None
    calibration: Path | None = None
    options: OpenSetOptions = field(default_factory=OpenSetOptions)
    splits: int = 10
    allow_leaks: bool = False
    seed: int = 0
    threads: int = 2
    out: Path | None = None


def run_open_set(request: OpenSetRequest) -> dict[str, Any]:
    """One summary a tower; writes open_set.json, open_set_splits.csv and the FPIR/FNIR curves.

    Raises:
        ConfigError: for pictures that leak, among each other or from the calibration; for a calibration
            of another tower; where there are too few SKUs.
    """
    enrolled, asked = _pictures(request)
    if not request.allow_leaks:
        refuse_leaks(find_leaks(enrolled.samples, asked.samples))
    record = CalibrationRecord.read(request.calibration) if request.calibration else None
    if record is not None:
        record.refuse_overlap((*enrolled.samples, *asked.samples), asked.name)
    paths = with_categories({s.label: s.levels for s in enrolled.samples}, request.categories)
    points = {name: _point(request, record, name) for name in request.towers} if record else {}
    seeds = range(request.seed, request.seed + request.splits)
    rows, curves = [], {}
    for name in request.towers:
        tower = open_tower(name, threads=request.threads)
        gallery, queries = (
            labelled(
                embed_samples(part.samples, tower.embed, tower.preprocessing), part.samples, paths
            )
            for part in (enrolled, asked)
        )
        splits = [
            run_calibrated(gallery, queries, points[name], request.options, seed)
            if name in points
            else run_split(gallery, queries, request.options, seed)
            for seed in seeds
        ]
        rows.append({"tower": tower.name, "protocol": "open-set", **summarise(splits)})
        curve = _curve(splits)
        if curve is not None:
            curves[tower.name] = curve
    result = {
        "gallery": len(enrolled.samples),
        "queries": len(asked.samples),
        "skus": len(set(enrolled.labels) & set(asked.labels)),
        "towers": rows,
    }
    if request.out is not None:
        make_folder(request.out)
        write_text(request.out / "open_set.json", json.dumps(result, indent=1) + "\n")
        write_text(request.out / "open_set_splits.csv", _table(rows))
        if curves:
            write_open_set(curves, request.out)
    return result


def in_words(row: dict[str, Any]) -> str:
    """One line a tower, for a reader."""
    mean = row["mean"]
    if not row["certified"]:
        return f"{row['tower']}: no target can be certified on any of {row['splits']} splits"
    targets = [target for target in row["targets"] if target is not None]
    low, high = row["pooled_precision_ci95"]
    return (
        f"{row['tower']}: {row['certified']} of {row['splits']} splits certified, targets"
        f" {min(targets):.1%} to {max(targets):.1%}; coverage {mean['coverage']:.1%}, precision"
        f" {row['pooled_precision']:.1%} (95% interval {low:.1%} to {high:.1%}); FPIR"
        f" {mean['fpir']:.1%}, FNIR {mean['fnir']:.1%}; class or deeper"
        f" {mean['class_or_deeper']:.1%} of the queries, {mean['class_or_deeper_right']:.1%} of the"
        f" right class, {mean['class_or_deeper_exact']:.1%} right as they were given"
    )


def _pictures(request: OpenSetRequest) -> tuple[Dataset, Dataset]:
    if request.queries is None:
        data = open_dataset(request.gallery)
        if not any(s.clean for s in data.samples):
            if request.category is not None:
                data = data.where(lambda s: s.levels[:1] == (request.category,))
            return divide(data, 5, request.seed)
    task = make_task("split", request.gallery, request.queries, category=request.category)
    return task.gallery, task.queries


def _point(request: OpenSetRequest, record: CalibrationRecord, name: str) -> OperatingPoint:
    if not Path(name).is_dir():
        raise ConfigError(f"{name}: a calibration is of a bundle's tower; name the bundle's folder")
    fingerprint = Bundle.load(name).manifest.tower.fingerprint
    point = record.points_for(fingerprint, name).get("fp32")
    if point is None or point.calibration is None:
        raise ConfigError(f"{request.calibration}: no calibrated operating point for fp32")
    return point


def _curve(splits: Sequence[Split]) -> OpenSetCurve | None:
    """FPIR and FNIR by SKU probability, over all splits together."""
    done = [split.outcome for split in splits if split.outcome is not None]
    if not done:
        return None
    chance = np.concatenate([outcome.chance[:, -1] for outcome in done])
    known = np.concatenate([outcome.answers.known for outcome in done])
    right = np.concatenate([outcome.answers.right[:, -1] for outcome in done])
    if known.all() or not known.any():
        return None
    return open_set_curve(chance[known], right[known], chance[~known])


def _table(rows: Sequence[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    keys = (
        "seed", "target", "queries", "known", "accepted", "coverage", "precision", "fpir", "fnir",
        "class_or_deeper", "class_or_deeper_right", "class_or_deeper_exact", "unknown", "ece_sku",
    )  # fmt: skip
    writer.writerow(["tower", *keys, "precision_low95", "precision_high95"])
    for row in rows:
        for split in row["rows"]:
            low, high = split.get("precision_ci95") or ("", "")
            writer.writerow([row["tower"], *(split.get(key, "") for key in keys), low, high])
    return stream.getvalue()
