"""What may go wrong in a store, done to the real process."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.edge.daemon.brokers import Broker, Listener, until
from tests.edge.daemon.disks import fill, small_disk
from tests.edge.daemon.running import Daemon, check_numbers, in_outbox, shelf_clip

pytest.importorskip("onnx")


@pytest.fixture
def daemon(tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path) -> Iterator[Daemon]:
    clip = shelf_clip(tmp_path / "a.avi", 30, 30)
    made = Daemon(tmp_path, tiny_bundle, {"a": clip}, gallery=tiny_gallery)
    yield made
    made.kill()


def kill_at_random(daemon: Daemon, times: int) -> None:
    """Kill capture, inference or everything, again and again, and see it recover."""
    rng = random.Random(11)
    daemon.start()
    for count in range(times):
        victim = ("inference", "capture", "daemon")[count % 3]
        time.sleep(rng.uniform(0.0, 1.5))
        if victim == "daemon":
            children = daemon.children()
            daemon.signal(signal.SIGKILL)
            daemon.wait()
            # the kernel ends the children with their parent
            time.sleep(0.5)
            assert not [name for name, pid in children.items() if _alive(pid)]
            daemon.start()
        else:
            kill_child(daemon, victim)
        until(lambda: daemon.get("/readyz")[0] == 200, 40)
    seen = len(daemon.events("change"))
    until(lambda: len(daemon.events("change")) > seen, 40)
    assert daemon.stop() == 0
    assert in_outbox(daemon) == []
    check_numbers(daemon)
    assert "killed by signal" in daemon.log.read_text() or times < 2


def kill_child(daemon: Daemon, name: str) -> None:
    """Kill a child when it is there, and wait for the next one."""
    pid = until(lambda: daemon.children().get(name))
    os.kill(pid, signal.SIGKILL)
    until(lambda: daemon.children().get(name, pid) != pid, 20)


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_kill_9_of_capture_inference_and_all_loses_nothing(daemon: Daemon) -> None:
    kill_at_random(daemon, 3)


@pytest.mark.soak
def test_kill_9_a_hundred_times_loses_nothing(daemon: Daemon) -> None:
    kill_at_random(daemon, 100)


def test_a_restart_repeats_nothing_and_reports_once_what_changed_meanwhile(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path
) -> None:
    clip = shelf_clip(tmp_path / "a.avi", 30)
    daemon = Daemon(tmp_path, tiny_bundle, {"a": clip}, gallery=tiny_gallery)
    try:
        daemon.start()
        until(lambda: daemon.events("inventory"))
        time.sleep(1.0)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert daemon.changes() == []
        shelf_clip(clip, 0, 30)
        daemon.start()
        until(lambda: daemon.changes())
        time.sleep(1.0)
        assert daemon.stop() == 0
        daemon.start()
        time.sleep(2.0)
        assert daemon.stop() == 0
        assert daemon.changes().count(("taken", "red", None)) == 1
        check_numbers(daemon)
    finally:
        daemon.kill()


def test_inference_that_hangs_is_killed_and_started_again(daemon: Daemon) -> None:
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("[supervision]", "[supervision]\nprogress_s = 4.0"))
    daemon.start()
    pid = daemon.children()["inference"]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: daemon.children().get("inference", pid) != pid, 20)
    until(lambda: daemon.get("/readyz")[0] == 200, 30)
    assert "no progress of inference" in daemon.log.read_text()


@contextmanager
def on_a_small_disk(
    folder: Path, bundle: Path, gallery: Path, clip: Path
) -> Iterator[tuple[Daemon, Path]]:
    """A daemon with one camera whose state lies on a disk of three megabytes, and that disk."""
    with small_disk(folder / "disk", "3m") as disk:
        daemon = Daemon(folder, bundle, {"a": clip}, gallery=gallery, state_dir=disk / "state")
        try:
            yield daemon, disk
        finally:
            daemon.kill()


def test_a_full_disk_is_survived_and_counted(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path
) -> None:
    clip = shelf_clip(tmp_path / "a.avi", 30, 30)
    with on_a_small_disk(tmp_path, tiny_bundle, tiny_gallery, clip) as (daemon, disk):
        daemon.start()
        until(lambda: daemon.changes())
        # a write-ahead log that was large once hides a full disk for a while
        filler = fill(disk)
        until(lambda: "the disk takes nothing" in "".join(daemon.told), 40)
        fill(disk)
        assert daemon.get("/healthz")[0] == 200
        time.sleep(2.0)
        filler.unlink()
        until(lambda: daemon.metric("shelf_edge_events_in_memory") == 0, 20)
        told = len(daemon.events("change"))
        until(lambda: len(daemon.events("change")) > told, 20)
        assert daemon.stop() == 0
        check_numbers(daemon)


def test_a_disk_that_is_full_at_the_start_ends_it_with_the_reason(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path
) -> None:
    """systemd tries again, and does so for ever: see the unit."""
    clip = shelf_clip(tmp_path / "a.avi", 30)
    with on_a_small_disk(tmp_path, tiny_bundle, tiny_gallery, clip) as (daemon, disk):
        daemon.state_dir.mkdir()
        filler = fill(disk)
        daemon.start(wait=False)
        assert daemon.wait(60) == 1
        assert "outbox.db" in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()
        filler.unlink()
        daemon.start()
        until(lambda: daemon.events("inventory"), 30)
        assert daemon.stop() == 0


def test_a_reload_on_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path
) -> None:
    clip = shelf_clip(tmp_path / "a.avi", 30, 30)
    with on_a_small_disk(tmp_path, tiny_bundle, tiny_gallery, clip) as (daemon, disk):
        daemon.start()
        until(lambda: daemon.changes())
        filler = fill(disk)
        until(lambda: "the disk takes nothing" in "".join(daemon.told), 40)
        fill(disk)
        good = daemon.config.read_text()
        daemon.config.write_text(good + '\n[sinks.webhook]\nurl = "http://127.0.0.1:9/"\n')
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.told.count("READY=1") == 2)
        assert "configuration not taken over" in daemon.log.read_text()
        filler.unlink()
        until(lambda: daemon.metric("shelf_edge_events_in_memory") == 0, 20)
        seen = len(daemon.events())
        until(lambda: len(daemon.events()) > seen, 20)
        assert daemon.stop() == 0
        check_numbers(daemon)


def test_events_reach_a_broker_over_its_absence(
    tmp_path: Path, tiny_bundle: Path, tiny_gallery: Path
) -> None:
    broker = Broker(tmp_path).start()
    listener = Listener(broker.port)
    secret = tmp_path / "password"
    secret.write_text("s3cret-w0rd\n")
    secret.chmod(0o600)
    sinks = (
        f'[sinks.mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\nusername = "u"\n'
        f'password = {{ file = "{secret}" }}\ndiscovery = "homeassistant"\n'
    )
    clip = shelf_clip(tmp_path / "a.avi", 20, 20)
    daemon = Daemon(tmp_path, tiny_bundle, {"a": clip}, gallery=tiny_gallery, sinks=sinks)
    try:
        daemon.start()
        until(lambda: listener.events("/a/change"), 30)
        broker.stop(kill=True)
        until(lambda: daemon.metric("shelf_edge_sink_up") == 0, 20)
        until(lambda: daemon.metric("shelf_edge_outbox_events") > 10, 20)
        broker.start()
        assert listener.subscribed.wait(20)
        until(lambda: daemon.metric("shelf_edge_sink_up") == 1, 60)
        until(lambda: daemon.metric("shelf_edge_outbox_events") < 5, 60)
        assert daemon.metric("shelf_edge_outbox_dropped_total") == 0
        daemon.stop()
        until(lambda: listener.messages[-1][:2] == ("shelf-edge/dev/status", b"offline"))
        numbers = [e["data"]["number"] for e in listener.events("/a/change")]
        distinct = list(dict.fromkeys(numbers))
        assert distinct == sorted(distinct)
        topics = {topic for topic, _, _ in listener.messages}
        assert {"shelf-edge/dev/a/inventory", "shelf-edge/dev/a/health"} <= topics
        assert "homeassistant/sensor/shelf_edge_dev_a/facings/config" in topics
        assert "s3cret-w0rd" not in daemon.log.read_text()
        assert "s3cret-w0rd" not in json.dumps([str(m) for m in listener.messages])
    finally:
        daemon.kill()
        listener.close()
        broker.stop()


# ---------------------------------------------------------------------------------------- reload


def test_a_camera_is_added_and_removed_without_a_restart(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    until(lambda: daemon.events("inventory"))
    children = daemon.children()
    daemon.write({"a": tmp_path / "a.avi", "b": shelf_clip(tmp_path / "b.avi")})
    daemon.signal(signal.SIGHUP)
    until(lambda: [e for e in daemon.events("inventory") if e["camera"] == "b"], 30)
    assert daemon.children()["inference"] == children["inference"]
    assert daemon.told.count("RELOADING=1") == 1
    until(lambda: daemon.told.count("READY=1") == 2)
    daemon.write({"b": tmp_path / "b.avi"})
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 3)
    until(lambda: 'camera_state{camera="a"' not in daemon.get("/metrics")[1])


def test_a_wrong_configuration_changes_nothing(daemon: Daemon) -> None:
    daemon.start()
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("fps = ", "fsp = "))
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 2)
    assert "unknown key, did you mean fps?" in daemon.log.read_text()
    frames = daemon.metric("shelf_edge_frames_processed_total")
    until(lambda: daemon.metric("shelf_edge_frames_processed_total") > frames)


def test_gallery_and_bundle_are_swapped_without_losing_a_frame(
    daemon: Daemon, tmp_path: Path, tiny_fronts: Path, tiny_bundle: Path
) -> None:
    from edge.enrolment import build_from_folder

    gallery = tmp_path / "own.db"
    fronts = tmp_path / "fronts"
    shutil.copytree(tiny_fronts, fronts)
    shutil.rmtree(fronts / "yellow")
    (fronts / "skus.csv").unlink()
    build_from_folder(fronts, gallery, bundle=tiny_bundle, provider="cpu")
    daemon.write({"a": shelf_clip(tmp_path / "a.avi")}, gallery=gallery)
    daemon.start()
    until(lambda: daemon.events("inventory"))
    assert daemon.events("inventory")[-1]["data"]["unknown"] == 2
    pid = daemon.children()["inference"]
    # newly enrolled products are found without a reload
    shutil.copytree(tiny_fronts / "yellow", fronts / "yellow")
    build_from_folder(fronts, gallery, bundle=tiny_bundle, provider="cpu")
    until(lambda: daemon.events("inventory")[-1]["data"]["skus"] == 4, 30)
    # and told of the facings that were embedded before, without embedding them again
    until(lambda: daemon.events("inventory")[-1]["data"]["unknown"] == 1, 30)
    # another bundle needs one
    other = tmp_path / "other-bundle"
    shutil.copytree(tiny_bundle, other)
    _rename_bundle(other)
    daemon.write({"a": tmp_path / "a.avi"}, gallery=gallery, bundle=other)
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 2, 30)
    until(lambda: daemon.events("inventory")[-1]["data"]["bundle"].startswith("renamed-"), 20)
    # a bundle that is broken is not taken, and the good one goes on
    broken = tmp_path / "broken-bundle"
    shutil.copytree(tiny_bundle, broken)
    (broken / "tower.onnx").write_bytes(b"x")
    daemon.write({"a": tmp_path / "a.avi"}, gallery=gallery, bundle=broken)
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 3, 30)
    assert "altered" in daemon.log.read_text()
    assert daemon.events("inventory")[-1]["data"]["bundle"].startswith("renamed-")
    assert daemon.children()["inference"] == pid
    text = daemon.get("/metrics")[1]
    assert 'shelf_edge_frame_errors_total{camera="a"} 0.0' in text


def _rename_bundle(folder: Path) -> None:
    manifest = folder / "manifest.json"
    data = json.loads(manifest.read_text())
    data["name"] = "renamed"
    manifest.write_text(json.dumps(data))


# ------------------------------------------------------------------------------------ bad starts


def test_a_wrong_configuration_is_exit_status_2(daemon: Daemon) -> None:
    daemon.config.write_text('[device]\nidd = "x"\n')
    daemon.start(wait=False)
    assert daemon.wait(30) == 2
    assert "device.idd: unknown key, did you mean id?" in daemon.log.read_text()


def test_a_bundle_that_cannot_be_used_ends_the_start_with_its_reason(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.write({"a": tmp_path / "a.avi"}, bundle=tmp_path / "nothing")
    daemon.start(wait=False)
    assert daemon.wait(60) == 1
    assert "no such bundle folder" in daemon.log.read_text()


def test_engines_are_built_by_a_process_of_their_own_while_systemd_waits(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Here the build fails at once, since there is no TensorRT: what counts is who does it."""
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('provider = "cpu"', 'provider = "tensorrt"'))
    daemon.start(wait=False)
    assert daemon.wait(60) == 1
    log = daemon.log.read_text()
    assert 'message="building engines failed" exit_status=1' in log
    assert "provider tensorrt is not in the installed onnxruntime" in log
    assert "EXTEND_TIMEOUT_USEC=60000000" in daemon.told
    assert "READY=1" not in daemon.told


def test_other_sinks_are_taken_over_and_wrong_ones_are_not(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    until(lambda: daemon.events("inventory"))
    good = daemon.config.read_text()
    wrong = '\n[sinks.mqtt]\nhost = "localhost"\ntls = true\nca_file = "/none.pem"\n'
    daemon.config.write_text(good + wrong)
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 2)
    assert "sinks: " in daemon.log.read_text()
    other = tmp_path / "other.jsonl"
    daemon.config.write_text(good.replace("events.jsonl", "other.jsonl"))
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.told.count("READY=1") == 3)
    until(lambda: other.exists() and other.stat().st_size)
    seen = len(daemon.events())
    time.sleep(1.5)
    assert len(daemon.events()) == seen
