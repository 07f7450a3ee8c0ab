"""Weights between runs: interpolation with the start and greedy soups, chosen on validation."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from edge.atomic import write_bytes, write_text
from edge.errors import ConfigError
from export.embedding import torch_embed
from export.finetune import START, build, read_finetuned
from export.training_config import FinetuneConfig
from export.training_state import save_checkpoint
from export.validation import measure, open_tasks
from export.weights import Chosen, State, greedy_soup, interpolate, wise_ft

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def choose_weights(
    runs: Sequence[Path],
    out: Path,
    *,
    start: Path | None = None,
    shares: Sequence[float] = SHARES,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[tuple[str, float], ...]:
    """Writes the best mixture of fine-tuned checkpoints to `out`, and the curve beside it.

    Several `runs` of one architecture are souped greedily, then the result is interpolated with
    `start` (by default the start.pt beside the first run). The measure is the mean of the first
    run's validation tasks. `out` is a checkpoint like theirs; the curve stands in the file of the
    same name with .json and .png. Returns (what, measure) in the order tried.

    Raises ConfigError for checkpoints that are missing, of different models, or without validation.
    """
    states, config = [], None
    for run in runs:
        state, its = _load(run)
        config = config or its
        states.append(state)
    if config is None:
        raise ConfigError("name at least one checkpoint")
    tasks = open_tasks(config.validation)
    if not tasks:
        raise ConfigError(f"{runs[0]}: its config has no validation to choose by")
    tower, _ = build(config)
    embed = torch_embed(tower.eval())

    def value(state: State) -> float:
        tower.load_state_dict(state)
        mean = measure(tasks, embed, tower.preprocessing)["mean"]
        report(f"mean of {len(tasks)} task(s): {mean:.4f}")
        return mean

    for state in states[1:]:
        interpolate(states[0], state, 0.0)  # different models are told before hours are spent
    soup = greedy_soup(states, value) if len(states) > 1 else Chosen(states[0], ())
    first = start if start is not None else runs[0].parent / START
    curve = soup.curve
    chosen = soup.state
    if first.is_file():
        mixed = wise_ft(_load(first)[0], soup.state, value, shares)
        curve, chosen = curve + mixed.curve, mixed.state
    elif start is not None or len(states) == 1:
        raise ConfigError(f"{first}: no such checkpoint to interpolate with")
    save_checkpoint(out, {"config": config.model_dump_json(), "ema": chosen})
    write_curve(out, runs, curve)
    return curve


def write_curve(out: Path, runs: Sequence[Path], curve: Sequence[tuple[str, float]]) -> None:
    """The curve beside the checkpoint `out`: .json with the runs it is of, .png as `curve_png`."""
    write_text(
        out.with_suffix(".json"), json.dumps({"runs": [str(r) for r in runs], "curve": curve})
    )
    write_bytes(out.with_suffix(".png"), curve_png(curve))


def curve_png(curve: Sequence[tuple[str, float]]) -> bytes:
    """PNG bytes: the measure of each mixture in the order tried, the best one marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 0.6 * len(curve), 3.5), layout="constrained")
    axes = figure.subplots()
    values = [value for _, value in curve]
    best = values.index(max(values))
    axes.plot(range(len(curve)), values, "o-")
    axes.plot([best], [values[best]], "o", markersize=11, fillstyle="none", color="black")
    axes.set_xticks(range(len(curve)), [name for name, _ in curve], rotation=60, ha="right")
    axes.set_ylabel("mean top-1 on validation")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def _load(file: Path) -> tuple[State, FinetuneConfig]:
    state = read_finetuned(file)
    weights: dict[str, Tensor] = state["ema"]
    return weights, FinetuneConfig.model_validate_json(state["config"])
