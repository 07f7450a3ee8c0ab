"""``results.jsonl``: one frame result a line, written here and read here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ConfigError
from edge.types import Candidate, Detections, FrameResult, Matches


def to_line(result: FrameResult) -> str:
    """A frame result as one line of JSON, without the line break.

    Boxes are rounded to 0.01 pixel, scores to 5 decimals, times to 0.001 ms. A number that is not
    finite (no neighbour, not calibrated) is null. Class ids are not kept.
    """
    width, height = result.size_wh
    matches = result.matches
    detections = [
        {
            "xyxy": [round(float(v), 2) for v in result.detections.xyxy[i]],
            "confidence": _number(result.detections.confidence[i]),
            "sku_id": matches.sku_id[i],
            "category": list(matches.category[i]),
            "similarity": _number(matches.similarity[i]),
            "margin": _number(matches.margin[i]),
            "probability": _number(matches.probability[i]),
            "top": [
                {"sku_id": candidate.sku_id, "similarity": _number(candidate.similarity)}
                for candidate in matches.top[i]
                if math.isfinite(candidate.similarity)
            ],
        }
        for i in range(len(result.detections))
    ]
    record = {
        "source": result.source,
        "index": result.index,
        "captured_at": result.captured_at.isoformat(timespec="microseconds"),
        "width": width,
        "height": height,
        "scale": result.scale,
        "provider": result.provider,
        "bundle_id": result.bundle_id,
        "gallery_version": result.gallery_version,
        "detections": detections,
        "timings_ms": {stage: round(float(ms), 3) for stage, ms in result.timings_ms.items()},
    }
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_line(line: str, where: str) -> FrameResult:
    """The frame result of one line; null is read as -inf (similarity) or NaN (the others).

    Args:
        line: as :func:`to_line` writes it; keys that are not known are left out.
        where: file and line number, for the error.

    Raises:
        ConfigError: not such a line; names ``where`` and what is wrong.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: not a line of JSON: {error}") from error
    try:
        return _result(record)
    except KeyError as error:
        raise ConfigError(f"{where}: no value for {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{where}: not a frame result: {error}") from error


def read_records(path: Path) -> Iterator[FrameResult]:
    """The frame results of a ``results.jsonl``, one at a time; ConfigError names file and line."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield from_line(line, f"{path}:{number}")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error


def _number(value: np.float32 | float) -> float | None:
    return round(float(value), 5) if math.isfinite(value) else None


def _result(record: Mapping[str, Any]) -> FrameResult:
    found = record["detections"]
    n = len(found)

    def column(key: str, missing: float) -> np.ndarray:
        values = [missing if d[key] is None else float(d[key]) for d in found]
        return np.array(values, np.float32)

    detections = Detections(
        np.array([d["xyxy"] for d in found], np.float32).reshape(n, 4),
        column("confidence", math.nan),
        np.zeros(n, np.int32),
    )
    matches = Matches(
        tuple(None if d["sku_id"] is None else str(d["sku_id"]) for d in found),
        tuple(tuple(str(level) for level in d["category"]) for d in found),
        column("similarity", -math.inf),
        column("margin", math.nan),
        column("probability", math.nan),
        tuple(
            tuple(Candidate(str(c["sku_id"]), float(c["similarity"])) for c in d["top"])
            for d in found
        ),
    )
    captured_at = datetime.fromisoformat(record["captured_at"])
    if captured_at.tzinfo is None:
        raise ValueError("captured_at has no time zone")
    return FrameResult(
        source=str(record["source"]),
        index=int(record["index"]),
        captured_at=captured_at,
        size_wh=(int(record["width"]), int(record["height"])),
        scale=str(record["scale"]),
        provider=str(record["provider"]),
        bundle_id=str(record["bundle_id"]),
        gallery_version=str(record["gallery_version"]),
        detections=detections,
        matches=matches,
        timings_ms={str(k): float(v) for k, v in record["timings_ms"].items()},
    )
