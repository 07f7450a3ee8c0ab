"""Fixtures of the device's tests."""

from __future__ import annotations

import pytest

from tests.edge.command import Edge, make_edge


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Edge:
    """``edge(*words)`` runs the command line in this process."""
    return make_edge(monkeypatch, capsys)
