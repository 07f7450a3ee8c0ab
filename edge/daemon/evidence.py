"""Pictures kept as evidence of a change: product crops, within a budget on disk."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np

from edge.daemon.settings import EvidenceSettings
from edge.types import U8

log = logging.getLogger("edge.evidence")

Box = tuple[float, float, float, float]
_MARGIN = 0.08


class EvidenceStore:
    """Writes JPEG files into a folder and deletes the oldest beyond the budget.

    Age is the number in a file's name, which only grows: a clock that jumps changes nothing. A
    picture that cannot be written is counted, never an error: the event matters more.
    """

    def __init__(self, folder: Path, settings: EvidenceSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._budget = int(settings.budget_mb * 1_000_000)
        self._files: OrderedDict[str, int] = OrderedDict()
        self._next = 1
        self.bytes = 0
        self.written = 0
        self.deleted = 0
        self.failed = 0
        self._scan()

    def crop(self, image: U8, xyxy: Box, name: str) -> str | None:
        """Keep what is inside ``xyxy`` of ``image (H, W, 3)`` RGB, with a small margin.

        Returns the file's name, or None when crops are off, the box is empty or writing failed.
        """
        if not self._settings.crops:
            return None
        height, width = image.shape[:2]
        x1, y1, x2, y2 = xyxy
        dx, dy = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        left, top = max(0, int(x1 - dx)), max(0, int(y1 - dy))
        right, bottom = min(width, int(np.ceil(x2 + dx))), min(height, int(np.ceil(y2 + dy)))
        if right - left < 2 or bottom - top < 2:
            return None
        part = image[top:bottom, left:right]
        longest = max(part.shape[:2])
        if longest > self._settings.max_px:
            factor = self._settings.max_px / longest
            size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        return self._write(part, name)

    def frame(self, image: U8, name: str) -> str | None:
        """Keep the whole picture, only where the operator has turned that on."""
        return self._write(image, name) if self._settings.full_frames else None

    def _write(self, image: U8, name: str) -> str | None:
        ok, encoded = cv2.imencode(
            ".jpg",
            np.ascontiguousarray(image[:, :, ::-1]),
            [cv2.IMWRITE_JPEG_QUALITY, self._settings.quality],
        )
        data = encoded.tobytes() if ok else b""
        if not data or len(data) > self._budget:
            self.failed += 1
            return None
        file = f"{self._next:010d}-{name}.jpg"
        self._next += 1
        self._make_room(len(data))
        temp = self._folder / f".{file}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temp.write_bytes(data)
            temp.replace(self._folder / file)
        except OSError as error:
            self.failed += 1
            with contextlib.suppress(OSError):
                temp.unlink(missing_ok=True)
            log.warning("evidence cannot be written", extra={"problem": error.strerror})
            return None
        self._files[file] = len(data)
        self.bytes += len(data)
        self.written += 1
        return file

    def _make_room(self, needed: int) -> None:
        while self._files and self.bytes + needed > self._budget:
            file, size = self._files.popitem(last=False)
            # on a disk that became read-only it stays; the event must not be lost over that
            with contextlib.suppress(OSError):
                (self._folder / file).unlink(missing_ok=True)
            self.bytes -= size
            self.deleted += 1

    def _scan(self) -> None:
        """Take over what an earlier run left behind."""
        found: list[tuple[int, str, int]] = []
        try:
            for entry in os.scandir(self._folder):
                digits, _, _ = entry.name.partition("-")
                if entry.name.endswith(".jpg") and digits.isdigit():
                    found.append((int(digits), entry.name, entry.stat().st_size))
                elif entry.name.endswith(".tmp"):
                    with contextlib.suppress(OSError):
                        Path(entry.path).unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("evidence cannot be read", extra={"problem": error.strerror})
        for number, file, size in sorted(found):
            self._files[file] = size
            self.bytes += size
            self._next = number + 1
        self._make_room(0)
