"""Writes a rendered store to a folder: fronts, photos, truth, catalogue and YOLO labels."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge.atomic import make_folder, write_bytes
from edge.errors import ConfigError
from export.images import jpeg
from export.scenes.brands import Split
from export.scenes.catalog import Catalog, build_catalog
from export.scenes.effects import Difficulty
from export.scenes.fronts import render_front
from export.scenes.scene import Scene, render_scene
from export.scenes.store import MIN_VISIBLE
from export.scenes.words import LOCALES

Progress = Callable[[int, int], None]


def write_store(
    out: Path,
    *,
    seed: int,
    split: Split,
    skus: int = 240,
    photos: int = 20,
    first_photo: int = 0,
    size_wh: tuple[int, int] = (1600, 1200),
    facings: tuple[int, int] = (80, 140),
    difficulty: Difficulty = "mild",
    hard_share: float = 0.15,
    front_px: int = 512,
    yolo_labels: bool = False,
    min_visible: float = MIN_VISIBLE,
    jpeg_quality: int = 92,
    progress: Progress | None = None,
) -> None:
    """Render a catalogue and its photos into `out`, which is made where it is missing.

    Writes `fronts/<sku_id>.jpg`, `photos/NNNN.jpg`, `skus.csv`, with `yolo_labels` also
    `labels/NNNN.txt` (class 0, centre and size as fractions), and last `truth.jsonl`, a line a
    photo: photo, width, height, facings of xyxy, sku_id, slot, row. Photo N is the scene of seed
    N, from `first_photo` on; facings seen to a smaller share than `min_visible` are left out. Each
    file appears whole or not at all. `progress(done, total)` is called after every front and
    photo. The same arguments give the same files on a machine with the same typefaces.

    Raises:
        ConfigError: an argument out of range.
        OutputError: a file cannot be written.
    """
    if photos < 0:
        raise ConfigError(f"photos must be at least 0, got {photos}")
    folders = ["fronts", "photos", *(["labels"] if yolo_labels else [])]
    for folder in folders:
        make_folder(out / folder)
    catalog = build_catalog(seed=seed, split=split, skus=skus, hard_share=hard_share)
    total = len(catalog) + photos
    done = 0
    for sku in catalog.skus:
        write_bytes(
            out / "fronts" / f"{sku.sku_id}.jpg", jpeg(render_front(sku, front_px), jpeg_quality)
        )
        done += 1
        if progress is not None:
            progress(done, total)
    write_bytes(out / "skus.csv", _skus_csv(catalog))
    lines = []
    for number in range(first_photo, first_photo + photos):
        scene = render_scene(
            catalog,
            number,
            size_wh=size_wh,
            facings=facings,
            difficulty=difficulty,
            min_visible=min_visible,
        )
        name = f"{number:04d}"
        write_bytes(out / "photos" / f"{name}.jpg", jpeg(scene.image, jpeg_quality))
        if yolo_labels:
            write_bytes(out / "labels" / f"{name}.txt", _yolo(scene))
        lines.append(_truth(scene, f"photos/{name}.jpg"))
        done += 1
        if progress is not None:
            progress(done, total)
    write_bytes(out / "truth.jsonl", "".join(lines).encode())


def _truth(scene: Scene, photo: str) -> str:
    facings = [
        {"xyxy": [float(value) for value in box], "sku_id": sku, "slot": int(slot), "row": int(row)}
        for box, sku, slot, row in zip(scene.xyxy, scene.sku_id, scene.slot, scene.row, strict=True)
    ]
    height, width = scene.image.shape[:2]
    record = {"photo": photo, "width": width, "height": height, "facings": facings}
    return json.dumps(record) + "\n"


def _yolo(scene: Scene) -> bytes:
    height, width = scene.image.shape[:2]
    size = np.array([width, height], np.float64)
    centre = (scene.xyxy[:, :2] + scene.xyxy[:, 2:]) / 2 / size
    extent = (scene.xyxy[:, 2:] - scene.xyxy[:, :2]) / size
    rows = np.concatenate([centre, extent], axis=1)
    return "".join(f"0 {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for x, y, w, h in rows).encode()


def _skus_csv(catalog: Catalog) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["sku_id", "gtin", *(f"name_{locale}" for locale in LOCALES), "brand", "category"]
    )
    for sku in catalog.skus:
        names = [sku.names[locale] for locale in LOCALES]
        table.writerow([sku.sku_id, sku.gtin, *names, sku.brand, " > ".join(sku.category)])
    return text.getvalue().encode()
