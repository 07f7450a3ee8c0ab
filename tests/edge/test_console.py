from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from edge import console
from edge.errors import ConfigError, GalleryError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (GalleryError("g.db: damaged"), 1, "error: g.db: damaged\n"),
        (ConfigError("--every: no"), 2, "error: --every: no\n"),
        (OSError(28, "No space left on device", "/x"), 1, "error: /x: No space left on device\n"),
        (OSError("odd"), 1, "error: odd\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_expected_error_is_one_line_and_a_status(
    error: BaseException,
    status: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "_let_go_of_stdout", lambda: None)

    def app() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        console.run(app)
    assert caught.value.code == status
    assert capsys.readouterr().err == line


def test_a_defect_is_not_hidden() -> None:
    def app() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        console.run(app)


def test_json_is_one_line_and_no_lie(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"name": "Käse", "n": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "Käse", "n": 1}
    assert "Käse" in out
    with pytest.raises(ValueError, match="JSON"):
        console.print_json({"nan": float("nan")})


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("work") as step:
        step(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal_is_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with console.progress("work") as step:
        step(1, 0)
        step(2, 4)
    assert "work" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def python(code: str, **streams: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", "from edge import console\n" + code],
        cwd=ROOT,
        # unbuffered output would fail at once, where it usually fails at the end
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        **{"stdout": subprocess.PIPE, **streams},
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_device_behind_stdout_is_one_line() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = python("console.run(lambda: print('x' * 10))", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"error: No space left on device\n"


def test_a_reader_that_left_is_no_trace() -> None:
    read, write = os.pipe()
    os.close(read)
    done = python("console.run(lambda: print('x' * 10))", stdout=write)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == b""


def test_names_that_are_no_text_can_be_printed() -> None:
    done = python("console.run(lambda: console.print_json({'file': 'a\\udcff'}))")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"file": "a\udcff"}
