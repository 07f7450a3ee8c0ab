"""What happens on a shelf while a camera watches: products taken, put back, replaced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edge.errors import ConfigError
from export.scenes.catalog import Catalog, Sku
from export.scenes.layout import Facing, Layout

ChangeKind = Literal["taken", "put_back", "replaced"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change at `at_s` seconds: the facing with this index of the first layout.

    `sku_before` and `sku_after` are ids, None for an empty place. From `at_s` on the new state can
    be seen; with `reach`, an arm hides the place for a second before.
    """

    at_s: float
    kind: ChangeKind
    place: int
    sku_before: str | None
    sku_after: str | None
    reach: bool = False


def plan_changes(
    catalog: Catalog,
    layout: Layout,
    places: list[int],
    rng: np.random.Generator,
    times_s: list[float],
    *,
    swaps: int,
    put_back: int,
) -> list[Change]:
    """Spread changes over `times_s` (ascending) and over places of the visible facings.

    `swaps` products are replaced by a sibling that differs in one small detail, `put_back` of those
    taken return, the others are taken. No place changes twice otherwise. Raises ConfigError when
    the shelf has too few places for it.
    """
    taken = len(times_s) - swaps - put_back
    if taken < put_back:
        raise ConfigError(
            f"{len(times_s)} changes cannot be {swaps} swaps, {put_back} put back and at least as"
            " many taken"
        )
    free = [place for place in places if _stands_alone(layout, place)]
    order = [free[i] for i in rng.permutation(len(free))]
    mixed = [places[i] for i in rng.permutation(len(places))]
    twins = [(place, sku) for place in mixed if (sku := _twin(catalog, layout, place)) is not None]
    chosen = twins[:swaps]
    used = {place for place, _ in chosen}
    leaving = [place for place in order if place not in used][:taken]
    if len(chosen) < swaps or len(leaving) < taken:
        raise ConfigError(
            f"the shelf has {len(twins)} places with a near-identical sibling and {len(order)} that"
            f" can be emptied, too few for {swaps} swaps and {taken} taken"
        )
    return _schedule(layout, rng, times_s, chosen, leaving, put_back)


def apply_changes(
    catalog: Catalog, layout: Layout, changes: list[Change]
) -> tuple[Layout, list[int]]:
    """The layout after some changes, in their order, and each facing's index in the first one."""
    facings: dict[int, Facing] = dict(enumerate(layout.facings))
    for change in changes:
        if change.sku_after is None:
            del facings[change.place]
        else:
            sku = catalog.by_id[change.sku_after]
            facings[change.place] = replace(layout.facings[change.place], sku=sku)
    places = sorted(facings)
    return replace(layout, facings=tuple(facings[place] for place in places)), places


def _schedule(
    layout: Layout,
    rng: np.random.Generator,
    times_s: list[float],
    chosen: list[tuple[int, Sku]],
    leaving: list[int],
    put_back: int,
) -> list[Change]:
    """Shuffle the kinds over the times; a product returns in a later third than it left."""
    count = len(times_s)
    kinds = ["swap"] * len(chosen) + ["take"] * (len(leaving) - put_back)
    mixed = [kinds[i] for i in rng.permutation(len(kinds))]
    # those that return leave first and come back last
    line = ["take"] * put_back + mixed + ["return"] * put_back
    assert len(line) == count
    changes: list[Change] = []
    out: list[int] = []
    for at_s, what in zip(times_s, line, strict=True):
        if what == "swap":
            place, sku = chosen.pop(0)
            before = layout.facings[place].sku
            changes.append(Change(at_s, "replaced", place, before.sku_id, sku.sku_id))
        elif what == "take":
            place = leaving.pop(0)
            out.append(place)
            before = layout.facings[place].sku
            changes.append(Change(at_s, "taken", place, before.sku_id, None, reach=True))
        else:
            place = out.pop(0)
            before = layout.facings[place].sku
            changes.append(Change(at_s, "put_back", place, None, before.sku_id, reach=True))
    return changes


def _stands_alone(layout: Layout, place: int) -> bool:
    """Whether nothing stands on a facing or behind it, so that its place can be empty."""
    mine = layout.facings[place]
    top = mine.base_mm - mine.sku.size_mm[1]
    if mine.behind or mine.setback_mm > 60:
        return False
    for index, other in enumerate(layout.facings):
        near = abs(other.x_mm - mine.x_mm) < (other.sku.size_mm[0] + mine.sku.size_mm[0]) / 2 - 4
        if index != place and other.row == mine.row and near and other.base_mm <= top + 5:
            return False
    return True


def _twin(catalog: Catalog, layout: Layout, place: int) -> Sku | None:
    """The next sibling that is told apart by one small detail, if there is one."""
    mine = layout.facings[place].sku
    siblings = [
        sku
        for sku in catalog.skus
        if sku.family == mine.family and sku.hard_variant and sku.size_mm == mine.size_mm
    ]
    if len(siblings) < 2:
        return None
    return siblings[(siblings.index(mine) + 1) % len(siblings)]
