from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.vision.batches import split


@given(
    count=st.integers(0, 300),
    sizes=st.sets(st.integers(1, 64), max_size=5),
    workers=st.integers(1, 9),
)
def test_covers_all_crops_in_order_with_allowed_sizes(
    count: int, sizes: set[int], workers: int
) -> None:
    parts = split(count, sorted(sizes), workers)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    assert {part.stop - part.start for part in parts} <= sizes | {1}


def test_one_worker_gets_the_largest_batches() -> None:
    assert [p.stop - p.start for p in split(122, (1, 4, 32))] == [
        32,
        32,
        32,
        4,
        4,
        4,
        4,
        4,
        4,
        1,
        1,
    ]


def test_batches_shrink_so_that_workers_end_together() -> None:
    sizes = [p.stop - p.start for p in split(30, (1, 2, 4), workers=2)]
    assert sizes == [4, 4, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]
