"""Train the shelf detector: dense distillation on photos, boxes on close-ups and rendered scenes."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch

from edge.errors import ConfigError, OutputError
from export.dense import dense_loss
from export.detector import load_detector
from export.detector_batches import SIZE, batches, prefetched
from export.training_state import save_checkpoint


@dataclass(frozen=True, slots=True)
class DetectorTraining:
    """One run. Paths are absolute or relative to the working folder; times are wall-clock.

    `scales` are the smallest and the largest long side of a photo in its taught views, in input
    sides; most views are near 1, as the device shows a whole photo.
    """

    start: Path
    photos: Path
    teacher: Path
    out: Path
    scenes: Path | None = None
    minutes: float = 60.0
    scales: tuple[float, float] = (0.55, 1.5)
    dense_per_step: int = 5
    close_per_step: int = 2
    scene_per_step: int = 1
    new_views_per_step: int = 2
    pool: int = 2400
    cache_mb: int = 3000
    lr: float = 1.2e-3
    warm_up_steps: int = 60
    final_lr_share: float = 0.02
    weight_decay: float = 0.01
    ema_decay: float = 0.998
    box_weight: float = 0.5
    threads: int = 2
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0
    save_every_s: float = 240.0

    def __post_init__(self) -> None:
        low, high = self.scales
        if not 0 < low <= 1 <= high or low == high:
            raise ConfigError(f"scales {low} {high}: 1 has to lie between them")
        shares = self.dense_per_step, self.close_per_step, self.scene_per_step
        if min(shares) < 0 or shares[0] < 1 or sum(shares[1:]) < 1:
            raise ConfigError(
                f"batch {' '.join(map(str, shares))}: a step needs a taught view, and a close-up or a "
                "scene"
            )
        if self.scene_per_step and not self.close_per_step and self.scenes is None:
            raise ConfigError("a step without close-ups needs scenes")
        if self.lr <= 0:
            raise ConfigError(f"lr {self.lr}: has to be above 0")


def train_detector(config: DetectorTraining, log: Callable[[str], None] = print) -> Path:
    """Run or resume a training and return the checkpoint (ultralytics format, EMA weights).

    ``out/state.pt`` resumes a run that was killed; ``out/best.pt`` is the model; both are replaced
    atomically every ``save_every_s`` seconds. Without room on the disk the earlier ones stay.

    Raises:
        ConfigError: when the start is no detector, a folder holds no photo, or one cannot be read.
        OutputError: when the last state cannot be written.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=2))
    model, checkpoint = load_detector(config.start)
    # the batches come in this order: else every convolution turns its weights round at each step
    model.to(memory_format=torch.channels_last).train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    ema = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99)
    )
    step, spent = 0, 0.0
    state_path = config.out / "state.pt"
    if state_path.is_file():
        state = torch.load(state_path, map_location="cpu", weights_only=False)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent_s"]
        log(f"resumed at step {step}, {spent / 60:.1f} min")
    bf16 = config.precision == "bf16" or (config.precision == "auto" and _bf16_is_faster(model))
    log(f"computing in {'bf16' if bf16 else 'fp32'}")
    stream = prefetched(batches(config, np.random.default_rng(config.seed + step)))
    box_loss = _box_criterion(model)
    strides = model.model[-1].stride
    begun, saved, recent = time.monotonic() - spent, time.monotonic(), []
    budget = config.minutes * 60

    def save() -> None:
        _save(config.out, checkpoint, model, ema, optimiser, step, time.monotonic() - begun)

    with closing(stream):
        while (elapsed := time.monotonic() - begun) < budget:
            rate = config.lr * _schedule(elapsed / budget, step, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            images, dense, boxes = next(stream)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                preds = model(images)
            split = len(dense)
            loss = dense_loss(_rows(preds, 0, split), dense, strides)
            if len(images) > split:
                labelled = _rows(preds, split, len(images))
                parts, _ = box_loss(labelled, boxes)
                loss = loss + config.box_weight * parts.sum() / (len(images) - split)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            step += 1
            _update_ema(ema, model, min(config.ema_decay, (1 + step) / (10 + step)))
            recent.append(float(loss.detach()))
            if step % 25 == 0:
                pace = (time.monotonic() - begun) / step
                log(
                    f"{elapsed / 60:6.1f} min step {step} loss {np.mean(recent):.3f} {pace:.2f} s/step"
                )
                recent.clear()
            if time.monotonic() - saved > config.save_every_s:
                try:
                    save()
                except OutputError as error:
                    # the earlier files stand, and there may be room again before the end
                    log(f"warning: {error}")
                saved = time.monotonic()
    save()
    return config.out / "best.pt"


def _schedule(progress: float, step: int, config: DetectorTraining) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    warm = min(1.0, (step + 1) / config.warm_up_steps)
    return warm * (config.final_lr_share + (1 - config.final_lr_share) * cosine)


def _bf16_is_faster(model: torch.nn.Module) -> bool:
    """Whether steps are faster in bfloat16: that depends on the CPU, either way."""
    trial = copy.deepcopy(model)  # a step moves the statistics of normalisation
    images = torch.rand(4, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    spent = {False: math.inf, True: math.inf}
    for bf16 in (False, True) * 3:
        begun = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            scores = trial(images)["scores"]
        scores.float().square().mean().backward()
        spent[bf16] = min(spent[bf16], time.perf_counter() - begun)
    return spent[True] < spent[False]


def _rows(preds: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    """The predictions of some pictures of a batch, in float32."""
    return {
        "boxes": preds["boxes"][start:stop].float(),
        "scores": preds["scores"][start:stop].float(),
        "feats": [f[start:stop] for f in preds["feats"]],
    }


def _box_criterion(model: Any) -> Any:
    from types import SimpleNamespace

    from ultralytics.utils.loss import v8DetectionLoss

    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
    return v8DetectionLoss(model)


def _update_ema(ema: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        fresh = model.state_dict()
        for name, value in ema.state_dict().items():
            if value.dtype.is_floating_point:
                value.mul_(decay).add_(fresh[name], alpha=1 - decay)
            else:
                value.copy_(fresh[name])


def _save(
    out: Path,
    checkpoint: dict[str, Any],
    model: torch.nn.Module,
    ema: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    spent_s: float,
) -> None:
    state = {
        "model": model.state_dict(),
        "ema": ema.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "spent_s": spent_s,
    }
    shared = {key: checkpoint.get(key) for key in ("train_args", "version", "license")}
    best = {"model": copy.deepcopy(ema).half(), "ema": None, "epoch": -1, **shared}
    for name, value in (("state.pt", state), ("best.pt", best)):
        save_checkpoint(out / name, value)
