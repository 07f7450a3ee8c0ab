from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.source import SourceFailure
from edge.errors import CameraError
from edge.shelf import crops, report
from edge.shelf.audit import run_audit
from edge.shelf.crops import CropKeeper, thumbnail
from edge.shelf.facings import Product
from edge.types import Frame, FrameResult
from tests.edge.shelf.results import frame, picture, result

EVIL = '<script>alert("x")</script>&\'$created${x}'
PRODUCTS = {"a": Product(EVIL, EVIL, (EVIL,)), EVIL: Product("fine", "brand")}
SEEN: list[list[str | None]] = [["a", "a", EVIL, None], [EVIL, None, None], []]
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Checks nesting and keeps what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.numbers: dict[str, str] = {}
        self._key = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag == "tr" and "data-sku" in attributes:
            self._row = attributes["data-sku"] or ""
        if "data-total" in attributes:
            self._key = f"total {attributes['data-total']}"
        if "data-facings" in attributes:
            self._key = f"sku {self._row}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._key:
            self.numbers[self._key] = data
            self._key = ""


@pytest.fixture
def page(tmp_path: Path) -> tuple[str, Page, dict[str, object]]:
    def infer(one: Frame) -> FrameResult:
        return result(SEEN[int(one.camera_id[0])], source=one.camera_id)

    run_audit(
        [frame(f"{i} {EVIL}.jpg") for i in range(3)]
        + [SourceFailure(EVIL, CameraError(f"{EVIL}: cut short"))],
        infer,
        tmp_path,
        products=PRODUCTS,
        bundle_id=EVIL,
        gallery={"file": EVIL},
        provider="cpu",
    )
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return text, Page(text), json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))


def test_the_page_is_well_formed(page: tuple[str, Page, dict[str, object]]) -> None:
    text, parsed, _ = page
    assert parsed.open == []
    assert text.startswith("<!doctype html>")
    for section in ("Share of shelf", "Facings", "Inputs", "Pictures", "Failures", "Provenance"):
        assert section in parsed.text


def test_names_are_text_and_nothing_else(page: tuple[str, Page, dict[str, object]]) -> None:
    text, parsed, _ = page
    assert [attrs for tag, attrs in parsed.tags if tag == "script"] == [
        {"type": "application/json", "id": "summary"}
    ]
    assert text.count("<script") == 1
    assert EVIL in parsed.text


def test_the_page_asks_for_nothing_outside(page: tuple[str, Page, dict[str, object]]) -> None:
    text, parsed, _ = page
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "srcset", "data", "action", "background"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith(("data:image/jpeg;base64,", "annotated/")), tag
    assert not re.search(r"url\(|@import|https?://", text)


def test_numbers_are_those_of_the_summary(page: tuple[str, Page, dict[str, object]]) -> None:
    text, parsed, summary = page
    facings = summary["facings"]
    assert isinstance(facings, dict)
    assert facings == {"a": 2, EVIL: 2}
    for sku, count in facings.items():
        assert parsed.numbers[f"sku {sku}"] == str(count)
    known = sum(facings.values())
    assert parsed.numbers["total known"] == str(known)
    assert parsed.numbers["total unknown"] == str(summary["unknown"]) == "3"
    assert parsed.numbers["total facings"] == str(known + 3)
    assert parsed.numbers["total frames"] == str(summary["frames"]) == "3"
    assert parsed.numbers["total failures"] == "1"
    inside = re.search(r'<script type="application/json" id="summary">(.*?)</script>', text, re.S)
    assert inside is not None
    assert json.loads(inside[1]) == summary


def test_pictures_in_the_page_can_be_decoded(page: tuple[str, Page, dict[str, object]]) -> None:
    _, parsed, _ = page
    sources = [attrs["src"] or "" for tag, attrs in parsed.tags if tag == "img"]
    # a crop a SKU, three pictures, three unknown crops
    assert len(sources) == 2 + 3 + 3
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_late_pictures_are_smaller_and_then_left_out() -> None:
    large = picture(2400, 100)

    def width(position: int) -> int | None:
        jpeg = report.report_jpeg(large, position)
        if jpeg is None:
            return None
        return int(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[1])

    assert [width(i) for i in (0, 11, 12, 59, 60)] == [1800, 1800, 1100, 1100, None]


def test_the_best_crop_of_a_sku_is_kept() -> None:
    keeper = CropKeeper()
    image = np.zeros((200, 400, 3), np.uint8)
    image[:, 40:60] = 255
    seen = result(["a", "a", "a"])
    seen.matches.similarity[:] = (0.5, 0.6, 0.9)
    keeper.add(image, seen)
    best = cv2.imdecode(np.frombuffer(keeper.best()["a"], np.uint8), cv2.IMREAD_COLOR)
    assert best.mean() > 240


def test_unknown_crops_are_the_most_confident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "MAX_UNKNOWN", 3)
    keeper = CropKeeper()
    for index in range(4):
        seen = result([None, None], index=index)
        seen.detections.confidence[:] = (0.5 + 0.1 * index, 0.1)
        keeper.add(picture(), seen)
    assert [crop.index for crop in keeper.unknown()] == [3, 2, 1]


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (-50, -50, -10, -10), (500, 500, 600, 600), (10, 10, 10, 10),
            (0, 0, 400, 200)],
)  # fmt: skip
def test_a_thumbnail_of_any_box(box: tuple[float, float, float, float]) -> None:
    jpeg = thumbnail(picture(), np.array(box, np.float32))
    shape = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape
    assert max(shape[:2]) <= crops.THUMBNAIL_PX
