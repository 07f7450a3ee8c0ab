from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from edge.camera import decode
from edge.camera.decode import decode_picture
from edge.errors import CameraError
from edge.types import U8
from tests.edge.camera.pictures import (
    CMYK_JPEG,
    encode,
    exif_block,
    noise,
    png_chunk,
    png_claiming,
    with_exif,
)

PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def rgb(data: bytes) -> U8:
    return decode_picture(data, "p").bgr[..., ::-1]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_give_the_same_pixels(suffix: str) -> None:
    picture = noise(37, 23)
    np.testing.assert_array_equal(rgb(encode(picture, suffix)), picture)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_give_nearly_the_same_pixels(suffix: str) -> None:
    picture = cv2.GaussianBlur(noise(64, 48, block=16), (0, 0), 4)
    difference = np.abs(rgb(encode(picture, suffix)).astype(int) - picture)
    assert difference.mean() < 4


def test_gif_gives_its_first_picture() -> None:
    assert rgb(encode(np.full((6, 5, 3), 255, np.uint8), ".gif")).shape == (6, 5, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_one_pixel_is_a_picture(suffix: str) -> None:
    picture = rgb(encode(np.full((1, 1, 3), 90, np.uint8), suffix))
    assert picture.shape == (1, 1, 3)
    assert abs(int(picture[0, 0, 0]) - 90) <= 2


def test_sixteen_bits_are_scaled_not_cut() -> None:
    levels = np.array([[0, 128, 129, 257, 32896, 65534, 65535]], np.uint16)
    for suffix in (".png", ".tiff"):
        assert rgb(encode(levels, suffix))[0, :, 1].tolist() == [0, 0, 1, 1, 128, 255, 255]


def test_grey_becomes_three_equal_channels() -> None:
    grey = noise(20, 10)[..., 0]
    for suffix in (".png", ".tiff", ".jpg"):
        picture = rgb(encode(grey, suffix))
        assert picture.shape == (10, 20, 3)
        assert (picture[..., 0] == picture[..., 2]).all()


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[0, :, 3] = (255, 0, 128)
    for suffix in (".png", ".webp"):
        quality = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == ".webp" else ()
        picture = rgb(encode(rgba, suffix, *quality))
        np.testing.assert_allclose(
            picture[0], [[200, 0, 0], [255, 255, 255], [227, 127, 127]], atol=1
        )


def test_transparency_of_sixteen_bits_in_a_tall_picture() -> None:
    rgba = np.zeros((600, 2, 4), np.uint16)
    rgba[300:, :, 3] = 65535
    picture = rgb(encode(rgba, ".png"))
    assert (picture[:300] == 255).all()
    assert (picture[300:] == 0).all()


def test_cmyk_jpeg_has_its_colours() -> None:
    np.testing.assert_allclose(rgb(CMYK_JPEG).reshape(-1, 3).mean(0), [200, 30, 60], atol=8)


def test_float_pixels_are_refused() -> None:
    with pytest.raises(CameraError, match=r"shelf\.tif: float32 pixels"):
        decode_picture(encode(np.ones((4, 4), np.float32), ".tiff"), "shelf.tif")


UPRIGHT = np.zeros((32, 48), np.uint8)
UPRIGHT[:16, :16] = 255  # bright top left corner
UPRIGHT[:16, 16:32] = 128


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, UPRIGHT),
        (2, np.fliplr(UPRIGHT)),
        (3, np.rot90(UPRIGHT, 2)),
        (4, np.flipud(UPRIGHT)),
        (5, UPRIGHT.T),
        (6, np.rot90(UPRIGHT, 1)),
        (7, np.rot90(UPRIGHT, 2).T),
        (8, np.rot90(UPRIGHT, -1)),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation(orientation: int, stored: U8, order: str) -> None:
    jpeg = encode(np.ascontiguousarray(stored), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    turned = with_exif(jpeg, exif_block(orientation=orientation, order=order))
    assert np.abs(rgb(turned)[..., 0].astype(int) - UPRIGHT).max() <= 3


def test_exif_orientation_of_png() -> None:
    png = encode(np.ascontiguousarray(np.rot90(UPRIGHT)), ".png")
    chunk = png_chunk(b"eXIf", exif_block(orientation=6))
    assert (rgb(png[:33] + chunk + png[33:])[..., 0] == UPRIGHT).all()


@pytest.mark.parametrize("parameters", [(), PROGRESSIVE])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("tail", [b"", b"\0" * 3000, b"\xff\xd9"])
def test_jpeg_cut_short(
    parameters: tuple[int, ...], share: float, tail: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encode(noise(240, 160, block=4), ".jpg", *parameters)
    with pytest.raises(CameraError, match=r"^aisle 3/p\.jpg: JPEG ") as caught:
        decode_picture(whole[: int(len(whole) * share)] + tail, "aisle 3/p.jpg")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_jpeg_with_bytes_lost_in_the_middle(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode(noise(240, 160, block=4), ".jpg"))
    middle = len(data) // 2
    del data[middle : middle + 400]
    with pytest.raises(CameraError, match="part of it is missing"):
        decode_picture(bytes(data), "p.jpg")
    assert capfd.readouterr().err == ""


def test_bytes_after_the_end_of_a_jpeg_are_harmless() -> None:
    whole = encode(noise(64, 48), ".jpg")
    np.testing.assert_array_equal(rgb(whole + b"motion photo" * 99), rgb(whole))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.95])
