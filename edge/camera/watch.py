"""Telling black, grey-decoded and frozen pictures from those that show a shelf."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from edge.camera.status import Picture
from edge.types import U8

BLACK_LEVEL = 24
"""Cells (1/32 of the picture a side) whose mean brightness is below this, of 255, are dark."""
BLACK_SHARE = 0.98
"""Share of dark cells in a black picture: the light of a router does not make it bright."""
GREY_LEVELS = (126, 133)
"""A decoder without references fills with the middle of its range: 128, or 130 after expansion."""
GREY_SHARE = 0.15
"""Share of grey blocks in a picture that is taken for broken."""
_BLOCK = 16
_CELLS = 32


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a picture is, whether it may be handed on, and since when it is so (monotonic ns)."""

    picture: Picture
    usable: bool
    since_ns: int


class PictureWatch:
    """Judges the pictures of one stream, in the order in which they come.

    A black or grey picture is not usable from the first one on: it would look as if all products had
    been taken. Equal pictures become unusable when they have been frozen for long enough; up to then
    a still scene may really be equal.

    Args:
        frozen_after_s: how long pictures must be exactly equal, every pixel, to be frozen; 0: never.
        frozen: digest of the picture at which the stream froze before it was opened again, or 0; with
            that picture it is frozen from the start.
    """

    def __init__(self, frozen_after_s: float, frozen: int = 0) -> None:
        self._was_frozen = frozen
        self._frozen_ns = int(frozen_after_s * 1e9)
        self._last: U8 | None = None
        self._equal_since_ns = 0
        self._picture: Picture = "ok"
        self._since_ns = 0

    def judge(self, picture: U8, look: Picture, now_ns: int) -> Verdict:
        """Judge the next picture.

        Args:
            picture: ``(H, W, 3) uint8``, blanked where it is masked (a clock in the picture would
                hide that the rest is frozen); it must not be changed afterwards.
            look: what :func:`look_of` said before that.
            now_ns: monotonic.
        """
        kind = look
        if self._frozen_ns:
            if self._last is None and self._was_frozen and digest(picture) == self._was_frozen:
                self._equal_since_ns = now_ns - self._frozen_ns
            elif self._last is None or not equal_pictures(picture, self._last):
                self._equal_since_ns = now_ns
            if look == "ok" and now_ns - self._equal_since_ns >= self._frozen_ns:
                kind = "frozen"
            self._last = picture
        if kind != self._picture or not self._since_ns:
            self._picture, self._since_ns = kind, now_ns
        return Verdict(kind, kind == "ok", self._since_ns)


def look_of(picture: U8, *, black: bool, grey: bool) -> Picture:
    """What one ``(H, W, 3) uint8`` picture looks like by itself, of the kinds that are asked for."""
    if black and is_black(picture):
        return "black"
    if grey and grey_share(picture) >= GREY_SHARE:
        return "grey"
    return "ok"


def equal_pictures(one: U8, other: U8) -> bool:
    """Whether every pixel is the same. All are compared: what moves may be small."""
    return one.shape == other.shape and cv2.norm(one, other, cv2.NORM_INF) == 0


def digest(picture: U8) -> int:
    """A checksum of all pixels, above 0."""
    return zlib.crc32(np.ascontiguousarray(picture).data) + 1


def is_black(picture: U8) -> bool:
    """Whether nearly all of a ``(H, W, 3) uint8`` picture is dark, noise and small lights aside."""
    cells = cv2.resize(picture, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return float(np.mean(cells.max(axis=2) < BLACK_LEVEL)) >= BLACK_SHARE


def grey_share(picture: U8) -> float:
    """Share of the 16-pixel blocks that are flat and of a decoder's fill colour.

    A camera's noise leaves no block exactly flat, so walls and grey cards do not count.
    """
    height, width = (side // _BLOCK * _BLOCK for side in picture.shape[:2])
    if not height or not width:
        return 0.0
    # one pixel a block first: most pictures have hardly any of this colour
    corners = picture[_BLOCK // 2 : height : _BLOCK, _BLOCK // 2 : width : _BLOCK]
    low, high = GREY_LEVELS
    if float(np.mean(np.all((corners >= low) & (corners <= high), axis=2))) < GREY_SHARE:
        return 0.0
    blocks = picture[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    least = blocks.min(axis=(1, 3))
    most = blocks.max(axis=(1, 3))
    flat = np.all(most == least, axis=2)
    grey = np.all((least >= low) & (most <= high), axis=2)
    return float(np.mean(flat & grey))
