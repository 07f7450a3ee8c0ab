from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.header import kind_of, picture_format, read_header
from tests.edge.camera.pictures import CMYK_JPEG, encode, exif_block, noise, with_exif

SUFFIXES = {
    ".jpg": "JPEG", ".png": "PNG", ".webp": "WebP", ".bmp": "BMP", ".tiff": "TIFF", ".gif": "GIF"
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_size_comes_from_the_header(suffix: str) -> None:
    data = encode(noise(53, 31), suffix)
    header = read_header(data)
    assert header is not None
    assert (header.format, header.size_wh) == (SUFFIXES[suffix], (53, 31))
    assert kind_of(data[:512]) == "picture"


def test_size_of_lossless_webp_with_alpha() -> None:
    data = encode(np.zeros((20, 300, 4), np.uint8), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    header = read_header(data)
    assert header is not None
    assert header.size_wh == (300, 20)


def test_a_thumbnail_in_the_exif_block_is_not_the_picture() -> None:
    inner = encode(noise(16, 8), ".jpg")
    outer = with_exif(encode(noise(80, 60), ".jpg"), exif_block(orientation=1) + inner)
    header = read_header(outer)
    assert header is not None
    assert header.size_wh == (80, 60)
    assert read_header(CMYK_JPEG) is not None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypisom", "clip"),
        (b"\0\0\0\x18ftypheic", "heif"),
        (b"\0\0\0\x18ftypavif", "heif"),
        (b"RIFF\0\0\0\0AVI LIST", "clip"),
        (b"\x1a\x45\xdf\xa3", "clip"),
        ((b"\x47" + b"\0" * 187) * 3, "clip"),
        (b"#EXTM3U\nhttp://example.invalid/a.ts", "other"),
        (b"ffconcat version 1.0\nfile x", "other"),
        (b"", "other"),
    ],
)
def test_clips_are_known_by_content(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind


@given(st.sampled_from(sorted(SUFFIXES)), st.integers(0, 400))
def test_a_cut_header_never_raises(suffix: str, length: int) -> None:
    data = encode(noise(20, 10), suffix)[:length]
    assert picture_format(data) in (None, SUFFIXES[suffix])
    header = read_header(data)
    assert header is None or header.size_wh == (20, 10)
