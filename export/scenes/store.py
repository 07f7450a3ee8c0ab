"""Layout and camera to pixels: products, depth, shadows and reflections, with their truth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.canvas import NOBODY, Canvas
from export.scenes.cards import draw_rail, draw_trays
from export.scenes.fixture import draw_opening, draw_room, draw_uprights, make_style
from export.scenes.foreground import add_foreground
from export.scenes.fronts import FrontCache
from export.scenes.layout import Facing, Layout
from export.scenes.packages import Rgba
from export.scenes.view import View, outlines

_DEPTH = {"box": 0.45, "can": 1.0, "bottle": 1.0, "jar": 1.0, "pouch": 0.5}
MIN_VISIBLE = 0.35
"""Facings with a smaller visible share are not in the truth, unless a caller says otherwise."""


def draw_store(
    layout: Layout,
    view: View,
    fronts: FrontCache,
    rng: np.random.Generator,
    *,
    clutter: float = 0.0,
    min_visible: float = MIN_VISIBLE,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]:
    """Photograph a layout through a view, evenly lit and without camera noise.

    `clutter` in [0, 1] puts things between the camera and the shelf.

    Returns the image (H, W, 3) uint8 RGB, boxes (N, 4) float32 xyxy in output pixels (x2, y2
    exclusive; tight around what is visible) and the index (N,) of each box's facing in
    `layout.facings`. Facings of which a smaller share than `min_visible` is seen have no box.
    """
    canvas = Canvas(view)
    style = make_style(rng)
    draw_room(canvas, layout, style, rng)
    whole = np.zeros(len(layout.facings))
    by_row: dict[int, list[int]] = {}
    for index, facing in enumerate(layout.facings):
        by_row.setdefault(facing.row, []).append(index)
    x0, y0, x1, y1 = view.front_bounds()
    for shelf in layout.shelves:
        if shelf.board_mm < y0 - 60 or shelf.top_mm > y1 + 60:
            continue
        open_ = canvas.opening(
            canvas.rows(shelf.top_mm, shelf.board_mm), canvas.columns(shelf.x0_mm, shelf.x1_mm)
        )
        draw_opening(open_, layout, shelf, style)
        row = [
            index
            for index in by_row.get(shelf.row, [])
            if x0 - 250 < layout.facings[index].x_mm < x1 + 250
        ]
        row.sort(
            key=lambda index: (-layout.facings[index].setback_mm, -layout.facings[index].base_mm)
        )
        for index in row:
            _draw_behind(open_, layout, layout.facings[index], fronts)
        for index in row:
            whole[index] = _draw_facing(open_, layout.facings[index], index, fronts)
        draw_trays(open_, layout, shelf, rng)
        tall, wide = open_.owner.shape
        down = np.linspace(0, 1, max(tall, 1), dtype=np.float32)[:tall, None, None]
        open_.dim(slice(0, tall), slice(0, wide), 1 + style.under_board * np.exp(-down / 0.16))
    draw_uprights(canvas, layout, style)
    for shelf in layout.shelves:
        draw_rail(canvas, layout, shelf, style, rng)
    image, owner = canvas.photograph()
    add_foreground(image, owner, rng, clutter)
    boxes, who = _boxes(owner, whole, layout, view, min_visible)
    return image, boxes, who


def _front(
    facing: Facing, canvas: Canvas, z_mm: float, fronts: FrontCache
) -> tuple[Rgba, float, float]:
    """The package at its canvas size, and where its bottom centre stands (canvas pixels)."""
    scale = canvas.view.scale_at(z_mm) * canvas.px_per_mm
    width_mm, height_mm = facing.sku.size_mm
    height, width = max(8, round(height_mm * scale)), max(4, round(width_mm * scale))
    x, y = canvas.px(facing.x_mm, facing.base_mm, z_mm)
    return fronts.sized(facing.sku, height, width, facing.turn), x, y


def _draw_behind(canvas: Canvas, layout: Layout, facing: Facing, fronts: FrontCache) -> None:
    step = facing.sku.size_mm[0] * _DEPTH[facing.sku.kind] + 4
    for copy in range(facing.behind, 0, -1):
        z = facing.setback_mm + step * copy
        if z > layout.depth_mm - step / 2:
            continue
        rgba, x, y = _front(facing, canvas, z, fronts)
        dark = rgba.copy()
        dark[..., :3] = (dark[..., :3] * (0.72**copy * facing.light)).astype(np.uint8)
        canvas.paste(dark, round(x - rgba.shape[1] / 2), round(y - rgba.shape[0]), NOBODY)


def _draw_facing(canvas: Canvas, facing: Facing, index: int, fronts: FrontCache) -> float:
    """Draw one facing; returns the share of its upright outline that its silhouette fills."""
    rgba, x, y = _front(facing, canvas, facing.setback_mm, fronts)
    if facing.sku.kind == "box":
        _sides(canvas, facing, index, rgba)
    lit = _light(rgba, facing)
    if abs(facing.tilt_deg) > 0.25:
        lit = _tilt(lit, facing.tilt_deg)
    left, top = round(x - lit.shape[1] / 2), round(y - (lit.shape[0] + rgba.shape[0]) / 2)
    blur = max(1, rgba.shape[0] // 28)
    alpha = cv2.copyMakeBorder(lit[..., 3], blur, blur, blur, blur, cv2.BORDER_CONSTANT, value=0)
    soft = np.asarray(cv2.blur(alpha, (2 * blur + 1, 2 * blur + 1)), np.uint8)
    canvas.shadow(soft, left - blur + blur // 2, top - blur + blur // 2, 0.5)
    canvas.paste(lit, left, top, index)
    return float(np.mean(rgba[..., 3] > 127))


def _light(rgba: Rgba, facing: Facing) -> Rgba:
    """Brightness of the place and a reflection across the front."""
    height, width = rgba.shape[:2]
    depth = 1 - min(facing.setback_mm, 250) / 600
    colour = rgba[..., :3].astype(np.float32) * (facing.light * depth)
    if facing.glare > 0.05:
        x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        if facing.sku.kind in ("box", "pouch"):
            away = ((x - facing.glare_at) + 0.4 * (y - 0.4)) / 0.22
            band = np.exp(-(away**2) - ((y - facing.glare_at * 0.8) / 0.4) ** 2)
        else:
            band = np.exp(-(((x - 0.25 - 0.5 * facing.glare_at) / 0.07) ** 2)) * np.ones_like(y)
        colour += (150 * facing.glare * band)[..., None]
    lit = rgba.copy()
    lit[..., :3] = np.clip(colour, 0, 255).astype(np.uint8)
    return lit


def _tilt(rgba: Rgba, degrees: float) -> Rgba:
    height, width = rgba.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, tall = int(np.ceil(width * cos + height * sin)), int(np.ceil(height * cos + width * sin))
    matrix[0, 2] += (wide - width) / 2
    matrix[1, 2] += (tall - height) / 2
    turned = cv2.warpAffine(rgba, matrix, (wide, tall), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.uint8)


def _sides(canvas: Canvas, facing: Facing, index: int, rgba: Rgba) -> None:
    """The side and top of a box that the eye sees, in colours of its front's edges."""
    width, height = facing.sku.size_mm
    near, far = facing.setback_mm, facing.setback_mm + width * _DEPTH["box"]
    left, right = facing.x_mm - width / 2, facing.x_mm + width / 2
    top, foot = facing.base_mm - height, facing.base_mm
    eye_x, eye_y, _ = canvas.view.eye_mm
    if not left < eye_x < right:
        edge, column = (right, -2) if right < eye_x else (left, 1)
        red, green, blue = (float(value) * 0.55 for value in rgba[2:-2, column, :3].mean(axis=0))
        points = [(edge, top, near), (edge, foot, near), (edge, foot, far), (edge, top, far)]
        canvas.quad(points, (round(red), round(green), round(blue)), index)
    if eye_y < top:
        red, green, blue = (float(value) * 0.85 for value in rgba[1, 2:-2, :3].mean(axis=0))
        points = [(left, top, near), (right, top, near), (right, top, far), (left, top, far)]
        canvas.quad(points, (round(red), round(green), round(blue)), index)


