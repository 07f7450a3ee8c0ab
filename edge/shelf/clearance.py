"""How far an answer is from where it would be another: what noise has to bridge to change it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from edge.manifest import OperatingPoint
from edge.shelf.slot import Answer
from edge.types import F32, Matches


def answers_of(matches: Matches, point: OperatingPoint | None) -> list[Answer]:
    """An answer a row, with its clearance; without operating point that is not known."""
    answers = [Answer.of(matches, row) for row in range(len(matches))]
    if point is None:
        return answers
    near = clearance(point, matches.similarity, matches.margin)
    return [replace(a, clearance=float(n)) for a, n in zip(answers, near, strict=True)]


def clearance(point: OperatingPoint, similarity: F32, margin: F32) -> F32:
    """``(N,) float32``: the least change of similarity or margin, in cosine, at which a SKU that is
    accepted would no longer be, or one that is not would; NaN where there is no similarity.

    Args:
        point: where the SKU is accepted; of a calibrated one, the probability it asks for is a line
            over similarity and margin, from which the distance is taken.
        similarity: to the best SKU, ``(N,) float32``.
        margin: to the best other SKU, ``(N,) float32``.
    """
    edges = [similarity - point.similarity, margin - point.margin]
    if point.calibration is not None:
        sku = point.calibration.sku
        edges.append(similarity - sku.min_similarity)
        if sku.accept is None:
            edges.append(np.full(len(similarity), -np.inf, np.float32))
        else:
            model, accept = sku.model, min(max(sku.accept, 1e-6), 1 - 1e-6)
            logit = model.bias + model.similarity * similarity + model.margin * margin
            steep = max(math.hypot(model.similarity, model.margin), 1e-6)
            edges.append((logit - math.log(accept / (1 - accept))) / steep)
    # not accepted is what misses any of them, and then by the most
    nearest = np.abs(np.min(edges, axis=0))
    return np.asarray(np.where(np.isnan(similarity), np.nan, nearest), np.float32)
