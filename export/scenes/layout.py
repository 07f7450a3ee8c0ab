"""Which product stands where on a shelf, in millimetres; no pixels.

The coordinate system: x to the right, y down, z away from the viewer, with the shelf fronts in the
plane z = 0. A layout says nothing about the camera, so that the same shelf can be rendered again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.scenes.catalog import Catalog, Sku

BOARD_MM = 28.0
"""Height of a shelf board with its price rail."""


@dataclass(frozen=True, slots=True)
class Facing:
    """One product at the front of a slot.

    `x_mm` is its centre, `base_mm` the height of its foot, `setback_mm` how far it stands behind
    the shelf front, `tilt_deg` its in-plane rotation, `light` a brightness factor; `behind` copies
    stand in depth after it. `glare` in [0, 1] is the strength of a reflection at `glare_at` of its
    width.
    """

    sku: Sku
    slot: int
    row: int
    x_mm: float
    base_mm: float
    setback_mm: float
    tilt_deg: float
    light: float
    behind: int
    glare: float
    glare_at: float


@dataclass(frozen=True, slots=True)
class Slot:
    """A product's place on a shelf: its planned SKU and its span; it may stand empty."""

    index: int
    row: int
    sku: Sku
    x0_mm: float
    x1_mm: float


@dataclass(frozen=True, slots=True)
class Shelf:
    """One row: top of the open space, the board's upper edge, both in millimetres."""

    row: int
    top_mm: float
    board_mm: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A bay of shelves, `width_mm` wide and `depth_mm` deep, with its planned slots and facings."""

    width_mm: float
    depth_mm: float
    shelves: tuple[Shelf, ...]
    slots: tuple[Slot, ...]
    facings: tuple[Facing, ...]

    @property
    def height_mm(self) -> float:
        """From the top of the first row to the lower edge of the last rail."""
        return self.shelves[-1].board_mm + BOARD_MM


@dataclass(frozen=True, slots=True)
class Tidiness:
    """How disordered a shelf is: probabilities a slot or facing, jitter in mm and degrees."""

    empty_slot: float
    missing: float
    misplaced: float
    stacked: float
    gap_mm: float
    tilt_deg: float
    setback_mm: float


TIDY = Tidiness(0.0, 0.0, 0.0, 0.25, 3.0, 0.0, 0.0)
MILD = Tidiness(0.03, 0.03, 0.01, 0.3, 5.0, 0.7, 12.0)
HARD = Tidiness(0.06, 0.07, 0.03, 0.35, 9.0, 2.2, 45.0)


def make_layout(
    catalog: Catalog,
    rng: np.random.Generator,
    *,
    width_mm: float,
    height_mm: float,
    tidiness: Tidiness,
    hard_variants: bool,
) -> Layout:
    """Fill shelves of a given width until they are at least `height_mm` high.

    Rows hold neighbouring families of one part of the store. Without `hard_variants`, SKUs with
    hard_variant are left out where others exist.
    """
    pool = [sku for sku in catalog.skus if hard_variants or not sku.hard_variant]
    pool = pool or list(catalog.skus)
    groups = _groups(pool)
    shelves: list[Shelf] = []
    slots: list[Slot] = []
    facings: list[Facing] = []
    y = 0.0
    order = rng.permutation(len(groups))
    place = 0
    while y < height_mm or not shelves:
        group = groups[int(order[place % len(order)])]
        place += 1
        line = _line(_alike(group, pool, rng), rng, width_mm)
        tallest = max(sku.size_mm[1] for sku, _, _ in line)
        room = tallest * float(rng.uniform(1.06, 1.3)) + 12
        shelf = Shelf(len(shelves), y, y + room)
        shelves.append(shelf)
        _fill_row(catalog, rng, line, shelf, width_mm, tidiness, slots, facings)
        y += room + BOARD_MM
    return Layout(width_mm, float(rng.uniform(320, 480)), tuple(shelves), tuple(slots), tuple(facings))


def _groups(skus: list[Sku]) -> list[list[Sku]]:
    """SKUs by the second level of their category, siblings next to each other."""
    by_aisle: dict[tuple[str, str], list[Sku]] = {}
    for sku in skus:
        by_aisle.setdefault((sku.category[0], sku.category[1]), []).append(sku)
    return [sorted(group, key=lambda sku: sku.sku_id) for group in by_aisle.values()]


def _alike(group: list[Sku], pool: list[Sku], rng: np.random.Generator) -> list[Sku]:
    """SKUs about as high as a random one of the group, from elsewhere too where it has few."""
    height = group[int(rng.integers(len(group)))].size_mm[1]
    low, high = 0.66 * height, 1.2 * height
    near = [sku for sku in group if low <= sku.size_mm[1] <= high]
    if len({sku.family.family_id for sku in near}) < 3:
        have = {sku.sku_id for sku in near}
        others = [sku for sku in pool if low <= sku.size_mm[1] <= high and sku.sku_id not in have]
        near += others[: 4 * len(near) + 24]
    return near


def _line(group: list[Sku], rng: np.random.Generator, width_mm: float) -> list[tuple[Sku, float, int]]:
    """(SKU, left edge, facings) along a row; starts at a random SKU, keeps siblings together."""
    start = int(rng.integers(len(group)))
    x = float(rng.uniform(0, 20))
    line: list[tuple[Sku, float, int]] = []
    step = 0
    while x < width_mm - 20:
        sku = group[(start + step) % len(group)]
        step += 1
        if rng.random() < 0.15:
            continue
        count = int(rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))
        if sku.size_mm[0] > 150:
            count = min(count, 2)
        line.append((sku, x, count))
        x += count * (sku.size_mm[0] + 3) + float(rng.uniform(2, 14))
    return line or [(group[start], 0.0, 1)]


def _fill_row(
    catalog: Catalog,
    rng: np.random.Generator,
    line: list[tuple[Sku, float, int]],
    shelf: Shelf,
    width_mm: float,
    tidiness: Tidiness,
    slots: list[Slot],
    facings: list[Facing],
) -> None:
    room = shelf.board_mm - shelf.top_mm
    for place, (sku, left, count) in enumerate(line):
        right = line[place + 1][1] if place + 1 < len(line) else left + count * (sku.size_mm[0] + 3)
        index = len(slots)
        slots.append(Slot(index, shelf.row, sku, left, right))
        if rng.random() < tidiness.empty_slot:
            continue
        levels = 1
        if sku.kind in ("box", "can") and 2 * sku.size_mm[1] < 0.97 * room:
            levels = 2 if rng.random() < tidiness.stacked + 0.3 else 1
        x = left
        for _ in range(count):
            x += float(rng.uniform(0.5, tidiness.gap_mm))
            shown = sku
            if rng.random() < tidiness.misplaced:
                shown = _stranger(catalog, rng, sku, room)
            missing = rng.random() < tidiness.missing
            setback = float(rng.uniform(0, 6)) + abs(float(rng.normal(0, 1))) * tidiness.setback_mm
            if missing:
                setback += 110.0
            tilt = float(rng.normal(0, 1)) * tidiness.tilt_deg
            light = float(rng.uniform(0.94, 1.05))
            behind = int(rng.choice([0, 1, 2, 2]))
            gloss = {"box": 0.25, "jar": 0.5, "bottle": 0.5, "can": 0.6, "pouch": 0.8}[shown.kind]
            glare = gloss * float(rng.random()) ** 2
            at = float(rng.random())
            width, height = shown.size_mm
            for level in range(levels if shown is sku and not missing else 1):
                sway = float(rng.normal(0, 0.8)) * level
                base = shelf.board_mm - level * height
                facings.append(
                    Facing(
                        shown, index, shelf.row, x + width / 2 + sway, base,
                        setback, tilt if level == 0 else 0.0, light, behind, glare, at,
                    )
                )  # fmt: skip
            x += width
            if x > width_mm:
                break


def _stranger(catalog: Catalog, rng: np.random.Generator, sku: Sku, room: float) -> Sku:
    """Another SKU that fits: a sibling as often as not."""
    siblings = [other for other in catalog.skus if other.family == sku.family and other != sku]
    if siblings and rng.random() < 0.5:
        return siblings[int(rng.integers(len(siblings)))]
    fitting = [
        other
        for other in catalog.skus
        if other.size_mm[1] < room and other.size_mm[0] < 1.3 * sku.size_mm[0]
    ]
    return fitting[int(rng.integers(len(fitting)))] if fitting else sku
