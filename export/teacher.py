"""What distillation compares with: a frozen tower that sees the same pictures as the one in training."""

from __future__ import annotations

from torch import Tensor, nn

from edge.errors import ConfigError
from edge.manifest import Preprocessing
from export.backbones import ImageTower, load_tower
from export.joined import renormalised
from export.training_config import FinetuneConfig


class Teacher(nn.Module):  # type: ignore[misc]
    """(n, 3, S, S) float32 prepared for `given` → (n, D) float32 with L2 norm 1, without gradient."""

    def __init__(self, tower: ImageTower, given: Preprocessing) -> None:
        super().__init__()
        self.tower = tower.eval().requires_grad_(False)
        scale, shift = renormalised(given, tower.preprocessing)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The embeddings."""
        vectors: Tensor = self.tower(images * self.scale + self.shift)
        return vectors.float()


def open_teacher(config: FinetuneConfig, given: Preprocessing) -> Teacher | None:
    """`config.teacher`, else the tower that the run starts from; None where it has no weight.

    `given` is how the run's own pictures are prepared. Raises ConfigError for a teacher that is no
    checkpoint, or was trained on pictures resized in another way.
    """
    from export.finetune import load_finetuned

    if config.loss.distil_weight <= 0:
        return None
    if file := config.teacher or config.start:
        tower, _ = load_finetuned(file)
    else:
        tower, _ = load_tower(config.model, config.weights, size=config.size, resize=config.resize)
    if tower.preprocessing.resize != given.resize:
        raise ConfigError(
            f"{file}: takes pictures with resize {tower.preprocessing.resize!r}, the run trains with "
            f"{given.resize!r}"
        )
    return Teacher(tower, given)
