from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("pytorch_metric_learning")

from edge.errors import ConfigError  # noqa: E402
from export.cli import app  # noqa: E402
from export.finetune import finetune, load_finetuned  # noqa: E402
from export.training_config import FinetuneConfig, with_options  # noqa: E402
from export.weight_space import choose_weights  # noqa: E402
from tests.export.test_finetune import _config  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, write_skus) -> list[Path]:
    """Two short runs of one architecture from one start, one with another seed."""
    root = tmp_path_factory.mktemp("runs")
    data = write_skus(root / "data", 6, 4)
    first = finetune(_config(data, root / "a", steps=6)).checkpoint
    second = finetune(_config(data, root / "b", steps=6, start=root / "a" / "start.pt", seed=1))
    return [first, second.checkpoint]


def test_the_best_mixture_is_written_with_its_curve(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "soup.pt"
    call = ["soup", *map(str, runs), "--out", str(out), "--share", "0.5", "--share", "1"]
    app(call, standalone_mode=False)
    told = json.loads(out.with_suffix(".json").read_text())
    names = [name for name, _ in told["curve"]]
    assert names[0].startswith("run ")
    assert names[1].startswith("+ run ")
    assert names[2:] == ["share 0.5", "share 1"]
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    tower, _ = load_finetuned(out)
    assert tower.preprocessing.size == 32
    assert str(out) in capsys.readouterr().out


def test_one_run_is_interpolated_with_its_own_start(runs: list[Path], tmp_path: Path) -> None:
    curve = choose_weights(runs[:1], tmp_path / "w.pt", shares=(0.0, 1.0))
    assert [name for name, _ in curve] == ["share 0", "share 1"]
    best = max(curve, key=lambda point: (point[1], point[0]))[0]
    source = runs[0] if best == "share 1" else runs[0].parent / "start.pt"
    expected = torch.load(source, weights_only=True)["ema"]
    chosen = torch.load(tmp_path / "w.pt", weights_only=True)["ema"]
    for key, value in expected.items():
        torch.testing.assert_close(chosen[key], value, msg=key)


def test_what_cannot_be_mixed_is_named(runs: list[Path], tmp_path: Path, write_skus) -> None:
    with pytest.raises(ConfigError, match=r"x\.pt: no checkpoint of a fine-tuning run"):
        choose_weights([tmp_path / "x.pt"], tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"none\.pt: no such checkpoint to interpolate"):
        choose_weights(runs[:1], tmp_path / "w.pt", start=tmp_path / "none.pt")
    data = write_skus(tmp_path / "data", 6, 2)
    other = finetune(_config(data, tmp_path / "c", steps=1, dim=4)).checkpoint
    with pytest.raises(ConfigError, match="weights of different models"):
        choose_weights([runs[0], other], tmp_path / "w.pt")
    blind = finetune(_config(data, tmp_path / "d", steps=1, validation=())).checkpoint
    with pytest.raises(ConfigError, match="no validation to choose by"):
        choose_weights([blind], tmp_path / "w.pt")


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    config = _config(tmp_path, tmp_path / "run")
    changed = with_options(config, "ViT-B-32", "openai", tmp_path / "other", 7)
    assert changed == FinetuneConfig.model_validate(
        {
            **config.model_dump(),
            "model": "open_clip:ViT-B-32",
            "weights": "openai",
            "out": tmp_path / "other",
            "seed": 7,
        }
    )
    assert with_options(config, None, None, None, None) == config
    assert with_options(config, "timm:x", None, None, None).model == "timm:x"
