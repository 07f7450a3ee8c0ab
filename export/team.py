"""Several processes that train one model, as torch's own launcher starts them.

    torchrun --nproc-per-node 2 -m export.cli finetune run.toml

Every process embeds its share of each batch and sees the embeddings of all, so that the loss is that
of the whole batch, whatever their number.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from edge.errors import ConfigError

Item = TypeVar("Item")


class Team:
    """The processes of one run; alone outside of torchrun. Collective calls must meet on all."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
        if self.size > 1 and not torch.distributed.is_initialized():
            if cuda:
                torch.cuda.set_device(self.device)
            torch.distributed.init_process_group("nccl" if cuda else "gloo")

    @property
    def leads(self) -> bool:
        """Whether this is the process that reports, validates and saves."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch; ConfigError unless all parts are equal."""
        if len(items) % self.size:
            raise ConfigError(
                f"a batch of {len(items)} images cannot be split evenly over {self.size} processes"
            )
        part = len(items) // self.size
        return items[self.rank * part : (self.rank + 1) * part]

    def gather(self, own: Tensor) -> Tensor:
        """The rows of all processes in order; gradients flow into this process's own."""
        if self.size == 1:
            return own
        parts = [torch.empty_like(own) for _ in range(self.size)]
        torch.distributed.all_gather(parts, own.detach().contiguous())
        parts[self.rank] = own
        return torch.cat(parts)

    def add_gradients(self, module: nn.Module) -> None:
        """Sums the gradients of a module that each process drove with its own share."""
        for parameter in self._trained(module):
            torch.distributed.all_reduce(parameter.grad)

    def mean_gradients(self, module: nn.Module) -> None:
        """Averages gradients that are the same on all but for rounding."""
        for parameter in self._trained(module):
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad.div_(self.size)

    def agree(self, value: float) -> float:
        """The leader's value, on all."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(shared, 0)
        return float(shared)

    def same_weights(self, modules: Iterable[nn.Module]) -> None:
        """Copies the leader's parameters and buffers to all."""
        if self.size == 1:
            return
        for module in modules:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, 0)

    def disband(self) -> None:
        """Leaves the group, where there is one."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _trained(self, module: nn.Module) -> list[nn.Parameter]:
        if self.size == 1:
            return []
        return [p for p in module.parameters() if p.grad is not None]
