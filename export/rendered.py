"""Rendered SKUs as a folder per SKU: one clean front and crops as seen on shelves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edge.atomic import write_text
from edge.errors import OutputError
from export.datasets import FRONT_STEM
from export.images import Image
from export.scenes.brands import Split
from export.scenes.catalog import build_catalog
from export.scenes.crops import render_crop
from export.scenes.fronts import FrontCache, render_front

CROP_SEED = 77


def render_skus(
    out: Path,
    *,
    split: Split,
    seed: int,
    skus: int,
    crops: int,
    hard_share: float = 0.15,
    front_px: int = 320,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes `out/<sku>/front.png`, `out/<sku>/NNN.png` and `out/skus.csv`; finished files stay.

    `skus.csv` has the columns sku_id, family, hard, level1 to level4. The pictures depend on the
    arguments alone, so a run that was cut off goes on. Raises OutputError for a folder that was
    rendered with other arguments, and when the disk is full or closed to writing.
    """
    catalog = build_catalog(seed=seed, split=split, skus=skus, hard_share=hard_share)
    fronts = FrontCache()
    try:
        out.mkdir(parents=True, exist_ok=True)
        _claim(out / "rendered.json", split, seed, skus, hard_share)
        with (out / "skus.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["sku_id", "family", "hard", "level1", "level2", "level3", "level4"])
            for sku in catalog.skus:
                hard = int(sku.hard_variant)
                rows.writerow([sku.sku_id, sku.family.family_id, hard, *sku.category])
        for number, sku in enumerate(catalog.skus):
            folder = out / sku.sku_id
            folder.mkdir(exist_ok=True)
            for crop in range(crops):
                file = folder / f"{crop:03d}.png"
                if not file.exists():
                    rng = np.random.default_rng([CROP_SEED, seed, number, crop])
                    _write(file, render_crop(catalog, sku, rng, fronts=fronts))
            front = folder / f"{FRONT_STEM}.png"
            if not front.exists():
                _write(front, render_front(sku, front_px))
            progress(number + 1, len(catalog.skus))
    except OSError as error:
        raise OutputError(f"{error.filename or out}: {error.strerror}") from error


def _claim(file: Path, split: str, seed: int, skus: int, hard_share: float) -> None:
    own = {"split": split, "seed": seed, "skus": skus, "hard_share": hard_share}
    if file.exists():
        if json.loads(file.read_text(encoding="utf-8")) != own:
            raise OutputError(f"{file.parent}: rendered with other arguments, take another folder")
    else:
        write_text(file, json.dumps(own))


def _write(file: Path, image: Image) -> None:
    _, data = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    part = file.with_suffix(".part")
    part.write_bytes(data.tobytes())
    part.replace(file)
