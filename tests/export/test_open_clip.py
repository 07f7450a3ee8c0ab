"""open_clip's own towers, on a tiny configuration registered for the test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
pytest.importorskip("onnxscript")

from edge.errors import ConfigError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.embedding import normalised, onnx_embed, torch_embed  # noqa: E402
from export.parity import min_cosine  # noqa: E402
from export.precision import to_fp16  # noqa: E402
from export.preprocessing_parity import preprocessing_gate  # noqa: E402
from export.tensorrt_check import check_tensorrt  # noqa: E402
from export.tower import write_onnx  # noqa: E402
from tests.export.test_preprocessing_parity import _crops  # noqa: E402

SIDE = 32


def _register(folder: Path, name: str, width: int) -> str:
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": SIDE, "layers": 2, "width": width, "patch_size": 8, "head_width": 32,
        },
        "text_cfg": {
            "context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1,
        },
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    return name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _register(tmp_path_factory.mktemp("config"), "tiny-clip-for-tests", 64)


def _images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


def test_a_checkpoint_gives_what_open_clip_gives(model: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = open_clip.create_model(model).eval()
    torch.save(whole.state_dict(), tmp_path / "clip.pt")
    tower, provenance = load_tower(f"open_clip:{model}", str(tmp_path / "clip.pt"))
    with torch.inference_mode():
        theirs = whole.encode_image(torch.from_numpy(_images())).numpy()
    np.testing.assert_allclose(torch_embed(tower)(_images()), normalised(theirs), atol=1e-5)
    assert provenance.weights == "clip.pt"
    assert len(provenance.sha256) == 64
    assert tower.preprocessing.interpolation == "bicubic-antialias"
    assert preprocessing_gate(tower, f"open_clip:{model}", _crops(12)).failures == ()


def test_fine_tuning_prepares_pictures_by_the_devices_faster_way(model: str) -> None:
    tower, _ = load_tower(f"open_clip:{model}", None, antialias=False)
    assert tower.preprocessing.interpolation == "bicubic"


def test_half_precision_loads_on_the_cpu_and_suits_tensorrt(model: str, tmp_path: Path) -> None:
    tower, _ = load_tower(f"open_clip:{model}", None)
    write_onnx(tower, tmp_path / "tower.onnx")
    to_fp16(tmp_path / "tower.onnx", tmp_path / "half.onnx")
    full, half = (onnx_embed(tmp_path / f"{name}.onnx")(_images()) for name in ("tower", "half"))
    assert min_cosine(full, half) > 0.999
    assert check_tensorrt(tmp_path / "half.onnx", (1, 8)).failures == ()


def test_unknown_missing_and_unfit_checkpoints_are_named(model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="open_clip has no model 'no-such-clip'"):
        load_tower("open_clip:no-such-clip", None)
    with pytest.raises(ConfigError, match=r"missing\.pt"):
        load_tower(f"open_clip:{model}", str(tmp_path / "missing.pt"))
    other = _register(tmp_path, "other-clip-for-tests", 96)
    torch.save(open_clip.create_model(other).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=r"other\.pt: does not fit tiny-clip-for-tests"):
        load_tower(f"open_clip:{model}", str(tmp_path / "other.pt"))
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"junk\.pt"):
        load_tower(f"open_clip:{model}", str(tmp_path / "junk.pt"))
