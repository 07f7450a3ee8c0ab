from __future__ import annotations

import time

import pytest

from edge.timing import Stopwatch


def test_stages_add_up_in_the_order_of_their_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 2.0, 2.5, 3.0, 3.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    watch = Stopwatch()
    for stage in ("b", "a", "b"):
        with watch.stage(stage):
            pass
    assert list(watch.timings_ms().items()) == [("b", 1250.0), ("a", 500.0)]


def test_a_stage_that_fails_is_timed_too() -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.stage("a"):
        raise KeyError
    assert list(watch.timings_ms()) == ["a"]
