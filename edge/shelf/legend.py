"""The panel beside an annotated picture: totals, and each SKU with its number, colour and count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.shelf.facings import Product
from edge.shelf.lettering import fit, text_width, write
from edge.shelf.palette import UNKNOWN, ColourBook, ink_on
from edge.types import U8, FrameResult

_PAPER = (24, 26, 30)
_INK = (236, 238, 242)
_FADED = (160, 166, 176)

_ROW_PX, _COLUMN_PX, _TITLE_PX = 24, 330, 48
"""At unit 1; the unit grows with the picture, which is seen at the size of a screen."""
_PICTURE_PX = 1500
_LARGEST_UNIT = 2.2


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One SKU of the picture: its number in the legend, its name, and how often it is there."""

    number: int
    sku_id: str
    name: str
    count: int


def legend_entries(
    sku_ids: Sequence[str | None], products: Mapping[str, Product]
) -> dict[str, LegendEntry]:
    """Number the SKUs of a picture, most facings first; those of ``None`` (unknown) have none."""
    counts = Counter(sku for sku in sku_ids if sku is not None)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        sku: LegendEntry(number, sku, products[sku].name if sku in products else sku, count)
        for number, (sku, count) in enumerate(ranked, 1)
    }


def with_legend(
    picture: U8,
    result: FrameResult,
    entries: list[LegendEntry],
    colours: ColourBook,
    title: str,
) -> U8:
    """The annotated picture on a dark sheet, under a line of totals and beside the legend."""
    sku_ids = result.matches.sku_id
    unknown = sum(sku is None for sku in sku_ids)
    listed: list[tuple[str, str, int, str | None]] = [
        (str(entry.number), entry.name, entry.count, entry.sku_id) for entry in entries
    ]
    if unknown:
        listed.insert(0, ("?", "unknown", unknown, None))
    unit = _unit(picture, len(listed))
    row, column, head = (round(unit * px) for px in (_ROW_PX, _COLUMN_PX, _TITLE_PX))
    height = max(picture.shape[0], 6 * row)
    fitting = height // row - 2
    columns = min(3, max(1, -(-len(listed) // fitting)))
    left, width = picture.shape[1], picture.shape[1] + columns * column
    sheet = np.full((height + head, width, 3), _PAPER, np.uint8)
    sheet[head : head + picture.shape[0], :left] = picture
    totals = f"{len(sku_ids)} facings · {len(sku_ids) - unknown} known · {unknown} unknown"
    _title(sheet, title, f"{totals} · {len(entries)} SKUs", unit)
    hidden = len(listed) - columns * fitting
    if hidden > 0:
        hidden += 1
        x, middle = left + (columns - 1) * column + round(16 * unit), head + row * fitting
        more = f"and {hidden} more SKUs"
        write(sheet, more, x, middle + row // 2, round(15 * unit), _FADED, 400)
        listed = listed[:-hidden]
    for position, line in enumerate(listed):
        x, y = left + position // fitting * column, head + row * (1 + position % fitting)
        _legend_row(sheet, x, y, line, colours, unit)
    return sheet


def _unit(picture: U8, rows: int) -> float:
    """Large on large pictures, and as small as it takes, down to 1, for all rows in one column."""
    fitting = picture.shape[0] / (_ROW_PX * (rows + 3))
    wanted = min(max(picture.shape[:2]) / _PICTURE_PX, fitting, _LARGEST_UNIT)
    return float(max(1.0, wanted))


def _title(sheet: U8, title: str, totals: str, unit: float) -> None:
    size, gap, middle = round(20 * unit), round(16 * unit), round(_TITLE_PX * unit) // 2
    x = sheet.shape[1] - text_width(totals, size, 600) - gap
    write(sheet, totals, max(gap, x), middle, size, _INK, 600)
    write(sheet, fit(title, size, x - 3 * gap, 400), gap, middle, size, _FADED, 400)


def _legend_row(
    sheet: U8,
    x: int,
    y: int,
    line: tuple[str, str, int, str | None],
    colours: ColourBook,
    unit: float,
) -> None:
    number, name, count, sku = line
    row, gap, size = round(_ROW_PX * unit), round(16 * unit), round(15 * unit)
    middle = y + row // 2
    paper = colours.colour(sku) if sku is not None else UNKNOWN
    start, end = x + gap, x + gap + round(36 * unit)
    cv2.rectangle(sheet, (start, y + 2), (end - 1, y + row - 3), paper, cv2.FILLED)
    inset = (end - start - text_width(number, size, 600)) // 2
    write(sheet, number, start + inset, middle, size, ink_on(paper), 600)
    amount_x = x + round(_COLUMN_PX * unit) - gap - text_width(str(count), size, 600)
    write(sheet, str(count), amount_x, middle, size, _INK, 600)
    name_x = end + gap // 2
    write(
        sheet, fit(name, size, amount_x - name_x - gap // 2, 400), name_x, middle, size, _INK, 400
    )
