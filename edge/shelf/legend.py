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
_ROW_PX = 24
_COLUMN_PX = 330
_TITLE_PX = 48


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
    unknown = sum(sku is None for sku in result.matches.sku_id)
    rows = len(entries) + bool(unknown)
    height = max(picture.shape[0], 6 * _ROW_PX)
    fitting = (height - 2 * _ROW_PX) // _ROW_PX
    columns = min(3, max(1, -(-rows // fitting)))
    width = picture.shape[1] + columns * _COLUMN_PX
    sheet = np.full((height + _TITLE_PX, width, 3), _PAPER, np.uint8)
    sheet[_TITLE_PX : _TITLE_PX + picture.shape[0], : picture.shape[1]] = picture
    known = len(result.matches) - unknown
    totals = f"{len(result.matches)} facings · {known} known · {unknown} unknown"
    totals += f" · {len(entries)} SKUs"
    totals_x = width - text_width(totals, 20, 600) - 16
    write(sheet, totals, max(16, totals_x), _TITLE_PX // 2, 20, _INK, 600)
    write(sheet, fit(title, 20, totals_x - 40, 400), 16, _TITLE_PX // 2, 20, _FADED, 400)

    listed: list[tuple[str, str, int, str | None]] = [
        (str(entry.number), entry.name, entry.count, entry.sku_id) for entry in entries
    ]
    if unknown:
        listed.insert(0, ("?", "unknown", unknown, None))
    hidden = len(listed) - columns * fitting
    if hidden > 0:
        listed = listed[: -hidden - 1]
    for position, row in enumerate(listed):
        x = picture.shape[1] + position // fitting * _COLUMN_PX
        _legend_row(sheet, x, _TITLE_PX + _ROW_PX * (1 + position % fitting), row, colours)
    if hidden > 0:
        x = picture.shape[1] + (columns - 1) * _COLUMN_PX + 16
        middle = _TITLE_PX + _ROW_PX * fitting + _ROW_PX // 2
        write(sheet, f"and {hidden + 1} more SKUs", x, middle, 15, _FADED, 400)
    return sheet


def _legend_row(
    sheet: U8, x: int, y: int, row: tuple[str, str, int, str | None], colours: ColourBook
) -> None:
    number, name, count, sku = row
    paper = colours.colour(sku) if sku is not None else UNKNOWN
    middle = y + _ROW_PX // 2
    swatch = (x + 16, y + 2, x + 52, y + _ROW_PX - 2)
    cv2.rectangle(sheet, swatch[:2], (swatch[2] - 1, swatch[3] - 1), paper, cv2.FILLED)
    left = swatch[0] + (36 - text_width(number, 14, 600)) // 2
    write(sheet, number, left, middle, 14, ink_on(paper), 600)
    right = x + _COLUMN_PX - 16
    amount = str(count)
    amount_x = right - text_width(amount, 15, 600)
    write(sheet, fit(name, 15, amount_x - swatch[2] - 20, 400), x + 62, middle, 15, _INK, 400)
    write(sheet, amount, amount_x, middle, 15, _INK, 600)
