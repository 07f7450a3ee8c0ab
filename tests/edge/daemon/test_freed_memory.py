from __future__ import annotations

import ctypes

import pytest

from edge.daemon import freed_memory
from edge.daemon.process_figures import figures_of


def resident_mb() -> float:
    figures = figures_of()
    assert figures is not None
    return figures["resident_bytes"] / 1e6


def test_what_was_freed_in_pieces_is_given_back() -> None:
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("not glibc")
    freed_memory.give_back()
    before = resident_mb()
    pieces = [b"x" * 40_000 for _ in range(4000)]
    last = pieces[-1]  # keeps the heap from shrinking by itself
    pieces.clear()
    assert resident_mb() > before + 100
    assert freed_memory.give_back()
    assert resident_mb() < before + 30
    assert len(last) == 40_000


def test_another_c_library_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory, "_trim", lambda: None)
    assert not freed_memory.give_back()
