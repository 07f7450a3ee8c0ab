"""Bundle and gallery by a site.json, which the daemon follows while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import parse_config
from edge.daemon.check import check_config
from edge.errors import ConfigError
from edge.site import switch_site
from tests.conftest import ROOT
from tests.edge.daemon.brokers import until
from tests.edge.daemon.running import Daemon, shelf_clip
from tests.factories import edit_manifest, tower_spec, write_bundle

pytest.importorskip("onnx")

KNOWN = {"blue": 1, "green": 1, "red": 2, "yellow": 1}
OTHER = "bb" * 16


@pytest.fixture
def site(tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path) -> Path:
    path = tmp_path / "site.json"
    switch_site(path, tiny_bundle, tiny_gallery)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A bundle of another tower."""
    bundle = write_bundle(tmp_path / "other", tower=tower_spec(fingerprint=OTHER))
    edit_manifest(bundle.path, lambda manifest: manifest.update(name="other"))
    return bundle.path


@pytest.fixture
def daemon(tmp_path: Path, tiny_bundle: Path, site: Path) -> Iterator[Daemon]:
    clip = shelf_clip(tmp_path / "a.avi")
    made = Daemon(tmp_path, tiny_bundle, {"a": clip})
    made.write({"a": clip}, site=site)
    yield made
    made.kill()


def edge(*words: str | Path) -> None:
    """Run the command as an operator does."""
    subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main()", *map(str, words)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def latest(daemon: Daemon) -> dict[str, Any]:
    data: dict[str, Any] = daemon.events("inventory")[-1]["data"]
    return data


def unaccounted(daemon: Daemon) -> float:
    """Frames that were handed on and neither processed nor counted as overtaken."""
    text = daemon.get("/metrics")[1]
    value = {
        line.partition("{")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("shelf_edge_") and 'camera="a"' in line
    }
    done = ("shelf_edge_frames_processed_total", "shelf_edge_frames_dropped_total")
    return value["shelf_edge_camera_frames_offered_total"] - sum(value[name] for name in done)


def test_a_switch_is_followed_without_losing_a_frame(
    daemon: Daemon, site: Path, other: Path, tiny_gallery: Path, tmp_path: Path
) -> None:
    daemon.start()
    until(lambda: daemon.events("inventory"))
    first = latest(daemon)
    assert first["facings"] == KNOWN
    pid = daemon.children()["inference"]
    # frames before inference was there, and what was on its way at the quietest of some moments
    before = unaccounted(daemon)
    for _ in range(40):
        time.sleep(0.05)
        before = min(before, unaccounted(daemon))
    # a new tower: its gallery is made beside the old one, then both are switched at once
    edge(
        *("gallery", "reembed", tiny_gallery, "--out", tmp_path / "new.db"),
        *("--bundle", other, "--site", site, "--provider", "cpu"),
    )
    until(lambda: latest(daemon)["bundle"].startswith("other-"), 30)
    seen = len(daemon.events("inventory"))
    until(lambda: len(daemon.events("inventory")) > seen + 1, 30)
    until(lambda: 'bundle="other-' in daemon.get("/metrics")[1])
    assert latest(daemon)["gallery"] != first["gallery"]
    # no picture was without its answer meanwhile, and other models are no change of the shelf
    assert [e["data"]["facings"] for e in daemon.events("inventory")] == [KNOWN] * len(
        daemon.events("inventory")
    )
    assert daemon.changes() == []
    assert daemon.children()["inference"] == pid
    assert daemon.metric("shelf_edge_frame_errors_total") == 0
    until(lambda: unaccounted(daemon) <= before + 1)
    # it is what a new process begins with
    assert daemon.stop() == 0
    daemon.start()
    seen = len(daemon.events("inventory"))
    until(lambda: len(daemon.events("inventory")) > seen)
    assert latest(daemon)["bundle"].startswith("other-")
    assert latest(daemon)["facings"] == KNOWN


def test_a_broken_switch_changes_nothing_and_is_told(
    daemon: Daemon, site: Path, other: Path, tiny_bundle: Path, tiny_gallery: Path, tmp_path: Path
) -> None:
    daemon.start()
    until(lambda: daemon.events("inventory"))
    good = site.read_bytes()
    pid = daemon.children()["inference"]
    site.write_text('{"format": 1, "bundle"')
    until(lambda: "models kept as they were" in daemon.get("/readyz")[1], 20)
    state = json.loads(daemon.get("/readyz")[1])
    assert (state["state"], daemon.get("/readyz")[0]) == ("degraded", 200)
    assert str(site) in state["reasons"][0]
    frames = daemon.metric("shelf_edge_frames_processed_total")
    until(lambda: daemon.metric("shelf_edge_frames_processed_total") > frames + 5)
    site.write_bytes(good)
    until(lambda: daemon.metric("shelf_edge_degraded") == 0, 20)
    # a bundle that was damaged after the switch
    edge(
        *("gallery", "reembed", tiny_gallery, "--out", tmp_path / "new.db"),
        *("--bundle", other, "--provider", "cpu"),
    )
    switch_site(tmp_path / "to-be.json", other, tmp_path / "new.db")
    (other / "tower.onnx").write_bytes(b"x")
    (tmp_path / "to-be.json").replace(site)
    until(lambda: "altered" in daemon.get("/readyz")[1], 20)
    time.sleep(1.2)
    assert latest(daemon)["bundle"].startswith("tiny-")
    assert latest(daemon)["facings"] == KNOWN
    site.unlink()
    until(lambda: "cannot be read" in daemon.get("/readyz")[1], 20)
    switch_site(site, tiny_bundle, tiny_gallery)
    until(lambda: daemon.metric("shelf_edge_degraded") == 0, 20)
    assert daemon.children()["inference"] == pid
    assert daemon.changes() == []


def test_a_start_without_a_good_site_says_why(daemon: Daemon, site: Path) -> None:
    site.unlink()
    daemon.start(wait=False)
    assert daemon.wait(60) == 1, "2 would tell systemd that it need not try again"
    assert f"{site}: cannot be read" in daemon.log.read_text()


def test_the_check_reads_the_site_too(daemon: Daemon, site: Path) -> None:
    assert check_config(daemon.config)[0].endswith("valid")
    site.write_text("{}")
    with pytest.raises(ConfigError, match=r"models\.site: .*site\.json: damaged"):
        check_config(daemon.config)


def test_site_stands_in_place_of_bundle_and_gallery() -> None:
    data = {
        "device": {"id": "d"},
        "models": {"site": "site.json", "gallery": "g.db"},
        "cameras": [{"id": "a", "url": "0"}],
        "sinks": {"jsonl": {"path": "x"}},
    }
    with pytest.raises(ConfigError, match="models: site names bundle and gallery: leave these two"):
        parse_config(data, "site.toml")
