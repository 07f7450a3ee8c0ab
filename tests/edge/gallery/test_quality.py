from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.source import read_image
from edge.gallery.quality import MAX_BLUR, MIN_LONG_PX, MIN_SHORT_PX, blur, check, flaws
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.gallery.thumbnail import encode_jpeg
from edge.gallery.twins import SAME_LEVELS, SAME_SIMILARITY, Enrolled, decode, signature
from edge.types import F32, U8

DIM = 8


def package(seed: int, size_wh: tuple[int, int] = (160, 220)) -> U8:
    """A picture with bars, words and some grain, as a package has."""
    rng = np.random.default_rng(seed)
    image = np.full((220, 160, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(6):
        x, y = (int(v) for v in rng.integers(0, 150, 2))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.rectangle(image, (x, y), (x + 40, y + 25), colour, cv2.FILLED)
    cv2.putText(image, "Milk", (20, 180), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (250, 250, 250), 4)
    grain = rng.normal(0, 2, image.shape)
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def vector(*values: float) -> F32:
    full = np.zeros(DIM, np.float32)
    full[: len(values)] = values
    return np.asarray(full / np.linalg.norm(full), np.float32)


# ------------------------------------------------------------------------------------------ blur


@pytest.mark.parametrize("share", [0.02, 0.03, 0.05])
@pytest.mark.parametrize("size_wh", [(48, 66), (160, 220), (800, 1100)])
def test_blur_is_measured_by_the_size_of_the_product(
    share: float, size_wh: tuple[int, int]
) -> None:
    sharp = package(1, size_wh)
    assert blur(sharp) < 0.5 * MAX_BLUR
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), share * max(size_wh)), np.uint8)
    assert blur(blurred) == pytest.approx(share, rel=0.35)
    assert bool(flaws(blurred)) == (share > MAX_BLUR)


def test_blur_in_one_direction_counts() -> None:
    sharp = package(2)
    smeared = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 12.0, sigmaY=0.1), np.uint8)
    assert blur(smeared) > 2 * blur(sharp)


def test_a_picture_without_an_edge_is_blurred_unless_it_is_even() -> None:
    ramp = np.tile(np.linspace(60, 140, 400), (300, 1)).astype(np.uint8)
    assert blur(np.repeat(ramp[:, :, None], 3, axis=2)) == 1.0
    assert blur(np.full((80, 60, 3), 130, np.uint8)) == 0.0


def test_reasons_are_one_line_with_what_was_found_and_what_is_allowed() -> None:
    (line,) = flaws(package(3, (MIN_LONG_PX - 4, MIN_LONG_PX - 1)))
    assert line.startswith(f"tiny: {MIN_LONG_PX - 4}x{MIN_LONG_PX - 1} pixels")
    assert flaws(package(3, (MIN_SHORT_PX - 1, 200)))[0].startswith("tiny")
    assert flaws(package(3, (MIN_SHORT_PX + 6, 44))) == []
    (line,) = flaws(np.asarray(cv2.GaussianBlur(package(3), (0, 0), 12), np.uint8))
    assert line.startswith("blurred: ")
    assert "2.5% is allowed" in line
    assert "\n" not in line


# ----------------------------------------------------------------------------------------- twins


def test_nearly_the_same_picture_is_a_duplicate_or_a_contradiction() -> None:
    enrolled = Enrolled(dim=DIM)
    image = package(4)
    assert check(image, vector(1), "a", enrolled) == []
    enrolled.add("a", "front.jpg", image, vector(1))
    again = decode(encode_jpeg(image), "front.jpg")
    brighter = np.clip(again.astype(np.int16) + 12, 0, 255).astype(np.uint8)
    near = vector(1, 0.1)
    assert near[0] > SAME_SIMILARITY
    assert check(brighter, near, "a", enrolled) == [
        "near-duplicate: nearly the same picture is front.jpg"
    ]
    assert check(brighter, near, "b", enrolled) == [
        "contradictory: nearly the same picture is SKU 'a' as front.jpg"
    ]


