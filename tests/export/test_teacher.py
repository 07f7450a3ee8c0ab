from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("pytorch_metric_learning")

from edge.errors import ConfigError  # noqa: E402
from export.backbones import load_tower  # noqa: E402
from export.finetune import finetune, load_finetuned  # noqa: E402
from export.joined import join  # noqa: E402
from export.teacher import open_teacher  # noqa: E402
from export.training_config import LossConfig, load_config  # noqa: E402
from tests.export.test_finetune import _config  # noqa: E402
from tests.export.test_joined import OTHER, vectors_of  # noqa: E402

DISTIL = LossConfig(distil_weight=50.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_skus) -> Path:
    return write_skus(tmp_path_factory.mktemp("data"), 6, 4)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("runs")
    runs = [
        finetune(_config(data, root / "a", steps=2)).checkpoint,
        finetune(_config(data, root / "b", steps=1, model=OTHER)).checkpoint,
    ]
    join(runs, root / "joined.pt", dim=16, shares=(0.4,))
    return root / "joined.pt"


def _unlikeness(run: Path, teacher: Path, data: Path) -> float:
    """Mean squared difference of the two towers' cosines of all pictures."""
    a, b = vectors_of(run, data), vectors_of(teacher, data)
    return float(np.square(a @ a.T - b @ b.T).mean())


def test_a_run_comes_to_be_like_a_teacher_of_other_trunks(
    data: Path, joined: Path, tmp_path: Path
) -> None:
    alone = _config(
        data,
        tmp_path / "run",
        steps=160,
        teacher=joined,
        validation=(),
        loss=LossConfig(distil_weight=50.0, proxy_weight=0.0, contrast_weight=0.0),
    )
    done = finetune(alone).checkpoint
    before = _unlikeness(tmp_path / "run" / "start.pt", joined, data)
    assert _unlikeness(done, joined, data) < 0.5 * before


def test_pictures_reach_the_teacher_in_its_own_normalisation(data: Path, joined: Path) -> None:
    config = _config(data, data, model=OTHER, teacher=joined, loss=DISTIL)
    given = load_tower(OTHER, None, size=32, resize="stretch")[0].preprocessing
    tower, _ = load_finetuned(joined)
    own = tower.preprocessing
    assert own.mean != given.mean
    teacher = open_teacher(config, given)
    assert teacher is not None
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    pixels = torch.rand(2, 3, 32, 32)

    def prepared(spec) -> torch.Tensor:
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        return (pixels - mean[:, None, None]) / std[:, None, None]

    with torch.inference_mode():
        torch.testing.assert_close(
            teacher(prepared(given)), tower(prepared(own)), atol=1e-5, rtol=1e-4
        )


def test_the_start_teaches_where_no_teacher_is_named(
    data: Path, joined: Path, tmp_path: Path
) -> None:
    start = joined.parent / "a" / "checkpoint.pt"
    config = _config(data, tmp_path, start=start, loss=DISTIL)
    tower, _ = load_finetuned(start)
    teacher = open_teacher(config, tower.preprocessing)
    assert teacher is not None
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(teacher(pictures), tower(pictures), atol=1e-5, rtol=1e-4)
    assert open_teacher(_config(data, tmp_path, start=start), tower.preprocessing) is None


def test_a_teacher_that_cannot_teach_is_named(data: Path, joined: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pt"
    with pytest.raises(ConfigError, match=r"missing\.pt: no checkpoint of a fine-tuning run"):
        finetune(_config(data, tmp_path / "run", teacher=missing, loss=DISTIL))
    config = _config(data, tmp_path / "run", resize="pad", teacher=joined, loss=DISTIL)
    with pytest.raises(ConfigError, match=r"joined\.pt: .*'stretch', the run trains with 'pad'"):
        finetune(config)


def test_the_path_of_a_teacher_is_taken_from_the_config(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'out = "run"\nsteps = 1\nteacher = "joined.pt"\n'
        '[[sources]]\nreader = "folder"\npath = "skus"\nimages = 4\n'
    )
    assert load_config(file).teacher == tmp_path / "joined.pt"
