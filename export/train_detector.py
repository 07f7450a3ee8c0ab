"""Train the shelf detector: dense distillation on photos, boxes on close-ups and rendered scenes."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch

from export.dense import DenseTeacher, dense_loss, flip_dense
from export.views import (
    LabelledPhoto,
    View,
    cut_view,
    endless,
    jitter_colour,
    read_yolo_folder,
)

SIZE = 640


@dataclass(frozen=True, slots=True)
class DetectorTraining:
    """One run. Paths are absolute or relative to the working folder; times are wall-clock."""

    start: Path
    photos: Path
    teacher: Path
    out: Path
    scenes: Path | None = None
    minutes: float = 60.0
    dense_per_step: int = 5
    close_per_step: int = 2
    scene_per_step: int = 1
    new_views_per_step: int = 2
    pool: int = 2400
    lr: float = 1.2e-3
    warm_up_steps: int = 60
    final_lr_share: float = 0.02
    weight_decay: float = 0.01
    ema_decay: float = 0.998
    box_weight: float = 0.5
    threads: int = 2
    seed: int = 0
    save_every_s: float = 240.0


def train_detector(config: DetectorTraining, log: Callable[[str], None] = print) -> Path:
    """Run or resume a training and return the checkpoint (ultralytics format, EMA weights).

    ``out/state.pt`` resumes a run that was killed; ``out/best.pt`` is the model; both are replaced
    atomically every ``save_every_s`` seconds.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=2))
    checkpoint = torch.load(config.start, map_location="cpu", weights_only=False)
    model = (checkpoint.get("ema") or checkpoint["model"]).float().train()
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
    batches = _batches(config, np.random.default_rng(config.seed + step))
    box_loss = _box_criterion(model)
    strides = model.model[-1].stride
    begun, saved, recent = time.monotonic() - spent, time.monotonic(), []
    budget = config.minutes * 60
    while (elapsed := time.monotonic() - begun) < budget:
        rate = config.lr * _schedule(elapsed / budget, step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        images, dense, boxes = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16):
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
            log(f"{elapsed / 60:6.1f} min step {step} loss {np.mean(recent):.3f} {pace:.2f} s/step")
            recent.clear()
        if time.monotonic() - saved > config.save_every_s:
            _save(config.out, checkpoint, model, ema, optimiser, step, time.monotonic() - begun)
            saved = time.monotonic()
    _save(config.out, checkpoint, model, ema, optimiser, step, time.monotonic() - begun)
    return config.out / "best.pt"


def _schedule(progress: float, step: int, config: DetectorTraining) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    warm = min(1.0, (step + 1) / config.warm_up_steps)
    return warm * (config.final_lr_share + (1 - config.final_lr_share) * cosine)


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
        temporary = out / f".{name}.tmp"
        torch.save(value, temporary)
        os.replace(temporary, out / name)


def _batches(
    config: DetectorTraining, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]]:
    photos = read_yolo_folder(config.photos)
    scenes = read_yolo_folder(config.scenes) if config.scenes else []
    teacher = DenseTeacher(config.teacher, config.threads)
    stream, close_stream = endless(photos, rng), endless(photos, rng)
    scene_stream = endless(scenes, rng)
    pool: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]] = []
    while True:
        # a pool of taught views, renewed slowly: the teacher costs a third of a step otherwise
        fresh = config.new_views_per_step if len(pool) >= 64 else 16
        for _ in range(fresh):
            view = _photo_view(next(stream), rng, low=0.55, high=1.5)
            taught = (view.image, teacher(view.image))
            if len(pool) < config.pool:
                pool.append(taught)
            else:
                pool[int(rng.integers(len(pool)))] = taught
        images, dense = [], []
        for i in rng.integers(len(pool), size=config.dense_per_step):
            image, target = pool[int(i)]
            if rng.random() < 0.5:
                image, target = image[:, ::-1], flip_dense(target, SIZE)
            images.append(jitter_colour(image, rng))
            dense.append(target.astype(np.float32))
        views = [
            _photo_view(next(close_stream), rng, low=1.5, high=7.0)
            for _ in range(config.close_per_step)
        ]
        if scenes:
            views += [
                _photo_view(next(scene_stream), rng, low=0.7, high=3.0)
                for _ in range(config.scene_per_step)
            ]
        images += [jitter_colour(view.image, rng) for view in views]
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255.0)
        yield (
            batch.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(np.stack(dense)),
            _box_batch(views),
        )


def _photo_view(photo: LabelledPhoto, rng: np.random.Generator, *, low: float, high: float) -> View:
    """A view whose scale puts the photo's long side at ``low`` to ``high`` times the input size."""
    factor = math.exp(rng.uniform(math.log(low), math.log(high)))
    scale = factor * SIZE / max(photo.size_wh)
    return cut_view(photo.image(), photo.xyxy, size=SIZE, scale=scale, rng=rng)


def _box_batch(views: list[View]) -> dict[str, torch.Tensor]:
    index = np.concatenate([np.full(len(v.xyxy), i) for i, v in enumerate(views)])
    xyxy = np.concatenate([v.xyxy for v in views]) / SIZE
    xywh = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    return {
        "batch_idx": torch.from_numpy(index.astype(np.float32)),
        "cls": torch.zeros(len(index), 1),
        "bboxes": torch.from_numpy(xywh.astype(np.float32)),
    }
