"""What only an NVIDIA GPU can show: parity with the CPU, buffers that are reused, engine caches.

Deselected by default; run with ``pytest -m gpu`` where onnxruntime-gpu is installed.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle, default_path
from edge.demo import SAMPLE
from edge.errors import BundleError, InferenceError
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.types import Frame
from edge.vision import session
from edge.vision.session import OrtSession, SessionOptions, available_providers, open_session
from tests.factories import CROP, SHELF, squares

pytestmark = pytest.mark.gpu

GPUS = ("cuda", "tensorrt")


def have(provider: str) -> None:
    """Skip where the installed onnxruntime has no such provider, or it does not start here."""
    try:
        if provider not in available_providers():
            pytest.skip(f"onnxruntime has no {provider} here")
    except InferenceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(params=["tiny", "default"])
def bundle(request: pytest.FixtureRequest, tiny_bundle: Path) -> Bundle:
    if request.param == "tiny":
        return Bundle.load(tiny_bundle)
    try:
        return Bundle.load(default_path())
    except BundleError as error:
        pytest.skip(str(error))


@pytest.fixture
def shelf(bundle: Bundle) -> Frame:
    """A picture with products that this bundle knows to find."""
    if bundle.manifest.name == "tiny":
        image = squares(SHELF, 512)
    else:
        if not (SAMPLE / "shelf.jpg").is_file():
            pytest.skip(f"no sample at {SAMPLE}")
        from edge.camera.source import read_image

        image = read_image(SAMPLE / "shelf.jpg")
    return Frame(image, "shelf", 0, datetime.now(UTC))


def crops(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, side, side)).astype(np.float32)


@pytest.mark.parametrize("provider", GPUS)
def test_the_canary_holds(bundle: Bundle, cache: Path, provider: str) -> None:
    have(provider)
    models = Models.open(bundle, provider=provider, cache=cache)
    assert models.provider == provider
    assert models.canary.box_agreement >= bundle.manifest.canary.min_box_agreement
    assert models.canary.cosine >= bundle.manifest.canary.min_cosine[models.tower_precision]


@pytest.mark.parametrize("provider", GPUS)
def test_embeddings_are_those_of_the_cpu(bundle: Bundle, cache: Path, provider: str) -> None:
    """Of the same file: the gap between precisions is the canary's business."""
    have(provider)
    spec = bundle.manifest.tower
    variant = next(v for v in spec.variants if provider in v.providers)
    path = bundle.path / variant.file
    options = SessionOptions(None, cache, spec.batch_sizes)
    gpu = OrtSession(path, provider, options)
    cpu = OrtSession(path, "cpu", options)
    # TensorRT runs in half precision; CUDA may use TF32
    floor = 0.99 if provider == "tensorrt" or variant.precision == "fp16" else 0.999
    for count in sorted({1, 3, max(spec.batch_sizes)}):
        batch = crops(count, spec.preprocessing.size)
        a, b = (np.asarray(s.run(batch)[0], np.float64) for s in (gpu, cpu))
        assert a.shape == b.shape == (count, spec.dim)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() > floor


@pytest.mark.parametrize("provider", GPUS)
def test_a_frame_has_the_facings_of_the_cpu(
    bundle: Bundle, shelf: Frame, cache: Path, provider: str
) -> None:
    have(provider)
    from edge.canary import box_agreement

    there = Pipeline(Models.open(bundle, provider=provider, cache=cache))(shelf)
    here = Pipeline(Models.open(bundle, provider="cpu"))(shelf)
    assert there.provider == provider
    assert len(here.detections) > 0
    assert box_agreement(there.detections.xyxy, here.detections.xyxy) > 0.97


