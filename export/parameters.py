"""Where a run starts and what it may change: projection, learning rates by depth, batch norms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.errors import ConfigError
from export.backbones import ImageTower
from export.datasets import Sample
from export.embedding import embed_samples, torch_embed
from export.losses import Objective
from export.sampling import Source, class_ids
from export.training_config import FinetuneConfig
from export.training_state import load_checkpoint

_PER_CENTRE = 2
"""Pictures whose mean is the first place of a proxy."""


def parameter_groups(
    tower: ImageTower, objective: Objective, config: FinetuneConfig
) -> list[dict[str, Any]]:
    """Optimiser groups: rates fall by `layer_decay` towards the stem, the first stay frozen."""
    trunk = tower.parameter_groups()
    groups: list[dict[str, Any]] = []
    for depth, parameters in enumerate(trunk):
        if depth < config.frozen_groups:
            for parameter in parameters:
                parameter.requires_grad_(False)
            continue
        rate = config.lr * config.layer_decay ** (len(trunk) - 1 - depth)
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        groups.append({"params": matrices, "peak_lr": rate, "weight_decay": config.weight_decay})
        groups.append({"params": vectors, "peak_lr": rate, "weight_decay": 0.0})
    for module, rate in ((tower.projection, config.projection_lr), (objective, config.proxy_lr)):
        groups.append({"params": list(module.parameters()), "peak_lr": rate, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def train_mode(tower: ImageTower, config: FinetuneConfig) -> None:
    """Training mode, except batch norms whose statistics are to stay (small, mixed batches)."""
    tower.train()
    for module in tower.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            frozen = not next(module.parameters()).requires_grad
            if frozen or not config.train_batch_norm:
                module.eval()


def start_projection(tower: ImageTower, sources: list[Source], config: FinetuneConfig) -> None:
    """Projection = principal components of the start's features, half whitened (Jégou, 2012)."""
    rng = np.random.default_rng(config.seed)
    picked: list[Sample] = []
    for source in sources:
        samples = source.dataset.samples
        order = rng.permutation(len(samples))[: 3 * config.dim // len(sources)]
        picked += [samples[int(i)] for i in order]
    projection = tower.projection
    tower.projection = nn.Identity()
    spec = tower.preprocessing

    def embed(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.inference_mode():
            return np.asarray(tower.features(torch.from_numpy(images)).numpy(), np.float32)

    features = embed_samples(picked, embed, spec, unit=False)
    tower.projection = projection
    mean = features.mean(axis=0)
    _, singular, axes = np.linalg.svd(features - mean, full_matrices=False)
    if len(axes) < config.dim:
        return
    scale = (singular[: config.dim] / singular[0]) ** -0.5
    matrix = torch.from_numpy((axes[: config.dim] * scale[:, None]).astype(np.float32))
    assert isinstance(projection, nn.Linear)
    with torch.no_grad():
        projection.weight.copy_(matrix)
        projection.bias.copy_(-(matrix @ torch.from_numpy(mean)))


def begin(tower: ImageTower, sources: list[Source], config: FinetuneConfig) -> None:
    """Weights before the first step: an earlier run's, or the start's with `start_projection`."""
    if config.start is None:
        start_projection(tower, sources, config)
    else:
        start_from(config.start, tower)


def start_from(checkpoint: Path, tower: ImageTower) -> None:
    """Gives `tower` the averaged weights of an earlier run, projection included.

    Raises ConfigError for a file that is no such checkpoint or of another shape.
    """
    state = load_checkpoint(checkpoint)
    if state is None or "ema" not in state:
        raise ConfigError(f"{checkpoint}: no checkpoint of a fine-tuning run")
    try:
        tower.load_state_dict(state["ema"])
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise ConfigError(f"{checkpoint}: of another model or dimension: {detail}") from error


def start_proxies(
    objective: Objective, tower: ImageTower, sources: list[Source], config: FinetuneConfig
) -> None:
    """Proxies = means of a few of their class's embeddings, before the first step.

    From random ones the first hundred steps would drag all classes to where chance put their
    proxies, and undo much of what the start knows.
    """
    if objective.proxies is None:
        return
    ids = class_ids(sources)
    pictures: dict[int, list[Sample]] = {number: [] for number in range(objective.classes)}
    for sample in (sample for source in sources for sample in source.dataset.samples):
        if ids[sample.label] < objective.classes:
            pictures[ids[sample.label]].append(sample)
    rng = np.random.default_rng(config.seed)
    parts = config.loss.sub_centres
    picked: list[Sample] = []
    for samples in pictures.values():
        order = rng.permutation(len(samples))
        picked += [samples[int(order[i % len(order)])] for i in range(_PER_CENTRE * parts)]
    embed = torch_embed(tower, bf16=config.precision == "bf16")
    vectors = torch.from_numpy(embed_samples(picked, embed, tower.preprocessing))
    grouped = vectors.reshape(objective.classes, parts, _PER_CENTRE, -1)
    objective.place_proxies(grouped.mean(dim=2))
