"""What a run keeps: schedule, moving average of the weights, checkpoints that survive a kill."""

from __future__ import annotations

import copy
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge.errors import ConfigError, OutputError


class Clock:
    """Progress in [0, 1] by steps or by wall time; time spent before a restart counts."""

    def __init__(self, steps: int | None, minutes: float | None) -> None:
        self._steps = steps
        self._seconds = None if minutes is None else minutes * 60
        self._before = 0.0
        self._started = time.monotonic()
        self.step = 0

    def start(self) -> None:
        """Time runs from here, not from the reading of data and models."""
        self._started = time.monotonic()

    def resume(self, step: int, seconds: float) -> None:
        """Continues where a killed run was saved."""
        self.step, self._before = step, seconds

    @property
    def seconds(self) -> float:
        """Seconds trained so far."""
        return self._before + time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the run that is done."""
        if self._steps is not None:
            return min(1.0, self.step / self._steps)
        return min(1.0, self.seconds / (self._seconds or 1.0))


def lr_factor(progress: float, warmup: float, final: float) -> float:
    """Linear warm-up to 1, then half a cosine down to `final`."""
    if progress < warmup:
        return max(0.01, progress / warmup)
    angle = math.pi * (progress - warmup) / max(1e-9, 1 - warmup)
    return final + (1 - final) * 0.5 * (1 + math.cos(min(angle, math.pi)))


class Ema:
    """Exponential moving average of all weights and buffers, short at the start."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay
        self.updates = 0

    def update(self, module: nn.Module) -> None:
        """Moves the average towards the weights of `module`."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        own, new = self.module.state_dict(), module.state_dict()
        with torch.no_grad():
            for key, value in own.items():
                if value.dtype.is_floating_point:
                    value.lerp_(new[key], 1 - decay)
                else:
                    value.copy_(new[key])


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Replaces `file` in one step. On failure the previous one stays and OutputError is raised."""
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{file}: checkpoint not written: {error}") from error


def load_checkpoint(file: Path) -> dict[str, Any] | None:
    """The saved state, or None where there is none; a damaged file raises ConfigError."""
    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(f"{file}: damaged checkpoint: {error}") from error
    return state
