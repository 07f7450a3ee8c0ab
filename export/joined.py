"""One tower out of several: their embeddings side by side, brought to fewer dimensions.

Towers of different architectures go wrong on different pictures, so that the sum of their
similarities is right more often than each (deep ensembles: Lakshminarayanan et al., NeurIPS 2017).
The projection is the linear one that keeps the inner products of the training pictures best (Eckart
and Young, 1936). A joined tower takes the time of all its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from edge.manifest import Preprocessing
from export.backbones import ImageTower, Provenance
from export.datasets import Sample
from export.embedding import F32, embed_samples, normalised, torch_embed
from export.training_config import FinetuneConfig
from export.training_data import open_source
from export.training_state import save_checkpoint
from export.validation import open_tasks, score

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
PICTURES = 4_000
"""As many training pictures at most tell what the projection has to keep."""


class SideBySide(nn.Module):  # type: ignore[misc]
    """(n, 3, S, S) float32 prepared for the first tower → (n, sum of dims).

    Inner products are the sum of the towers' similarities, each times its share.
    """

    def __init__(self, towers: Sequence[ImageTower], shares: Sequence[float]) -> None:
        super().__init__()
        first = towers[0].preprocessing
        self.towers = nn.ModuleList(towers)
        self._weights = [float(np.sqrt(share)) for share in shares]
        for number, tower in enumerate(towers):
            _same_but_colours(first, tower.preprocessing)
            scale, shift = renormalised(first, tower.preprocessing)
            self.register_buffer(f"scale{number}", scale, persistent=False)
            self.register_buffer(f"shift{number}", shift, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The embeddings one after the other."""
        parts = [
            weight * tower(images * getattr(self, f"scale{n}") + getattr(self, f"shift{n}"))
            for n, (tower, weight) in enumerate(zip(self.towers, self._weights, strict=True))
        ]
        return torch.cat(parts, dim=-1)


def _same_but_colours(first: Preprocessing, other: Preprocessing) -> None:
    unlike = {"mean", "std"}
    if first.model_dump(exclude=unlike) != other.model_dump(exclude=unlike):
        raise ConfigError(
            f"towers of different preprocessing cannot be joined: {first!r} and {other!r}"
        )


def renormalised(given: Preprocessing, wanted: Preprocessing) -> tuple[Tensor, Tensor]:
    """Scale and shift (3, 1, 1) from pictures normalised as `given` to the same as `wanted`."""
    mean, std = torch.tensor(given.mean), torch.tensor(given.std)
    own_mean, own_std = torch.tensor(wanted.mean), torch.tensor(wanted.std)
    return (std / own_std)[:, None, None], ((mean - own_mean) / own_std)[:, None, None]


def joined_tower(
    checkpoint: Mapping[str, Any], parts: Sequence[tuple[ImageTower, Provenance]]
) -> tuple[ImageTower, Provenance]:
    """The tower that `join` wrote; `parts` are those of its checkpoint's "joined"."""
    weight: Tensor = checkpoint["projection"]
    towers = [tower for tower, _ in parts]
    projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    projection.weight.data.copy_(weight)
    sources = [source for _, source in parts]
    provenance = Provenance(
        *(
            " + ".join(dict.fromkeys(getattr(source, field) for source in sources))
            for field in ("model", "weights", "sha256", "licence")
        )
    )
    trunk = SideBySide(towers, checkpoint["shares"])
    return ImageTower(trunk, projection, towers[0].preprocessing).eval(), provenance


def join(
    runs: Sequence[Path],
    out: Path,
    *,
    dim: int = 256,
    shares: Sequence[float] = SHARES,
    config: FinetuneConfig | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[tuple[str, float], ...]:
    """Writes one checkpoint for two fine-tuned towers to `out`, and the curve beside it.

    `shares` of the first tower are tried, by the mean of the validation tasks of `config` (the first
    run's by default), through the projection to `dim` that its training pictures give. The curve
    stands in the file of the same name with .json and .png. Returns (what, measure) in the order
    tried, each tower alone first.

    Raises ConfigError for checkpoints that are missing, of other preprocessing, without validation,
    or of fewer dimensions than `dim`.
    """
    from export.finetune import read_finetuned, tower_of
    from export.weight_space import write_curve

    if len(runs) != 2:
        raise ConfigError(f"two checkpoints are joined, not {len(runs)}")
    states = [read_finetuned(run) for run in runs]
    towers = [tower_of(state)[0] for state in states]
    SideBySide(towers, (0.5, 0.5))  # what does not fit is told before pictures are embedded
    own = [FinetuneConfig.model_validate_json(state["config"]) for state in states]
    config = config or own[0]
    tasks = open_tasks(config.validation)
    if not tasks:
        raise ConfigError(f"{runs[0]}: its config has no validation to choose by")
    if dim > sum(one.dim for one in own):
        raise ConfigError(f"--dim {dim} is more than the towers have together")
    sets: list[Sequence[Sample]] = [_training_pictures(config)]
    sets += [part for task in tasks for part in (task.gallery.samples, task.queries.samples)]
    embedded: list[list[F32]] = []
    for run, tower in zip(runs, towers, strict=True):
        report(f"{run}: embeds {len(set(chain(*sets)))} pictures")
        embedded.append(_embedded(sets, tower))

    def value(vectors: Sequence[F32]) -> float:
        pairs = zip(tasks, vectors[0::2], vectors[1::2], strict=True)
        return score(pairs)["mean"]

    curve = [(f"run {number} alone", value(part[1:])) for number, part in enumerate(embedded)]
    tried: list[tuple[float, float, F32]] = []
    for share in shares:
        both = [
            np.hstack([np.sqrt(share) * a, np.sqrt(1 - share) * b])
            for a, b in zip(*embedded, strict=True)
        ]
        projection = keep(both[0], dim)
        mean = value([normalised(part @ projection.T) for part in both[1:]])
        report(f"share {share:g}: {mean:.4f}")
        curve.append((f"share {share:g}", mean))
        tried.append((mean, share, projection))
    _, share, projection = max(tried, key=lambda one: one[0])
    save_checkpoint(
        out,
        {
            "joined": [{key: state[key] for key in ("config", "ema")} for state in states],
            "shares": [share, 1 - share],
            "projection": torch.from_numpy(projection),
        },
    )
    write_curve(out, runs, curve)
    return tuple(curve)


def _embedded(sets: Sequence[Sequence[Sample]], tower: ImageTower) -> list[F32]:
    """Vectors of each set; a picture that stands in several is computed once."""
    distinct = list(dict.fromkeys(chain(*sets)))
    vectors = embed_samples(distinct, torch_embed(tower), tower.preprocessing)
    row = {sample: number for number, sample in enumerate(distinct)}
    return [vectors[[row[sample] for sample in part]] for part in sets]


def keep(vectors: F32, dim: int) -> F32:
    """Projection (dim, D) that keeps the inner products of ``vectors (n, D)`` best.

    Its rows are the eigenvectors of the largest eigenvalues of their second moments.
    """
    wide = vectors.astype(np.float64)
    _, axes = np.linalg.eigh(wide.T @ wide)
    return np.ascontiguousarray(axes[:, ::-1][:, :dim].T, np.float32)


def _training_pictures(config: FinetuneConfig) -> Sequence[Sample]:
    """Pictures of all sources, thinned evenly to `PICTURES`."""
    samples = [s for source in config.sources for s in open_source(source).samples]
    step = max(1, -(-len(samples) // PICTURES))
    return samples[::step]
