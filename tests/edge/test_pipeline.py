from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge
from edge.bundle import Bundle
from edge.errors import BundleError, ConfigError, GalleryError, InferenceError
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.types import Frame, FrameResult
from edge.vision import session
from tests.factories import (
    SHELF,
    SHELF_FACINGS,
    SHELF_UNKNOWN,
    boxes_of,
    edit_manifest,
    reseal,
    squares,
    write_detector,
    write_detector_bundle,
)

TAKEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
EXPECTED: dict[str | None, int] = dict(SHELF_FACINGS) | {None: SHELF_UNKNOWN}


def shelf(side: int = 256) -> Frame:
    return Frame(squares(SHELF, side), "shelf.png", 3, TAKEN)


def counts(result: FrameResult) -> dict[str | None, int]:
    ids = result.matches.sku_id
    return {sku: ids.count(sku) for sku in set(ids)}


@pytest.fixture(scope="module")
def models(tiny_bundle: Path) -> Models:
    return Models.open(Bundle.load(tiny_bundle), provider="cpu")


def test_a_frame_becomes_facings(models: Models, tiny_gallery: Path) -> None:
    gallery = Gallery.open(tiny_gallery)
    result = Pipeline(models, gallery)(shelf())
    assert counts(result) == EXPECTED
    order = np.lexsort((result.detections.xyxy[:, 0], result.detections.xyxy[:, 1]))
    np.testing.assert_allclose(result.detections.xyxy[order], boxes_of(SHELF), atol=0.01)
    assert (result.source, result.index, result.captured_at) == ("shelf.png", 3, TAKEN)
    assert result.size_wh == (256, 256)
    assert result.provider == "cpu"
    assert result.scale == "whole"
    assert result.bundle_id == models.bundle.bundle_id
    assert result.gallery_version == gallery.version
    assert list(result.timings_ms) == ["letterbox", "detector", "nms", "crops", "tower", "match"]
    known = [i for i, sku in enumerate(result.matches.sku_id) if sku is not None]
    assert all(result.matches.similarity[i] > 0.99 for i in known)
    assert result.matches.category[known[0]][0] == "Paint"


def test_without_a_gallery_everything_is_unknown(models: Models) -> None:
    result = Pipeline(models)(shelf())
    assert counts(result) == {None: len(SHELF)}
    assert result.gallery_version == ""
    assert np.isnan(result.matches.similarity).all()
    assert "tower" not in result.timings_ms


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 200), (256, 256), (500, 40)])
def test_a_frame_without_products_is_an_empty_result(
    models: Models, tiny_gallery: Path, size_wh: tuple[int, int]
) -> None:
    frame = Frame(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), "dark", 0, TAKEN)
    result = Pipeline(models, Gallery.open(tiny_gallery))(frame)
    assert len(result.detections) == len(result.matches) == 0


@pytest.mark.parametrize("side", [64, 256, 512])
def test_the_size_of_a_picture_does_not_matter(
    models: Models, tiny_gallery: Path, side: int
) -> None:
    result = Pipeline(models, Gallery.open(tiny_gallery))(shelf(side))
    assert counts(result) == EXPECTED


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "channels last": ({"nhwc": True}, {"layout": "nhwc"}),
    "batch of one": ({"batch": 1}, {}),
    "batch of four": ({"batch": 4}, {}),
    "end to end": ({"head": "end2end"}, {"head": "end2end", "box_format": "xyxy"}),
    "unit boxes": ({"units": "unit"}, {"box_units": "unit"}),
    "end to end, unit, channels last": (
        {"head": "end2end", "units": "unit", "nhwc": True},
        {"head": "end2end", "box_format": "xyxy", "box_units": "unit", "layout": "nhwc"},
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_detector_finds_the_same(tmp_path: Path, variant: str) -> None:
    model, spec = VARIANTS[variant]
    bundle = write_detector_bundle(tmp_path / "b", spec, **model)
    result = Pipeline.open(bundle, provider="cpu")(shelf())
    order = np.lexsort((result.detections.xyxy[:, 0], result.detections.xyxy[:, 1]))
    np.testing.assert_allclose(result.detections.xyxy[order], boxes_of(SHELF), atol=0.01)


def test_a_gallery_of_another_tower_is_refused_with_both_named(
    own_bundle: Path, tiny_gallery: Path
) -> None:
    ours = "ffeeddccbbaa99887766554433221100"
    edit_manifest(own_bundle, lambda m: m["tower"].update(fingerprint=ours))
    models = Models.open(Bundle.load(own_bundle), provider="cpu")
    gallery = Gallery.open(tiny_gallery)
    with pytest.raises(GalleryError, match=f"{tiny_gallery}.*{gallery.tower}.*{ours}"):
        Pipeline(models, gallery)


def test_a_fixed_scale_is_used_and_the_canary_still_holds(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    models = Models.open(bundle, provider="cpu", scale="tiles@0.5")
    assert models.canary.box_agreement == 1.0
    frame = Frame(np.zeros((256, 256, 3), np.uint8), "dark", 0, TAKEN)
    assert Pipeline(models)(frame).scale == "tiles@0.5"
    with pytest.raises(ConfigError, match="'huge'"):
        Models.open(bundle, provider="cpu", scale="huge")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("end2end", r"detector\.onnx: detector output must be \(batch, 5, anchors\)"),
        ("unknown", r"detector\.onnx: detector output must be .* got \('\?', 64\)"),
    ],
)
def test_an_output_of_an_unknown_shape_names_the_file(
    own_bundle: Path, head: str, message: str
) -> None:
    write_detector(own_bundle / "detector.onnx", head=head)
    reseal(own_bundle)
    with pytest.raises(BundleError, match=message):
        Models.open(Bundle.load(own_bundle), provider="cpu")


def test_a_model_that_is_none_names_the_file(own_bundle: Path) -> None:
    (own_bundle / "tower.onnx").write_bytes(b"no model")
    reseal(own_bundle)
    with pytest.raises(InferenceError, match=r"own-bundle/tower\.onnx: cpu cannot load it"):
        Models.open(Bundle.load(own_bundle), provider="cpu")


def test_auto_goes_on_where_a_provider_fails_its_canary(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Models._open

    def opened(bundle: Bundle, provider: str, *rest: Any) -> Models:
        if provider == "cuda":
            raise BundleError("canary on cuda: tower differs from its golden embeddings")
        return real(bundle, provider, *rest)

    monkeypatch.setattr(Models, "_open", opened)
    monkeypatch.setattr(session, "available_providers", lambda: ("cuda", "cpu"))
    bundle = Bundle.load(tiny_bundle)
    assert Models.open(bundle).provider == "cpu"
    assert "provider cuda does not work here: canary on cuda" in caplog.text
    with pytest.raises(BundleError, match="canary on cuda"):
        Models.open(bundle, provider="cuda")


def test_the_public_names_are_those_of_their_modules(tiny_bundle: Path) -> None:
    assert set(edge.__all__) == {
        "Bundle",
        "EdgeError",
        "Frame",
        "FrameResult",
        "Gallery",
        "Pipeline",
    }
    for name in edge.__all__:
        assert getattr(edge, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Shelf'"):
        edge.Shelf  # noqa: B018
    result = edge.Pipeline.open(edge.Bundle.load(tiny_bundle), provider="cpu")(shelf())
    assert isinstance(result, edge.FrameResult)
