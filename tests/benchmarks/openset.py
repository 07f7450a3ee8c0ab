"""Open set and hierarchy on grocery-store: what is certified, and what comes of it on other SKUs.

    python tests/benchmarks/openset.py DATA [--tower models/default] [--splits 10] [--every]
        [--target 0.97] [--level-target 0.95 0.9] [--vectors FILE.npz] [--out FILE.json]
        [--skus skus.csv]

DATA holds grocery-store/ and taxonomy/. Gallery: train photos; queries: test photos; the packaged
products (or, with --every, all 81 classes), each with the Google category that grocery_taxonomy.csv
names. Per seeded split half of the SKUs calibrates and the other half is asked, a third of each not
enrolled; once for each level target. Then, with every SKU enrolled, the accuracy of the nearest SKU
at each level. Prints one JSON object; --out has every split, too.

With --vectors, embeddings are kept in that file and reused for the same tower. With --skus, the
categories and names in all languages are written as a skus.csv for `edge gallery build` and
`edge-export evaluate|calibrate --skus`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from export.answers import Labelled, answer, depth_of
from export.datasets import Dataset, read_grocery_store
from export.embedding import embed_samples
from export.open_set import OpenSetOptions, ask, settle
from export.open_set_report import summarise
from export.taxonomy import paths_of, read_class_ids, read_taxonomies, skus_csv
from export.towers import open_tower

CLASSES = Path(__file__).with_name("grocery_taxonomy.csv")


def embed(
    sets: dict[str, Dataset], tower: str, keep: Path | None, threads: int
) -> dict[str, np.ndarray]:
    """Vectors of each set, from the file where it holds those of the same tower and pictures."""
    names = "\n".join(str(s.path) for data in sets.values() for s in data.samples)
    folder = Path(tower)
    files = sorted(folder.glob("*.onnx")) if folder.is_dir() else [folder]
    weights = b"".join(f.read_bytes() for f in files if f.is_file())
    key = hashlib.sha256(names.encode() + tower.encode() + weights).hexdigest()
    if keep is not None and keep.is_file():
        with np.load(keep) as stored:
            if str(stored.get("key")) == key:
                return {name: stored[name] for name in sets}
    opened = open_tower(tower, threads=threads)
    made = {
        name: embed_samples(data.samples, opened.embed, opened.preprocessing)
        for name, data in sets.items()
    }
    if keep is not None:
        np.savez(keep, key=np.array(key), **made)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tower", default="models/default")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--target", type=float)
    parser.add_argument("--level-target", type=float, nargs="+", default=[0.95, 0.96, 0.97])
    parser.add_argument("--views", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--skus", type=Path)
    options = parser.parse_args()
    root = options.data / "grocery-store"
    sets = {name: read_grocery_store(root, name) for name in ("train", "test")}
    vectors = embed(sets, options.tower, options.vectors, options.threads)
    taxonomies = read_taxonomies(options.data / "taxonomy")
    classes = read_class_ids(CLASSES)
    if options.skus is not None:
        options.skus.write_text(skus_csv(classes, taxonomies), encoding="utf-8")
    paths = paths_of(classes, taxonomies["en-US"])
    parts = {}
    for name, data in sets.items():
        every = Labelled(
            vectors[name],
            tuple(s.label for s in data.samples),
            tuple(paths[s.label] for s in data.samples),
        )
        packed = np.array([options.every or s.levels[0] == "Packages" for s in data.samples])
        parts[name] = every.where(packed)
    gallery, queries = parts["train"], parts["test"]
    asked = [
        ask(gallery, queries, OpenSetOptions(views=options.views), seed)
        for seed in range(options.splits)
    ]
    curves = {}
    chosen = []
    for level_target in options.level_target:
        settings = OpenSetOptions(
            target=options.target, level_target=level_target, views=options.views
        )
        splits = [settle(one, settings) for one in asked]
        curves[f"level target {level_target}"] = summarise(splits)
        chosen += [s.point.views for s in splits if s.point is not None]
    views = options.views or round(float(np.median(chosen or [1])))
    penalties = [
        s.point.calibration.category_ridge for s in splits if s.point and s.point.calibration
    ]
    ridge = max(set(penalties), key=penalties.count) if penalties else None
    everything = answer(gallery, queries, views=views, depth=depth_of(gallery), ridge=ridge)
    lengths = np.array([len(path) for path in queries.paths])
    closed = {
        f"level{n + 1}": round(float(everything.right[lengths > n, n].mean()), 4)
        for n in range(everything.depth)
    }
    report = {
        "tower": options.tower,
        "skus": len(set(gallery.labels)),
        "gallery": len(gallery.labels),
        "queries": len(queries.labels),
        "every_sku_enrolled": {
            "views": views,
            "category_ridge": ridge,
            **closed,
            "sku": round(float(everything.right[:, -1].mean()), 4),
        },
        "open_set": curves,
    }  # fmt: skip
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for summary in curves.values():
        del summary["rows"]
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
