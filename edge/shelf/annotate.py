"""Pictures of what was found: a box a facing, a colour and a number a SKU, a legend, totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from edge.shelf.facings import Product
from edge.shelf.legend import LegendEntry, legend_entries, with_legend
from edge.shelf.lettering import (
    LINE_HEIGHT,
    Box,
    dashed,
    fit,
    outline,
    padding,
    tag,
    text_width,
    tint,
)
from edge.shelf.palette import ColourBook, ink_on
from edge.shelf.runs import level_parts, runs
from edge.types import F32, U8, FrameResult

FACING_PX = 88
"""Pictures are enlarged until the median facing is this wide, so that its label can be read."""
LONG_SIDE_PX = 3600
SHORTEST_PX = 1000
LARGEST_ZOOM = 3.5
TIMES = "\u00d7"


def annotate(
    image: U8,
    result: FrameResult,
    products: Mapping[str, Product],
    colours: ColourBook,
    *,
    title: str = "",
) -> U8:
    """Draw a frame's detections.

    Each SKU has a number within the picture; boxes carry it, with the name where there is room, and
    the legend beside the picture lists all. Identical neighbours share a label with "x n". Unknown
    facings are dashed, grey, and have a question mark.

    Args:
        image: ``(H, W, 3) uint8`` RGB of the size that ``result`` states; not changed.
        result: what was found in it.
        products: names; a SKU that is missing is called by its id.
        colours: keeps colours the same over several pictures.
        title: stands above the picture, before the totals.

    Returns:
        A new ``(H, W, 3) uint8`` RGB picture, enlarged or shrunk for reading.
    """
    zoom = _zoom(image, result.detections.xyxy)
    height, width = image.shape[:2]
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    method = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    picture: U8 = np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
    if zoom == 1:
        picture = picture.copy()
    boxes = _boxes(result.detections.xyxy * zoom)
    entries = legend_entries(result.matches.sku_id, products)
    _draw_boxes(picture, boxes, result.matches.sku_id, colours)
    _draw_labels(picture, boxes, result, entries, colours)
    return with_legend(picture, result, list(entries.values()), colours, title)


def encode_jpeg(rgb: U8, quality: int = 88) -> bytes:
    """RGB pixels as a JPEG file."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())


def _zoom(image: U8, xyxy: F32) -> float:
    long_side = max(image.shape[:2])
    zoom = SHORTEST_PX / long_side
    if len(xyxy):
        median = float(np.median(xyxy[:, 2] - xyxy[:, 0]))
        zoom = max(zoom, FACING_PX / max(median, 1.0))
    zoom = min(max(zoom, 1.0), LARGEST_ZOOM)
    return float(min(zoom, LONG_SIDE_PX / long_side))


def _boxes(xyxy: F32) -> list[Box]:
    rounded = np.rint(xyxy).astype(int)
    rounded[:, 2:] = np.maximum(rounded[:, 2:], rounded[:, :2] + 1)
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in rounded]


def _draw_boxes(
    picture: U8, boxes: list[Box], sku_ids: Sequence[str | None], colours: ColourBook
) -> None:
    for box, sku in zip(boxes, sku_ids, strict=True):
        if sku is not None:
            tint(picture, box, colours.colour(sku), 0.14)
    for box, sku in zip(boxes, sku_ids, strict=True):
        inner = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
        line = max(2, min(box[2] - box[0], box[3] - box[1]) // 45)
        if sku is None:
            dashed(picture, inner, (235, 235, 235), line)
        else:
            outline(picture, inner, colours.colour(sku), line)


def _draw_labels(
    picture: U8,
    boxes: list[Box],
    result: FrameResult,
    entries: Mapping[str, LegendEntry],
    colours: ColourBook,
) -> None:
    sku_ids = result.matches.sku_id
    largest = max(26, max(picture.shape[:2]) // 70)
    for run in level_parts(runs(np.array(boxes, np.float32).reshape(-1, 4), sku_ids), boxes):
        first, last = boxes[run[0]], boxes[run[-1]]
        size = _text_size([boxes[i] for i in run], largest)
        sku = sku_ids[run[0]]
        if sku is None:
            levels = result.matches.category[run[0]]
            text = f"? {levels[-1]}" if levels else "?"
            room = first[2] - first[0] - 2 * padding(size)
            text = fit(text, size, room, 600) if levels else text
            _place(picture, first, text or "?", size, None, colours)
            continue
        entry = entries[sku]
        alone = f"{entry.number} {entry.name}"
        narrowest = min(boxes[i][2] - boxes[i][0] for i in run) - 2 * padding(size)
        if len(run) == 1 or text_width(alone, size, 600) <= narrowest:
            for i in run:
                room = boxes[i][2] - boxes[i][0] - 2 * padding(size)
                _place(picture, boxes[i], _label(entry, "", size, room), size, sku, colours)
        else:
            top = int(np.median([boxes[i][1] for i in run]))
            span = (first[0], top, last[2], first[3])
            text = _label(
                entry, f" {TIMES}{len(run)}", size, last[2] - first[0] - 2 * padding(size)
            )
            _place(picture, span, text, size, sku, colours, whole=True)


def _text_size(boxes: list[Box], largest: int) -> int:
    """Large enough to read, small enough to leave most of the product in sight."""
    widest = max(box[2] - box[0] for box in boxes)
    tallest = max(box[3] - box[1] for box in boxes)
    return int(np.clip(min(widest * 0.15, tallest * 0.2), 12, largest))


def _label(entry: LegendEntry, times: str, size: int, room: int) -> str:
    """Number, name and "x n" where they fit; the number always."""
    name = fit(entry.name, size, room - text_width(f"{entry.number} {times}", size, 600), 600)
    if len(name) < 4 and name != entry.name:
        return f"{entry.number}{times}"
    return f"{entry.number} {name}{times}"


def _place(
    picture: U8,
    box: Box,
    text: str,
    size: int,
    sku: str | None,
    colours: ColourBook,
    *,
    whole: bool = False,
) -> None:
    """Put a tag at the top of a box, as wide as its text or as the ``whole`` box."""
    wide = text_width(text, size, 600) + 2 * padding(size)
    right = box[2] if whole or sku is not None else box[0] + wide
    tall = round(LINE_HEIGHT * size)
    paper = colours.colour(sku) if sku is not None else (235, 235, 235)
    strip = (box[0], box[1], max(right, box[0] + wide), box[1] + tall)
    tag(picture, text, strip, size, paper, ink_on(paper))
