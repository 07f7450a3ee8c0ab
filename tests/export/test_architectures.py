"""Real open_clip architectures with random weights, from checkpoint to every precision.

Random weights give nearly one vector for all pictures, so cosines are taken after centring; spread and
top-1 gates need trained weights. Run with `pytest -m slow tests/export/test_architectures.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("onnxscript")

from export.activations import MAX_ACTIVATION, largest_activation  # noqa: E402
from export.backbones import ImageTower, load_tower  # noqa: E402
from export.embedding import F32, onnx_embed, torch_embed, whole  # noqa: E402
from export.half import half_embed  # noqa: E402
from export.images import Image  # noqa: E402
from export.latency import speed_up  # noqa: E402
from export.parity import in_batches, min_cosine, onnx_graph  # noqa: E402
from export.precision import FP32_ISLANDS, read_graph, tail_nodes, to_fp16, to_int8  # noqa: E402
from export.preprocessing_parity import checkpoint_transform, shelf_crops  # noqa: E402
from export.tensorrt_check import check_tensorrt  # noqa: E402
from export.tower import write_onnx  # noqa: E402

pytestmark = pytest.mark.slow
ARCHITECTURES = ("ViT-B-32", "RN50", "convnext_tiny", "ViT-B-16-SigLIP2")
CROPS = 12


@dataclass(frozen=True, eq=False)
class Exported:
    name: str
    tower: ImageTower
    file: Path
    crops: list[Image]
    images: F32
    vectors: F32


def _crops() -> list[Image]:
    rng = np.random.default_rng(0)
    sides = rng.integers(60, 400, (CROPS, 2))
    noise = [rng.integers(0, 256, (9, 9, 3), np.uint8) for _ in sides]
    return [
        np.asarray(cv2.resize(n, (int(w), int(h))), np.uint8)
        for n, (w, h) in zip(noise, sides, strict=True)
    ]


def _centred(reference: F32, other: F32) -> float:
    mean = reference.mean(axis=0)
    return min_cosine(reference - mean, other - mean)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    tower, _ = load_tower(f"open_clip:{request.param}", None)
    file = tmp_path_factory.mktemp("architecture") / "tower.onnx"
    write_onnx(tower, file)
    crops = _crops()
    images = np.concatenate([whole(crop, tower.preprocessing) for crop in crops])
    vectors = in_batches(torch_embed(tower), images, 4)
    return Exported(request.param, tower, file, crops, images, vectors)


def test_onnx_answers_as_torch_alone_and_in_a_batch(exported: Exported) -> None:
    run = onnx_embed(exported.file)
    batch = in_batches(run, exported.images, 4)
    assert _centred(exported.vectors, batch) > 0.9999
    alone = np.concatenate([run(exported.images[i : i + 1]) for i in range(3)])
    assert min_cosine(batch[:3], alone) > 0.99999
    np.testing.assert_allclose(np.linalg.norm(batch, axis=1), 1, atol=1e-5)


def test_the_device_prepares_pictures_as_its_checkpoint(exported: Exported) -> None:
    from PIL import Image as Pillow

    transform = checkpoint_transform(f"open_clip:{exported.name}", exported.tower)
    theirs = np.stack([np.asarray(transform(Pillow.fromarray(c))) for c in exported.crops])
    vectors = in_batches(torch_embed(exported.tower), theirs.astype(np.float32), 4)
    assert _centred(exported.vectors, vectors) > 0.99


def test_on_200_shelf_crops_too(exported: Exported, shelf_data: Path) -> None:
    """In pixels: the embeddings of 200 crops by four towers would take an hour."""
    from PIL import Image as Pillow

    transform = checkpoint_transform(f"open_clip:{exported.name}", exported.tower)
    for crop in shelf_crops(shelf_data / "shelves" / "val"):
        own = whole(crop, exported.tower.preprocessing)[0]
        theirs = np.asarray(transform(Pillow.fromarray(crop)))
        assert min_cosine(own.reshape(1, -1), theirs.reshape(1, -1)) > 0.999


def test_tensorrt_takes_it_in_both_precisions(exported: Exported) -> None:
    half = exported.file.with_suffix(".fp16.onnx")
    to_fp16(exported.file, half)
    for form in (exported.file, half):
        assert check_tensorrt(form, (1, 8, 32)).failures == ()
    assert half.stat().st_size < 0.55 * exported.file.stat().st_size


def test_half_precision_holds_what_it_has_to(exported: Exported) -> None:
    half = exported.file.with_suffix(".fp16.onnx")
    to_fp16(exported.file, half)
    vectors = in_batches(onnx_embed(half), exported.images[:4], 2)
    assert min_cosine(exported.vectors[:4], vectors) > 0.999
    true_half = in_batches(half_embed(exported.tower), exported.images[:2], 2)
    assert min_cosine(exported.vectors[:2], true_half) > 0.999
    tail = tail_nodes(onnx_graph(exported.file))
    largest, _ = largest_activation(
        exported.file, exported.images[:4], islands=FP32_ISLANDS, nodes=tail
    )
    assert 0 < largest < MAX_ACTIVATION


def test_int8_answers_alike_and_a_transformer_gains_twice_the_speed(exported: Exported) -> None:
    graph = read_graph(exported.file)
    transformer = exported.name.startswith("ViT")
    assert graph.modes[0] == ("static" if exported.name == "RN50" else "dynamic")
    quantised = exported.file.with_suffix(".int8.onnx")
    to_int8(exported.file, quantised, exported.images, mode=graph.modes[0], graph=graph, batch=4)
    vectors = in_batches(onnx_embed(quantised), exported.images[:4], 4)
    assert min_cosine(exported.vectors[:4], vectors) > 0.9
    gain = speed_up(exported.file, quantised, exported.tower.preprocessing.size)
    print(f"{exported.name}: INT8 ({graph.modes[0]}) {gain:.2f} times FP32")
    assert gain > (2.0 if transformer else 0.5)