def _boxes(
    owner: NDArray[np.int16],
    whole: NDArray[np.float64],
    layout: Layout,
    view: View,
    min_visible: float,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Tight boxes of what each facing owns; `whole` is its unhidden share of its outline."""
    boxes: list[tuple[int, int, int, int]] = []
    who: list[int] = []
    height, width = owner.shape
    quads = outlines(layout.facings, view)
    for index in np.flatnonzero(whole):
        quad = quads[index]
        low, high = quad.min(axis=0), quad.max(axis=0)
        spare = 0.25 * (high - low) + 4
        x0, y0 = (max(int(value), 0) for value in low - spare)
        x1, y1 = min(int(high[0] + spare[0]), width), min(int(high[1] + spare[1]), height)
        if x1 <= x0 or y1 <= y0:
            continue
        mine = owner[y0:y1, x0:x1] == index
        if np.count_nonzero(mine) < min_visible * whole[index] * _area(quad):
            continue
        x, y, w, h = cv2.boundingRect(mine.astype(np.uint8))
        if w >= 3 and h >= 3:
            boxes.append((x0 + x, y0 + y, x0 + x + w, y0 + y + h))
            who.append(int(index))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(who, np.int64)


def _area(quad: NDArray[np.float64]) -> float:
    x, y = quad[:, 0], quad[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
