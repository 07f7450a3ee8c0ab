from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("pytorch_metric_learning")

from edge.errors import ConfigError, OutputError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.embedding import embed_samples, torch_embed  # noqa: E402
from export.finetune import _Run, finetune, load_finetuned  # noqa: E402
from export.team import Team  # noqa: E402
from export.training_config import (  # noqa: E402
    FinetuneConfig,
    LossConfig,
    SourceConfig,
    ValidationConfig,
)
from export.training_data import open_source  # noqa: E402
from export.training_state import Clock, lr_factor, save_checkpoint  # noqa: E402

TINY = "timm:test_efficientnet"


def _config(data: Path, out: Path, **changes: Any) -> FinetuneConfig:
    source = SourceConfig(reader="folder", path=data, images=8, per_sku=2)
    task = ValidationConfig(
        name="fronts",
        gallery=source.model_copy(update={"pictures": "clean"}),
        query=source.model_copy(update={"pictures": "photos"}),
    )
    settings: dict[str, Any] = {
        "out": out, "model": TINY, "size": 32, "dim": 8, "steps": 12, "sources": (source,),
        "validation": (task,), "frozen_groups": 1, "precision": "fp32", "lr": 3e-3,
        "ema": 0.5, "workers": 1, "threads": 1,
    }  # fmt: skip
    return FinetuneConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_skus) -> Path:
    return write_skus(tmp_path_factory.mktemp("data"), 6, 4)


