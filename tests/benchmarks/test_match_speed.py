"""What a decision costs for 150 crops: milliseconds for a reader, never a verdict.

Deselected by default: ``pytest -m slow -s tests/benchmarks/test_match_speed.py``.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from edge.gallery.matcher import Matcher
from edge.manifest import AnswerPoint, Calibration, OperatingPoint, ProbabilityModel
from edge.types import Neighbors

CROPS = 150
MODEL = ProbabilityModel(
    bias=-5, similarity=8, margin=10, similarity_range=(0, 1), margin_range=(0, 1)
)
ANSWER = AnswerPoint(
    model=MODEL, accept=0.8, min_similarity=0.3, target=0.95, answers=100, right=99,
    precision_low=0.953,
)  # fmt: skip
CALIBRATION = Calibration(sku=ANSWER, levels=(ANSWER,) * 4)


@pytest.mark.slow
@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize(("skus", "references", "views"), [(60, 2, 1), (2000, 3, 3), (60, 30, 3)])
def test_match(skus: int, references: int, views: int, calibrated: bool) -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(skus), references).astype(np.int32)
    paths = [("food", f"a{i % 3}", f"b{i % 9}", f"c{i % 20}") for i in range(skus)]
    point = OperatingPoint(
        similarity=0.3, views=views, measured="-", calibration=CALIBRATION if calibrated else None
    )
    matcher = Matcher([f"s{i}" for i in range(skus)], paths, np.arange(len(owner)), owner, point)
    ids = np.stack([rng.permutation(len(owner))[: matcher.k] for _ in range(CROPS)])
    similarity = -np.sort(-rng.random((CROPS, matcher.k)), axis=1).astype(np.float32)
    neighbors = Neighbors(ids, similarity)
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        made = matcher.match(neighbors)
        times.append((time.perf_counter() - begun) * 1000)
    assert len(made) == CROPS
    kind = "calibrated" if calibrated else "plain"
    print(f"\n{skus} SKUs of {references}, k {matcher.k}, {kind}: {min(times):.2f} ms")
