from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.atomic import LineWriter, make_folder, write_bytes, write_text
from edge.errors import OutputError


def full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "né")
    assert path.read_bytes() == "né".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_write_in_pieces_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    write_bytes(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "a.json"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OutputError, match=r"a\.json: cannot be written: No space left on device"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_bytes(tmp_path / "no" / "a", b"")
    write_bytes(tmp_path / "a", b"")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OutputError, match=str(folder)):
            make_folder(folder)
    make_folder(tmp_path / "x" / "y")
    make_folder(tmp_path / "x" / "y")


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120)
    write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_lines_get_their_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("earlier\n")
    with LineWriter(path) as lines:
        lines.write("one")
        lines.write("zwei ü")
        assert path.read_text() == "earlier\n"
        lines.commit()
    assert path.read_text(encoding="utf-8") == "one\nzwei ü\n"
    assert list(tmp_path.iterdir()) == [path]


def test_lines_survive_what_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    real = os.write

    def short(fd: int, data: bytes) -> int:
        if bytes(data).startswith(b"two"):
            return real(fd, b"tw")
        return full()

    def work() -> None:
        with LineWriter(path) as lines:
            lines.write("one")
            monkeypatch.setattr(os, "write", short)
            lines.write("two")

    with pytest.raises(OutputError, match=r"r\.jsonl: .*No space"):
        work()
    monkeypatch.undo()
    assert not path.exists()
    assert (tmp_path / "r.jsonl.partial").read_text() == "one\n"


def test_no_line_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), LineWriter(tmp_path / "r"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_the_device_that_is_always_full(tmp_path: Path) -> None:
    (tmp_path / "r.partial").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"), LineWriter(tmp_path / "r") as lines:
        lines.write("one")
