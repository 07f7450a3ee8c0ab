"""Paper in front of products: price rails with labels, promotion cards, cardboard trays."""

from __future__ import annotations

import cv2
import numpy as np

from export.scenes.canvas import NOBODY, Canvas
from export.scenes.fixture import Style
from export.scenes.layout import BOARD_MM, Layout, Shelf
from export.scenes.lettering import Type, text_mask
from export.scenes.paint import hsv, mix, paste_at, paste_mask, readable
from export.scenes.words import Rgb


def draw_rail(
    canvas: Canvas, layout: Layout, shelf: Shelf, style: Style, rng: np.random.Generator
) -> None:
    """The front edge of a board with its labels; it hides the products' lowest millimetres."""
    left, right = shelf.x0_mm, shelf.x1_mm
    lip = 4.0
    top, bottom = shelf.board_mm - lip, shelf.board_mm + BOARD_MM
    canvas.quad(
        [(left, top, 0), (right, top, 0), (right, bottom, 0), (left, bottom, 0)], style.rail, NOBODY
    )
    rows, columns = canvas.rows(top, bottom), canvas.columns(left, right)
    count = rows.stop - rows.start
    round_ = 0.8 + 0.3 * np.sin(np.linspace(0.3, 2.6, max(count, 1), dtype=np.float32))[:count]
    canvas.dim(rows, columns, round_[:, None, None].astype(np.float32))
    for slot in layout.slots:
        if slot.row != shelf.row or rng.random() > style.labels:
            continue
        width = float(rng.uniform(38, 62))
        x = float(
            np.clip((slot.x0_mm + slot.x1_mm) / 2 + rng.uniform(-15, 15), left, right - width)
        )
        _card(canvas, x, top + 3, x + width, bottom - 2, style.label, rng)
        if rng.random() < style.promos:
            wide, tall = float(rng.uniform(60, 120)), float(rng.uniform(40, 90))
            colour = hsv(float(rng.choice([0.0, 0.02, 0.14, 0.33])), 0.95, 0.92)
            _card(canvas, x, bottom - 6, x + wide, bottom - 6 + tall, colour, rng)


def _card(
    canvas: Canvas,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    colour: Rgb,
    rng: np.random.Generator,
) -> None:
    """A printed card on the front plane: a price and a few lines."""
    canvas.quad([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)], colour, NOBODY)
    price = f"{int(rng.integers(0, 15))}.{int(rng.integers(10)) * 10 + 9:02d}"
    ink: Rgb = (30, 30, 34) if sum(colour) > 380 else (255, 255, 255)
    left, top = canvas.px(x0, y0)
    right, bottom = canvas.px(x1, y1)
    tall = (bottom - top) * 0.55
    if tall < 4:
        return
    mask = text_mask(price, Type("builtin:sans", 800), 40)
    wide = min((right - left) * 0.55, tall * mask.shape[1] / mask.shape[0])
    size = (max(1, round(wide)), max(1, round(tall)))
    small = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
    paste_at(
        canvas.image, small, round(right - size[0] - 2), round(top + (bottom - top) * 0.2), ink
    )
    for line in range(3):
        y = top + (bottom - top) * (0.2 + 0.22 * line)
        end = left + (right - left) * float(rng.uniform(0.2, 0.4))
        cv2.line(
            canvas.image, (round(left + 3), round(y)), (round(end), round(y)), ink, 1, cv2.LINE_AA
        )


def draw_trays(canvas: Canvas, layout: Layout, shelf: Shelf, rng: np.random.Generator) -> None:
    """The fronts of cardboard trays, which hide the feet of the products in them."""
    for slot in layout.slots:
        if slot.row != shelf.row or not slot.tray_mm:
            continue
        kraft = mix(
            (186, 146, 100), hsv(float(rng.random()), 0.8, 0.7), float(rng.choice([0, 0.1, 1]))
        )
        left, right, top, foot = (
            slot.x0_mm,
            slot.x1_mm - 2,
            shelf.board_mm - slot.tray_mm,
            shelf.board_mm,
        )
        dip, ear = slot.tray_mm * 0.35, min(14.0, (right - left) / 5)
        canvas.quad(
            [(left, top + dip, 0), (right, top + dip, 0), (right, foot, 0), (left, foot, 0)],
            kraft,
            NOBODY,
        )
        for x0, x1 in ((left, left + ear), (right - ear, right)):
            canvas.quad([(x0, top, 0), (x1, top, 0), (x1, foot, 0), (x0, foot, 0)], kraft, NOBODY)
        rows, columns = canvas.rows(top + dip, foot), canvas.columns(left + ear, right - ear)
        text = text_mask(slot.sku.brand, Type("builtin:sans", 800), 40)
        band = canvas.image[rows, columns]
        if band.shape[0] > 6 and band.shape[1] > 12:
            paste_mask(band, text, (0.1, 0.2, 0.9, 0.85), readable(kraft, kraft))
