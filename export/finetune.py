"""Supervised metric learning of an image tower: configuration in, checkpoint and history out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import nn

from edge.atomic import make_folder, write_bytes, write_text
from edge.errors import ConfigError, OutputError
from edge.manifest import Preprocessing
from export.backbones import ImageTower, Provenance, load_tower
from export.embedding import torch_embed
from export.images import ImageCache
from export.joined import joined_tower
from export.losses import Objective
from export.parameters import begin, start_proxies
from export.sampling import BatchSampler, class_ids
from export.team import Team
from export.training_config import FinetuneConfig
from export.training_data import Batch, Loader, training_source
from export.training_plot import course
from export.training_state import Clock, Ema, load_checkpoint, save_checkpoint
from export.training_step import Trainer
from export.validation import measure, open_tasks

REPORT_S = 10.0
CHECKPOINT, BEST, START = "checkpoint.pt", "best.pt", "start.pt"
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """The finished run: averaged weights in `checkpoint`, one history row a measurement.

    Beside it stand `best.pt` (the best mean of the validation tasks) and `start.pt`.
    """

    checkpoint: Path
    history: tuple[dict[str, Any], ...]


def finetune(config: FinetuneConfig, report: Report = lambda row: None) -> FinetuneResult:
    """Runs or resumes `config`; `report` gets a row every few seconds and at each validation.

    Started by torchrun, its processes share each batch and train the same model as one would.
    Raises ConfigError for unusable data, models and checkpoints, OutputError when the last
    checkpoint cannot be written (an earlier one then still stands).
    """
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(config.seed)
    team = Team()
    try:
        run = _Run(config, report, team)
        run.resume()
        run.train()
    finally:
        team.disband()
    return FinetuneResult(run.file, tuple(run.history))


def load_finetuned(file: Path) -> tuple[ImageTower, Provenance]:
    """The tower with averaged weights out of a checkpoint of `finetune`, `soup` or `join`."""
    state = load_checkpoint(file)
    if state is not None and "joined" in state:
        return joined_tower(state, [tower_of(part) for part in state["joined"]])
    return tower_of(read_finetuned(file))


def read_finetuned(file: Path) -> dict[str, Any]:
    """A checkpoint with a run's `config` and averaged weights `ema`; ConfigError otherwise."""
    state = load_checkpoint(file)
    if state is None or "ema" not in state:
        raise ConfigError(f"{file}: no checkpoint of a fine-tuning run")
    return state


def tower_of(state: Mapping[str, Any]) -> tuple[ImageTower, Provenance]:
    """The tower with averaged weights of what `read_finetuned` gave."""
    tower, provenance = build(FinetuneConfig.model_validate_json(state["config"]))
    tower.load_state_dict(state["ema"])
    return tower.eval(), provenance


