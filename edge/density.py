"""What a device made of several cameras: the figures of ``edge bench --cameras``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from edge.errors import InferenceError
from edge.exposition import Samples, quantile

ENOUGH_SHARE = 0.95
"""Of the offered frames of every camera, from which a device keeps up."""
ENOUGH_AGE_S = 1.0
"""Of the 95th percentile of frame age, up to which it does."""


@dataclass(frozen=True, slots=True)
class CameraShare:
    """One camera: frames offered at the target rate, processed, overtaken, and ages in seconds.

    Ages are upper bounds of histogram buckets.
    """

    camera: str
    offered: int
    processed: int
    dropped: int
    share: float
    age_p50_s: float
    age_p95_s: float


@dataclass(frozen=True, slots=True)
class DensityReport:
    """What ``cameras`` at ``fps`` took on ``cpus`` processors over ``seconds``.

    ``cpu`` is processors in use by part; ``estimate`` how many such cameras fit, from the time that
    each took; ``keeps_up`` whether these did.
    """

    cameras: tuple[CameraShare, ...]
    fps: float
    seconds: float
    cpus: int
    cpu: dict[str, float]
    facings: float
    embeds_saved_share: float
    provider: str
    bundle: str
    inference_resident_mb: float
    keeps_up: bool
    estimate: int

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)

    def to_text(self) -> str:
        """For people."""
        lines = [
            f"{c.camera}: {c.processed} of {c.offered} frames ({c.share:.1%}), {c.dropped} dropped,"
            f" age p50 <= {c.age_p50_s:g} s, p95 <= {c.age_p95_s:g} s"
            for c in self.cameras
        ]
        used = ", ".join(f"{k} {v:.2f}" for k, v in self.cpu.items())
        verdict = "keeps up" if self.keeps_up else "does NOT keep up"
        lines.append(
            f"{len(self.cameras)} cameras at {self.fps:g} fps, {self.facings:.0f} facings, on"
            f" {self.cpus} CPUs ({self.provider}): {verdict}; CPUs in use: {used}"
        )
        lines.append(
            f"facings that kept their answer: {self.embeds_saved_share:.2%}; about"
            f" {self.estimate} such cameras fit on this device"
        )
        return "\n".join(lines)


def make_report(
    first: Samples, last: Samples, cpu: dict[str, float], fps: float, seconds: float
) -> DensityReport:
    """What happened between two readings of the metrics.

    Raises:
        InferenceError: no camera delivered frames.
    """

    def gained(metric: str, labels: str) -> float:
        return last.get(metric, {}).get(labels, 0.0) - first.get(metric, {}).get(labels, 0.0)

    shares = []
    for labels in sorted(last.get("shelf_edge_frames_processed_total", {})):
        offered = gained("shelf_edge_camera_frames_offered_total", labels)
        processed = gained("shelf_edge_frames_processed_total", labels)
        dropped = gained("shelf_edge_frames_dropped_total", labels)
        ages = (first, last, "shelf_edge_frame_age_seconds_bucket", labels)
        shares.append(
            CameraShare(
                labels.partition('"')[2].rstrip('"'),
                int(offered),
                int(processed),
                int(dropped),
                # the capture's own counter is read at another moment: it would blur the share
                round(processed / (processed + dropped), 4) if processed else 0.0,
                quantile(*ages, 0.5),
                quantile(*ages, 0.95),
            )
        )
    if not shares:
        raise InferenceError("no camera delivered frames")
    saved = sum(gained("shelf_edge_embeds_saved_total", k) for k in _labels(last))
    made = sum(gained("shelf_edge_embeds_total", k) for k in _labels(last))
    about = next(iter(last.get("shelf_edge_info", {"": 1.0})))
    cpus = len(os.sched_getaffinity(0))
    each = sum(cpu.values()) / len(shares)
    return DensityReport(
        cameras=tuple(shares),
        fps=fps,
        seconds=round(seconds, 1),
        cpus=cpus,
        cpu=cpu,
        facings=sum(last.get("shelf_edge_slots", {}).values()),
        embeds_saved_share=round(saved / (saved + made), 4) if saved + made else 0.0,
        provider=_label(about, "provider"),
        bundle=_label(about, "bundle"),
        inference_resident_mb=round(
            last.get("shelf_edge_resident_bytes", {}).get('process="inference"', 0.0) / 1e6, 1
        ),
        keeps_up=all(s.share >= ENOUGH_SHARE and s.age_p95_s <= ENOUGH_AGE_S for s in shares),
        estimate=int(0.9 * cpus / each) if each else 0,
    )


def _labels(samples: Samples) -> list[str]:
    return sorted(samples.get("shelf_edge_frames_processed_total", {}))


def _label(labels: str, name: str) -> str:
    return labels.partition(f'{name}="')[2].partition('"')[0]
