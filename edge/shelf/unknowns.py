"""``unknown.zip``: the crops that an audit did not know, kept for enrolment.

A photo may be overwritten by the camera's next one, so what a person is to name later is cut out
while the pixels are there. Entries are ``<line>-<detection>.jpg``: the line of ``results.jsonl``,
from 1, and the detection in it, from 0; ``crops.json`` says where each was seen.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge.atomic import cannot_write, write_bytes
from edge.errors import ConfigError
from edge.shelf.crops import thumbnail
from edge.types import U8, FrameResult

FILE = "unknown.zip"
FORMAT = 1
MAX_CROPS = 4000
MAX_BYTES = 32 << 20
"""Budget of ``unknown.zip`` in crops and in bytes of pictures."""
CROP_PX = 256
_QUALITY = 92
_CONTENTS = "crops.json"


@dataclass(frozen=True, slots=True)
class KeptCrop:
    """The JPEG of a crop that was not known; ``seen`` says in which picture, frame and box."""

    name: str
    seen: str
    jpeg: bytes


class UnknownKeeper:
    """Collects the crops while frames pass by.

    Above the budget every second one is let go and from then on only every second kept, and so on,
    so that what is left is spread evenly over the audit.
    """

    def __init__(self, *, max_crops: int = MAX_CROPS, max_bytes: int = MAX_BYTES) -> None:
        self._max_crops = max_crops
        self._max_bytes = max_bytes
        self._kept: dict[int, KeptCrop] = {}
        self._bytes = 0
        self._seen = 0
        self._lines = 0
        self._stride = 1

    def add(self, image: U8, result: FrameResult) -> None:
        """Take in the frame ``image (H, W, 3) uint8`` RGB of the next line of ``results.jsonl``."""
        self._lines += 1
        for i, sku in enumerate(result.matches.sku_id):
            if sku is not None:
                continue
            number = self._seen
            self._seen += 1
            if number % self._stride:
                continue
            box = result.detections.xyxy[i]
            jpeg = thumbnail(image, box, px=CROP_PX, quality=_QUALITY)
            where = ",".join(f"{v:.0f}" for v in box)
            seen = f"{result.source} frame {result.index} box {where}"
            self._kept[number] = KeptCrop(f"{self._lines:06d}-{i:04d}.jpg", seen, jpeg)
            self._bytes += len(jpeg)
            while len(self._kept) > self._max_crops or self._bytes > self._max_bytes:
                self._thin_out()

    def kept(self) -> list[KeptCrop]:
        """What is kept so far, in the order of the records."""
        return list(self._kept.values())

    def write(self, path: Path) -> None:
        """Put the archive at ``path``, whole or not at all; without any crop, remove an older one.

        Raises OutputError.
        """
        if not self._kept:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from error
            return
        contents = {
            "format": FORMAT,
            "seen": self._seen,
            "crops": [{"name": crop.name, "seen": crop.seen} for crop in self._kept.values()],
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            # a time of its own would make equal audits differ
            text = json.dumps(contents, ensure_ascii=False, indent=1)
            archive.writestr(zipfile.ZipInfo(_CONTENTS), text.encode("utf-8", "replace"))
            for crop in self._kept.values():
                archive.writestr(zipfile.ZipInfo(crop.name), crop.jpeg)
        write_bytes(path, packed.getvalue())

    def _thin_out(self) -> None:
        self._stride *= 2
        self._kept = {n: crop for n, crop in self._kept.items() if n % self._stride == 0}
        self._bytes = sum(len(crop.jpeg) for crop in self._kept.values())


def read_unknown(path: Path) -> list[KeptCrop]:
    """The crops of an archive, each one's checksum verified, in the order of the records.

    Raises ConfigError when it is not there, damaged, or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            contents = json.loads(archive.read(_CONTENTS))
            if contents["format"] != FORMAT:
                raise ConfigError(
                    f"{path}: format {contents['format']!r} is not known (this version reads"
                    f" {FORMAT})"
                )
            return [
                KeptCrop(str(one["name"]), str(one["seen"]), archive.read(str(one["name"])))
                for one in contents["crops"]
            ]
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: not there: is {path.parent} the folder of an audit?") from error
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: damaged: {_CONTENTS}: {error}") from error
