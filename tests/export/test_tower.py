from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("onnxscript")

from edge.errors import BundleError, ConfigError  # noqa: E402
from export.backbones import ImageTower, Provenance, load_tower  # noqa: E402
from export.datasets import Dataset, read_folder  # noqa: E402
from export.embedding import onnx_embed, torch_embed  # noqa: E402
from export.half import half_embed  # noqa: E402
from export.int8_choice import write_int8  # noqa: E402
from export.parity import (  # noqa: E402
    GateData,
    GateReport,
    fp16_gate,
    in_batches,
    min_cosine,
    onnx_gate,
)
from export.precision import read_graph, to_fp16, to_int8  # noqa: E402
from export.recover import refit_projection  # noqa: E402
from export.tensorrt_check import check_tensorrt  # noqa: E402
from export.tower import export_tower, tower_fingerprint, write_onnx  # noqa: E402
from export.towers import open_tower  # noqa: E402


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    torch.manual_seed(1)
    tower, _ = load_tower("timm:test_efficientnet", None, size=32, resize="stretch")
    features = tower.features(torch.randn(64, 3, 32, 32)).detach()
    tower.projection = torch.nn.Linear(features.shape[1], 16)
    with torch.no_grad():
        # random weights give nearly one vector for all pictures; centring spreads them
        _, _, axes = torch.linalg.svd(features - features.mean(0), full_matrices=False)
        tower.projection.weight.copy_(axes[:16])
        tower.projection.bias.copy_(-axes[:16] @ features.mean(0))
    return tower


@pytest.fixture(scope="module")
def exported(tower: ImageTower, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tower") / "tower.onnx"
    write_onnx(tower, file)
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_skus) -> GateData:
    skus: Dataset = read_folder(write_skus(tmp_path_factory.mktemp("skus"), 6, 4))
    return GateData(skus.where(lambda s: s.clean), skus.where(lambda s: not s.clean))


def test_onnx_answers_as_torch_does_alone_and_in_a_batch(
    tower: ImageTower, exported: Path, data: GateData
) -> None:
    report = onnx_gate(tower, exported, data.query_images(tower.preprocessing))
    assert report.failures == ()
    assert report.values["min_cosine"] > 0.99999


def test_only_the_batch_is_dynamic_and_the_norm_is_in_the_graph(exported: Path) -> None:
    import onnx

    model = onnx.load(str(exported))
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["n", 3, 32, 32]
    assert model.opset_import[0].version >= 17
    images = np.random.default_rng(0).normal(size=(5, 3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(onnx_embed(exported)(images), axis=1), 1, atol=1e-5)


def test_a_collapsed_tower_does_not_pass(tower: ImageTower, data: GateData, tmp_path: Path) -> None:
    flat = torch.nn.Linear(tower.projection.in_features, 16)
    torch.nn.init.zeros_(flat.weight)
    collapsed = ImageTower(tower.trunk, flat, tower.preprocessing)
    write_onnx(collapsed, tmp_path / "flat.onnx")
    report = onnx_gate(collapsed, tmp_path / "flat.onnx", data.query_images(tower.preprocessing))
    with pytest.raises(BundleError, match=r"flat\.onnx.*collapsed"):
        report.require(tmp_path / "flat.onnx")


def test_int8_is_measured_with_both_galleries(
    tower: ImageTower, exported: Path, data: GateData, tmp_path: Path
) -> None:
    spec = tower.preprocessing
    report = write_int8(exported, tmp_path / "int8.onnx", data, spec)
    assert {"top1_fp32", "top1_int8", "top1_int8_queries_fp32_gallery"} <= set(report.values)
    assert 0.5 < report.values["min_cosine"] < 1
    assert report.values["speed_up"] > 0
    assert (tmp_path / "int8.onnx").stat().st_size < exported.stat().st_size
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]


