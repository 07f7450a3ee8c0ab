"""A picture of numbered clusters with several crops each, for a person to name the products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.shelf.lettering import fit, text_width, write
from edge.types import U8

PICTURES = 6
"""Crops of a cluster that are shown, and enrolled when it is named."""
COLUMNS, ROWS = 2, 6
TILE_WH = (128, 168)
_GAP = 10
_HEAD = 34
_PAPER = (255, 255, 255)
_CARD = (243, 243, 240)
_INK = (25, 25, 25)
_GREY = (110, 110, 110)


@dataclass(frozen=True, slots=True, eq=False)
class SheetCluster:
    """A cluster's number, how many crops it has, what it may be, and up to PICTURES of them, each
    ``(H, W, 3) uint8`` RGB."""

    number: int
    count: int
    hint: str
    pictures: Sequence[U8]


def draw_sheets(clusters: Sequence[SheetCluster], title: str) -> list[U8]:
    """Pages of COLUMNS x ROWS clusters, each ``(H, W, 3) uint8`` RGB; none without clusters."""
    a_page = COLUMNS * ROWS
    pages = [clusters[i : i + a_page] for i in range(0, len(clusters), a_page)]
    return [
        _page(page, f"{title} · page {number} of {len(pages)}")
        for number, page in enumerate(pages, 1)
    ]


def _page(clusters: Sequence[SheetCluster], title: str) -> U8:
    card_w = PICTURES * (TILE_WH[0] + _GAP) + _GAP
    card_h = _HEAD + TILE_WH[1] + _GAP
    rows = -(-len(clusters) // COLUMNS)
    width = COLUMNS * (card_w + _GAP) + _GAP
    top = 2 * _GAP + 28
    page: U8 = np.full((top + rows * (card_h + _GAP), width, 3), _PAPER, np.uint8)
    write(page, fit(title, 22, width - 2 * _GAP, 600), _GAP, top // 2, 22, _INK, 600)
    for i, cluster in enumerate(clusters):
        x = _GAP + (i % COLUMNS) * (card_w + _GAP)
        y = top + (i // COLUMNS) * (card_h + _GAP)
        card = page[y : y + card_h, x : x + card_w]
        card[:] = _CARD
        _card(card, cluster)
    return page


def _card(card: U8, cluster: SheetCluster) -> None:
    number = str(cluster.number)
    write(card, number, _GAP, _HEAD // 2, 26, _INK, 800)
    x = 2 * _GAP + text_width(number, 26, 800)
    count = f"{cluster.count} facing{'s' if cluster.count != 1 else ''}"
    write(card, count, x, _HEAD // 2, 18, _INK, 500)
    x += text_width(count, 18, 500) + 2 * _GAP
    hint = fit(cluster.hint, 18, card.shape[1] - x - _GAP, 400)
    write(card, hint, x, _HEAD // 2, 18, _GREY, 400)
    for i, picture in enumerate(cluster.pictures[:PICTURES]):
        left = _GAP + i * (TILE_WH[0] + _GAP)
        _tile(card[_HEAD : _HEAD + TILE_WH[1], left : left + TILE_WH[0]], picture, i + 1)


def _tile(tile: U8, picture: U8, number: int) -> None:
    """Put a picture, as large as fits, at the bottom of the tile, and its number above it."""
    height, width = picture.shape[:2]
    zoom = min(tile.shape[1] / width, (tile.shape[0] - 18) / height)
    size_wh = max(1, round(width * zoom)), max(1, round(height * zoom))
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(picture, size_wh, interpolation=method), np.uint8)
    left = (tile.shape[1] - size_wh[0]) // 2
    tile[tile.shape[0] - size_wh[1] :, left : left + size_wh[0]] = small
    write(tile, str(number), left, 8, 14, _GREY, 500)
