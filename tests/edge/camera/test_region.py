from __future__ import annotations

import numpy as np

from edge.camera.region import BLANK, Region
from edge.camera.source import write_rgb


def test_without_region_and_masks_nothing_changes() -> None:
    region = Region(None, ())
    picture = np.full((48, 64, 3), 7, np.uint8)
    assert region.box(64, 48) == (0, 0, 64, 48)
    region.blank(picture)
    assert (picture == 7).all()


def test_the_cut_is_the_box_of_the_polygon_and_the_rest_of_it_is_blank() -> None:
    region = Region([(0.25, 0.25), (0.75, 0.25), (0.25, 0.75)], ())
    assert region.box(80, 40) == (20, 10, 60, 30)
    cut = np.full((40, 80, 3), 7, np.uint8)[10:30, 20:60]
    region.blank(cut)
    assert (cut[2, 2] == 7).all()
    assert (cut[-2, -2] == BLANK).all()


def test_masks_are_blank_and_follow_the_resolution() -> None:
    region = Region(None, [[(0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5)]])
    for width, height in ((80, 40), (40, 20)):
        picture = np.full((height, width, 3), 7, np.uint8)
        region.box(width, height)
        region.blank(picture)
        blank = (picture == BLANK).all(axis=2)
        assert blank[2, width - 3]
        assert not blank[height - 3, width - 3]
        assert 0.2 < blank.mean() < 0.33


def test_the_whole_picture_as_a_region_is_the_whole_picture() -> None:
    region = Region([(0, 0), (1, 0), (1, 1), (0, 1)], ())
    picture = np.full((48, 64, 3), 7, np.uint8)
    assert region.box(64, 48) == (0, 0, 64, 48)
    region.blank(picture)
    assert (picture == 7).all()


def test_live_frames_become_rgb_in_place() -> None:
    bgr = np.zeros((4, 8, 3), np.uint8)
    bgr[..., 0] = 200
    out = np.empty((4, 4, 3), np.uint8)
    write_rgb(bgr[:, 2:6], out)
    assert (out == (0, 0, 200)).all()
