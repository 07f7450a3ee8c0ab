from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("pytorch_metric_learning")

from edge.errors import ConfigError  # noqa: E402
from export.cli import app  # noqa: E402
from export.embedding import embed_samples, onnx_embed, torch_embed  # noqa: E402
from export.finetune import finetune, load_finetuned  # noqa: E402
from export.joined import join, keep  # noqa: E402
from export.precision import FIRST_FP32, early_convolutions, tail_nodes  # noqa: E402
from export.tower import write_onnx  # noqa: E402
from export.training_data import open_source  # noqa: E402
from tests.export.test_finetune import _config  # noqa: E402

OTHER = "timm:tf_efficientnet_lite0"
"""Prepared with another mean and standard deviation than the tests' tiny model."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_skus) -> Path:
    return write_skus(tmp_path_factory.mktemp("data"), 6, 4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    return [
        finetune(_config(data, root / "a", steps=2)).checkpoint,
        finetune(_config(data, root / "b", steps=1, model=OTHER)).checkpoint,
    ]


def vectors_of(file: Path, data: Path) -> np.ndarray:
    tower, _ = load_finetuned(file)
    samples = open_source(_config(data, data).sources[0]).samples
    return embed_samples(samples, torch_embed(tower), tower.preprocessing)


def test_similarity_is_the_shared_sum_of_both_towers(
    runs: list[Path], data: Path, tmp_path: Path
) -> None:
    a, b = (vectors_of(run, data) for run in runs)
    join(runs, tmp_path / "j.pt", dim=16, shares=(0.3,))
    joined = vectors_of(tmp_path / "j.pt", data)
    expected = 0.3 * (a @ a.T) + 0.7 * (b @ b.T)
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-4)


def test_the_best_share_is_written_with_its_curve_and_exports(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "joined.pt"
    call = ["join", *map(str, runs), "--out", str(out), "--dim", "6"]
    app([*call, "--share", "0.4", "--share", "0.6"], standalone_mode=False)
    curve = json.loads(out.with_suffix(".json").read_text())["curve"]
    names = [name for name, _ in curve]
    assert names == ["run 0 alone", "run 1 alone", "share 0.4", "share 0.6"]
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert str(out) in capsys.readouterr().out
    tower, provenance = load_finetuned(out)
    assert " + " in provenance.model
    best = 0.4 if curve[2][1] >= curve[3][1] else 0.6
    assert torch.load(out, weights_only=True)["shares"] == [best, 1 - best]
    write_onnx(tower, tmp_path / "t.onnx")
    images = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    found = onnx_embed(tmp_path / "t.onnx")(images)
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found, torch_embed(tower)(images), atol=1e-4)


def test_the_tail_of_a_joined_tower_reaches_the_projections_of_its_parts(
    runs: list[Path], tmp_path: Path
) -> None:
    import onnx

    join(runs, tmp_path / "j.pt", dim=6, shares=(0.5,))
    write_onnx(load_finetuned(tmp_path / "j.pt")[0], tmp_path / "t.onnx")
    graph = onnx.load(tmp_path / "t.onnx").graph
    kinds = {node.name: node.op_type for node in graph.node}
    tail = [kinds[name] for name in tail_nodes(graph)]
    assert tail.count("Gemm") + tail.count("MatMul") == 3
    assert "Conv" not in tail


def test_the_first_convolutions_of_each_part_stay_out_of_eight_bits(
    runs: list[Path], tmp_path: Path
) -> None:
    import onnx

    join(runs, tmp_path / "j.pt", dim=6, shares=(0.5,))
    early, rows = [], []
    for checkpoint in (*runs, tmp_path / "j.pt"):
        write_onnx(load_finetuned(checkpoint)[0], tmp_path / "t.onnx")
        graph = onnx.load(tmp_path / "t.onnx").graph
        early.append(early_convolutions(graph))
        rows.append([node.name for node in graph.node if node.op_type == "Conv"])
    assert early[1] == rows[1][:FIRST_FP32]  # its convolutions stand in one row
    assert len(rows[2]) == len(rows[0]) + len(rows[1])
    at = len(rows[0])
    assert [name for name in early[2] if name in rows[2][at:]] == rows[2][at:][:FIRST_FP32]
    assert len(early[2]) == len(early[0]) + FIRST_FP32


def test_the_projection_keeps_what_is_large() -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 9))
    vectors = (plane + rng.normal(scale=1e-3, size=(40, 9))).astype(np.float32)
    kept = vectors @ keep(vectors, 2).T
    np.testing.assert_allclose(kept @ kept.T, vectors @ vectors.T, atol=0.05)


def test_what_cannot_be_joined_is_named(runs: list[Path], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "j.pt"
    with pytest.raises(ConfigError, match="two checkpoints are joined, not 1"):
        join(runs[:1], out)
    with pytest.raises(ConfigError, match=r"x\.pt: no checkpoint of a fine-tuning run"):
        join([runs[0], tmp_path / "x.pt"], out)
    with pytest.raises(ConfigError, match="--dim 17 is more than the towers have together"):
        join(runs, out, dim=17)
    large = finetune(_config(data, tmp_path / "c", steps=1, size=64)).checkpoint
    with pytest.raises(ConfigError, match="different preprocessing cannot be joined"):
        join([runs[0], large], out)
    blind = finetune(_config(data, tmp_path / "d", steps=1, validation=())).checkpoint
    with pytest.raises(ConfigError, match="no validation to choose by"):
        join([blind, runs[1]], out)
    assert not out.exists()
    config = tmp_path / "run.json"
    config.write_text(_config(data, tmp_path / "e").model_dump_json())
    call = ["join", str(blind), str(runs[1]), "--out", str(out), "--dim", "6"]
    app([*call, "--share", "0.5", "--config", str(config)], standalone_mode=False)
    assert out.exists()