@pytest.mark.parametrize("provider", GPUS)
def test_a_gallery_of_the_cpu_is_matched_on_the_gpu(
    tiny_bundle: Path, tiny_gallery: Path, cache: Path, provider: str
) -> None:
    have(provider)
    frame = Frame(squares(SHELF, 512), "shelf", 0, datetime.now(UTC))
    gallery = Gallery.open(tiny_gallery)
    answers = []
    for name in (provider, "cpu"):
        models = Models.open(Bundle.load(tiny_bundle), provider=name, cache=cache)
        answers.append(sorted(str(sku) for sku in Pipeline(models, gallery)(frame).matches.sku_id))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("provider", GPUS)
def test_many_tiles_stay_in_the_profile(
    bundle: Bundle, shelf: Frame, cache: Path, provider: str
) -> None:
    """Batches of one to four tiles run without a new engine."""
    have(provider)
    models = Models.open(bundle, provider=provider, cache=cache, scale="tiles@1")
    engines = sorted(cache.rglob("*.engine"))
    for side in (300, 900, 1500):
        image = np.resize(shelf.image, (side, side, 3)).astype(np.uint8)
        found = Pipeline(models)(Frame(image, "tiles", 0, shelf.captured_at))
        assert found.scale == "tiles@1"
    assert sorted(cache.rglob("*.engine")) == engines


def test_buffers_are_bound_once_a_shape_and_answers_are_not_overwritten(tiny_bundle: Path) -> None:
    have("cuda")
    spec = Bundle.load(tiny_bundle).manifest.tower
    opened, _ = open_session(tiny_bundle, spec.variants, "cuda", SessionOptions())
    binding = opened._binding
    assert binding is not None
    first = opened.run(crops(4, CROP, 0))[0]
    kept = first.copy()
    for seed in range(20):
        opened.run(crops(4 if seed % 2 else 1, CROP, seed))
    np.testing.assert_array_equal(first, kept)
    assert len(binding._bound) == 2
    np.testing.assert_array_equal(opened.run(crops(4, CROP, 0))[0], kept)


@pytest.fixture
def tensorrt_cache(tmp_path: Path) -> Path:
    have("tensorrt")
    return tmp_path / "fresh"


def test_an_engine_is_built_once_and_said(
    bundle: Bundle, tensorrt_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        begun = time.monotonic()
        Models.open(bundle, provider="tensorrt", cache=tensorrt_cache)
        first_s = time.monotonic() - begun
    lines = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("building a TensorRT engine") for line in lines) == 2
    assert sum("built in" in line for line in lines) == 2
    engines = {p: p.stat().st_mtime_ns for p in tensorrt_cache.rglob("*.engine")}
    assert engines
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        begun = time.monotonic()
        Models.open(bundle, provider="tensorrt", cache=tensorrt_cache)
        second_s = time.monotonic() - begun
    assert not any("building" in record.getMessage() for record in caplog.records)
    assert {p: p.stat().st_mtime_ns for p in tensorrt_cache.rglob("*.engine")} == engines
    print(f"engine build {first_s:.1f} s, from cache {second_s:.1f} s")


def test_auto_takes_a_gpu_that_works(tiny_bundle: Path, cache: Path) -> None:
    have("cuda")
    models = Models.open(Bundle.load(tiny_bundle), cache=cache)
    assert models.provider in GPUS


def test_a_gpu_that_is_hidden_is_an_error_by_name_and_the_cpu_for_auto(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ONNX Runtime falls back without a word when CUDA does not start; a named one must not."""
    have("cuda")
    spec = Bundle.load(tiny_bundle).manifest.tower
    real = session._provider_chain

    def no_such_gpu(*arguments: object) -> list[object]:
        chain = real(*arguments)  # type: ignore[arg-type]
        return [
            (entry[0], {**entry[1], "device_id": "99"}) if isinstance(entry, tuple) else entry
            for entry in chain
        ]

    monkeypatch.setattr(session, "_provider_chain", no_such_gpu)
    with pytest.raises(InferenceError, match="cuda"):
        open_session(tiny_bundle, spec.variants, "cuda")
    with caplog.at_level(logging.WARNING):
        opened, _ = open_session(tiny_bundle, spec.variants)
    assert opened.provider == "cpu"
    assert "provider cuda does not work here" in caplog.text
