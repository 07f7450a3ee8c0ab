from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from edge.errors import ConfigError, OutputError  # noqa: E402
from export.detector_batches import batches, prefetched  # noqa: E402
from export.train_detector import DetectorTraining, _save, train_detector  # noqa: E402


def _config(folder: Path, **changes: Any) -> DetectorTraining:
    values: dict[str, Any] = {
        "start": folder / "start.pt",
        "photos": folder / "photos",
        "teacher": folder / "teacher.onnx",
        "out": folder / "run",
        "threads": 1,
    }
    return DetectorTraining(**{**values, **changes})


def test_a_start_that_is_no_detector_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"start\.pt: no such file"):
        train_detector(_config(tmp_path))
    (tmp_path / "start.pt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"start\.pt: not a torch checkpoint"):
        train_detector(_config(tmp_path))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scales": (1.1, 1.5)}, r"scales 1\.1 1\.5: 1 has to lie between"),
        ({"scales": (1.0, 1.0)}, r"scales 1\.0 1\.0"),
        ({"dense_per_step": 0}, "batch 0 2 1: a step needs a taught view"),
        ({"close_per_step": 0, "scene_per_step": 0}, "batch 5 0 0"),
        ({"close_per_step": 0}, "without close-ups needs scenes"),
        ({"lr": 0.0}, r"lr 0\.0"),
    ],
)
def test_settings_that_cannot_make_a_step_are_named(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        _config(tmp_path, **changes)


def test_an_empty_folder_is_named_instead_of_waited_for(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "photos" / "images").mkdir(parents=True)
    with pytest.raises(ConfigError, match="photos: no photos in images/"):
        next(batches(_config(tmp_path), np.random.default_rng(0)))


def test_a_full_disk_keeps_the_state_and_the_model_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    _save(tmp_path, {}, net, net, optimiser, 1, 1.0)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"state\.pt.*No space left"):
        _save(tmp_path, {}, net, net, optimiser, 2, 2.0)
    assert {p.name for p in tmp_path.iterdir()} == {"state.pt", "best.pt"}
    assert torch.load(tmp_path / "state.pt", weights_only=False)["step"] == 1


def test_the_thread_that_prepares_batches_ends_with_the_run() -> None:
    made = iter(range(1000))
    before = threading.active_count()
    stream = prefetched(made)  # type: ignore[arg-type]
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert threading.active_count() == before
    assert 2 < next(made) < 10


def test_a_mistake_in_the_thread_reaches_the_run() -> None:
    def broken() -> Any:
        yield 0
        raise ConfigError("label.txt: not a label")

    stream = prefetched(broken())
    next(stream)
    with pytest.raises(ConfigError, match=r"label\.txt"):
        next(stream)
