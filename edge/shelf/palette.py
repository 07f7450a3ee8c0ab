"""One colour per SKU: far apart from each other, also for red-green blind eyes, and never grey."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

UNKNOWN: Colour = (150, 150, 150)
COLOURS = 40
"""How many colours are told apart; beyond that they repeat and the numbers tell."""

_F64 = npt.NDArray[np.float64]
# OKLab: https://bottosson.github.io/posts/oklab/
_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
# deuteranopia in linear RGB: Machado, Oliveira, Fernandes 2009, severity 1.0
_DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


class ColourBook:
    """Gives each SKU its colour and keeps it for the whole audit.

    The colour follows from the SKU's id, so that it is the same from audit to audit; where two SKUs
    want the same one, the later takes the next free.
    """

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._taken: set[int] = set()

    def colour(self, sku_id: str | None) -> Colour:
        """The colour of a SKU; grey for None (unknown)."""
        if sku_id is None:
            return UNKNOWN
        if sku_id not in self._slots:
            digest = hashlib.blake2b(sku_id.encode("utf-8", "replace"), digest_size=4).digest()
            slot = int.from_bytes(digest, "big") % COLOURS
            if len(self._taken) == COLOURS:
                self._taken.clear()
            while slot in self._taken:
                slot = (slot + 1) % COLOURS
            self._taken.add(slot)
            self._slots[sku_id] = slot
        return palette()[self._slots[sku_id]]


def ink_on(background: Colour) -> Colour:
    """Black or white, whichever reads better on this colour (WCAG relative luminance)."""
    luminance = float(_linear(np.array(background, np.float64)) @ [0.2126, 0.7152, 0.0722])
    return (0, 0, 0) if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else (255, 255, 255)


@cache
def palette() -> tuple[Colour, ...]:
    """``COLOURS`` colours, each as far as possible from those before it.

    Candidates are a grid in OKLCH; distance is OKLab's, two thirds of it as normal eyes see and one
    third as red-green blind eyes do.
    """
    light, chroma, hue = np.meshgrid(
        [0.45, 0.56, 0.67, 0.78, 0.89], [0.09, 0.13, 0.17, 0.21], np.arange(0, 360, 10)
    )
    turn = np.deg2rad(hue.ravel())
    lab = np.stack(
        [light.ravel(), chroma.ravel() * np.cos(turn), chroma.ravel() * np.sin(turn)], axis=1
    )
    linear = (lab @ np.linalg.inv(_LAB).T) ** 3 @ np.linalg.inv(_LMS).T
    inside = np.all((linear >= 0) & (linear <= 1), axis=1)
    linear = linear[inside]
    spaces = [_oklab(linear), _oklab(np.clip(linear @ _DEUTERANOPIA.T, 0, 1))]
    grey = _oklab(_linear(np.array([UNKNOWN], np.float64)))
    distance = _mixed([np.linalg.norm(space - grey, axis=1) for space in spaces])
    chosen: list[int] = []
    for _ in range(COLOURS):
        best = int(np.argmax(distance))
        chosen.append(best)
        near = _mixed([np.linalg.norm(space - space[best], axis=1) for space in spaces])
        distance = np.minimum(distance, near)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    rgb = np.rint(encoded[chosen] * 255).astype(int)
    return tuple((int(r), int(g), int(b)) for r, g, b in rgb)


def _mixed(distances: list[_F64]) -> _F64:
    """Distance of two colours from what normal and what red-green blind eyes see."""
    return np.asarray((2 * distances[0] + distances[1]) / 3)


def _linear(rgb: _F64) -> _F64:
    """sRGB 0..255 to linear 0..1."""
    value = rgb / 255
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def _oklab(linear: _F64) -> _F64:
    return np.asarray(np.cbrt(linear @ _LMS.T) @ _LAB.T)
