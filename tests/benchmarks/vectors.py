"""Vectors like embeddings of shelf facings, any number of them, and the measure that says so."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.types import F32

BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class FacingLike:
    """Points of a smooth, curved surface in a space of ``dim`` coordinates, with a little noise.

    Random Fourier features (Rahimi and Recht, 2007) of ``degrees`` normal coordinates, with axes of
    decaying length around a common mean, at L2 norm 1. The defaults were fitted to the embeddings of
    real facings: local intrinsic dimension, share of variance in the first axes, similarity of
    neighbours and of strangers.
    """

    dim: int = 512
    degrees: int = 9
    curvature: float = 0.6
    noise: float = 0.07
    decay: float = 0.55
    mean: float = 0.3
    seed: int = 0

    def blocks(self, count: int, *, first_block: int = 0) -> Iterator[F32]:
        """``count`` vectors in blocks ``(BLOCK, dim) float32``; a block depends on its number only."""
        for number in range(first_block, first_block + math.ceil(count / BLOCK)):
            left = count - (number - first_block) * BLOCK
            yield self.block(number)[:left]

    def take(self, count: int, *, first_block: int = 0) -> F32:
        """``count`` vectors ``(count, dim) float32``."""
        return np.concatenate(list(self.blocks(count, first_block=first_block)))

    def block(self, number: int) -> F32:
        """Block ``number``: ``(BLOCK, dim) float32``."""
        fixed = np.random.default_rng(self.seed)
        wave = fixed.standard_normal((self.degrees, self.dim), np.float32) * self.curvature
        phase = fixed.random(self.dim, np.float32) * np.float32(2 * np.pi)
        axes = np.linalg.qr(fixed.standard_normal((self.dim, self.dim)))[0]
        axes *= np.arange(1, self.dim + 1) ** -self.decay
        axes /= np.linalg.norm(axes)
        centre = fixed.standard_normal(self.dim, np.float32)
        centre *= self.mean / np.linalg.norm(centre)
        rng = np.random.default_rng((self.seed, number + 1))
        at = rng.standard_normal((BLOCK, self.degrees), np.float32)
        out = np.cos(at @ wave + phase) @ (axes * math.sqrt(2)).astype(np.float32)
        out += centre
        out += rng.standard_normal(out.shape, np.float32) * np.float32(
            self.noise / math.sqrt(self.dim)
        )
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out, np.float32)


def intrinsic_dimension(vectors: F32, *, sample: int = 2000, seed: int = 0) -> float:
    """Local intrinsic dimension by TwoNN (Facco, d'Errico, Rodriguez, Laio, 2017).

    From the ratio of each point's distances to its second and first neighbour among all ``vectors``,
    for ``sample`` points; the slope through the lower 90% of the ratios, as in the paper. Points with
    an equal are left out: they are copies, and have no ratio.
    """
    chosen = np.random.default_rng(seed).permutation(len(vectors))[:sample]
    ratios = []
    for start in range(0, len(chosen), 100):
        own = chosen[start : start + 100]
        cosine = vectors[own] @ vectors.T
        cosine[np.arange(len(own)), own] = -np.inf
        two = np.argpartition(-cosine, 1, axis=1)[:, :2]
        apart = np.linalg.norm(
            vectors[own][:, None].astype(np.float64) - vectors[two].astype(np.float64), axis=2
        )
        apart.sort(axis=1)
        ratios.append(apart[apart[:, 0] > 1e-6])
    pairs = np.concatenate(ratios)
    ratio = np.sort(pairs[:, 1] / pairs[:, 0])
    share = np.arange(len(ratio)) / len(ratio)
    kept = slice(0, int(0.9 * len(ratio)))
    x, y = np.log(ratio[kept]), -np.log1p(-share[kept])
    return float((x @ y) / (x @ x))


def shape_of(vectors: F32) -> dict[str, object]:
    """What the synthetic vectors are compared with the real ones by."""
    some = vectors[:20_000]
    spectrum = np.linalg.eigvalsh(np.cov(some.T))[::-1]
    share = np.cumsum(spectrum) / spectrum.sum()
    asked = np.random.default_rng(1).permutation(len(vectors))[:500]
    cosine = vectors[asked] @ vectors.T
    cosine[np.arange(len(asked)), asked] = -1.0
    return {
        "vectors": len(vectors),
        "dim": vectors.shape[1],
        "twonn_dimension": round(intrinsic_dimension(vectors), 2),
        "variance_in_first": {k: round(float(share[k - 1]), 3) for k in (4, 16, 32, 64, 128)},
        "nearest_similarity": _quartiles(cosine.max(axis=1)),
        "any_similarity": _quartiles(cosine[:, :2000]),
    }


def _quartiles(values: F32) -> list[float]:
    return [round(float(v), 3) for v in np.quantile(values, [0.25, 0.5, 0.75])]
