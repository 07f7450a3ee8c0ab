"""A Hugging Face `CLIPModel` folder, as FashionCLIP is published, in all three commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("pytorch_metric_learning")

from edge.errors import ConfigError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.embedding import normalised  # noqa: E402
from export.finetune import finetune, load_finetuned  # noqa: E402
from export.parity import min_cosine  # noqa: E402
from export.preprocessing_parity import preprocessing_gate  # noqa: E402
from export.tower import write_onnx  # noqa: E402
from export.towers import open_tower  # noqa: E402
from export.training_config import FinetuneConfig, SourceConfig  # noqa: E402
from tests.export.test_preprocessing_parity import _crops  # noqa: E402

SIDE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIPModel of a few layers with its image processor, saved as the hub has them."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "num_attention_heads": 2, "vocab_size": 99},
        vision_config={**small, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
    )
    root = tmp_path_factory.mktemp("hf") / "clip"
    transformers.CLIPModel(config).eval().save_pretrained(root)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(root)
    return root


def _theirs(folder: Path, images: np.ndarray) -> np.ndarray:
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        features = model.get_image_features(pixel_values=torch.from_numpy(images))
    # a tensor, or from transformers 5 on an output that holds one
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return normalised(tensor.numpy())


def _images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, SIDE, SIDE)).astype(np.float32)


def test_it_gives_what_transformers_gives(folder: Path) -> None:
    opened = open_tower(f"hf-clip:{folder}", threads=1)
    images = _images()
    theirs = _theirs(folder, images)
    assert theirs.shape == (5, 16)
    np.testing.assert_allclose(opened.embed(images), theirs, atol=1e-5)
    assert opened.preprocessing.size == SIDE
    assert opened.preprocessing.mean == pytest.approx((0.4815, 0.4578, 0.4082), abs=1e-3)


def test_its_pictures_are_prepared_as_its_processor_does(folder: Path) -> None:
    tower, _ = load_tower(f"hf-clip:{folder}", None)
    report = preprocessing_gate(tower, f"hf-clip:{folder}", _crops(16))
    assert report.failures == ()


def test_it_is_exported(folder: Path, tmp_path: Path) -> None:
    from export.embedding import onnx_embed

    tower, _ = load_tower(f"hf-clip:{folder}", None)
    write_onnx(tower, tmp_path / "tower.onnx")
    images = _images()
    vectors = onnx_embed(tmp_path / "tower.onnx")(images)
    assert min_cosine(vectors, _theirs(folder, images)) > 0.99999


def test_it_is_fine_tuned_from_these_weights(folder: Path, tmp_path: Path, write_skus) -> None:
    source = SourceConfig(
        reader="folder", path=write_skus(tmp_path / "data", 4, 3), images=8, per_sku=2
    )
    config = FinetuneConfig(
        out=tmp_path / "run", sources=(source,), model=f"hf-clip:{folder}", dim=8, steps=2,
        frozen_groups=0, precision="fp32", workers=1, threads=1,
    )  # fmt: skip
    result = finetune(config)
    start, _ = load_finetuned(tmp_path / "run" / "start.pt")
    with torch.inference_mode():
        features = start.features(torch.from_numpy(_images())).numpy()
    assert min_cosine(features, _theirs(folder, _images())) > 0.99999
    tuned, provenance = load_finetuned(result.checkpoint)
    assert provenance.model == f"hf-clip:{folder}"
    moved = [
        name
        for name, value in tuned.trunk.state_dict().items()
        if not torch.equal(value, start.trunk.state_dict()[name])
    ]
    assert any("encoder.layers.0" in name for name in moved)


def test_a_folder_that_is_none_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        load_tower(f"hf-clip:{tmp_path}", None)
    with pytest.raises(ConfigError, match="trained at 32 px, cannot be run at 64 px"):
        load_tower(f"hf-clip:{folder}", None, size=64)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="holds no CLIPModel"):
        load_tower(f"hf-clip:{tmp_path}", None)