def test_a_run_learns_and_its_checkpoint_gives_the_averaged_tower(
    data: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = []
    result = finetune(_config(data, tmp_path, steps=25), rows.append)
    assert result.history[-1]["fronts"] > 0.8
    assert {p.name for p in tmp_path.iterdir()} == {
        "config.json", "start.pt", "best.pt", "checkpoint.pt", "course.png",
    }  # fmt: skip
    assert load_finetuned(tmp_path / "best.pt")[0].preprocessing.size == 32
    tower, provenance = load_finetuned(result.checkpoint)
    assert provenance.model == TINY
    with torch.inference_mode():
        vectors = tower(torch.randn(3, 3, 32, 32))
    assert vectors.shape == (3, 8)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_frozen_groups_stay_and_the_rest_moves(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start, _ = load_tower(TINY, None, size=32)
    weights = tmp_path / "start.pt"
    torch.save(start.trunk.state_dict(), weights)
    result = finetune(_config(data, tmp_path / "run", weights=str(weights), steps=3))
    tower, _ = load_finetuned(result.checkpoint)
    before, after = start.trunk.state_dict(), tower.trunk.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert "conv_stem.weight" not in changed
    assert any(k.startswith("blocks.4") for k in changed)


def test_a_killed_run_goes_on_where_it_was_saved(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetune(_config(data, tmp_path / "whole", steps=6))
    step = _Run._step

    def killed(run: _Run, batch: Any, progress: float) -> dict[str, Any]:
        if run.clock.step == 3:
            raise KeyboardInterrupt
        return step(run, batch, progress)

    cut = _config(data, tmp_path / "cut", steps=6, checkpoint_minutes=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(_Run, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            finetune(cut)
    assert torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)["step"] == 3
    rerun = finetune(cut)
    one, two = (torch.load(r.checkpoint, weights_only=True) for r in (whole, rerun))
    assert two["step"] == 6
    for key, value in one["ema"].items():
        torch.testing.assert_close(two["ema"][key], value, msg=key)


def test_a_run_that_stops_improving_ends_early(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.finetune.measure", lambda *_: {"fronts": 0.5, "mean": 0.5})
    config = _config(data, tmp_path, steps=500, validate_minutes=1e-9, patience=3)
    result = finetune(config)
    assert [row["step"] for row in result.history] == [1, 2, 3, 4]


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "checkpoint.pt"
    save_checkpoint(file, {"step": 1})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"checkpoint\.pt.*No space left"):
        save_checkpoint(file, {"step": 2})
    assert torch.load(file, weights_only=True) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_disk_that_fills_up_in_mid_training_costs_no_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(data, tmp_path, steps=6, checkpoint_minutes=1e-9, validation=())
    write, rows = torch.save, []

    def fills(state: Any, stream: Any, *rest: Any) -> None:
        if state.get("step", 0) > 2:
            raise OSError(28, "No space left on device")
        write(state, stream, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fills)
        with pytest.raises(OutputError, match=r"checkpoint\.pt.*No space left"):
            finetune(config, rows.append)
    assert [r for r in rows if r["kind"] == "warning"]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2
    assert not list(tmp_path.glob("*.part"))
    # with room again the same command goes on from there
    finetune(config)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


def test_empty_splits_two_spellings_and_half_precision_without_a_gpu_are_named(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match="none: no images found"):
        finetune(_config(tmp_path / "none", tmp_path / "run"))
    for name in ("Cola", "cola "):
        (tmp_path / "two" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="one SKU in two spellings: 'Cola' and 'cola '"):
        finetune(_config(tmp_path / "two", tmp_path / "run"))
    with pytest.raises(ConfigError, match="no_such_net"):
        finetune(_config(data, tmp_path / "run", model="timm:no_such_net"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="fp16 needs a GPU"):
            finetune(_config(data, tmp_path / "run", precision="fp16"))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_checkpoint_of_another_shape_is_kept_and_named(data: Path, tmp_path: Path) -> None:
    finetune(_config(data, tmp_path, steps=2, validation=()))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: of another run or shape"):
        finetune(_config(data, tmp_path, steps=4, dim=16, validation=()))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    (tmp_path / "checkpoint.pt").write_bytes(before[: len(before) // 2])
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: damaged checkpoint"):
        finetune(_config(data, tmp_path, steps=4, validation=()))


def test_a_sku_with_one_image_cannot_be_trained_on(tmp_path: Path, write_skus) -> None:
    root = write_skus(tmp_path / "data", 4, 2)
    lonely = root / "lonely"
    lonely.mkdir()
    cv2.imwrite(str(lonely / "1.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="one image cannot be trained on: lonely"):
        finetune(_config(root, tmp_path / "run"))


def test_an_unreadable_picture_is_named_and_the_training_so_far_is_kept(
    tmp_path: Path, write_skus
) -> None:
    root = write_skus(tmp_path / "data", 4, 2)
    (root / "sku-01" / "1.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"missing or empty: .*sku-01/1\.png"):
        finetune(_config(root, tmp_path / "run", validation=()))
    cv2.imwrite(str(root / "sku-01" / "1.png"), np.zeros((8, 8, 3), np.uint8))

    def spoil(row: dict[str, Any]) -> None:
        for path in root.glob("sku-01/*.png"):
            path.write_bytes(b"no picture")

    config = _config(root, tmp_path / "run", validation=(), cache_mb=0, steps=500)
    with pytest.raises(ConfigError, match=r"sku-01/.*\.png: not a readable image"):
        finetune(config, spoil)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] >= 1


def test_proxies_begin_among_the_pictures_of_their_class(data: Path, tmp_path: Path) -> None:
    run = _Run(_config(data, tmp_path), lambda row: None, Team())
    dataset = open_source(run.config.sources[0])
    vectors = embed_samples(dataset.samples, torch_embed(run.tower), run.tower.preprocessing)
    proxies = run.trainer.objective.proxies.W.detach().T.numpy()
    assert len(proxies) == 2 * len(dataset.labels)
    length = np.linalg.norm(proxies, axis=1, keepdims=True)
    assert length.min() > 0.2 * np.sqrt(proxies.shape[1]), "a step would turn short ones too far"
    cosine = vectors @ (proxies / length).T
    owner = np.repeat(dataset.labels, 2)
    own = np.array([s.label for s in dataset.samples])[:, None] == owner
    assert cosine[own].mean() > cosine[~own].mean() + 0.3


def test_distillation_joins_the_loss(data: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    config = _config(data, tmp_path, steps=2, loss=LossConfig(distil_weight=2.0))
    finetune(config, rows.append)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["losses"][0]["distil"] > 0


def test_unknown_and_unfit_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="timm has no model 'no_such_net'"):
        load_tower("timm:no_such_net", None)
    with pytest.raises(ConfigError, match="expected timm"):
        load_tower("resnet50", None)
    with pytest.raises(ConfigError, match="no such checkpoint"):
        load_tower(TINY, str(tmp_path / "missing.pt"))
    other, _ = load_tower("timm:test_resnet", None, size=32)
    file = tmp_path / "other.pt"
    torch.save(other.trunk.state_dict(), file)
    with pytest.raises(ConfigError, match=r"other\.pt: does not fit test_efficientnet"):
        load_tower(TINY, str(file))
    file.write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"other\.pt: not a readable checkpoint"):
        load_tower(TINY, str(file))


def test_a_port_with_other_names_is_loaded_by_position() -> None:
    from export.checkpoints import to_trunk_layout

    tower, _ = load_tower(TINY, None, size=32)
    own = tower.trunk.state_dict()
    renamed = {f"port.{i}": torch.randn(v.shape) for i, v in enumerate(own.values())}
    renamed["_fc.weight"] = torch.zeros(10, 4)
    moved = to_trunk_layout(renamed, own)
    assert list(moved) == list(own)
    assert torch.equal(moved["conv_stem.weight"], renamed["port.0"])


def test_depth_groups_run_from_stem_to_head() -> None:
    tower, _ = load_tower(TINY, None, size=32)
    groups = tower.parameter_groups()
    names = {id(p): n for n, p in tower.trunk.named_parameters()}
    assert names[id(groups[0][0])].startswith("conv_stem")
    assert names[id(groups[-1][0])].startswith(("conv_head", "bn2"))
    assert sum(len(g) for g in groups) == len(names)


def test_the_rate_warms_up_and_ends_low() -> None:
    rates = [lr_factor(p, 0.1, 0.01) for p in np.linspace(0, 1, 101)]
    assert max(rates) == pytest.approx(1.0)
    assert np.argmax(rates) == 10
    assert rates[-1] == pytest.approx(0.01)
    clock = Clock(steps=4, minutes=None)
    clock.step = 3
    assert clock.progress == 0.75
