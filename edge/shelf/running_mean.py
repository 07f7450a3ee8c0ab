"""The running mean of pictures whose blocks have been averaged over different numbers of frames."""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import F32

_FEW = 0.1


def blend(mean: F32, picture: F32, count: F32, most: int, scratch: F32, weight: F32) -> None:
    """Move ``mean`` towards ``picture`` in place, each block by one over its ``count`` of frames.

    Where nearly all blocks have reached ``most``, one pass over the picture does, and the others are
    set after it.

    Args:
        mean: ``(H, W, 3) float32``, as ``picture``, ``scratch`` and ``weight``, which are written to.
        count: ``(rows, columns) float32``, from 1 to ``most``; H and W are multiples of them.
    """
    young = count < most
    if np.count_nonzero(young) >= _FEW * young.size:
        share = cv2.merge([1.0 / count] * 3)
        cv2.resize(share, mean.shape[1::-1], dst=weight, interpolation=cv2.INTER_NEAREST)
        cv2.subtract(picture, mean, dst=scratch)
        cv2.multiply(scratch, weight, dst=scratch)
        cv2.add(mean, scratch, dst=mean)
        return
    high, wide = (size // n for size, n in zip(mean.shape, count.shape, strict=False))
    blocks = (count.shape[0], high, count.shape[1], wide, 3)
    seen, kept = picture.reshape(blocks), mean.reshape(blocks)
    rows, columns = np.nonzero(young)
    before = kept[rows, :, columns]
    step = (seen[rows, :, columns] - before) / count[young][:, None, None, None]
    cv2.accumulateWeighted(picture, mean, 1.0 / most)
    kept[rows, :, columns] = before + step
