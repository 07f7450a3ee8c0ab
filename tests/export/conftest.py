"""Small coloured SKUs on disk for the tests of training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

WriteSkus = Callable[..., Path]


@pytest.fixture(scope="session")
def write_skus() -> WriteSkus:
    """`write_skus(root, skus, pictures)` → root/sku-NN/N.png, noise on the SKU's own colour."""

    def write(root: Path, skus: int, pictures: int, *, side: int = 40, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        for number in range(skus):
            folder = root / f"sku-{number:02d}"
            folder.mkdir(parents=True)
            colour = [(number * 67) % 256, (number * 131 + 80) % 256, (number * 199 + 40) % 256]
            flat = np.full((side, side, 3), colour, np.float64)
            cv2.imwrite(str(folder / "front.png"), flat.astype(np.uint8))
            for picture in range(pictures):
                noisy = np.clip(flat + rng.normal(0, 12, flat.shape), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{picture}.png"), noisy)
        return root

    return write
