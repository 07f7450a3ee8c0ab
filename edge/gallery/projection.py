"""Fewer coordinates for the graph: the principal axes of a gallery's own vectors.

Embeddings of shelf crops have 512 coordinates and about nine degrees of freedom, so a graph over a
quarter of the coordinates finds the same neighbours in a quarter of the memory and time. What it finds
is compared again by all coordinates, so nothing of the answer depends on the projection but whether a
neighbour is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.types import F32

AXES = 64
"""Coordinates of the graph's points, for vectors that have more."""
SAMPLE = 50_000
"""Vectors from which the axes are learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """``mean (D,) float32``; ``axes (D, P) float32``, orthonormal columns."""

    mean: F32
    axes: F32

    @classmethod
    def learn(cls, vectors: F32, axes: int = AXES) -> Projection:
        """The ``axes`` directions of most variance in ``vectors (N, D)``; all where D is not more.

        Takes at most SAMPLE of them, evenly. The same vectors give the same projection.
        """
        dim = vectors.shape[1]
        some = np.asarray(vectors[:: -(-len(vectors) // SAMPLE)], np.float64)
        if dim <= axes or len(some) < 2:
            return cls(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32))
        mean = some.mean(axis=0)
        some -= mean
        _, directions = np.linalg.eigh(some.T @ some)
        return cls(
            mean.astype(np.float32),
            np.ascontiguousarray(directions[:, : -axes - 1 : -1], np.float32),
        )

    @property
    def dim(self) -> int:
        """Coordinates of the projected points."""
        return int(self.axes.shape[1])

    def __call__(self, vectors: F32) -> F32:
        """``(N, D)`` to ``(N, P)``; distances between points are at most those of the vectors."""
        return np.asarray((vectors - self.mean) @ self.axes, np.float32)
