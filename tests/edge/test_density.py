from __future__ import annotations

import math
import os
import time

import pytest

from edge.density import make_report
from edge.errors import InferenceError
from edge.exposition import parse_samples, quantile
from edge.processor_time import cpu_seconds, family

FIRST = """# HELP x y
shelf_edge_info{bundle="b+1",gallery="",provider="cpu",version="1"} 1.0
shelf_edge_slots{camera="a"} 120.0
shelf_edge_camera_frames_offered_total{camera="a"} 100.0
shelf_edge_frames_processed_total{camera="a"} 90.0
shelf_edge_frames_dropped_total{camera="a"} 10.0
shelf_edge_embeds_total{camera="a"} 130.0
shelf_edge_embeds_saved_total{camera="a"} 1000.0
shelf_edge_frame_age_seconds_bucket{camera="a",le="0.1"} 0.0
shelf_edge_frame_age_seconds_bucket{camera="a",le="0.5"} 0.0
shelf_edge_frame_age_seconds_bucket{camera="a",le="+Inf"} 90.0
shelf_edge_inference_up 1.0
"""
LAST = (
    FIRST.replace("total{camera=\"a\"} 100.0", "total{camera=\"a\"} 400.0")
    .replace('processed_total{camera="a"} 90.0', 'processed_total{camera="a"} 387.0')
    .replace('dropped_total{camera="a"} 10.0', 'dropped_total{camera="a"} 13.0')
    .replace('embeds_saved_total{camera="a"} 1000.0', 'embeds_saved_total{camera="a"} 11000.0')
    .replace('le="0.1"} 0.0', 'le="0.1"} 200.0')
    .replace('le="0.5"} 0.0', 'le="0.5"} 290.0')
    .replace('le="+Inf"} 90.0', 'le="+Inf"} 387.0')
)  # fmt: skip


def test_samples_are_read_by_metric_and_labels() -> None:
    samples = parse_samples(FIRST + "nonsense\n")
    assert samples["shelf_edge_inference_up"] == {"": 1.0}
    assert samples["shelf_edge_slots"] == {'camera="a"': 120.0}


def test_quantiles_are_of_what_came_between() -> None:
    ages = (parse_samples(FIRST), parse_samples(LAST), "shelf_edge_frame_age_seconds_bucket")
    assert quantile(*ages, 'camera="a"', 0.5) == 0.1
    assert quantile(*ages, 'camera="a"', 0.95) == 0.5
    assert quantile(*ages, 'camera="a"', 0.99) == math.inf
    assert quantile(*ages, 'camera="b"', 0.5) == math.inf


def test_the_report_is_of_what_came_between() -> None:
    cpu = {"supervisor": 0.01, "inference": 0.3, "capture": 0.09}
    report = make_report(parse_samples(FIRST), parse_samples(LAST), cpu, 5.0, 60.0)
    (camera,) = report.cameras
    assert (camera.offered, camera.processed, camera.dropped) == (300, 297, 3)
    assert (camera.share, camera.age_p95_s) == (0.99, 0.5)
    assert report.keeps_up
    assert (report.provider, report.bundle, report.facings) == ("cpu", "b+1", 120.0)
    assert report.embeds_saved_share == 1.0
    assert report.estimate == int(0.9 * report.cpus / 0.4)
    assert "1 cameras at 5 fps" in report.to_text()
    assert report.to_json()["keeps_up"] is True


def test_no_camera_is_an_error() -> None:
    with pytest.raises(InferenceError, match="no camera delivered"):
        make_report({}, {}, {}, 5.0, 60.0)


def test_processor_time_grows_with_work() -> None:
    before = cpu_seconds(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert cpu_seconds(os.getpid()) > before
    assert cpu_seconds(2**22 + 1) == 0.0
    assert family(2**22 + 1) == {}