def test_the_projection_is_fitted_to_what_int8_gives(exported: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    colours = rng.normal(0, 1, (240, 3, 1, 1))
    images = (colours + rng.normal(0, 0.3, (240, 3, 32, 32))).astype(np.float32)
    int8 = tmp_path / "int8.onnx"
    to_int8(exported, int8, images)
    full, before = onnx_embed(exported)(images), onnx_embed(int8)(images)
    assert refit_projection(exported, int8, images)
    after = onnx_embed(int8)(images)
    assert (full * after).sum(axis=1).mean() > (full * before).sum(axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-5)
    # nothing to gain between a file and itself, and nothing to learn from a few pictures
    bytes_before = exported.read_bytes()
    assert not refit_projection(exported, exported, images)
    assert not refit_projection(exported, int8, images[:4])
    assert exported.read_bytes() == bytes_before


def loudest_pair(file: Path, channels_last: bool = False) -> tuple[int, int]:
    """Of all INT8 weights with two axes or more: the largest, and the largest sum of two neighbours
    of one sign in a channel."""
    import onnx
    from onnx import numpy_helper

    largest, pair = 0, 0
    for tensor in onnx.load(str(file)).graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1:
            weight = numpy_helper.to_array(tensor).astype(int)
            rows = weight.T if channels_last else weight.reshape(len(weight), -1)
            one, other = rows[:, :-1], rows[:, 1:]
            same = np.where(one * other > 0, np.abs(one + other), 0)
            pair = max(pair, int(same.max(initial=0)))
            largest = max(largest, int(np.abs(weight).max()))
    return largest, pair


def test_int8_weights_never_saturate_in_pairs(
    exported: Path, data: GateData, tmp_path: Path
) -> None:
    spec = load_tower("timm:test_efficientnet", None, size=32, resize="stretch")[0].preprocessing
    to_int8(exported, tmp_path / "int8.onnx", data.query_images(spec))
    largest, pair = loudest_pair(tmp_path / "int8.onnx")
    assert pair <= 128
    assert largest > 100  # most of the eight bits are used


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageTower, Path]:
    torch.manual_seed(2)
    tower, _ = load_tower("timm:test_vit", None, size=160, resize="stretch")
    tower.projection = torch.nn.Linear(tower.features(torch.zeros(1, 3, 160, 160)).shape[1], 16)
    file = tmp_path_factory.mktemp("transformer") / "tower.onnx"
    write_onnx(tower, file)
    return tower, file


def test_a_transformer_is_quantised_in_its_matrices_either_way(
    transformer: tuple[ImageTower, Path], exported: Path, tmp_path: Path
) -> None:
    import onnx

    file = transformer[1]
    graph = read_graph(file)
    assert graph.modes == ("dynamic", "static")
    assert not read_graph(exported).transformer
    images = np.random.default_rng(0).normal(size=(4, 3, 160, 160)).astype(np.float32)
    full = in_batches(onnx_embed(file), images)
    for mode, op in (("dynamic", "MatMulInteger"), ("static", "QuantizeLinear")):
        to_int8(file, tmp_path / f"{mode}.onnx", images, mode=mode, graph=graph, batch=4)
        model = onnx.load(str(tmp_path / f"{mode}.onnx"))
        assert op in {node.op_type for node in model.graph.node}
        largest, pair = loudest_pair(tmp_path / f"{mode}.onnx", channels_last=True)
        assert largest > 64
        assert 64 <= pair <= 128
        centred = full - full.mean(axis=0)
        low = in_batches(onnx_embed(tmp_path / f"{mode}.onnx"), images) - full.mean(axis=0)
        assert min_cosine(centred, low) > 0.9


class _Loud(torch.nn.Module):
    """Times 256 twice and back: 65,536 in between, though no weight is large."""

    def __init__(self, trunk: torch.nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        loud = (torch.nn.functional.relu(self.trunk(x)) + 1.0) * 256.0
        return torch.nn.functional.relu(loud * 256.0) * 2.0**-16


def test_fp16_agrees_and_an_injected_overflow_is_seen_twice(
    tower: ImageTower, exported: Path, data: GateData, tmp_path: Path
) -> None:
    spec = tower.preprocessing
    to_fp16(exported, tmp_path / "fp16.onnx")
    report = fp16_gate(tower, exported, tmp_path / "fp16.onnx", data, spec)
    assert report.failures == ()
    assert report.values["min_cosine_half"] > 0.999
    assert report.values["max_activation"] < 100
    loud = ImageTower(_Loud(tower.trunk), tower.projection, spec)
    write_onnx(loud, tmp_path / "loud.onnx")
    to_fp16(tmp_path / "loud.onnx", tmp_path / "loud16.onnx")
    report = fp16_gate(loud, tmp_path / "loud.onnx", tmp_path / "loud16.onnx", data, spec)
    assert any("overflows FP16" in failure for failure in report.failures)
    assert any("true half precision gives NaN or Inf" in failure for failure in report.failures)


def test_fp16_keeps_norms_softmax_and_projection_in_fp32(
    transformer: tuple[ImageTower, Path], tmp_path: Path
) -> None:
    import onnx

    tower, file = transformer
    to_fp16(file, tmp_path / "fp16.onnx")
    graph = onnx.load(str(tmp_path / "fp16.onnx")).graph
    halves = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    islands = [n for n in graph.node if n.op_type in ("LayerNormalization", "ReduceL2")]
    assert islands
    assert not {name for n in islands for name in n.input} & halves
    products = [n for n in graph.node if n.op_type in ("MatMul", "Gemm")]
    assert sum(bool(set(n.input) & halves) for n in products) > len(products) / 3
    assert not set(products[-1].input) & halves
    images = np.random.default_rng(0).normal(size=(3, 3, 160, 160)).astype(np.float32)
    assert min_cosine(onnx_embed(file)(images), half_embed(tower)(images)) > 0.999


def test_tensorrt_takes_towers_and_is_told_from_what_it_does_not(
    exported: Path, transformer: tuple[ImageTower, Path], data: GateData, tmp_path: Path
) -> None:
    import onnx
    from onnx import helper

    for file, side in ((exported, 32), (transformer[1], 160)):
        to_fp16(file, tmp_path / "half.onnx")
        for form in (file, tmp_path / "half.onnx"):
            report = check_tensorrt(form, (1, 4, 32))
            assert report.failures == ()
            assert report.profile["min"] == f"images:1x3x{side}x{side}"
            assert report.profile["max"] == f"images:32x3x{side}x{side}"
    to_int8(transformer[1], tmp_path / "q.onnx", np.zeros((1, 3, 160, 160), "f"), mode="dynamic")
    assert "DynamicQuantizeLinear" in " ".join(check_tensorrt(tmp_path / "q.onnx", (1,)).failures)
    model = onnx.load(str(exported))
    model.graph.node.append(
        helper.make_node("FusedGelu", ["images"], ["x"], name="g", domain="com.microsoft")
    )
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, str(tmp_path / "odd.onnx"))
    told = " ".join(check_tensorrt(tmp_path / "odd.onnx", (1,)).failures)
    assert "com.microsoft::FusedGelu (g) runs only in ONNX Runtime" in told
    assert "input images has a dynamic size beside the batch" in told


