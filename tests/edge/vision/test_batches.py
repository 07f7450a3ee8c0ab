from __future__ import annotations

import pytest

from edge.vision import batches
from edge.vision.batches import BatchChoice


def test_each_size_is_tried_and_then_the_cheapest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(batches.time, "perf_counter", lambda: clock[0])
    per_crop = {1: 5.0, 2: 4.0, 4: 1.0, 8: 2.0, 16: 3.0}
    choice = BatchChoice((2, 4, 8, 16))

    def run(count: int) -> list[int]:
        sizes = []
        for part in choice.slices(count):
            size = part.stop - part.start
            sizes.append(size)
            clock[0] += per_crop[size] * size
        return sizes

    first = run(200)
    assert sum(first) == 200
    assert set(first) == {16, 8, 4, 2, 1}
    assert run(16) == [4, 4, 4, 4]
    assert run(7) == [4, 2, 1]
    per_crop[4] = 9.0
    run(64)
    assert run(16) == [8, 8], "a size that has become slow is left"
