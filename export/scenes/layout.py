"""Which product stands where on a shelf, in millimetres; no pixels.

The coordinate system: x to the right, y down, z away from the viewer, with the shelf fronts in the
plane z = 0. A layout says nothing about the camera, so that the same shelf can be rendered again.
"""

from __future__ import annotations

from dataclasses import dataclass

from export.scenes.catalog import Sku

BOARD_MM = 28.0
"""Height of a shelf board with its price rail."""


@dataclass(frozen=True, slots=True)
class Facing:
    """One product at the front of a slot.

    `x_mm` is its centre, `base_mm` the height of its foot, `setback_mm` how far it stands behind
    the shelf front, `tilt_deg` its in-plane rotation, `light` a brightness factor; `behind` copies
    stand in depth after it. `turn` counts steps of a round package about its axis. `glare` in
    [0, 1] is the strength of a reflection at `glare_at` of its width.
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
    turn: int
    glare: float
    glare_at: float


@dataclass(frozen=True, slots=True)
class Slot:
    """A product's place on a shelf: its planned SKU and span; it may stand empty.

    `tray_mm` is the height of the cardboard tray that the products stand in, 0 for none.
    """

    index: int
    row: int
    sku: Sku
    x0_mm: float
    x1_mm: float
    tray_mm: float


@dataclass(frozen=True, slots=True)
class Shelf:
    """One shelf of one bay: its span, the top of its open space and its board's upper edge.

    `row` counts from the top over all bays, so that each shelf has its own.
    """

    row: int
    x0_mm: float
    x1_mm: float
    top_mm: float
    board_mm: float


@dataclass(frozen=True, slots=True)
class Bay:
    """A stretch of shelving between two uprights, from its top to the shared floor."""

    x0_mm: float
    x1_mm: float
    top_mm: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Bays side by side with their shelves, planned slots and facings.

    `height_mm` is the lower edge of the lowest rails.
    """

    width_mm: float
    height_mm: float
    depth_mm: float
    bays: tuple[Bay, ...]
    shelves: tuple[Shelf, ...]
    slots: tuple[Slot, ...]
    facings: tuple[Facing, ...]
