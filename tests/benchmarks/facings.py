"""Embeds the facings of the real shelf photos: the vectors whose shape the gallery benchmark copies.

    python tests/benchmarks/facings.py OUT.npz [--bundle DIR] [--facings 30000] [--seed 0] [--threads 1]

Reads ``shelves`` of the data folder (SHELF_EDGE_DATA or ../shared/data), photos in a seeded order, and
keeps what it has in OUT.npz every 50 photos: ``vectors (N, D) float32``, ``photo (N,) int32``,
``tower``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.bundle import Bundle
from edge.pipeline import Models
from tests.benchmarks.shelves import read_labelled

ROOT = Path(__file__).resolve().parents[2]
LEAST_PX = 12.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--facings", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = Path(os.environ.get("SHELF_EDGE_DATA", ROOT.parent / "shared" / "data")) / "shelves"
    files = sorted((data / "train" / "images").iterdir()) + sorted(
        (data / "val" / "images").iterdir()
    )
    order = np.random.default_rng(options.seed).permutation(len(files))
    bundle = Bundle.load(options.bundle) if options.bundle else Bundle.default()
    embedder = Models.open(bundle, threads=options.threads).embedder
    vectors, photos, count = [], [], 0
    for done, at in enumerate(order.tolist(), 1):
        image, xyxy = read_labelled(files[at])
        xyxy = xyxy.clip(0, np.tile(image.shape[1::-1], 2).astype(np.float32))
        xyxy = xyxy[((xyxy[:, 2:] - xyxy[:, :2]) >= LEAST_PX).all(axis=1)]
        if len(xyxy):
            found = embedder.embed(image, xyxy)
            vectors.append(found.vectors)
            photos.append(np.full(len(found), at, np.int32))
            count += len(found)
        if done % 50 == 0 or count >= options.facings or done == len(order):
            part = options.out.with_suffix(".part.npz")
            np.savez(
                part,
                vectors=np.concatenate(vectors),
                photo=np.concatenate(photos),
                tower=np.array(embedder.tower),
            )
            part.replace(options.out)
            print(f"{done} photos, {count} facings", flush=True)
        if count >= options.facings:
            break


if __name__ == "__main__":
    main()
