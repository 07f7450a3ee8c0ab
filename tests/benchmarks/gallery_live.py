"""How soon an enrolled product is recognised, a removed one forgotten and a relabelled one renamed.

    python tests/benchmarks/gallery_live.py FOLDER [--references 100000] [--dim 512] [--rounds 20]

Makes a gallery of made-up vectors in FOLDER (kept for the next run), opens it live, and times from the
moment a change is acknowledged until a search with a matcher of the new state shows it. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from edge.gallery.live import LiveGallery
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.manifest import OperatingPoint
from edge.types import F32, Embeddings
from tests.benchmarks.vectors import FacingLike

TOWER = "0123456789abcdef"
JPEG = b"\xff\xd8" + bytes(9000) + b"\xff\xd9"
VIEWS = 5
POINT = OperatingPoint(similarity=0.9, margin=0.0, measured="for a benchmark")


def reference(sku_id: str, vector: F32) -> NewReference:
    return NewReference(sku_id, vector, JPEG, f"{sku_id}.jpg", "00" * 32, 12.5)


def make(path: Path, count: int, made: FacingLike) -> float:
    begun = time.perf_counter()
    vectors = made.take(count)
    with GalleryStore.create(path, tower=TOWER, dim=made.dim, precision="fp32") as store:
        store.add_skus(
            [Sku(f"sku-{n:07d}", names={"en": f"Product {n}"}) for n in range(count // VIEWS)]
        )
        for start in range(0, count, 5000):
            part = [
                reference(f"sku-{(start + i) // VIEWS:07d}", v)
                for i, v in enumerate(vectors[start : start + 5000])
            ]
            store.add_references(part)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--references", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    made = FacingLike(dim=options.dim)
    path = options.folder / "gallery.db"
    report: dict[str, object] = {"references": options.references, "dim": options.dim}
    if not path.exists():
        options.folder.mkdir(parents=True, exist_ok=True)
        report["enrol_all_s"] = round(make(path, options.references, made), 1)
    begun = time.perf_counter()
    live = LiveGallery.open(path)
    report["open_s"] = round(time.perf_counter() - begun, 1)
    report["index"] = live.current.index.note
    new = made.take(2 * options.rounds, first_block=2_000_000)
    times: dict[str, list[float]] = {}

    def timed(what: str, vector: F32, expected: Callable[[str | None], bool]) -> None:
        begun = time.perf_counter()
        live.refresh()
        refreshed = time.perf_counter()
        gallery = live.current
        matcher = gallery.matcher(POINT)
        matched = time.perf_counter()
        sku = gallery.match(Embeddings(vector[None], TOWER), matcher).sku_id[0]
        done = time.perf_counter()
        assert expected(sku), (what, sku)
        for name, value in (
            (what, done - begun),
            (f"{what}, refresh", refreshed - begun),
            (f"{what}, matcher", matched - refreshed),
            (f"{what}, search and decision", done - matched),
        ):
            times.setdefault(name, []).append(value * 1000)

    with GalleryStore.open(path, read_only=False) as store:
        for n in range(options.rounds):
            vector, sku_id = new[n], f"new-{time.time_ns()}"
            store.add_skus([Sku(sku_id), Sku(f"{sku_id}-b")])
            (added,) = store.add_references([reference(sku_id, vector)])
            timed("enrolled", vector, lambda found, s=sku_id: found == s)  # type: ignore[misc]
            store.relabel([added], f"{sku_id}-b")
            timed("relabelled", vector, lambda found, s=sku_id: found == f"{s}-b")  # type: ignore[misc]
            store.remove_references([added])
            timed("removed", vector, lambda found, s=sku_id: found != f"{s}-b")  # type: ignore[misc]
    live.close()
    report["ms"] = {
        name: {"median": round(statistics.median(v), 1), "worst": round(float(np.max(v)), 1)}
        for name, v in times.items()
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
