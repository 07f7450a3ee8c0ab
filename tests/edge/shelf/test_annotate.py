from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.shelf.annotate import annotate, encode_jpeg
from edge.shelf.lettering import fit, text_width, write
from edge.shelf.palette import COLOURS, UNKNOWN, ColourBook, ink_on, palette
from edge.shelf.runs import level_parts, runs
from edge.types import F32, U8
from tests.edge.shelf.results import PRODUCTS, picture, result


def boxes(*rows: tuple[float, float, float, float]) -> F32:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_equal_neighbours_are_one_run() -> None:
    row = boxes((0, 0, 10, 30), (11, 1, 21, 31), (22, 2, 32, 32), (60, 0, 70, 30))
    assert runs(row, ["a", "a", "a", "a"]) == [[0, 1, 2], [3]]
    assert runs(row, ["a", "b", "a", "a"]) == [[0], [1], [2], [3]]
    assert runs(row[::-1], ["a", "a", "a", "a"]) == [[3, 2, 1], [0]]


def test_unknown_and_other_rows_are_no_run() -> None:
    assert runs(boxes((0, 0, 10, 30), (11, 0, 21, 30)), [None, None]) == [[0], [1]]
    assert runs(boxes((0, 0, 10, 30), (11, 25, 21, 55)), ["a", "a"]) == [[0], [1]]


def test_a_run_that_climbs_is_cut() -> None:
    climbing = [(i * 10, i * 12, i * 10 + 10, i * 12 + 40) for i in range(4)]
    assert level_parts([[0, 1, 2, 3]], climbing) == [[0, 1], [2, 3]]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 90), st.integers(0, 90), st.integers(1, 40), st.integers(1, 40),
            st.sampled_from(["a", "b", None]),
        ),
        max_size=15,
    )
)  # fmt: skip
def test_every_box_is_in_one_run_of_its_kind(
    drawn: list[tuple[int, int, int, int, str | None]],
) -> None:
    xyxy = boxes(*((x, y, x + w, y + h) for x, y, w, h, _ in drawn))
    labels = [label for *_, label in drawn]
    found = runs(xyxy, labels)
    assert sorted(i for run in found for i in run) == list(range(len(drawn)))
    for run in found:
        assert len({labels[i] for i in run}) == 1
        assert list(xyxy[run, 0]) == sorted(xyxy[run, 0])


def test_known_boxes_have_their_colour_and_unknown_none() -> None:
    book = ColourBook()
    grey = np.full((200, 400, 3), 128, np.uint8)
    drawn = annotate(grey, result(["a", None], widths=[150, 150]), PRODUCTS, book)
    known = np.all(drawn == book.colour("a"), axis=2)
    assert known[:, :380].sum() > 500
    assert np.all(np.isin(grey, 128))  # the picture that was given is not drawn on
    unknown_only = annotate(grey, result([None]), PRODUCTS, ColourBook())
    for colour in palette():
        assert not np.all(unknown_only == colour, axis=2).any()


def test_small_pictures_with_many_facings_are_enlarged_and_large_ones_shrunk() -> None:
    many = result(["a"] * 20, widths=[20] * 20, size_wh=(640, 480))
    drawn = annotate(picture(640, 480), many, PRODUCTS, ColourBook())
    assert drawn.shape[0] > 2 * 480
    close = result(["a"], widths=[3000], size_wh=(8000, 100))
    assert annotate(picture(8000, 100), close, PRODUCTS, ColourBook()).shape[1] < 5000


@pytest.mark.parametrize("skus", [0, 1, 70, 300])
def test_any_number_of_skus_has_a_legend(skus: int) -> None:
    many = result([f"sku {i}" for i in range(skus)], widths=[1.3] * skus)
    drawn = annotate(picture(), many, {}, ColourBook(), title="x" * 500)
    assert drawn.dtype == np.uint8
    assert drawn.shape[0] < 4500
    assert drawn.shape[1] < 5500


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 60),
    st.lists(st.tuples(*[st.floats(-50, 120, width=32)] * 4), max_size=4),
)  # fmt: skip
def test_any_box_in_any_picture_can_be_drawn(
    width: int, height: int, xyxy: list[tuple[float, float, float, float]]
) -> None:
    one = result([None, "a", "b", "c"][: len(xyxy)], size_wh=(width, height))
    one.detections.xyxy[:] = boxes(*xyxy)
    assert annotate(picture(width, height), one, PRODUCTS, ColourBook()).size


def test_text_is_cut_to_its_room() -> None:
    text = "Crème fraîche 牛奶 200 g"
    assert fit(text, 14, 1000) == text
    for room in range(0, 200, 7):
        cut = fit(text, 14, room)
        assert text_width(cut, 14) <= room
        assert cut == "" or cut == text or cut.endswith("…")
    assert fit("two\nlines", 14, 1000) == "two lines"


@pytest.mark.parametrize("letter", ["é", "Ж", "Ω", "牛", "の", "한", "ب", "\u00d7", "…"])
def test_scripts_are_drawn_as_letters(letter: str) -> None:
    """A letter that the font lacks would come out as a question mark."""

    def drawn(text: str) -> U8:
        canvas = np.zeros((40, 40, 3), np.uint8)
        write(canvas, text, 4, 20, 24, (255, 255, 255), 400)
        return canvas

    assert drawn(letter).max() > 200
    assert (drawn(letter) != drawn("?")).any()


def test_colours_are_stable_and_different() -> None:
    first, second = ColourBook(), ColourBook()
    names = [f"sku-{i}" for i in range(COLOURS)]
    colours = [first.colour(name) for name in names]
    assert len(set(colours)) == COLOURS
    assert [first.colour(name) for name in names] == colours
    assert second.colour("sku-0") == colours[0]
    assert first.colour("one more") in palette()
    assert first.colour(None) == UNKNOWN


def test_palette_is_far_from_grey_and_from_itself() -> None:
    rgb = np.array([*palette(), UNKNOWN], np.uint8)[None]
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(len(lab))
    assert distance.min() > 8
    assert distance[-1].min() > 12


def test_ink_reads_on_every_colour() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        value = np.array(colour) / 255
        linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colour in (*palette(), UNKNOWN):
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_jpeg_keeps_red_red() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    back = cv2.imdecode(np.frombuffer(encode_jpeg(red), np.uint8), cv2.IMREAD_COLOR)
    assert back[..., 2].mean() > 190
    assert back[..., 0].mean() < 10
