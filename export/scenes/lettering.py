"""Text as masks: finds the typefaces that are installed and falls back on OpenCV's own."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]

_LOG = logging.getLogger(__name__)
_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)

TYPEFACES: dict[str, tuple[str, ...]] = {
    "latin": (
        "builtin:sans",
        "builtin:italic",
        "DejaVuSerif-Bold",
        "DejaVuSans-Bold",
        "DejaVuSansCondensed-BoldOblique",
        "DejaVuSansMono-Bold",
        "BebasNeue-Bold",
        "lobster",
        "LobsterTwo-BoldItalic",
        "KaushanScript-Regular",
        "CherryBomb-Regular",
        "LeckerliOne-Regular",
        "LeagueSpartan-Black",
        "Dosis-ExtraBold",
        "PTC75F",
        "LiberationSerif-BoldItalic",
        "YanoneKaffeesatz-Bold",
        "Comfortaa-Bold",
        "Lemonada-Bold",
        "CabinSketch-Bold",
        "DancingScript-Bold",
        "Vollkorn-Black",
        "Ubuntu-Title",
        "ComicNeue-Bold",
        "allerta_stencil",
        "OldStandard-Bold",
        "Cabin-Bold",
        "Play-Bold",
    ),
    "cyrillic": (
        "builtin:sans",
        "builtin:italic",
        "DejaVuSerif-Bold",
        "LiberationSerif-BoldItalic",
        "Vollkorn-Black",
        "YanoneKaffeesatz-Bold",
        "BebasNeue-Bold",
        "Comfortaa-Bold",
        "PTC75F",
        "OldStandard-Bold",
    ),
    "greek": (
        "builtin:uni",
        "DejaVuSans-Bold",
        "DejaVuSerif-Bold",
        "Vollkorn-Black",
        "GFSTheokritos",
        "GFSNeohellenicBold",
        "LiberationSerif-Bold",
        "Comfortaa-Bold",
    ),
    "kana": ("builtin:uni", "RampartOne-Regular", "ReggaeOne-Regular", "RocknRollOne-Regular"),
    "hangul": ("builtin:uni", "NanumSquareRoundEB", "NanumGothicExtraBold", "NanumBarunpenB"),
}
"""Typefaces a script may be set in. `builtin:` faces come with OpenCV and are always there."""


@dataclass(frozen=True, slots=True)
class Type:
    """How a text is set: a name of TYPEFACES, weight (100 to 900), slant and stretch."""

    face: str
    weight: int = 600
    shear: float = 0.0
    stretch: float = 1.0
    upper: bool = False


def pick_type(rng: np.random.Generator, script: str) -> Type:
    """Choose a typeface of a script with some slant and stretch."""
    faces = TYPEFACES[script]
    shear = float(rng.choice([0.0, 0.0, 0.0, 0.18, -0.1]))
    return Type(
        faces[int(rng.integers(len(faces)))],
        int(rng.choice([400, 600, 800, 900])),
        shear,
        float(rng.uniform(0.8, 1.25)),
        bool(rng.random() < 0.45),
    )


def script_of(text: str) -> str:
    """The script of TYPEFACES that a text needs."""
    for letter in text:
        code = ord(letter)
        if 0x370 <= code < 0x400:
            return "greek"
        if 0x400 <= code < 0x530:
            return "cyrillic"
        if 0xAC00 <= code < 0xD7B0:
            return "hangul"
        if code >= 0x2E80:
            return "kana"
    return "latin"


def text_mask(text: str, type_: Type, size_px: int = 72) -> Mask:
    """Coverage (H, W) uint8 of a text, cut to its ink; (1, 1) zeros for text without ink."""
    shown = text.upper() if type_.upper else text
    face = _face(type_.face)
    width = int(size_px * (len(shown) + 2) * 1.3)
    mask = np.zeros((size_px * 2, width), np.uint8)
    cv2.putText(mask, shown, (size_px // 2, int(size_px * 1.4)), 255, face, size_px, type_.weight)
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return np.zeros((1, 1), np.uint8)
    mask = mask[y : y + h, x : x + w]
    if type_.shear or type_.stretch != 1.0:
        lean = abs(type_.shear) * h
        move = type_.shear * h if type_.shear > 0 else 0.0
        matrix = np.array([[type_.stretch, -type_.shear, move], [0, 1, 0]], np.float32)
        size = (max(1, int(w * type_.stretch + lean)), h)
        return np.asarray(cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
    return mask


def arc(mask: Mask, rise: float) -> Mask:
    """Bend a text mask upwards in its middle by `rise` (fraction of its height; may be < 0)."""
    h, w = mask.shape
    lift = abs(rise) * h
    u = np.linspace(-1, 1, w, dtype=np.float32)
    offset = lift * (u**2 if rise > 0 else 1 - u**2)
    rows = np.arange(int(h + lift), dtype=np.float32)[:, None] - offset[None, :]
    columns = np.broadcast_to(np.arange(w, dtype=np.float32)[None, :], rows.shape)
    bent = cv2.remap(mask, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR)
    return np.asarray(bent, np.uint8)


@cache
def _face(name: str) -> cv2.FontFace:
    # Kept for the life of the process: OpenCV caches glyphs by the address of the face, so that
    # a face made after another was freed would draw the other's letters.
    if name.startswith("builtin:"):
        return cv2.FontFace(name.removeprefix("builtin:"))
    path = _installed().get(name)
    if path is None:
        _LOG.info("typeface %s is not installed: OpenCV's own is drawn instead", name)
        return cv2.FontFace("sans")
    return cv2.FontFace(str(path))


@cache
def _installed() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for where, _, files in sorted(os.walk(Path(folder).expanduser())):
            for name in sorted(files):
                if name.lower().endswith((".ttf", ".otf", ".ttc")):
                    found.setdefault(Path(name).stem, Path(where) / name)
    return found