def test_a_failed_gate_names_the_file_and_the_value(tmp_path: Path) -> None:
    report = GateReport({"min_cosine": 0.5}, ("min_cosine 0.500000 is below 0.999",))
    with pytest.raises(BundleError, match=r"x\.onnx: min_cosine 0\.5"):
        report.require(tmp_path / "x.onnx")
    assert "FAILED" in report.line()


def test_the_fingerprint_follows_weights_and_preprocessing(
    tower: ImageTower, exported: Path, tmp_path: Path
) -> None:
    spec = tower.preprocessing
    one = tower_fingerprint(exported, spec)
    write_onnx(tower, tmp_path / "again.onnx")
    assert tower_fingerprint(tmp_path / "again.onnx", spec) == one
    assert tower_fingerprint(exported, spec.model_copy(update={"resize": "pad"})) != one
    other = ImageTower(tower.trunk, torch.nn.Linear(tower.projection.in_features, 16), spec)
    write_onnx(other, tmp_path / "other.onnx")
    assert tower_fingerprint(tmp_path / "other.onnx", spec) != one


def test_an_onnx_file_opens_with_its_preprocessing_beside_it(
    tower: ImageTower, exported: Path, data: GateData
) -> None:
    about = exported.with_suffix(".json")
    about.unlink(missing_ok=True)
    with pytest.raises(ConfigError, match=r"tower\.json .* missing"):
        open_tower(str(exported))
    about.write_text(json.dumps({"preprocessing": tower.preprocessing.model_dump(mode="json")}))
    opened = open_tower(str(exported))
    images = data.query_images(opened.preprocessing)
    assert min_cosine(opened.embed(images), in_batches(torch_embed(tower), images)) > 0.9999
    about.write_text("{}")
    with pytest.raises(ConfigError, match="no usable preprocessing"):
        open_tower(str(exported))


@pytest.mark.parametrize("name", ["nothing.onnx", "nowhere", "resnet50"])
def test_a_tower_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        open_tower(name)


def test_a_precision_that_fails_its_gate_is_not_left_behind(
    tower: ImageTower, data: GateData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Provenance("timm:test_efficientnet", "random", "", "unknown")
    monkeypatch.setattr("export.finetune.load_finetuned", lambda file: (tower, start))
    monkeypatch.setattr(
        "export.int8_choice.int8_gate",
        lambda *_: GateReport({"top1_int8": 0.1}, ("top-1 of int8 0.1 is over a point below",)),
    )
    with pytest.raises(BundleError, match=r"tower\.int8\.onnx: top-1 of int8"):
        export_tower(tmp_path / "x.pt", tmp_path / "out", gate=data)
    about = json.loads((tmp_path / "out" / "tower.json").read_text())
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"tower.onnx", "tower.json"}
    assert about["files"] == {"fp32": "tower.onnx"}
    assert about["gates"]["int8"]["top1_int8"] == 0.1
    assert open_tower(str(tmp_path / "out" / "tower.onnx")).preprocessing == tower.preprocessing
