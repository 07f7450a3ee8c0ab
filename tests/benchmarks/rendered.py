"""Audits rendered stores of brands never seen in training: boxes, SKUs, and products not enrolled.

    python tests/benchmarks/rendered.py [--bundle DIR] [--stores 5] [--split test] [--left-out 12]
        [--seed 0]

Each store has 60 SKUs, one clean front each, and one photo of 110 to 135 facings as in `edge demo`; some
SKUs are left out of the gallery. Brands of the split `train` are those of training: for choosing a
point. Prints one JSON object: per store and pooled, the recall and precision
of boxes at IoU 0.5, the share of enrolled facings with the right SKU (all, and of those found), the
share whose nearest SKU is right at any similarity, the share of facings of SKUs left out that were
accepted as another SKU (FPIR), and what other similarities and margins would give.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from edge.auditor import audit_paths
from edge.bundle import default_path
from edge.demo import pair_boxes
from edge.enrolment import build_from_folder
from edge.shelf.records import read_records
from export.scenes.brands import Split
from export.scenes.writer import write_store

SIMILARITIES = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
MARGINS = (0.0, 0.01, 0.02, 0.04, 0.06)
Row = tuple[bool, bool, float, bool, float]
"""Enrolled, nearest SKU right, similarity, accepted, margin."""


def audit_store(
    folder: Path, bundle: Path, seed: int, split: Split, left_out: int, rng: np.random.Generator
) -> tuple[list[Row], int, int, int]:
    """Rows of the facings found, and the numbers of true facings, boxes and enrolled facings."""
    write_store(
        folder, seed=seed, split=split, skus=60, photos=1, facings=(110, 135), hard_share=0.0,
        front_px=384,
    )  # fmt: skip
    truth = json.loads((folder / "truth.jsonl").read_text())["facings"]
    shown = sorted({f["sku_id"] for f in truth})
    unknown = set(rng.choice(shown, min(left_out, len(shown) // 2), replace=False).tolist())
    for sku in unknown:
        (folder / "fronts" / f"{sku}.jpg").unlink()
    build_from_folder(folder / "fronts", folder / "gallery.db", bundle=bundle)
    audit_paths(
        [folder / "photos" / "0000.jpg"],
        folder / "out",
        bundle=bundle,
        gallery=folder / "gallery.db",
    )
    record = next(iter(read_records(folder / "out" / "results.jsonl")))
    boxes = np.array([f["xyxy"] for f in truth], np.float32)
    rows = []
    for d, t in pair_boxes(record.detections.xyxy, boxes):
        sku = truth[t]["sku_id"]
        nearest = record.matches.top[d][0].sku_id if record.matches.top[d] else None
        rows.append(
            (
                sku not in unknown,
                nearest == sku,
                float(record.matches.similarity[d]),
                record.matches.sku_id[d] is not None,
                float(record.matches.margin[d]),
            )
        )
    enrolled = sum(f["sku_id"] not in unknown for f in truth)
    return rows, len(truth), len(record.detections), enrolled


def summarise(rows: list[Row], truth: int, boxes: int, enrolled: int) -> dict[str, object]:
    known = [r for r in rows if r[0]]
    strangers = [r for r in rows if not r[0]]
    right = sum(r[1] and r[3] for r in known)
    return {
        "facings": truth,
        "box_recall": round(len(rows) / truth, 4),
        "box_precision": round(len(rows) / max(boxes, 1), 4),
        "right_sku_of_enrolled": round(right / max(enrolled, 1), 4),
        "right_sku_of_found": round(right / max(len(known), 1), 4),
        "nearest_right_of_found": round(sum(r[1] for r in known) / max(len(known), 1), 4),
        "fpir": round(sum(r[3] for r in strangers) / max(len(strangers), 1), 4),
    }


def _share(flags: list[bool]) -> float:
    return round(sum(flags) / max(len(flags), 1), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--stores", type=int, default=5)
    parser.add_argument("--split", choices=("train", "test", "demo"), default="test")
    parser.add_argument("--left-out", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    bundle = options.bundle or default_path()
    every: list[Row] = []
    counts = np.zeros(3, int)
    stores = []
    for store in range(options.seed, options.seed + options.stores):
        with tempfile.TemporaryDirectory() as folder:
            rows, *numbers = audit_store(
                Path(folder), bundle, store, options.split, options.left_out, rng
            )
        every += rows
        counts += numbers
        stores.append({"seed": store, **summarise(rows, *numbers)})
    known = [r for r in every if r[0]]
    strangers = [r for r in every if not r[0]]
    curve = {
        f"similarity {t} margin {m}": {
            "right_of_found": _share([r[1] and r[2] >= t and r[4] >= m for r in known]),
            "fpir": _share([r[2] >= t and r[4] >= m for r in strangers]),
        }
        for t in SIMILARITIES
        for m in MARGINS
    }
    pooled = summarise(every, *(int(n) for n in counts))
    print(json.dumps({"pooled": pooled, "operating_points": curve, "stores": stores}, indent=1))


if __name__ == "__main__":
    main()
