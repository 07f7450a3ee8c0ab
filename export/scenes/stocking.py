"""Fills shelves with products: which families stand together, gaps, stacks and disorder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.scenes.catalog import Catalog, Sku
from export.scenes.layout import BOARD_MM, Bay, Facing, Layout, Shelf, Slot


@dataclass(frozen=True, slots=True)
class Tidiness:
    """How disordered a shelf is: probabilities a slot or facing, jitter in mm and degrees.

    `stacked`, `empty_slot` and `tray` are per slot, `missing`, `misplaced` and `turned` per facing.
    """

    empty_slot: float
    missing: float
    misplaced: float
    stacked: float
    gap_mm: float
    tilt_deg: float
    setback_mm: float
    turned: float
    tray: float


TIDY = Tidiness(0.0, 0.0, 0.0, 0.6, 3.0, 0.0, 0.0, 0.0, 0.0)
MILD = Tidiness(0.03, 0.03, 0.01, 0.7, 5.0, 0.7, 12.0, 0.1, 0.06)
HARD = Tidiness(0.06, 0.07, 0.03, 0.7, 9.0, 2.0, 40.0, 0.4, 0.15)


def make_layout(
    catalog: Catalog,
    rng: np.random.Generator,
    *,
    width_mm: float,
    height_mm: float,
    tidiness: Tidiness,
    hard_variants: bool,
) -> Layout:
    """Fill bays of a total width with shelves until they are at least `height_mm` high.

    Shelves hold neighbouring families of about one height from one part of the store. Without
    `hard_variants`, SKUs with hard_variant are left out where others exist.
    """
    pool = [sku for sku in catalog.skus if hard_variants or not sku.hard_variant]
    pool = pool or list(catalog.skus)
    spans = _spans(rng, width_mm)
    plans = [_plan_bay(pool, rng, x1 - x0, height_mm) for x0, x1 in spans]
    total = max(sum(room + BOARD_MM for _, room in plan) for plan in plans)
    bays: list[Bay] = []
    shelves: list[Shelf] = []
    slots: list[Slot] = []
    facings: list[Facing] = []
    for (x0, x1), plan in zip(spans, plans, strict=True):
        y = total - sum(room + BOARD_MM for _, room in plan)
        bays.append(Bay(x0, x1, y))
        for line, room in plan:
            shelf = Shelf(len(shelves), x0, x1, y, y + room)
            shelves.append(shelf)
            _fill_row(catalog, rng, line, shelf, tidiness, slots, facings)
            y += room + BOARD_MM
    depth = float(rng.uniform(320, 480))
    return Layout(width_mm, total, depth, tuple(bays), tuple(shelves), tuple(slots), tuple(facings))


_Line = list[tuple[Sku, float, int]]


def _spans(rng: np.random.Generator, width_mm: float) -> list[tuple[float, float]]:
    count = max(1, round(width_mm / float(rng.uniform(950, 1700))))
    edges = np.linspace(0, width_mm, count + 1)
    return [(float(edges[place]) + 15, float(edges[place + 1]) - 15) for place in range(count)]


def _plan_bay(
    pool: list[Sku], rng: np.random.Generator, width_mm: float, height_mm: float
) -> list[tuple[_Line, float]]:
    """(line, open height) a shelf, from the top, until they reach a height."""
    groups = _groups(pool)
    order = rng.permutation(len(groups))
    plan: list[tuple[_Line, float]] = []
    total = 0.0
    while total < height_mm:
        group = groups[int(order[len(plan) // 2 % len(order)])]
        line = _line(_alike(group, pool, rng), rng, width_mm)
        tallest = max(sku.size_mm[1] for sku, _, _ in line)
        room = tallest * float(rng.uniform(1.05, 1.3)) + 10
        plan.append((line, room))
        total += room + BOARD_MM
    return plan


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
        first = int(rng.integers(len(others))) if others else 0
        near += (others[first:] + others[:first])[: 4 * len(near) + 24]
    return near


def _line(group: list[Sku], rng: np.random.Generator, width_mm: float) -> _Line:
    """(SKU, left edge, facings) along a shelf, from one end to the other, siblings together."""
    step = int(rng.integers(len(group)))
    x = float(rng.uniform(0, 12))
    line: _Line = []
    while True:
        sku = group[step % len(group)]
        step += 1 if rng.random() > 0.15 else 2
        pitch = sku.size_mm[0] + 4
        count = int(rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))
        count = min(count, 2) if sku.size_mm[0] > 150 else count
        count = min(count, int((width_mm - x) / pitch))
        if count < 1:
            break
        line.append((sku, x, count))
        x += count * pitch + float(rng.uniform(1, 12))
    if not line:
        return [(group[step % len(group)], 0.0, 1)]
    spare = max(0.0, width_mm - x) / len(line) * float(rng.uniform(0.3, 1.0))
    return [(sku, left + place * spare, count) for place, (sku, left, count) in enumerate(line)]


def _fill_row(
    catalog: Catalog,
    rng: np.random.Generator,
    line: _Line,
    shelf: Shelf,
    tidiness: Tidiness,
    slots: list[Slot],
    facings: list[Facing],
) -> None:
    for place, (sku, left, count) in enumerate(line):
        x = shelf.x0_mm + left
        end = x + count * (sku.size_mm[0] + 3)
        if place + 1 < len(line):
            end = shelf.x0_mm + line[place + 1][1]
        tray = 0.0
        if rng.random() < tidiness.tray and sku.kind != "bottle":
            tray = sku.size_mm[1] * float(rng.uniform(0.08, 0.22))
        slot = Slot(len(slots), shelf.row, sku, x, min(end, shelf.x1_mm), tray)
        slots.append(slot)
        if rng.random() >= tidiness.empty_slot:
            _fill_slot(catalog, rng, slot, count, shelf, tidiness, facings)


def _fill_slot(
    catalog: Catalog,
    rng: np.random.Generator,
    slot: Slot,
    count: int,
    shelf: Shelf,
    tidiness: Tidiness,
    facings: list[Facing],
) -> None:
    room = shelf.board_mm - shelf.top_mm
    x, sku = slot.x0_mm, slot.sku
    levels = 1
    if sku.kind in ("box", "can", "jar") and rng.random() < tidiness.stacked:
        levels = min(3, int(0.97 * room / sku.size_mm[1]))
    depth = int(rng.choice([0, 1, 2, 3]))
    for _ in range(count):
        x += float(rng.uniform(0.5, tidiness.gap_mm))
        shown = _stranger(catalog, rng, sku, room) if rng.random() < tidiness.misplaced else sku
        width, height = shown.size_mm
        if x + width > shelf.x1_mm:
            break
        missing = rng.random() < tidiness.missing
        setback = float(rng.uniform(0, 6)) + abs(float(rng.normal(0, 1))) * tidiness.setback_mm
        setback += 110.0 if missing else 0.0
        tilt = float(rng.normal(0, 1)) * tidiness.tilt_deg
        if rng.random() < tidiness.turned * 0.15:
            tilt *= 4
        turn = int(rng.choice([-2, -1, 1, 2])) if rng.random() < tidiness.turned else 0
        light = float(rng.uniform(0.94, 1.05))
        gloss = {"box": 0.25, "jar": 0.5, "bottle": 0.5, "can": 0.6, "pouch": 0.8}[shown.kind]
        glare, glare_at = gloss * float(rng.random()) ** 2, float(rng.random())
        for level in range(max(1, levels) if shown is sku and not missing else 1):
            sway = float(rng.normal(0, 0.8)) * level
            base = shelf.board_mm - level * height
            facings.append(
                Facing(
                    shown, slot.index, shelf.row, x + width / 2 + sway, base, setback,
                    tilt if level == 0 else 0.0, light, depth, turn, glare, glare_at,
                )
            )  # fmt: skip
        x += width


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
