"""Lint, format and types hold for the whole project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
    ],
    ids=["lint", "format", "types"],
)
def test_the_project_is_clean(command: tuple[str, ...]) -> None:
    pytest.importorskip(command[0])
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def test_modules_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("edge", "export")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 250
    }
    assert long == {}
