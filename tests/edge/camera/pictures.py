"""Picture files of every kind, built in memory."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from edge.types import U8

# 8 x 8 CMYK JPEG with an Adobe marker, RGB about (200, 30, 60)
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4L"
    "CxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAAB"
    "AgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNi"
    "coIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SV"
    "lpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4E"
    "QwBNAFkASwAAPwD7Ar8+q+Sq/VOv/9k="
)


def noise(width: int, height: int, *, block: int = 8, seed: int = 0) -> U8:
    """A picture of random coloured blocks, ``(height, width, 3) uint8`` RGB."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
    return np.kron(small, np.ones((block, block, 1), np.uint8))[:height, :width]


def encode(rgb: np.ndarray, suffix: str, *parameters: int) -> bytes:
    """Encode RGB, RGBA or grey pixels as OpenCV does."""
    if rgb.ndim == 3:
        order = [2, 1, 0, 3][: rgb.shape[2]]
        rgb = np.ascontiguousarray(rgb[..., order])
    done, data = cv2.imencode(suffix, rgb, list(parameters))
    assert done
    return data.tobytes()


def write(path: Path, data: bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(data)
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One PNG chunk with its length and checksum."""
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG file whose header claims any size (RGB, 8 bits)."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


def exif_block(
    *, orientation: int | None = None, taken: str = "", offset: str = "", order: str = "<"
) -> bytes:
    """A TIFF-shaped EXIF block, with or without the ``Exif`` directory."""

    def entry(tag: int, type_: int, count: int, value: bytes) -> bytes:
        return struct.pack(order + "HHI", tag, type_, count) + value.ljust(4, b"\0")

    root = []
    if orientation is not None:
        root.append(entry(0x0112, 3, 1, struct.pack(order + "H", orientation)))
    texts = [(tag, text) for tag, text in ((0x9003, taken), (0x9011, offset)) if text]
    inner_at = 8 + 2 + 12 * (len(root) + bool(texts)) + 4
    tail = b""
    if texts:
        root.append(entry(0x8769, 4, 1, struct.pack(order + "I", inner_at)))
        text_at = inner_at + 2 + 12 * len(texts) + 4
        inner = struct.pack(order + "H", len(texts))
        payload = b""
        for tag, text in texts:
            raw = text.encode() + b"\0"
            where = struct.pack(order + "I", text_at + len(payload))
            inner += entry(tag, 2, len(raw), where)
            payload += raw
        tail = inner + b"\0\0\0\0" + payload
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(order + "I", 8) + struct.pack(order + "H", len(root))
    return head + b"".join(root) + b"\0\0\0\0" + tail


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """Insert an EXIF block into a JPEG file."""
    body = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def write_clip(path: Path, shades: list[int], *, fps: float = 10.0, codec: str = "MJPG") -> Path:
    """A 64 x 48 clip with one grey level a frame (in the red channel only)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for shade in shades:
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., 2] = shade
        writer.write(frame)
    writer.release()
    return path
