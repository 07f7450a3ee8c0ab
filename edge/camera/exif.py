"""The two facts that matter in a picture's EXIF block: how it is turned and when it was taken."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

_ORIENTATION, _EXIF_IFD, _TAKEN, _TAKEN_OFFSET = 0x0112, 0x8769, 0x9003, 0x9011
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 9: 4, 13: 4}


@dataclass(frozen=True, slots=True)
class Exif:
    """``orientation`` 1 to 8 (1 = upright); ``taken_at`` in UTC, or None where not stated."""

    orientation: int = 1
    taken_at: datetime | None = None


def parse_exif(block: bytes) -> Exif:
    """Read an EXIF block (it starts with the TIFF header); what is missing or damaged is left out.

    A time without an offset is the camera's wall clock, taken to be in this machine's time zone.
    """
    if block[:6] == b"Exif\0\0":
        block = block[6:]
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return Exif()
    order = "<" if block[:2] == b"II" else ">"
    try:
        root = _entries(block, order, int(struct.unpack_from(order + "I", block, 4)[0]))
    except struct.error:
        return Exif()
    orientation = root.get(_ORIENTATION)
    details: dict[int, int | str] = {}
    inner = root.get(_EXIF_IFD)
    if isinstance(inner, int):
        try:
            details = _entries(block, order, inner)
        except struct.error:
            details = {}
    return Exif(
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        _moment(details.get(_TAKEN), details.get(_TAKEN_OFFSET)),
    )


def _entries(block: bytes, order: str, at: int) -> dict[int, int | str]:
    """The integers and texts of one directory (the first value of each entry)."""
    (count,) = struct.unpack_from(order + "H", block, at)
    found: dict[int, int | str] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, type_, n = struct.unpack_from(order + "HHI", block, entry)
        if type_ not in _SIZES or n == 0:
            continue
        where = entry + 8
        if n * _SIZES[type_] > 4:
            (where,) = struct.unpack_from(order + "I", block, where)
        if type_ == 2:
            found[tag] = block[where : where + n].split(b"\0")[0].decode("ascii", "replace")
        elif type_ in (3, 4, 13):
            code = "H" if type_ == 3 else "I"
            found[tag] = int(struct.unpack_from(order + code, block, where)[0])
    return found


def _moment(text: int | str | None, offset: int | str | None) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        local = datetime.strptime(text.strip(), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    try:
        if isinstance(offset, str) and len(offset.strip()) == 6:
            sign = {"+": 1, "-": -1}[offset.strip()[0]]
            hours, minutes = (int(part) for part in offset.strip()[1:].split(":"))
            zone = timezone(sign * timedelta(hours=hours, minutes=minutes))
            return local.replace(tzinfo=zone).astimezone(UTC)
    except (KeyError, ValueError):
        pass
    try:
        return local.astimezone(UTC)
    except (OverflowError, OSError, ValueError):
        return None
