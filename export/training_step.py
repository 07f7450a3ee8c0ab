"""One step of fine-tuning: forward, loss of the whole batch, backward, update."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from edge.errors import ConfigError
from export.allocation import keep_freed_memory
from export.backbones import ImageTower
from export.depthwise import single_depthwise
from export.losses import Objective
from export.parameters import parameter_groups, train_mode
from export.teacher import open_teacher
from export.team import Team
from export.training_config import FinetuneConfig
from export.training_state import lr_factor

_AMP = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Tower, objective and optimiser of a run, in mixed precision where the config says so.

    Raises ConfigError for fp16 without a GPU, and for batch norms that learn in several processes.
    """

    def __init__(
        self, tower: ImageTower, objective: Objective, config: FinetuneConfig, team: Team
    ) -> None:
        if config.precision == "fp16" and not team.device.startswith("cuda"):
            raise ConfigError("precision fp16 needs a GPU; bf16 and fp32 work on CPUs, too")
        if config.train_batch_norm and team.size > 1:
            raise ConfigError("train_batch_norm would learn from a part of each batch: one process")
        self.tower, self.objective, self.config, self.team = tower, objective, config, team
        if team.device == "cpu":
            keep_freed_memory()
            if config.precision == "bf16":
                single_depthwise(tower)
        self.optimizer = torch.optim.AdamW(parameter_groups(tower, objective, config))
        self.teacher = open_teacher(config, tower.preprocessing)
        if self.teacher is not None:
            self.teacher.to(team.device, memory_format=torch.channels_last)
        self.scaler = torch.amp.GradScaler(
            team.device.split(":")[0], enabled=config.precision == "fp16"
        )

    def step(
        self,
        images: np.ndarray[Any, Any],
        labels: np.ndarray[Any, Any],
        *,
        progress: float,
        number: int,
    ) -> dict[str, float]:
        """One update with this process's share of a batch; the parts of the loss by name."""
        config, team = self.config, self.team
        factor = lr_factor(progress, config.warmup, config.final_lr)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        train_mode(self.tower, config)
        batch = torch.from_numpy(images).to(team.device, memory_format=torch.channels_last)
        kind = _AMP[config.precision]
        with torch.autocast(team.device.split(":")[0], kind, enabled=kind != torch.float32):
            vectors = self.tower(batch).float()
            teacher = None
            if self.teacher is not None:
                with torch.no_grad():
                    teacher = team.gather(self.teacher(batch))
        truth = team.gather(torch.from_numpy(labels).to(team.device))
        parts: dict[str, float]
        loss, parts = self.objective(team.gather(vectors), truth, teacher)
        if not bool(torch.isfinite(loss)):
            raise ConfigError(f"step {number}: loss is {float(loss)}; lower the rates")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        team.add_gradients(self.tower)
        team.mean_gradients(self.objective)
        nn.utils.clip_grad_norm_(self.tower.parameters(), config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return parts

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "model": self.tower.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes over `state`; KeyError, RuntimeError or ValueError where it does not fit."""
        self.tower.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
