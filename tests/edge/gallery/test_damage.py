"""A damaged file gives a clear error or exactly what was enrolled; never anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import GalleryError
from edge.gallery.records import Snapshot
from edge.gallery.store import GalleryStore


def _read(path: Path) -> Snapshot:
    with GalleryStore.open(path) as store:
        return store.snapshot()


def _same(a: Snapshot, b: Snapshot) -> bool:
    return (
        (a.version, a.skus) == (b.version, b.skus)
        and np.array_equal(a.references.ids, b.references.ids)
        and np.array_equal(a.references.sku_index, b.references.sku_index)
        and np.array_equal(a.references.vectors, b.references.vectors)
    )


def test_any_flipped_byte_is_an_error_or_harmless(small: Path) -> None:
    whole, before = small.read_bytes(), _read(small)
    victim = small.with_name("victim.db")
    used = [i for i, byte in enumerate(whole) if byte]
    rng = np.random.default_rng(4)
    messages: list[str] = []
    for at in rng.choice(used, size=200, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        victim.write_bytes(damaged)
        try:
            after = _read(victim)
        except GalleryError as error:
            messages.append(str(error))
        else:
            assert _same(before, after), f"byte {at} changed the answer"
        for leftover in victim.parent.glob("victim.db-*"):
            leftover.unlink()
    assert len(messages) > 50
    assert all("\n" not in text and str(victim) in text for text in messages)


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_file_is_an_error(small: Path, tenth: int) -> None:
    whole = small.read_bytes()
    small.write_bytes(whole[: len(whole) * tenth // 10])
    with pytest.raises(GalleryError, match=r"gallery\.db: "):
        _read(small)