def test_either_another_look_or_other_pixels_will_do() -> None:
    enrolled = Enrolled(dim=DIM)
    enrolled.add("a", "front.jpg", package(4), vector(1))
    assert check(package(4), vector(1, 1), "a", enrolled) == []
    assert np.abs(signature(package(4)) - signature(package(5))).mean() > SAME_LEVELS
    assert check(package(5), vector(1), "a", enrolled) == []


@pytest.mark.parametrize("held", [0, 100])
def test_references_of_a_gallery_count_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("edge.gallery.twins.HELD", held)
    path = tmp_path / "g.db"
    with GalleryStore.create(path, tower="t", dim=DIM, precision="fp32") as store:
        store.add_skus([Sku("a"), Sku("b")])
        images = {"a": package(4), "b": package(5)}
        store.add_references(
            [
                NewReference(sku, vector(1), encode_jpeg(image), f"{sku}.jpg", "", 1.0)
                for sku, image in images.items()
            ]
        )
    with GalleryStore.open(path) as store:
        ids = store.vectors().ids.tolist()
        enrolled = Enrolled(store)
        assert check(package(5), vector(1), "b", enrolled) == [
            f"near-duplicate: nearly the same picture is reference {ids[1]}"
        ]
        (line,) = check(package(5), vector(1), "a", enrolled)
        assert line.endswith(f"SKU 'b' as reference {ids[1]}")


def test_what_was_looked_up_ahead_misses_nothing_that_came_after() -> None:
    image = package(4)
    rng = np.random.default_rng(0)
    enrolled = Enrolled(dim=DIM)
    vectors = rng.standard_normal((200, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for i, one in enumerate(vectors[:150]):
        enrolled.add("a", f"{i}", image, one)
    nearby = enrolled.near(vectors)
    assert sum(bool(near.added) for near in nearby) >= 150
    for i, one in enumerate(vectors[150:], 150):
        assert enrolled.twins(image, one, nearby[i]) == enrolled.twins(image, one)
        enrolled.add("a", f"{i}", image, one)
    for i, one in enumerate(vectors):
        assert enrolled.twins(image, one, nearby[i])[0].what == f"{i}"


def test_a_flavour_is_told_from_its_sister_by_the_part_that_differs() -> None:
    enrolled = Enrolled(dim=DIM)
    image = package(6)
    enrolled.add("a", "front.jpg", image, vector(1))
    sister = image.copy()
    sister[120:150, 60:100] = 255 - sister[120:150, 60:100]
    assert np.abs(signature(image) - signature(sister)).mean() < SAME_LEVELS
    assert check(sister, vector(1), "b", enrolled) == []
    cut = np.ascontiguousarray(image[2:-2, 1:-1])
    assert check(cut, vector(1), "b", enrolled) != []


# ---------------------------------------------------------------------------------- real pictures


def test_real_pictures_pass_and_spoilt_ones_do_not(shelf_data: Path) -> None:
    home = shelf_data / "grocery-store"
    listed = [line.split(",")[0] for line in (home / "train.txt").read_text().splitlines()]
    paths = [home / name for name in random.Random(5).sample(listed, 80)]
    paths += sorted((home / "iconic-images-and-descriptions").rglob("*.jpg"))[::2]
    images = [read_image(path) for path in paths]
    passed = [not flaws(image) for image in images]
    assert np.mean(passed) >= 0.99
    spoilt = [cv2.GaussianBlur(i, (0, 0), 0.04 * max(i.shape[:2])) for i in images]
    assert np.mean([bool(flaws(np.asarray(i, np.uint8))) for i in spoilt]) >= 0.99
    tiny = [cv2.resize(i, (18, 22), interpolation=cv2.INTER_AREA) for i in images[:10]]
    assert all(flaws(np.asarray(i, np.uint8)) for i in tiny)
