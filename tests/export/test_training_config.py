from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from export.training_config import FinetuneConfig, load_config

GOOD = """
out = "run"
steps = 10
[loss]
scale = 30
[augment]
blur_p = 0.5
[[sources]]
reader = "folder"
path = "skus"
images = 8
"""


def test_a_file_gives_its_values_and_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(GOOD)
    config = load_config(file)
    assert (config.loss.scale, config.augment.blur_p, config.dim) == (30, 0.5, 256)
    assert config.sources[0].path == tmp_path / "skus"
    assert config.out == tmp_path / "run"


def test_what_a_run_saves_can_be_run_again(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(GOOD)
    config = load_config(file)
    saved = tmp_path / "config.json"
    saved.write_text(config.model_dump_json())
    assert load_config(saved) == config


def test_every_mistake_is_reported_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        GOOD.replace("steps = 10", "stepz = 10").replace("blur_p", "blurr").replace("= 8", "= 1")
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    message = str(caught.value)
    for part in ("run.toml", "stepz", "augment.blurr", "sources.0.images"):
        assert part in message


def test_a_run_has_one_length() -> None:
    with pytest.raises(ValueError, match="either steps or minutes"):
        FinetuneConfig(out=Path("x"), sources=({"reader": "folder", "path": "a", "images": 8},))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_config(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_config(tmp_path / "bad.toml")
