"""The furniture: walls, floor, boards, uprights, price rails with labels and promotion cards."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from export.scenes.canvas import NOBODY, Canvas
from export.scenes.layout import BOARD_MM, Layout, Shelf
from export.scenes.lettering import Type, text_mask
from export.scenes.paint import hsv, mix, noise_field, paste_at
from export.scenes.words import Rgb

_BOARDS: tuple[Rgb, ...] = (
    (236, 236, 232), (212, 214, 216), (150, 152, 156), (74, 74, 78), (176, 138, 98), (226, 220, 206),
)  # fmt: skip
_FLOORS: tuple[Rgb, ...] = ((190, 184, 172), (140, 136, 130), (208, 204, 198), (120, 104, 88))


@dataclass(frozen=True, slots=True)
class Style:
    """Colours and habits of one store."""

    board: Rgb
    back: Rgb
    rail: Rgb
    wall: Rgb
    floor: Rgb
    label: Rgb
    perforated: bool
    labels: float
    promos: float


def make_style(rng: np.random.Generator) -> Style:
    """A store's furniture, at random."""
    board = _BOARDS[int(rng.integers(len(_BOARDS)))]
    rail = board if rng.random() < 0.4 else hsv(float(rng.random()), float(rng.uniform(0, 0.9)), float(rng.uniform(0.3, 0.95)))
    label: Rgb = ((252, 252, 250), (252, 252, 250), (255, 236, 120), (250, 220, 210))[int(rng.integers(4))]
    return Style(
        board,
        mix(board, (90, 90, 96), float(rng.uniform(0.05, 0.5))),
        rail,
        hsv(float(rng.random()), 0.08, float(rng.uniform(0.35, 0.9))),
        _FLOORS[int(rng.integers(len(_FLOORS)))],
        label,
        bool(rng.random() < 0.4),
        float(rng.uniform(0.3, 1.0)),
        float(rng.choice([0.0, 0.04, 0.12])),
    )


def draw_room(canvas: Canvas, layout: Layout, style: Style, rng: np.random.Generator) -> None:
    """Wall, ceiling light and floor around the bay; covers the whole canvas."""
    height, width = canvas.owner.shape
    canvas.image[:] = style.wall
    canvas.dim(slice(0, height), slice(0, width), np.linspace(1.1, 0.75, height, dtype=np.float32)[:, None, None])
    floor = canvas.rows(layout.height_mm + 90, 1e6)
    rows = floor.stop - floor.start
    if rows > 0:
        canvas.image[floor] = style.floor
        grain = noise_field(rng, rows, width, 30) - 0.5
        canvas.dim(floor, slice(0, width), 0.85 + 0.3 * grain[..., None])
    canvas.quad(
        [(-30, -50, 0), (layout.width_mm + 30, -50, 0), (layout.width_mm + 30, layout.height_mm + 90, 0), (-30, layout.height_mm + 90, 0)],
        mix(style.board, (0, 0, 0), 0.25),
        NOBODY,
    )


def draw_opening(canvas: Canvas, layout: Layout, shelf: Shelf, style: Style, rng: np.random.Generator) -> None:
    """The empty space of one shelf: back panel, board, underside of the board above."""
    right, depth, eye_y = layout.width_mm, layout.depth_mm, canvas.view.eye_mm[1]
    top, foot = shelf.top_mm, shelf.board_mm
    front = (canvas.rows(top, foot), canvas.columns(0, right))
    canvas.image[front] = mix(style.back, (0, 0, 0), 0.45)
    canvas.quad([(0, top, depth), (right, top, depth), (right, foot, depth), (0, foot, depth)], mix(style.back, (0, 0, 0), 0.25), NOBODY)
    if style.perforated:
        _perforate(canvas, layout, shelf, style)
    if eye_y < foot:
        canvas.quad([(0, foot, 0), (right, foot, 0), (right, foot, depth), (0, foot, depth)], mix(style.board, (0, 0, 0), 0.12), NOBODY)
    if eye_y > top:
        canvas.quad([(0, top, 0), (right, top, 0), (right, top, depth), (0, top, depth)], mix(style.board, (0, 0, 0), 0.55), NOBODY)
    rows = front[0].stop - front[0].start
    fall = np.linspace(0.62, 1.05, max(rows, 1), dtype=np.float32)[:rows, None, None]
    canvas.dim(front[0], front[1], fall)


