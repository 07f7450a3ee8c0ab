"""From the bytes of a picture file to upright 8-bit colour pixels, or one clear line why not."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from edge.camera.exif import Exif, parse_exif
from edge.camera.header import PictureHeader, jpeg_has_end, picture_format, read_header
from edge.errors import CameraError
from edge.types import U8

MAX_PIXELS = 256_000_000
"""Larger pictures are refused: their pixels would fill the memory of a small device."""
MAX_DECODED_BYTES = 800_000_000
"""The same limit for formats that can only be decoded whole (all but JPEG)."""
FULL_PIXELS = 50_000_000
"""Pictures above this are decoded at 1/2, 1/4 or 1/8 of their size."""

_log = logging.getLogger(__name__)
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# libjpeg goes on after these, with grey or smeared blocks where data was missing
_DAMAGE = re.compile(r"Corrupt JPEG data|Premature end of JPEG|bad Huffman")
_STRAY_BYTES = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes")
_LIBRARY_LINE = re.compile(
    r"Corrupt JPEG|Premature end|libpng |Invalid SOS|Inconsistent progression|Warning: unknown JFIF"
    r"|Unsupported marker|Application transferred too|TIFF|OpenCV|\[ ?(WARN|ERROR|INFO)"
)
_HARMLESS_STRAY_BYTES = 256
_capture_lock = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """``bgr (H, W, 3) uint8`` upright; ``divisor`` > 1 where it was decoded smaller than stored."""

    bgr: U8
    taken_at: datetime | None
    divisor: int


def decode_picture(data: bytes, name: str) -> Decoded:
    """Decode JPEG, PNG, WebP, BMP, TIFF or the first picture of a GIF; the content decides.

    EXIF orientation is applied, 16 bits become 8 (65535 → 255), grey and CMYK become colour,
    transparency is laid on white; colour profiles are ignored.

    Args:
        data: the whole file.
        name: what to call it in an error.

    Raises:
        CameraError: empty, of another kind, damaged, cut short, or too large.
    """
    header = _checked_header(data, name)
    width, height = header.size_wh
    divisor = 1
    while width * height > FULL_PIXELS * divisor * divisor and divisor < 8:
        divisor *= 2
    by_decoder = header.format == "JPEG" and divisor > 1
    flags = _REDUCED[divisor] if by_decoder else cv2.IMREAD_UNCHANGED
    image, exif_block, complaints = _decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    _refuse_damage(header, data, image is None, complaints, name)
    assert image is not None
    if not by_decoder and divisor > 1:
        size = (max(1, image.shape[1] // divisor), max(1, image.shape[0] // divisor))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    if divisor > 1:
        _log.warning("%s: %d x %d pixels, decoded at 1/%d", name, width, height, divisor)
    bgr = _to_bgr(_to_8_bit(image, name))
    # OpenCV turns a TIFF by itself, whatever it is asked
    exif = parse_exif(exif_block) if header.format != "TIFF" else Exif()
    return Decoded(_upright(bgr, exif.orientation), exif.taken_at, divisor)


def _checked_header(data: bytes, name: str) -> PictureHeader:
    if not data:
        raise CameraError(f"{name}: the file is empty")
    if picture_format(data) is None:
        raise CameraError(f"{name}: not a picture (JPEG, PNG, WebP, BMP, TIFF, GIF)")
    header = read_header(data)
    if header is None:
        raise CameraError(f"{name}: {picture_format(data)} header is damaged or cut short")
    width, height = header.size_wh
    if width <= 0 or height <= 0:
        raise CameraError(f"{name}: the picture has no pixels ({width} x {height})")
    too_many = width * height > MAX_PIXELS
    if header.format != "JPEG":
        too_many |= width * height * header.bytes_per_pixel > MAX_DECODED_BYTES
    if too_many:
        raise CameraError(
            f"{name}: {width} x {height} pixels are more than can be decoded here"
            f" ({MAX_PIXELS // 1_000_000} megapixels, {MAX_DECODED_BYTES // 1_000_000} MB)"
        )
    if header.format == "PNG":
        _check_png(data, name)
    return header


def _check_png(data: bytes, name: str) -> None:
    """Walk the chunks: libpng prints its own complaints, so it only gets whole files."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            break
        stated = int.from_bytes(data[end - 4 : end], "big")
        # a chunk that is needed has a capital first letter
        if not kind[0] & 0x20 and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != stated:
            raise CameraError(f"{name}: PNG picture is damaged (checksum of {kind!r})")
        if kind == b"IEND":
            return
        at = end
    raise CameraError(f"{name}: PNG picture is cut short")


def _decode(data: bytes, flags: int) -> tuple[np.ndarray | None, bytes, str]:
    """Pixels as stored, the EXIF block (empty where none), and what the libraries printed."""
    buffer = np.frombuffer(data, np.uint8)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with _captured_stderr() as said:
        try:
            image, kinds, blocks = cv2.imdecodeWithMetadata(buffer, flags)
        except cv2.error:
            return None, b"", ""
    exif = b""
    for kind, block in zip(kinds, blocks, strict=False):
        if kind == cv2.IMAGE_METADATA_EXIF:
            exif = np.asarray(block, np.uint8).tobytes()
    return image, exif, "".join(said)


def _refuse_damage(
    header: PictureHeader, data: bytes, failed: bool, complaints: str, name: str
) -> None:
    # zeros after the cut decode to grey without a complaint: only the missing end marker tells
    short = header.format == "JPEG" and not jpeg_has_end(data)
    short |= header.format == "WebP" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if failed or short:
        what = "cut short" if short else "damaged or of a kind that cannot be decoded"
        raise CameraError(f"{name}: {header.format} picture is {what}")
    for line in complaints.splitlines():
        stray = _STRAY_BYTES.search(line)
        if stray and int(stray[1]) <= _HARMLESS_STRAY_BYTES:
            continue  # common in webcam pictures, and nothing is missing
        if _DAMAGE.search(line):
            raise CameraError(f"{name}: JPEG picture is damaged, part of it is missing")


def _to_8_bit(image: np.ndarray, name: str) -> U8:
    if image.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(image, alpha=1 / 257), dtype=np.uint8)
    if image.dtype != np.uint8:
        raise CameraError(f"{name}: {image.dtype} pixels are not supported, save it with 8 bits")
    return np.asarray(image, dtype=np.uint8)


def _to_bgr(image: U8) -> U8:
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if channels == 3:
        return image
    out = np.empty((*image.shape[:2], 3), np.uint8)
    for top in range(0, image.shape[0], 256):  # in strips, so that memory stays small
        strip = image[top : top + 256].astype(np.uint16)
        alpha = strip[..., -1:]
        colour = strip[..., :3] if channels == 4 else strip[..., :1]
        out[top : top + 256] = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return out


def _upright(image: U8, orientation: int) -> U8:
    """Undo EXIF orientation 1 to 8."""
    if orientation >= 5:
        image = np.swapaxes(image, 0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


@contextmanager
def _captured_stderr() -> Iterator[list[str]]:
    """Hold back what C libraries print meanwhile; the list is filled at the end.

    libjpeg reports missing data nowhere else. Lines of other threads are passed on afterwards.
    """
    said: list[str] = []
    with _capture_lock:
        try:
            saved = os.dup(2)
        except OSError:  # a service without stderr
            yield said
            return
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield said
            finally:
                os.dup2(saved, 2)
                os.close(saved)
                sink.seek(0)
                said.append(sink.read().decode("utf-8", "replace"))
                for line in said[0].splitlines(keepends=True):
                    if not _LIBRARY_LINE.match(line):
                        os.write(2, line.encode("utf-8", "replace"))
