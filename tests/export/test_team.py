"""torchrun on the CPU: the same model as one process trains, and it goes on after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
pytest.importorskip("timm")

from edge.errors import ConfigError  # noqa: E402
from export.finetune import finetune  # noqa: E402
from export.team import Team  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.export.test_finetune import _config  # noqa: E402


def _launch(config: Path, processes: int) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    call += ["--master-port", "29511", "-m", "export", "finetune", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        call, capture_output=True, text=True, check=False, env=environment, timeout=600
    )


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_trains(tmp_path: Path, write_skus) -> None:
    data = write_skus(tmp_path / "data", 6, 4)
    alone = finetune(_config(data, tmp_path / "one", steps=6))
    config = _config(data, tmp_path / "two", steps=3)
    file = tmp_path / "run.json"
    file.write_text(config.model_dump_json())
    done = _launch(file, 2)
    assert done.returncode == 0, done.stderr[-3000:]
    state = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    # the longer run takes over the shorter one's checkpoint; its rates follow another schedule
    file.write_text(_config(data, tmp_path / "two", steps=6).model_dump_json())
    assert _launch(file, 2).returncode == 0
    resumed = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert resumed["step"] == 6
    file.write_text(_config(data, tmp_path / "fresh", steps=6).model_dump_json())
    assert _launch(file, 2).returncode == 0
    one = torch.load(alone.checkpoint, weights_only=True)
    two = torch.load(tmp_path / "fresh" / "checkpoint.pt", weights_only=True)
    start = torch.load(tmp_path / "fresh" / "start.pt", weights_only=True)["ema"]
    moved = 0.0
    for key, value in one["model"].items():
        torch.testing.assert_close(two["model"][key], value, rtol=1e-3, atol=2e-4, msg=key)
        moved = max(moved, float((value.float() - start[key].float()).abs().max()))
    assert moved > 0.004  # twenty times the tolerance
    assert one["history"][-1]["fronts"] == two["history"][-1]["fronts"]


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Team()
    assert team.leads
    assert team.share([1, 2, 3]) == [1, 2, 3]
    assert team.agree(0.5) == 0.5
    team.size = 2
    assert team.share([1, 2, 3, 4]) == [1, 2]
    with pytest.raises(ConfigError, match="batch of 3 images cannot be split evenly over 2"):
        team.share([1, 2, 3])
