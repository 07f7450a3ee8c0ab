"""Open-set splits as one summary, a table and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from export.intervals import interval
from export.open_set import Split

_MEANS = (
    "coverage", "precision", "fpir", "fnir", "unknown", "answered_right",
    "class_or_deeper", "class_or_deeper_right", "class_or_deeper_exact", "ece_sku",
)  # fmt: skip


def summarise(splits: Sequence[Split]) -> dict[str, Any]:
    """Means over the splits, the pooled precision with its interval, and each split's row.

    The pooled interval counts the queries of different splits as if they were different pictures, so
    that it is narrower than the spread of the splits, which stands beside it.
    """
    rows = [split.to_json() for split in splits]
    done = [row for row in rows if row.get("queries")]
    means = {key: _mean([row[key] for row in done]) for key in _MEANS}
    accepted = sum(row["accepted"] for row in done)
    right = sum(round((row["precision"] or 0.0) * row["accepted"]) for row in done)
    held = [
        row["precision"] >= row["target"]
        for row in done
        if row["precision"] is not None and row["target"] is not None
    ]
    return {
        "splits": len(rows),
        "certified": len(done),
        "targets": [row["target"] for row in rows],
        "mean": means,
        "pooled_precision": round(right / accepted, 4) if accepted else None,
        "pooled_precision_ci95": [round(v, 4) for v in interval(right, accepted)],
        "splits_at_or_above_target": sum(held),
        "levels_nearest": _by_level([row["levels_nearest"] for row in done]),
        "answered_at": _answered(done),
        "rows": rows,
    }


def _answered(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Mean share of the queries answered at each level, and how many of those are right, pooled."""
    names = list(dict.fromkeys(name for row in rows for name in row["answered_at"]))
    out = {}
    for name in names:
        parts = [(row["queries"], row["answered_at"][name]) for row in rows]
        counts = [queries * part["share"] for queries, part in parts]
        right = [
            count * (part["right"] or 0.0) for count, (_, part) in zip(counts, parts, strict=True)
        ]
        out[name] = {
            "share": _mean([part["share"] for _, part in parts]),
            "right": round(sum(right) / sum(counts), 4) if sum(counts) else None,
        }
    return out


def _by_level(rows: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _mean([row.get(name) for row in rows]) for name in names}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 4) if known else None
