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
TILES, ROWS = 12, 6
"""Pictures beside each other on a page, and rows of clusters."""
TILE_WH = (128, 168)
_NARROWEST = 2
_GAP = 10
_LINE = 28
_HEAD = 2 * _LINE
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
    """Pages of ROWS rows of clusters, each ``(H, W, 3) uint8`` RGB; none without clusters."""
    rows = _rows(clusters)
    pages = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)]
    return [
        _page(page, f"{title} · page {number} of {len(pages)}")
        for number, page in enumerate(pages, 1)
    ]


def _rows(clusters: Sequence[SheetCluster]) -> list[list[SheetCluster]]:
    """The clusters in their order, as many in a row as have room."""
    rows: list[list[SheetCluster]] = []
    room = 0
    for cluster in clusters:
        if _tiles(cluster) > room:
            rows.append([])
            room = TILES
        rows[-1].append(cluster)
        room -= _tiles(cluster)
    return rows


def _tiles(cluster: SheetCluster) -> int:
    return max(_NARROWEST, min(len(cluster.pictures), PICTURES))


def _page(rows: Sequence[Sequence[SheetCluster]], title: str) -> U8:
    tile, card_h = TILE_WH[0] + _GAP, _HEAD + TILE_WH[1] + _GAP
    top = 2 * _GAP + _LINE
    width = TILES * tile + _GAP
    page: U8 = np.full((top + len(rows) * (card_h + _GAP), width, 3), _PAPER, np.uint8)
    write(page, fit(title, 22, width - 2 * _GAP, 600), _GAP, top // 2, 22, _INK, 600)
    for number, row in enumerate(rows):
        y, x = top + number * (card_h + _GAP), _GAP
        for cluster in row:
            wide = _tiles(cluster) * tile
            card = page[y : y + card_h, x : x + wide - _GAP]
            card[:] = _CARD
            _card(card, cluster)
            x += wide
    return page


def _card(card: U8, cluster: SheetCluster) -> None:
    number = str(cluster.number)
    write(card, number, _GAP, _LINE // 2 + 2, 26, _INK, 800)
    x = 2 * _GAP + text_width(number, 26, 800)
    count = f"{cluster.count} facing{'s' if cluster.count != 1 else ''}"
    write(card, count, x, _LINE // 2 + 2, 18, _INK, 500)
    hint = fit(cluster.hint, 16, card.shape[1] - 2 * _GAP, 400)
    write(card, hint, _GAP, _LINE + _LINE // 2, 16, _GREY, 400)
    inner = (card.shape[1] - _GAP) // _tiles(cluster) - _GAP
    for i, picture in enumerate(cluster.pictures[:PICTURES]):
        left = _GAP + i * (inner + _GAP)
        _tile(card[_HEAD : _HEAD + TILE_WH[1], left : left + inner], picture, i + 1)


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
