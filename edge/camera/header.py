"""What a file is, by its first bytes: pictures with their size, clips, or neither.

Nothing here decodes pixels, so that a decompression bomb is recognised before it is opened.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

PictureFormat = Literal["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF"]
Kind = Literal["picture", "clip", "heif", "other"]

_SOF = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_STILL_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
_CLIP_MAGIC = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
)
_MOV_ATOMS = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """A picture's format, its size as stored (before any rotation), and its decoded size."""

    format: PictureFormat
    size_wh: tuple[int, int]
    bytes_per_pixel: int


def kind_of(head: bytes) -> Kind:
    """What a file is, from its first bytes (at least 400 where the file has them).

    Only containers that hold their own pictures count as clips: play lists, which would make the
    decoder open other files or the network, are ``other``.
    """
    if picture_format(head) is not None:
        return "picture"
    if head[4:8] in _MOV_ATOMS:
        return "heif" if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS else "clip"
    if head.startswith(_CLIP_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "clip"
    # an MPEG transport stream has a 0x47 at every 188th byte
    if len(head) >= 377 and head[0] == head[188] == head[376] == 0x47:
        return "clip"
    return "other"


def picture_format(head: bytes) -> PictureFormat | None:
    """The picture format that these first bytes announce."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    return None


def read_header(data: bytes) -> PictureHeader | None:
    """Format and size of a picture, or None where the bytes do not say (damaged, cut short)."""
    readers = {
        "JPEG": _jpeg,
        "PNG": _png,
        "WebP": _webp,
        "BMP": _bmp,
        "TIFF": _tiff,
        "GIF": _gif,
    }
    format_ = picture_format(data)
    if format_ is None:
        return None
    try:
        found = readers[format_](data)
    except (struct.error, IndexError, KeyError):
        return None
    if found is None:
        return None
    width, height, bytes_per_pixel = found
    return PictureHeader(format_, (width, height), bytes_per_pixel)


def jpeg_has_end(data: bytes) -> bool:
    """Whether an end marker follows the start of the pixels (thumbnails have one before it)."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0x00, 0x01, 0xFF) or 0xD0 <= data[at + 1] <= 0xD8:
            at += 1
        elif data[at + 1] in (0xD9, 0xDA):
            return data.find(b"\xff\xd9", at) >= 0
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _jpeg(data: bytes) -> tuple[int, int, int] | None:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _SOF:
            height, width, _ = struct.unpack_from(">HHB", data, at + 5)
            return width, height, 3
        elif marker in (0xD9, 0xDA):
            return None
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _png(data: bytes) -> tuple[int, int, int]:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}[colour]
    return width, height, channels * (2 if depth == 16 else 1)


def _webp(data: bytes) -> tuple[int, int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, 3
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return width, height, 4
    return None


def _bmp(data: bytes) -> tuple[int, int, int]:
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return width, abs(height), 4


def _gif(data: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height, 4


def _tiff(data: bytes) -> tuple[int, int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    values: dict[int, int] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, type_, n = struct.unpack_from(order + "HHI", data, entry)
        if tag in (256, 257, 258) and type_ in (3, 4):
            code = "H" if type_ == 3 else "I"
            where = entry + 8
            if n * struct.calcsize(code) > 4:
                (where,) = struct.unpack_from(order + "I", data, where)
            (values[tag],) = struct.unpack_from(order + code, data, where)
    if 256 not in values or 257 not in values:
        return None
    return values[256], values[257], 4 * max(1, values.get(258, 8) // 8)
