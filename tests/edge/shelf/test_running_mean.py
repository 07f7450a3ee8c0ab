from __future__ import annotations

import numpy as np
import pytest

from edge.shelf.running_mean import blend


@pytest.mark.parametrize("young", [0.0, 0.05, 0.5, 1.0])
def test_each_block_moves_by_its_own_share(young: float) -> None:
    rng = np.random.default_rng(0)
    mean, picture = (255 * rng.random((32, 48, 3), np.float32) for _ in range(2))
    count = np.where(rng.random((8, 12)) < young, rng.integers(1, 12, (8, 12)), 12)
    share = np.kron(1.0 / count, np.ones((4, 4)))[..., None]
    expected = mean + (picture - mean) * share
    scratch, weight = np.empty((2, *mean.shape), np.float32)
    blend(mean, picture, count.astype(np.float32), 12, scratch, weight)
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-2)
