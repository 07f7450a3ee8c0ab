from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.daemon.evidence import EvidenceStore
from edge.daemon.settings import EvidenceSettings


def settings(**changes: object) -> EvidenceSettings:
    return EvidenceSettings.model_validate(changes)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def test_a_crop_holds_the_product_and_a_little_around_it(
    tmp_path: Path, picture: np.ndarray
) -> None:
    picture[:] = (255, 0, 0)
    store = EvidenceStore(tmp_path / "e", settings())
    name = store.crop(picture, (50, 50, 100, 150), "id-after")
    assert name == "0000000001-id-after.jpg"
    read = cv2.imread(str(tmp_path / "e" / name))
    assert read is not None
    assert read.shape == (116, 58, 3)
    assert read[50, 20, 2] > 200, "red stays red"


def test_a_large_crop_is_made_smaller(tmp_path: Path, picture: np.ndarray) -> None:
    store = EvidenceStore(tmp_path, settings(max_px=64))
    name = store.crop(picture, (0, 0, 300, 200), "x")
    read = cv2.imread(str(tmp_path / str(name)))
    assert read is not None
    assert max(read.shape) == 64


def test_nothing_is_kept_where_nothing_shall_be(tmp_path: Path, picture: np.ndarray) -> None:
    off = EvidenceStore(tmp_path / "a", settings(crops=False))
    assert off.crop(picture, (0, 0, 50, 50), "x") is None
    assert (
        EvidenceStore(tmp_path / "b", settings(budget_mb=0)).crop(picture, (0, 0, 9, 9), "x")
        is None
    )
    store = EvidenceStore(tmp_path / "c", settings())
    assert store.frame(picture, "x") is None, "whole pictures are off unless turned on"
    assert store.crop(picture, (400, 10, 500, 50), "x") is None
    assert not any(p.is_file() for p in tmp_path.rglob("*"))
    assert EvidenceStore(tmp_path / "d", settings(full_frames=True)).frame(picture, "x") is not None


def test_the_budget_holds_and_the_oldest_go_first(tmp_path: Path, picture: np.ndarray) -> None:
    probe = EvidenceStore(tmp_path / "probe", settings())
    probe.crop(picture, (0, 0, 100, 100), "x")
    store = EvidenceStore(tmp_path / "e", settings(budget_mb=3.5 * probe.bytes / 1e6))
    names = [store.crop(picture, (0, 0, 100, 100), f"n{i}") for i in range(6)]
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == names[3:]
    assert (store.written, store.deleted) == (6, 3)
    assert store.bytes == sum(p.stat().st_size for p in (tmp_path / "e").iterdir())


def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path, picture: np.ndarray) -> None:
    first = EvidenceStore(tmp_path, settings())
    first.crop(picture, (0, 0, 100, 100), "a")
    (tmp_path / ".0000000002-b.jpg.tmp").write_bytes(b"half")
    again = EvidenceStore(tmp_path, settings())
    assert again.bytes == first.bytes
    assert again.crop(picture, (0, 0, 100, 100), "c") == "0000000002-c.jpg"
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_became_read_only_is_no_error(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    probe = EvidenceStore(tmp_path / "e", settings())
    probe.crop(picture, (0, 0, 100, 100), "x")
    (tmp_path / "e" / ".0000000002-y.jpg.tmp").write_bytes(b"half")
    for name in ("unlink", "write_bytes", "replace"):
        monkeypatch.setattr(Path, name, read_only)
    store = EvidenceStore(tmp_path / "e", settings(budget_mb=1.2 * probe.bytes / 1e6))
    assert store.crop(picture, (0, 0, 100, 100), "z") is None, "and there was no room for it"
    assert (store.failed, store.written) == (1, 0)


def test_a_folder_that_may_not_be_read_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("edge.daemon.evidence.os.scandir", denied)
    assert EvidenceStore(tmp_path, settings()).bytes == 0


def test_a_folder_that_cannot_be_written_is_counted_and_no_error(
    tmp_path: Path, picture: np.ndarray
) -> None:
    (tmp_path / "e").write_text("a file in the way")
    store = EvidenceStore(tmp_path / "e", settings())
    assert store.crop(picture, (0, 0, 50, 50), "x") is None
    assert store.failed == 1
