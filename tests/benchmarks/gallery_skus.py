"""What a gallery of very many SKUs with one reference each takes to be opened and matched.

    python tests/benchmarks/gallery_skus.py FOLDER [--skus 520000] [--dim 64] [--index]

Makes ``gallery.db`` of made-up vectors in FOLDER (kept for the next run) and measures, each in a
process of its own: the SKUs as records, the SKUs packed, and with ``--index`` the gallery opened and
asked through a matcher. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.gallery.gallery import Gallery
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.manifest import OperatingPoint
from edge.types import Embeddings
from tests.benchmarks.gallery import apart, rss_mib
from tests.benchmarks.vectors import FacingLike

TOWER = "0123456789abcdef"
JPEG = b"\xff\xd8" + bytes(100) + b"\xff\xd9"
BATCH = 20_000


def sku(number: int) -> Sku:
    path = ("food", f"aisle {number % 12}", f"shelf {number % 150}", f"kind {number % 1500}")
    names = {"en": f"Product number {number}, 250 g", "de": f"Produkt Nummer {number}, 250 g"}
    return Sku(f"sku-{number:08d}", None, f"Brand {number % 4000}", names, path)


def make(path: Path, count: int, dim: int) -> float:
    begun = time.process_time()
    vectors = FacingLike(dim=dim).take(count)
    with GalleryStore.create(path, tower=TOWER, dim=dim, precision="fp32") as store:
        for first in range(0, count, BATCH):
            numbers = range(first, min(count, first + BATCH))
            store.add_skus([sku(n) for n in numbers])
            store.add_references(
                [
                    NewReference(f"sku-{n:08d}", vectors[n], JPEG, f"{n}", "00" * 32, 9.0)
                    for n in numbers
                ]
            )
    return time.process_time() - begun


def records(path: Path) -> dict[str, Any]:
    before, begun = rss_mib()["anonymous_mib"], time.process_time()
    with GalleryStore.open(path) as store:
        held = {one.sku_id: one for one in store.skus()}
    return {"skus": len(held), "cpu_s": round(time.process_time() - begun, 1),
            "memory_mib": rss_mib()["anonymous_mib"] - before}  # fmt: skip


def packed(path: Path) -> dict[str, Any]:
    before, begun = rss_mib()["anonymous_mib"], time.process_time()
    with GalleryStore.open(path) as store:
        held = store.packed_skus()
    return {"skus": len(held), "cpu_s": round(time.process_time() - begun, 1),
            "memory_mib": rss_mib()["anonymous_mib"] - before}  # fmt: skip


def opened(path: Path, dim: int) -> dict[str, Any]:
    before, begun = rss_mib()["anonymous_mib"], time.process_time()
    gallery = Gallery.open(path, tower=TOWER)
    cpu = time.process_time() - begun
    held = rss_mib()
    matcher = gallery.matcher(OperatingPoint(similarity=0.5, margin=0.0, measured="a benchmark"))
    query = FacingLike(dim=dim).take(200, first_block=2_000_000)
    found = gallery.match(Embeddings(query, TOWER), matcher)
    return {"references": len(gallery), "index": gallery.index.note, "cpu_s": round(cpu, 1),
            "memory_mib": held["anonymous_mib"] - before, "peak_mib": held["peak_mib"],
            "with_matcher_mib": rss_mib()["anonymous_mib"] - before,
            "known": sum(one is not None for one in found.sku_id)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--skus", type=int, default=520_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--index", action="store_true")
    options = parser.parse_args()
    path = options.folder / "gallery.db"
    report: dict[str, Any] = {"skus": options.skus, "dim": options.dim}
    if not path.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        report["enrol_cpu_s"] = round(make(path, options.skus, options.dim), 1)
    report["records"] = apart(records, path)
    report["packed"] = apart(packed, path)
    print(json.dumps(report), flush=True)
    if options.index:
        report["first opened"] = apart(opened, path, options.dim)
        report["opened"] = apart(opened, path, options.dim)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
