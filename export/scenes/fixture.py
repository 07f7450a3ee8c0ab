"""The furniture: walls, floor, boards, uprights, price rails with labels and promotion cards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.scenes.canvas import NOBODY, Canvas
from export.scenes.layout import Layout, Shelf
from export.scenes.lettering import Type, text_mask
from export.scenes.motifs import MOTIFS, draw_motif
from export.scenes.paint import hsv, mix, paste_mask
from export.scenes.words import Rgb

_BOARDS: tuple[Rgb, ...] = (
    (236, 236, 232), (212, 214, 216), (150, 152, 156), (74, 74, 78), (176, 138, 98),
    (226, 220, 206),
)  # fmt: skip
_FLOORS: tuple[Rgb, ...] = ((190, 184, 172), (140, 136, 130), (208, 204, 198), (120, 104, 88))


@dataclass(frozen=True, slots=True)
class Style:
    """Colours and habits of one store.

    `interior` in [0, 1] is how light the space behind the products is; `under_board` > -1 is the
    relative change of light right under a board, positive where lamps hang there. `labels` and
    `promos` are probabilities a slot.
    """

    board: Rgb
    back: Rgb
    rail: Rgb
    wall: Rgb
    floor: Rgb
    label: Rgb
    perforated: bool
    interior: float
    under_board: float
    labels: float
    promos: float


def make_style(rng: np.random.Generator) -> Style:
    """A store's furniture, at random."""
    board = _BOARDS[int(rng.integers(len(_BOARDS)))]
    rail = (
        board
        if rng.random() < 0.4
        else hsv(float(rng.random()), float(rng.uniform(0, 0.9)), float(rng.uniform(0.3, 0.95)))
    )
    label: Rgb = ((252, 252, 250), (252, 252, 250), (255, 236, 120), (250, 220, 210))[
        int(rng.integers(4))
    ]
    return Style(
        board,
        mix(board, (90, 90, 96), float(rng.uniform(0.05, 0.5))),
        rail,
        hsv(float(rng.random()), 0.08, float(rng.uniform(0.35, 0.9))),
        _FLOORS[int(rng.integers(len(_FLOORS)))],
        label,
        bool(rng.random() < 0.4),
        float(rng.uniform(0.15, 0.9)),
        float(rng.choice([-0.55, -0.45, -0.35, -0.2, 0.15])),
        float(rng.uniform(0.3, 1.0)),
        float(rng.choice([0.0, 0.04, 0.12])),
    )


def draw_room(canvas: Canvas, layout: Layout, style: Style, rng: np.random.Generator) -> None:
    """Wall, lamps and floor around the bays; covers the whole canvas."""
    header = hsv(float(rng.random()), 0.7, 0.6) if rng.random() < 0.35 else None
    height, width = canvas.owner.shape
    canvas.image[:] = style.wall
    canvas.dim(
        slice(0, height),
        slice(0, width),
        np.linspace(1.1, 0.75, height, dtype=np.float32)[:, None, None],
    )
    for _ in range(int(rng.integers(0, 4))):
        x, y = float(rng.uniform(-0.5, 1.5)) * layout.width_mm, -float(rng.uniform(250, 900))
        _panel(canvas, x, y, x + float(rng.uniform(150, 900)), y + 30, (255, 255, 250))
    _draw_floor(canvas, layout, style, rng)
    dark, foot = mix(style.board, (0, 0, 0), 0.3), layout.height_mm
    for bay in layout.bays:
        left, right, top = bay.x0_mm - 30, bay.x1_mm + 30, bay.top_mm - 20
        _panel(canvas, left, top, right, foot + 90, dark)
        _panel(canvas, left, foot, right, foot + 84, mix(style.board, style.floor, 0.3))
        if header is not None:
            _panel(canvas, left, top - 160, right, top, header)
            _write(canvas, (left, top - 150, right, top - 20), layout.slots[0].sku.category[1])
    _posters(canvas, layout, rng)


def _write(canvas: Canvas, rect_mm: tuple[float, float, float, float], text: str) -> None:
    rows, columns = canvas.rows(rect_mm[1], rect_mm[3]), canvas.columns(rect_mm[0], rect_mm[2])
    part = canvas.image[rows, columns]
    if part.shape[0] > 6 and part.shape[1] > 12:
        mask = text_mask(text, Type("builtin:sans", 800), 60)
        paste_mask(part, mask, (0.1, 0.15, 0.9, 0.85), (250, 250, 246))