class _Run:
    def __init__(self, config: FinetuneConfig, report: Report, team: Team) -> None:
        self.config, self.team = config, team
        self.report = report if team.leads else lambda row: None
        self.file = config.out / CHECKPOINT
        self.history: list[dict[str, Any]] = []
        self.clock = Clock(config.steps, config.minutes)
        sources = [training_source(s) for s in config.sources]
        contrasted = [not s.proxies for s in config.sources]
        ordered = [s for s, last in zip(sources, contrasted, strict=True) if not last]
        classes = len(class_ids(ordered))
        ordered += [s for s, last in zip(sources, contrasted, strict=True) if last]
        self.sampler = BatchSampler(ordered, class_ids(ordered), config.seed)
        self.tasks = open_tasks(config.validation)
        self.losses: list[dict[str, Any]] = []
        tower, self.provenance = build(config)
        if not self.file.exists():
            begin(tower, ordered, config)
        if team.leads:
            make_folder(config.out)
            write_text(config.out / "config.json", config.model_dump_json(indent=1))
            if not self.file.exists():
                start = {"config": config.model_dump_json(), "ema": tower.state_dict()}
                save_checkpoint(config.out / START, start)
        self.tower = tower.to(team.device, memory_format=torch.channels_last)
        objective = Objective(config.dim, classes, config.loss).to(team.device)
        if team.leads and not self.file.exists():
            start_proxies(objective, self.tower, ordered, config)
        team.same_weights((self.tower, objective))
        self.trainer = Trainer(self.tower, objective, config, team)
        self.ema = Ema(self.tower, config.ema)

    def resume(self) -> None:
        """Takes over a checkpoint of the same run, where there is one."""
        state = load_checkpoint(self.file)
        if state is None:
            return
        try:
            self.trainer.load(state)
            self.ema.module.load_state_dict(state["ema"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ConfigError(f"{self.file}: of another run or shape: {error}") from error
        self.ema.updates = state["updates"]
        self.history, self.losses = state["history"], state.get("losses", [])
        self.clock.resume(state["step"], state["seconds"])

    def train(self) -> None:
        """Runs to the end, or to the point where validation no longer improves."""
        config, clock = self.config, self.clock
        clock.start()
        cache = ImageCache(config.cache_mb, config.cache_side)
        loader = Loader(
            lambda number: list(self.team.share(self.sampler.batch(number))),
            self._spec,
            cache,
            config.augment,
            workers=config.workers,
        )
        try:
            self._loop(loader)
        except ConfigError:
            # an unreadable picture, say: what was learnt so far is not lost with it
            self._save(last=False)
            raise
        if not self.team.leads:
            return
        if not self.history or self.history[-1]["step"] != clock.step:
            self.validate()
        self._save(last=True)
        write_bytes(config.out / "course.png", course(self.history, self.losses))

    def _loop(self, loader: Loader) -> None:
        config, clock, team = self.config, self.clock, self.team
        saved = validated = shown = time.monotonic()
        for batch in loader.batches(clock.step):
            # the leader's clock decides for all, so that no process steps alone
            progress = team.agree(clock.progress)
            if progress >= 1:
                break
            row = self._step(batch, progress)
            clock.step += 1
            now = time.monotonic()
            if now - shown > REPORT_S or clock.step == 1:
                shown = now
                self.losses.append(row)
                self.report({"kind": "step", **row})
            if team.agree(now - validated) > config.validate_minutes * 60:
                if team.agree(self.validate() if team.leads else 0.0):
                    break
                validated = time.monotonic()
            if now - saved > config.checkpoint_minutes * 60:
                self._save(last=False)
                saved = time.monotonic()

    def validate(self) -> bool:
        """Measures the averaged weights and keeps the best; true when it is time to stop."""
        embed = torch_embed(self.ema.module, bf16=self.config.precision == "bf16")
        measured = measure(self.tasks, embed, self.tower.preprocessing)
        row = {"step": self.clock.step, "seconds": round(self.clock.seconds), **measured}
        self.history.append(row)
        self.report({"kind": "validation", **row})
        means = [past.get("mean", 0.0) for past in self.history]
        if self.tasks and means[-1] >= max(means):
            state = {"config": self.config.model_dump_json(), "ema": self.ema.module.state_dict()}
            self._write(self.config.out / BEST, state, last=False)
        patience = self.config.patience
        since = len(means) - 1 - means.index(max(means))
        return bool(self.tasks) and patience is not None and since >= patience

    def _spec(self) -> Preprocessing:
        spec: Preprocessing = self.tower.preprocessing
        for step in self.config.sizes:
            if self.clock.progress >= step.progress:
                spec = spec.model_copy(update={"size": step.size})
        return spec

    def _step(self, batch: Batch, progress: float) -> dict[str, Any]:
        number = self.clock.step
        parts = self.trainer.step(batch.images, batch.labels, progress=progress, number=number)
        self.ema.update(self.tower)
        shown = {name: round(value, 3) for name, value in parts.items()}
        size = int(batch.images.shape[-1])
        return {"step": number, "progress": round(progress, 3), "size": size, **shown}

    def _save(self, *, last: bool) -> None:
        state = {
            "config": self.config.model_dump_json(),
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "updates": self.ema.updates,
            "history": self.history,
            "losses": self.losses,
            "ema": self.ema.module.state_dict(),
            **self.trainer.state(),
        }
        self._write(self.file, state, last=last)

    def _write(self, file: Path, state: dict[str, Any], *, last: bool) -> None:
        if not self.team.leads:
            return
        try:
            save_checkpoint(file, state)
        except OutputError as error:
            if last:
                raise
            self.report({"kind": "warning", "message": str(error)})


def build(config: FinetuneConfig) -> tuple[ImageTower, Provenance]:
    """The config's tower with its starting weights and a projection that nothing has set yet."""
    tower, provenance = load_tower(
        config.model, config.weights, size=config.size, resize=config.resize, antialias=False
    )
    size = tower.preprocessing.size
    with torch.inference_mode():
        width = int(tower.features(torch.zeros(1, 3, size, size)).shape[-1])
    tower.projection = nn.Linear(width, config.dim)
    return tower, provenance
