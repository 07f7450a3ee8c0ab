from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.gallery.twins import decode
from edge.shelf.contact_sheet import PICTURES, ROWS, TILES, SheetCluster, draw_sheets
from edge.shelf.unknowns import CROP_PX, UnknownKeeper, read_unknown
from tests.edge.shelf.results import picture, result


def test_unknown_crops_are_kept_with_where_they_were_seen(tmp_path: Path) -> None:
    keeper = UnknownKeeper()
    image = picture()
    keeper.add(image, result(["a", None, "b", None], source="in/one.jpg"))
    keeper.add(image, result(["a"], source="in/two.jpg"))
    keeper.add(image, result([None], source="clip.mp4", index=30, widths=[300.0]))
    keeper.write(tmp_path / "unknown.zip")
    crops = read_unknown(tmp_path / "unknown.zip")
    assert crops == keeper.kept()
    assert [(crop.name, crop.seen) for crop in crops] == [
        ("000001-0001.jpg", "in/one.jpg frame 0 box 20,10,40,90"),
        ("000001-0003.jpg", "in/one.jpg frame 0 box 60,10,80,90"),
        ("000003-0000.jpg", "clip.mp4 frame 30 box 0,10,300,90"),
    ]
    pixels = decode(crops[0].jpeg, "crop")
    assert pixels.shape == (80, 20, 3)
    assert np.abs(pixels.mean() - image[10:90, 20:40].mean()) < 3
    assert decode(crops[2].jpeg, "crop").shape[1] == CROP_PX


@pytest.mark.parametrize("budget", [{"max_crops": 10}, {"max_bytes": 60_000}])
def test_the_budget_holds_and_what_is_left_is_spread_evenly(budget: dict[str, int]) -> None:
    keeper = UnknownKeeper(**budget)
    for _ in range(60):
        keeper.add(picture(60, 100), result([None, None]))
    kept = keeper.kept()
    assert 5 <= len(kept) <= budget.get("max_crops", 120)
    assert sum(len(crop.jpeg) for crop in kept) <= budget.get("max_bytes", 10**9)
    lines = np.array([int(crop.name[:6]) for crop in kept])
    assert lines[0] == 1
    assert lines[-1] > 60 - 2 * np.diff(lines).max()
    assert len(set(np.diff(lines).tolist())) == 1


def test_without_unknown_there_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "unknown.zip").write_bytes(b"of an earlier audit")
    UnknownKeeper().write(tmp_path / "unknown.zip")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="not there"):
        read_unknown(tmp_path / "unknown.zip")


def test_equal_audits_give_equal_archives_and_damage_is_named(tmp_path: Path) -> None:
    archives = []
    for name in ("a.zip", "b.zip"):
        keeper = UnknownKeeper()
        keeper.add(picture(), result([None, None]))
        keeper.write(tmp_path / name)
        archives.append((tmp_path / name).read_bytes())
    assert archives[0] == archives[1]
    expected = read_unknown(tmp_path / "a.zip")
    whole = archives[0]
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 40).tolist():
        (tmp_path / "a.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
        try:
            assert read_unknown(tmp_path / "a.zip") == expected  # a byte that says nothing
        except ConfigError as error:
            assert "a.zip" in str(error)  # noqa: PT017
    for end in range(0, len(whole), len(whole) // 8):
        (tmp_path / "a.zip").write_bytes(whole[:end])
        with pytest.raises(ConfigError, match=r"a\.zip"):
            read_unknown(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("crops.json", '{"format": 2}')
    with pytest.raises(ConfigError, match="format 2 is not known"):
        read_unknown(tmp_path / "c.zip")


def test_contact_sheets_show_every_cluster_and_picture() -> None:
    def card(number: int, count: int) -> SheetCluster:
        colour = np.array([number * 5, 255 - number * 5, 40]).clip(0, 255).astype(np.uint8)
        pictures = [np.full((60, 40, 3), colour, np.uint8)] * min(count, PICTURES)
        return SheetCluster(number, count, "nearest 0.42: Ünïcode 名前", pictures)

    first = [card(n, n) for n in (12, 9, 7, 5, 4, 3, 2, 1)]
    singles = [card(n, 1) for n in range(13, 13 + ROWS * TILES // 2)]
    pages = draw_sheets([*first, *singles], "title")
    assert len(pages) == 2
    assert pages[0].shape[1] == pages[1].shape[1]
    assert pages[1].shape[0] < pages[0].shape[0]
    for number in (12, 7, 5, 2, 1):
        colour = np.array([number * 5, 255 - number * 5, 40]).clip(0, 255)
        area = int((np.abs(pages[0].astype(int) - colour).max(axis=2) < 2).sum())
        one = area / min(number, PICTURES)
        assert 80 * 120 < one < 128 * 168, number
    assert draw_sheets([], "title") == []
    strips = [np.zeros((1, 400, 3), np.uint8), np.zeros((400, 1, 3), np.uint8)]
    assert len(draw_sheets([SheetCluster(1, 2, "", strips)], "thin")) == 1
