"""Prometheus metrics, made from what the supervisor knows at the moment of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from edge.camera.health import CameraHealth, CameraState
from edge.daemon.cameras import Cameras
from edge.daemon.committer import Committer
from edge.daemon.delivery import Delivery
from edge.daemon.device import DeviceState, temperatures_c, version
from edge.daemon.figures import AGE_BUCKETS_S
from edge.daemon.keeper import InferenceKeeper
from edge.daemon.outbox import Outbox
from edge.daemon.process_figures import figures_of
from edge.errors import OutputError

_LANE = (
    ("processed", "frames_processed", "Frames that were processed"),
    ("dropped", "frames_dropped", "Frames that newer ones overtook before they were processed"),
    ("errors", "frame_errors", "Frames that failed"),
    ("detector_runs", "detector_runs", "Frames that the detector saw"),
    ("embedded", "embeds", "Crops that were embedded"),
    ("spared", "embeds_saved", "Facings that kept their answer without being embedded"),
    ("postponed", "embeds_postponed", "Changed facings that waited to be embedded"),
    ("changes", "changes", "Changes that were reported"),
)
_CAMERA = (
    ("received", "camera_frames_received", "Frames that a camera sent"),
    ("handed_on", "camera_frames_offered", "Frames at the target rate"),
    ("withheld", "camera_frames_withheld", "Frames withheld as black, grey or frozen"),
    ("failures", "camera_failures", "Capture processes that failed"),
)


class Figures:
    """The latest state, replaced as a whole by the main thread and read by that of the server."""

    def __init__(self, outbox: Path) -> None:
        self.outbox = outbox
        self.status: Mapping[str, Any] = {}
        self.info: Mapping[str, Any] = {}
        self.health: Mapping[str, CameraHealth] = {}
        self.deliveries: Sequence[Delivery] = ()
        self.starts = 0
        self.is_up = False
        self.state = "starting"
        self.in_memory = 0
        self.lost_in_memory = 0
        self.pid: int | None = None

    def update(
        self,
        keeper: InferenceKeeper,
        cameras: Cameras,
        deliveries: Sequence[Delivery],
        committer: Committer,
        state: DeviceState,
    ) -> None:
        """Take over how things are now."""
        self.status, self.info = keeper.status, keeper.info
        self.health, self.deliveries = dict(cameras.health), tuple(deliveries)
        self.starts, self.is_up, self.pid = keeper.starts, keeper.phase == "ready", keeper.pid
        self.state = state.state
        self.in_memory = committer.depth + int(keeper.status.get("in_memory", 0))
        self.lost_in_memory = committer.dropped + int(keeper.status.get("lost_in_memory", 0))


def render(figures: Figures) -> tuple[bytes, str]:
    """The text of /metrics and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(figures))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Once(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from _device(self._figures)
        yield from _cameras(self._figures)
        yield from _lanes(self._figures)
        yield from _outbox(self._figures)


def _device(figures: Figures) -> Iterator[Metric]:
    labels = ["version", "provider", "bundle", "gallery"]
    info = GaugeMetricFamily("shelf_edge_info", "What runs here", labels=labels)
    known = [str(figures.info.get(key) or "") for key in labels[1:]]
    info.add_metric([version(), *known], 1)
    yield info
    yield GaugeMetricFamily(
        "shelf_edge_inference_up", "Models are loaded and at work", float(figures.is_up)
    )
    yield GaugeMetricFamily(
        "shelf_edge_degraded", "Something is not as it should be", float(figures.state != "ok")
    )
    yield CounterMetricFamily(
        "shelf_edge_inference_starts", "Starts of the inference process", figures.starts
    )
    yield CounterMetricFamily(
        "shelf_edge_inferences",
        "Runs of the models, canaries included",
        float(figures.status.get("progress", 0)),
    )
    stages = CounterMetricFamily(
        "shelf_edge_stage_seconds", "Time spent by stage", labels=["stage"]
    )
    for stage, spent in figures.status.get("stages_ms", {}).items():
        stages.add_metric([stage], float(spent) / 1000.0)
    yield stages
    heat = GaugeMetricFamily(
        "shelf_edge_temperature_celsius", "Temperature by thermal zone", labels=["zone"]
    )
    for zone, value in temperatures_c().items():
        heat.add_metric([zone], value)
    yield heat
    for name, text in (
        ("resident_bytes", "Memory in use"),
        ("open_files", "Open file descriptors"),
        ("threads", "Threads"),
    ):
        family = GaugeMetricFamily(f"shelf_edge_{name}", text, labels=["process"])
        for process, pid in (("supervisor", None), ("inference", figures.pid)):
            values = figures_of(pid) if process == "supervisor" or pid is not None else None
            if values is not None:
                family.add_metric([process], values[name])
        yield family


def _cameras(figures: Figures) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "shelf_edge_camera_state", "1 for the state a camera is in", labels=["camera", "state"]
    )
    age = GaugeMetricFamily(
        "shelf_edge_camera_frame_age_seconds", "Age of the latest frame", labels=["camera"]
    )
    share = GaugeMetricFamily(
        "shelf_edge_camera_cpu_share", "Processor time over elapsed time", labels=["camera"]
    )
    for name, health in figures.health.items():
        for each in CameraState:
            state.add_metric([name, str(each)], float(health.state == each))
        if health.age_s is not None:
            age.add_metric([name], health.age_s)
        share.add_metric([name], health.cpu_share)
    yield from (state, age, share)
    for key, metric, text in _CAMERA:
        family = CounterMetricFamily(f"shelf_edge_{metric}", text, labels=["camera"])
        for name, health in figures.health.items():
            family.add_metric([name], getattr(health, key))
        yield family