def _perforate(canvas: Canvas, layout: Layout, shelf: Shelf, style: Style) -> None:
    rows = canvas.rows(shelf.top_mm, shelf.board_mm, layout.depth_mm)
    columns = canvas.columns(0, layout.width_mm, layout.depth_mm)
    period = max(3, round(25 * canvas.px_per_mm * canvas.view.scale_at(layout.depth_mm)))
    hole = max(1, period // 5)
    for shift in range(hole):
        part = canvas.image[rows, columns]
        part[shift::period, ::period] = mix(style.back, (0, 0, 0), 0.7)


def draw_rail(canvas: Canvas, layout: Layout, shelf: Shelf, style: Style, rng: np.random.Generator) -> None:
    """The front edge of a board with its labels; it hides the lowest millimetres of the products."""
    right = layout.width_mm
    lip = 4.0
    top, bottom = shelf.board_mm - lip, shelf.board_mm + BOARD_MM
    canvas.quad([(0, top, 0), (right, top, 0), (right, bottom, 0), (0, bottom, 0)], style.rail, NOBODY)
    rows, columns = canvas.rows(top, bottom), canvas.columns(0, right)
    count = rows.stop - rows.start
    round_ = 0.8 + 0.3 * np.sin(np.linspace(0.3, 2.6, max(count, 1), dtype=np.float32))[:count]
    canvas.dim(rows, columns, round_[:, None, None].astype(np.float32))
    for slot in layout.slots:
        if slot.row != shelf.row or rng.random() > style.labels:
            continue
        width = float(rng.uniform(38, 62))
        x = float(np.clip((slot.x0_mm + slot.x1_mm) / 2 + rng.uniform(-15, 15), 0, right - width))
        _card(canvas, x, top + 3, x + width, bottom - 2, style.label, rng)
        if rng.random() < style.promos:
            wide, tall = float(rng.uniform(60, 120)), float(rng.uniform(40, 90))
            colour = hsv(float(rng.choice([0.0, 0.02, 0.14, 0.33])), 0.95, 0.92)
            _card(canvas, x, bottom - 6, x + wide, bottom - 6 + tall, colour, rng)


def _card(
    canvas: Canvas, x0: float, y0: float, x1: float, y1: float, colour: Rgb, rng: np.random.Generator
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
    paste_at(canvas.image, small, round(right - size[0] - 2), round(top + (bottom - top) * 0.2), ink)
    for line in range(3):
        y = top + (bottom - top) * (0.2 + 0.22 * line)
        end = left + (right - left) * float(rng.uniform(0.2, 0.4))
        cv2.line(canvas.image, (round(left + 3), round(y)), (round(end), round(y)), ink, 1, cv2.LINE_AA)


def draw_uprights(canvas: Canvas, layout: Layout, style: Style) -> None:
    """The posts at both ends of the bay."""
    for left, right in ((-30.0, 0.0), (layout.width_mm, layout.width_mm + 30)):
        canvas.quad(
            [(left, -50, 0), (right, -50, 0), (right, layout.height_mm + 90, 0), (left, layout.height_mm + 90, 0)],
            mix(style.board, (0, 0, 0), 0.15),
            NOBODY,
        )
        slits = canvas.columns((left + right) / 2 - 3, (left + right) / 2 + 3)
        step = max(2, round(25 * canvas.px_per_mm))
        for offset in range(max(1, step // 3)):
            canvas.image[offset::step, slits] = mix(style.board, (0, 0, 0), 0.7)