def test_other_formats_cut_short(
    suffix: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encode(noise(120, 90, block=3), suffix)
    with pytest.raises(CameraError, match=r"^shelf: "):
        decode_picture(whole[: max(1, int(len(whole) * share))], "shelf")
    assert capfd.readouterr().err == ""


def test_png_with_one_wrong_byte(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode(noise(60, 40), ".png"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CameraError, match="checksum of b'IDAT'"):
        decode_picture(bytes(data), "p.png")
    assert capfd.readouterr().err == ""


def test_png_with_nonsense_inside_is_refused_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="damaged"):
        decode_picture(png_claiming(64, 64), "p.png")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"Dear all, the shelf is", "not a picture"),
        (b"\xff\xd8\xff", "header is damaged or cut short"),
        (b"\xff\xd8\xff\xd9", "header is damaged or cut short"),
        (b"GIF89a", "header is damaged or cut short"),
        (png_claiming(0, 10), r"no pixels \(0 x 10\)"),
        (png_claiming(30_000, 30_000), "30000 x 30000 pixels are more"),
    ],
)
def test_what_is_no_picture(data: bytes, why: str) -> None:
    with pytest.raises(CameraError, match=f"^q: .*{why}"):
        decode_picture(data, "q")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_large_pictures_are_decoded_smaller(
    suffix: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decode, "FULL_PIXELS", 1000)
    stored = np.zeros((64, 96), np.uint8)
    stored[:32] = 255
    data = encode(stored, suffix)
    turned = with_exif(data, exif_block(orientation=3)) if suffix == ".jpg" else data
    decoded = decode_picture(turned, "big")
    assert decoded.divisor == 4
    assert decoded.bgr.shape == (16, 24, 3)
    bright = decoded.bgr[-4:] if suffix == ".jpg" else decoded.bgr[:4]
    assert bright.min() > 240
    assert "decoded at 1/4" in caplog.text


def test_hundred_megapixels_within_memory() -> None:
    data = encode(np.full((10_000, 10_000), 77, np.uint8), ".jpg")
    decoded = decode_picture(data, "huge.jpg")
    assert decoded.bgr.shape == (5000, 5000, 3)
    assert abs(int(decoded.bgr[0, 0, 0]) - 77) <= 1


def test_lines_of_others_on_stderr_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with decode._captured_stderr() as said:
        os.write(2, b"progress 50%\nCorrupt JPEG data: x\n")
    assert capfd.readouterr().err == "progress 50%\n"
    assert said == ["progress 50%\nCorrupt JPEG data: x\n"]