def _lanes(figures: Figures) -> Iterator[Metric]:
    lanes = figures.status.get("cameras", {})
    for key, metric, text in _LANE:
        family = CounterMetricFamily(f"shelf_edge_{metric}", text, labels=["camera"])
        for name, values in lanes.items():
            family.add_metric([name], values[key])
        yield family
    for key, text in (("facings", "Facings in the last inventory"), ("slots", "Places known")):
        gauge = GaugeMetricFamily(f"shelf_edge_{key}", text, labels=["camera"])
        for name, values in lanes.items():
            gauge.add_metric([name], values[key])
        yield gauge
    ages = HistogramMetricFamily(
        "shelf_edge_frame_age_seconds", "Age of a frame when its result is there", labels=["camera"]
    )
    for name, values in lanes.items():
        seen, buckets = 0, []
        bounds = [*(str(b) for b in AGE_BUCKETS_S), "+Inf"]
        for bound, count in zip(bounds, values["age"]["counts"], strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        ages.add_metric([name], buckets, values["age"]["sum"])
    yield ages


def _outbox(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "shelf_edge_events_in_memory", "Events that are not on disk yet", figures.in_memory
    )
    yield CounterMetricFamily(
        "shelf_edge_events_lost_in_memory", "Events dropped before disk", figures.lost_in_memory
    )
    evidence = figures.status.get("evidence", {})
    yield GaugeMetricFamily(
        "shelf_edge_evidence_bytes", "Evidence on disk", evidence.get("bytes", 0)
    )
    up = GaugeMetricFamily("shelf_edge_sink_up", "Whether a sink takes events", labels=["sink"])
    sent = CounterMetricFamily("shelf_edge_sink_sent", "Acknowledged events", labels=["sink"])
    failures = CounterMetricFamily("shelf_edge_sink_failures", "Failed attempts", labels=["sink"])
    for delivery in figures.deliveries:
        name = [delivery.sink.name]
        up.add_metric(name, float(delivery.status.ok))
        sent.add_metric(name, delivery.status.sent)
        failures.add_metric(name, delivery.status.failures)
    yield from (up, sent, failures)
    try:
        with Outbox(figures.outbox) as outbox:
            (rows, size), backlog, lost = outbox.depth(), outbox.backlog(), outbox.counters()
    except OutputError:
        return
    yield GaugeMetricFamily("shelf_edge_outbox_events", "Events that wait", rows)
    yield GaugeMetricFamily("shelf_edge_outbox_bytes", "Bytes of events that wait", size)
    waiting = GaugeMetricFamily("shelf_edge_outbox_backlog", "Events to send", labels=["sink"])
    for sink, count in backlog.items():
        waiting.add_metric([sink], count)
    yield waiting
    dropped = CounterMetricFamily(
        "shelf_edge_outbox_dropped", "Events lost for a sink", labels=["sink", "why"]
    )
    for key, count in lost.items():
        what, sink, *kind = key.split(":")
        dropped.add_metric([sink, kind[0] if kind else what], count)
    yield dropped
