"""Drawing on RGB pixels: text of any script with OpenCV's own font, tags, dashes, tints."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import cv2
import numpy as np

from edge.shelf.palette import Colour
from edge.types import U8

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, x2/y2 exclusive."""

LINE_HEIGHT = 1.5
"""Height of a tag or a row, in text sizes."""


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def text_width(text: str, size: int, weight: int = 500) -> int:
    """Width in pixels of a line of text."""
    x, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)
    return int(x + width)


def fit(text: str, size: int, room: int, weight: int = 500) -> str:
    """The text, cut with an ellipsis so that it is at most ``room`` pixels wide; "" where even one
    letter is not.
    """
    text = one_line(text)
    if text_width(text, size, weight) <= room:
        return text
    low, high = 0, len(text)
    while low < high:  # the most letters that fit
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip(" .,") + "…", size, weight) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip(" .,") + "…" if low else ""


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def write(image: U8, text: str, x: int, middle: int, size: int, ink: Colour, weight: int) -> None:
    """Write a line from ``x``, its letters centred on the row ``middle``; changes ``image``."""
    if text:
        # capitals of this font are 0.7 of its size
        origin = (x, middle + round(0.35 * size))
        # wrapping would bring what passes the right edge back on the left
        wide = (0, 2 * image.shape[1] + 4096)
        cv2.putText(image, text, origin, ink, _font(), size, weight, 0, wide)


def tag(image: U8, text: str, box: Box, size: int, paper: Colour, ink: Colour) -> None:
    """A filled strip with text at its left; changes ``image``."""
    cv2.rectangle(image, box[:2], (box[2] - 1, box[3] - 1), paper, cv2.FILLED)
    write(image, text, box[0] + padding(size), (box[1] + box[3]) // 2, size, ink, 600)


def padding(size: int) -> int:
    """Space left and right of a text in its tag."""
    return max(2, size // 4)


def tint(image: U8, box: Box, colour: Colour, strength: float) -> None:
    """Mix a colour into a box; changes ``image``."""
    x1, y1 = max(0, box[0]), max(0, box[1])
    region = image[y1 : max(y1, box[3]), x1 : max(x1, box[2])]
    if region.size:
        # the colour has three values, and OpenCV takes it for one a channel
        layer = np.broadcast_to(np.array(colour, np.uint8), region.shape)
        cv2.addWeighted(region, 1 - strength, np.ascontiguousarray(layer), strength, 0, dst=region)


def outline(image: U8, box: Box, colour: Colour, width: int) -> None:
    """A box line of ``width`` pixels with a thin dark line around it; changes ``image``."""
    x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
    cv2.rectangle(image, (x1, y1), (x2, y2), (20, 20, 20), width + 2)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)


def dashed(image: U8, box: Box, colour: Colour, width: int) -> None:
    """A dashed box line over a dark one; changes ``image``."""
    x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
    cv2.rectangle(image, (x1, y1), (x2, y2), (20, 20, 20), width)
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    dash = 4 * width
    for (ax, ay), (bx, by) in pairwise(corners):
        length = math.hypot(bx - ax, by - ay)
        for start in np.arange(0, length, 2 * dash):
            a, b = start / length, min(start + dash, length) / length
            first = (round(ax + (bx - ax) * a), round(ay + (by - ay) * a))
            last = (round(ax + (bx - ax) * b), round(ay + (by - ay) * b))
            cv2.line(image, first, last, colour, width)
