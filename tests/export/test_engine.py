from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from edge.vision.session import available_providers
from export import engine
from export.parity import GateReport
from tests.factories import CROP, write_tower


def _images() -> np.ndarray:
    return np.random.default_rng(0).random((6, 3, CROP, CROP)).astype(np.float32)


def test_without_a_gpu_only_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "available_providers", lambda: ("cpu",))
    file = write_tower(tmp_path / "t.onnx")
    assert engine.engine_cosine(file, _images(), (1, 4)) is None
    report = engine.on_tensorrt(GateReport({"spread": 1.0}, ()), file, _images())
    assert report == GateReport({"spread": 1.0}, ())


def test_an_engine_that_answers_otherwise_fails_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "engine_cosine", lambda *_: 0.9)
    report = engine.on_tensorrt(GateReport({}, ()), write_tower(tmp_path / "t.onnx"), _images())
    assert report.values == {"min_cosine_tensorrt": 0.9}
    assert report.failures == ("TensorRT: cosine 0.9000 to the CPU is below 0.99",)


@pytest.mark.gpu
def test_the_engine_answers_as_the_cpu(tmp_path: Path) -> None:
    if "tensorrt" not in available_providers():
        pytest.skip("onnxruntime has no TensorRT here")
    cosine = engine.engine_cosine(write_tower(tmp_path / "t.onnx"), _images(), (1, 2, 4))
    assert cosine is not None
    assert cosine > 0.99
