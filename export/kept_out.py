"""Groups found on shelves as a validation task: real products that no training has seen.

One crop of each group is the gallery; others of the group, altered as hard as a camera ever would, are
the queries. Unaltered ones would be found always: groups are what the current tower holds for alike.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from edge.atomic import write_bytes, write_text
from edge.errors import ConfigError
from export.augment import AugmentConfig, augment
from export.images import jpeg, read_rgb
from export.neighbours import Row, table

QUERIES_A_GROUP = 2
HARD = AugmentConfig(
    rotate_deg=15.0,
    perspective=0.12,
    warp_p=0.9,
    low_resolution_p=0.5,
    low_resolution_px=(16, 48),
    blur_p=0.3,
    light_p=0.9,
    occlude_p=0.4,
)


def keep_out(crops: Path, share: float, seed: int = 0) -> tuple[int, int]:
    """Takes a share of the photos out of `crops` (crops.csv of `neighbours`) for validation.

    Beside it stand `gallery.csv` and `queries.csv` then, and the altered pictures. Returns how many
    groups and queries they hold. The same seed keeps the same photos out.

    Raises ConfigError where too few photos are left on either side.
    """
    with crops.open(encoding="utf-8", newline="") as file:
        rows = [Row(**row) for row in csv.DictReader(file)]
    photos = sorted({row.family for row in rows})
    rng = np.random.default_rng(seed)
    count = round(share * len(photos))
    if not 0 < count < len(photos):
        raise ConfigError(
            f"{crops}: a share of {share:g} of {len(photos)} photos leaves none on one side"
        )
    chosen = {photos[int(i)] for i in rng.permutation(len(photos))[:count]}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.family in chosen:
            groups.setdefault(row.sku_id, []).append(row)
    gallery = [members[0] for members in groups.values()]
    queries = []
    folder = crops.parent
    for members in groups.values():
        for row in members[1 : 1 + QUERIES_A_GROUP]:
            name = f"query-{row.path}"
            altered = augment(read_rgb(folder / row.path), rng, HARD)
            write_bytes(folder / name, jpeg(altered))
            queries.append(row._replace(path=name, photo_id=name))
    write_text(folder / "gallery.csv", table(gallery))
    write_text(folder / "queries.csv", table(queries))
    write_text(crops, table([row for row in rows if row.family not in chosen]))
    return len(gallery), len(queries)
