"""A tower computed in true half precision by torch: the reference that ONNX Runtime's CPU lacks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from export.embedding import F32, Embed

if TYPE_CHECKING:
    from export.backbones import ImageTower


def half_embed(tower: ImageTower) -> Embed:
    """The tower with weights and activations of 16 bits; norms, softmax and projection in FP32.

    Between layers every value is rounded to a half, so one that overflows becomes infinite as it
    would on a GPU. Inputs and outputs are float32. The tower itself is left as it is.
    """
    import torch
    from torch import nn

    islands = (nn.LayerNorm, nn.GroupNorm, nn.Softmax)
    half = copy.deepcopy(tower).eval().to(memory_format=torch.contiguous_format)
    half.trunk.half()

    def widen(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.float() if isinstance(x, torch.Tensor) else x for x in inputs)

    def narrow(module: nn.Module, inputs: object, output: Any) -> Any:
        return output.half() if isinstance(output, torch.Tensor) else output

    for module in half.trunk.modules():
        if isinstance(module, islands):
            module.float()
            module.register_forward_pre_hook(widen)
            module.register_forward_hook(narrow)

    def embed(images: F32) -> F32:
        with torch.inference_mode():
            features = half.trunk(torch.from_numpy(images).half()).float()
            projected = half.projection(features)
            vectors = nn.functional.normalize(projected, dim=-1)
        return np.asarray(vectors.numpy(), np.float32)

    return embed
