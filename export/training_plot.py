"""A run's course as a picture: losses by step and the validation measures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any


def course(history: Sequence[dict[str, Any]], losses: Sequence[dict[str, Any]]) -> bytes:
    """PNG bytes; rows as `finetune` reports them (validations, and steps with their losses)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    parts = [key for key in ("proxy", "contrast", "distil") if any(key in row for row in losses)]
    for part in parts:
        own = [row for row in losses if part in row]
        left.plot([row["step"] for row in own], [row[part] for row in own], label=part)
    left.set(xlabel="step", ylabel="loss")
    names = [key for key in (history[-1] if history else {}) if key not in ("step", "seconds")]
    for name in names:
        own = [row for row in history if name in row]
        right.plot([row["step"] for row in own], [row[name] for row in own], "o-", label=name)
    right.set(xlabel="step", ylabel="top-1", ylim=(0, 1))
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()
