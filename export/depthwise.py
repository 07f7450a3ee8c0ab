"""Depthwise convolutions that train fast in bf16 on a CPU.

oneDNN (in torch 2.14) has no fast bf16 gradient for depthwise convolutions with a stride or a
kernel above 3: on an EPYC with AVX512-BF16 one layer of EfficientNet-lite0 takes 139 ms so, and
6 ms in FP32. `tests/benchmarks/cpu_training.py` measures it for whole steps.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn


class _Single:
    """Mixed into a convolution class: under autocast it computes in FP32, between autocast's kind.

    Without autocast it is the convolution it was.
    """

    def forward(self, x: Tensor) -> Tensor:
        kind = x.device.type
        plain = cast(Any, super()).forward
        if not torch.is_autocast_enabled(kind):
            return cast(Tensor, plain(x))
        with torch.autocast(kind, enabled=False):
            wide = plain(x.float())
        return cast(Tensor, wide.to(torch.get_autocast_dtype(kind)))


def single_depthwise(module: nn.Module) -> int:
    """Lets `module`'s slow depthwise convolutions compute in FP32 under autocast; how many.

    Parameters, their names and what is exported stay as they are.
    """
    slow = [
        conv
        for conv in module.modules()
        if isinstance(conv, nn.Conv2d)
        and conv.groups == conv.in_channels > 1
        and (max(conv.stride) > 1 or max(conv.kernel_size) > 3)
        and not isinstance(conv, _Single)
    ]
    for conv in slow:
        conv.__class__ = _with_single(cast(Any, type(conv)))
    return len(slow)


@cache
def _with_single(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    return type(kind.__name__, (_Single, kind), {})
