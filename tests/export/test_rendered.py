from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import OutputError
from export.datasets import read_folder
from export.rendered import render_skus


def test_rendered_skus_are_a_dataset_with_fronts_families_and_levels(tmp_path: Path) -> None:
    render_skus(tmp_path / "a", split="test", seed=3, skus=6, crops=2, front_px=64)
    dataset = read_folder(tmp_path / "a")
    assert set(dataset.counts().values()) == {3}
    assert len(dataset.labels) == 6
    clean = [s for s in dataset.samples if s.clean]
    assert len(clean) == 6
    assert all(len(s.levels) == 4 and s.family for s in dataset.samples)
    assert len({s.family for s in dataset.samples}) < 6


def test_the_same_arguments_give_the_same_bytes_and_finished_files_stay(tmp_path: Path) -> None:
    for name in ("a", "b"):
        render_skus(tmp_path / name, split="test", seed=3, skus=2, crops=2, front_px=64)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.png")}
        for n in ("a", "b")
    )
    assert one == two
    kept = next((tmp_path / "a").rglob("000.png"))
    kept.write_bytes(b"kept")
    render_skus(tmp_path / "a", split="test", seed=3, skus=2, crops=2, front_px=64)
    assert kept.read_bytes() == b"kept"


def test_a_folder_of_other_skus_is_not_mixed_into(tmp_path: Path) -> None:
    render_skus(tmp_path, split="test", seed=3, skus=2, crops=1, front_px=64)
    with pytest.raises(OutputError, match="rendered with other arguments"):
        render_skus(tmp_path, split="test", seed=4, skus=2, crops=1, front_px=64)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        render_skus(tmp_path / "file", split="test", seed=3, skus=1, crops=1)


def test_the_command_renders_the_same_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from export.cli import app

    call = ["scenes", "--out", str(tmp_path), "--split", "test", "--seed", "3", "--skus", "2"]
    app([*call, "--crops", "1"], standalone_mode=False)
    assert set(read_folder(tmp_path).counts().values()) == {2}
    assert "2 products, 1 crops each" in capsys.readouterr().out
