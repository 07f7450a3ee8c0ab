"""Metric-learning objective: class proxies with a margin, contrast within the batch, distillation.

Sub-centre ArcFace (Deng et al., ECCV 2020) and supervised contrastive loss (Khosla et al.,
NeurIPS 2020) come from pytorch-metric-learning.
"""

from __future__ import annotations

from typing import cast

import torch
from pytorch_metric_learning import losses
from torch import Tensor, nn

from export.training_config import LossConfig


class Objective(nn.Module):  # type: ignore[misc]
    """Loss of a batch of unit vectors. Labels ≥ `classes` have no proxy and are only contrasted."""

    def __init__(self, dim: int, classes: int, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.proxies: nn.Module | None = None
        if classes > 1 and config.proxy_weight > 0:
            self.proxies = losses.SubCenterArcFaceLoss(
                num_classes=classes,
                embedding_size=dim,
                margin=config.margin_deg,
                scale=config.scale,
                sub_centers=config.sub_centres,
            )
        self.contrast = losses.SupConLoss(temperature=config.temperature)

    def place_proxies(self, centres: Tensor) -> None:
        """Turns the proxies to `centres (classes, sub_centres, D)`, and leaves them as long as before.

        Only their direction counts, but the longer they are the less a step turns them.
        """
        if self.proxies is None:
            return
        weight = cast(Tensor, self.proxies.W)
        with torch.no_grad():
            directions = nn.functional.normalize(centres.flatten(0, 1).T, dim=0)
            weight.copy_(directions * weight.norm(dim=0, keepdim=True))

    def forward(
        self, embeddings: Tensor, labels: Tensor, teacher: Tensor | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """(n, D) unit vectors, (n,) int64, optional teacher's (n, D') → scalar, its parts."""
        parts: dict[str, Tensor] = {}
        known = labels < self.classes
        if self.proxies is not None and bool(known.any()):
            proxy = cast(Tensor, self.proxies(embeddings[known], labels[known]))
            parts["proxy"] = self.config.proxy_weight * proxy
        if self.config.contrast_weight > 0:
            contrast = cast(Tensor, self.contrast(embeddings, labels))
            parts["contrast"] = self.config.contrast_weight * contrast
        if teacher is not None and self.config.distil_weight > 0:
            parts["distil"] = self.config.distil_weight * relational_distance(embeddings, teacher)
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(value.detach()) for name, value in parts.items()}


def relational_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the two batches' cosine matrices (Park et al., CVPR 2019)."""
    teacher = nn.functional.normalize(teacher, dim=-1)
    difference = student @ student.T - teacher @ teacher.T
    return difference.square().mean()
