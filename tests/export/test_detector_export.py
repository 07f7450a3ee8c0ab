"""Real ultralytics architectures with random weights: what their heads become on the device."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from edge.errors import ConfigError  # noqa: E402
from edge.vision.session import OrtSession, SessionOptions  # noqa: E402
from export.detector import export_detector  # noqa: E402
from export.detector_precision import decoding_nodes  # noqa: E402
from export.recognise import DetectorLayout, recognise_detector  # noqa: E402

SIZE = 320


def _checkpoint(folder: Path, architecture: str) -> Path:
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel(f"{architecture}.yaml", nc=1, verbose=False)
    path = folder / f"{architecture}.pt"
    torch.save({"model": model, "ema": None}, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "end2end"),
    [("yolov8n", False), ("yolo11n", False), ("yolo26n", False), ("yolo26n", True)],
)
def test_every_generation_is_exported_and_recognised(
    tmp_path: Path, architecture: str, end2end: bool
) -> None:
    path = _checkpoint(tmp_path, architecture)
    out = export_detector(path, tmp_path / "d.onnx", size=SIZE, end2end=end2end)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    layout = recognise_detector(out, picture)
    head, boxes, classes = ("end2end", "xyxy", None) if end2end else ("yolov8", "cxcywh", 1)
    assert layout == DetectorLayout(head, (SIZE, SIZE), "nchw", boxes, "pixels", classes)
    session = OrtSession(out, "cpu", SessionOptions(threads=1))
    batch = rng.random((2, 3, SIZE, SIZE)).astype(np.float32)
    answer = session.run(batch)[0]
    anchors = sum((SIZE // stride) ** 2 for stride in (8, 16, 32))
    assert answer.shape == ((2, 1000, 6) if end2end else (2, 5, anchors))
    np.testing.assert_allclose(session.run(batch[1:])[0][0], answer[1], atol=1e-3)
    model = torch.load(path, weights_only=False)["model"].float().eval()
    if not end2end:
        with torch.inference_mode():
            expected = model(torch.from_numpy(batch))[0].numpy()
        np.testing.assert_allclose(answer, expected, atol=2e-2)
    last = set(decoding_nodes(out, with_last=True)) - set(decoding_nodes(out))
    assert len(last) == 6
    assert all("cv2." in name or "cv3." in name for name in last)


@pytest.mark.slow
def test_what_a_checkpoint_cannot_do_is_named(tmp_path: Path) -> None:
    path = _checkpoint(tmp_path, "yolo11n")
    with pytest.raises(ConfigError, match=r"yolo11n\.pt: has no one-to-one head"):
        export_detector(path, tmp_path / "d.onnx", end2end=True)
    with pytest.raises(ConfigError, match="multiple of 32, got 330"):
        export_detector(path, tmp_path / "d.onnx", size=330)


def test_what_is_no_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.pt: no such file"):
        export_detector(tmp_path / "x.pt", tmp_path / "d.onnx")
    (tmp_path / "x.pt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"x\.pt: not a torch checkpoint"):
        export_detector(tmp_path / "x.pt", tmp_path / "d.onnx")
    torch.save({"model": torch.nn.Linear(1, 1)}, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match=r"x\.pt: holds no ultralytics .* but Linear"):
        export_detector(tmp_path / "x.pt", tmp_path / "d.onnx")
    assert not (tmp_path / "d.onnx").exists()