def _posters(canvas: Canvas, layout: Layout, rng: np.random.Generator) -> None:
    """Advertising beside and above the bays: pictures of things that are no products."""
    own = np.random.default_rng(int(rng.integers(2**31)))
    for _ in range(int(own.integers(0, 4))):
        wide, tall = float(own.uniform(200, 600)), float(own.uniform(200, 500))
        beside = own.random() < 0.6
        x = float(own.choice([-wide - 80, layout.width_mm + 80]))
        y = float(own.uniform(0, max(1.0, layout.height_mm - tall)))
        if not beside:
            x, y = float(own.uniform(0, layout.width_mm)), -tall - float(own.uniform(220, 500))
        colour = hsv(float(own.random()), float(own.uniform(0.1, 0.9)), float(own.uniform(0.5, 1)))
        _panel(canvas, x, y, x + wide, y + tall, colour)
        part = canvas.image[canvas.rows(y, y + tall), canvas.columns(x, x + wide)]
        if part.shape[0] > 20 and part.shape[1] > 20:
            name = str(own.choice(list(MOTIFS)))
            tone = hsv(float(own.random()), 0.8, 0.8)
            rect = (0.1, 0.1, 0.9, 0.75)
            draw_motif(part, own, name, rect, tone, count=int(own.integers(1, 4)), photo=False)


def _draw_floor(canvas: Canvas, layout: Layout, style: Style, rng: np.random.Generator) -> None:
    """Tiles in front of the bays, as far as the camera sees them."""
    level, tile = layout.height_mm + 90, float(rng.choice([300.0, 450.0, 600.0]))
    contrast = float(rng.uniform(0.0, 0.25))
    rows = canvas.rows(level, 1e6)
    canvas.image[rows] = style.floor
    if rows.stop <= rows.start:
        return
    near = -0.75 * canvas.view.eye_mm[2]
    for row in range(int(-near / tile)):
        for column in range(-12, int(layout.width_mm / tile) + 12):
            x, z = column * tile, -row * tile
            corners = [
                (x, level, z),
                (x + tile, level, z),
                (x + tile, level, z - tile),
                (x, level, z - tile),
            ]
            canvas.quad(
                corners, mix(style.floor, (0, 0, 0), contrast * float(rng.random())), NOBODY
            )
    shine = np.linspace(0.7, 1.15, rows.stop - rows.start, dtype=np.float32)[:, None, None]
    canvas.dim(rows, slice(0, canvas.owner.shape[1]), shine)


def _panel(canvas: Canvas, x0: float, y0: float, x1: float, y1: float, colour: Rgb) -> None:
    canvas.quad([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)], colour, NOBODY)


def draw_opening(canvas: Canvas, layout: Layout, shelf: Shelf, style: Style) -> None:
    """The empty space of one shelf: back panel, board, underside of the board above.

    `canvas` is the shelf's opening.
    """
    left, right, depth = shelf.x0_mm, shelf.x1_mm, layout.depth_mm
    eye_y, top, foot = canvas.view.eye_mm[1], shelf.top_mm, shelf.board_mm

    def tone(colour: Rgb, share: float) -> Rgb:
        return mix((0, 0, 0), colour, share * style.interior)

    canvas.image[:] = tone(style.back, 0.6)
    back = [(left, top, depth), (right, top, depth), (right, foot, depth), (left, foot, depth)]
    canvas.quad(back, tone(style.back, 0.85), NOBODY)
    if style.perforated:
        _perforate(canvas, layout, shelf, tone(style.back, 0.3))
    if eye_y < foot:
        floor = [(left, foot, 0), (right, foot, 0), (right, foot, depth), (left, foot, depth)]
        canvas.quad(floor, mix((0, 0, 0), style.board, 0.55 + 0.35 * style.interior), NOBODY)
    if eye_y > top:
        ceiling = [(left, top, 0), (right, top, 0), (right, top, depth), (left, top, depth)]
        canvas.quad(ceiling, tone(style.board, 0.5), NOBODY)
    tall, wide = canvas.owner.shape
    fall = np.linspace(0.6, 1.05, max(tall, 1), dtype=np.float32)[:tall, None, None]
    canvas.dim(slice(0, tall), slice(0, wide), fall)


def _perforate(canvas: Canvas, layout: Layout, shelf: Shelf, colour: Rgb) -> None:
    rows = canvas.rows(shelf.top_mm, shelf.board_mm, layout.depth_mm)
    columns = canvas.columns(shelf.x0_mm, shelf.x1_mm, layout.depth_mm)
    period = max(3, round(25 * canvas.px_per_mm * canvas.view.scale_at(layout.depth_mm)))
    for shift in range(max(1, period // 5)):
        for across in range(max(1, period // 5)):
            canvas.image[rows, columns][shift::period, across::period] = colour


def draw_uprights(canvas: Canvas, layout: Layout, style: Style) -> None:
    """The posts at both ends of every bay."""
    step = max(2, round(25 * canvas.px_per_mm))
    foot = canvas.rows(-1e6, layout.height_mm)
    for bay in layout.bays:
        for left, right in ((bay.x0_mm - 15, bay.x0_mm), (bay.x1_mm, bay.x1_mm + 15)):
            _panel(
                canvas,
                left,
                bay.top_mm - 20,
                right,
                layout.height_mm,
                mix(style.board, (0, 0, 0), 0.15),
            )
            slits = canvas.columns((left + right) / 2 - 2, (left + right) / 2 + 2)
            rows = slice(canvas.rows(bay.top_mm, layout.height_mm).start, foot.stop)
            for offset in range(max(1, step // 3)):
                canvas.image[rows, slits][offset::step] = mix(style.board, (0, 0, 0), 0.7)
