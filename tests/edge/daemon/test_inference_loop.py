from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.camera.source import read_image
from edge.daemon.metrics import Figures, render
from edge.daemon.process_figures import figures_of
from edge.daemon.runtime import Runtime
from edge.errors import BundleError, InferenceError, OutputError
from edge.pipeline import Models
from edge.shelf.slot_settings import SlotSettings
from edge.types import U8
from tests.edge.daemon.lanes import SLOTS, Bench, noisy
from tests.edge.daemon.running import EMPTIER
from tests.factories import COLOURS, SHELF, squares

pytest.importorskip("onnx")

FULL, LESS = squares(SHELF), squares(EMPTIER)


@pytest.fixture(scope="module")
def runtime(tiny_bundle: Path, tiny_gallery: Path) -> Runtime:
    return Runtime.open(Models.open(Bundle.load(tiny_bundle), provider="cpu"), tiny_gallery)


@pytest.fixture
def bench(tmp_path: Path, runtime: Runtime) -> Iterator[Bench]:
    bench = Bench(tmp_path, runtime)
    yield bench
    bench.close()


@pytest.fixture
def pair(tmp_path: Path, runtime: Runtime) -> Iterator[Bench]:
    bench = Bench(tmp_path, runtime, ("a", "b"))
    yield bench
    bench.close()


def settle(bench: Bench, picture: U8 = FULL, frames: int = 25) -> None:
    for n in range(frames):
        bench.show(dict.fromkeys(bench.names, noisy(picture, n)))


def changes(bench: Bench) -> list[tuple[str, str | None]]:
    told = [json.loads(p)["data"] for p in bench.events()]
    return [(d["change"], d.get("sku_before")) for d in told]


def mean_colour(bench: Bench, name: str) -> list[float]:
    """Red, green and blue of an evidence picture, on average."""
    return [float(v) for v in read_image(bench.folder / "evidence" / name).mean(axis=(0, 1))]


def test_a_shelf_is_learned_and_a_change_is_told_once(bench: Bench) -> None:
    settle(bench)
    assert changes(bench) == []
    settle(bench, LESS)
    assert changes(bench) == [("taken", "red")]
    (told,) = (json.loads(p)["data"]["evidence"] for p in bench.events())
    assert mean_colour(bench, told["before"])[0] > 150, "the red one stood there before"
    assert max(mean_colour(bench, told["after"])) < 60
    settle(bench, FULL)
    assert changes(bench) == [("taken", "red"), ("put_back", "red")]
    figures = bench.loop.lanes["a"].figures
    assert figures.processed == 75
    assert figures.spared > 10 * figures.embedded
    assert figures.detector_runs < 75 / 2


def test_changes_that_wait_for_another_frame_are_a_metric(tmp_path: Path, runtime: Runtime) -> None:
    bench = Bench(tmp_path, runtime, slots=SLOTS.model_copy(update={"suspects_max": 1}))
    try:
        settle(bench)
        assert bench.loop.lanes["a"].figures.postponed == 0
        settle(bench, squares(dict.fromkeys(SHELF, COLOURS["green"])))
        lane = bench.loop.lanes["a"].figures
        assert lane.postponed > 0
        figures = Figures(tmp_path / "outbox.db")
        figures.status = {"cameras": {"a": lane.to_json()}}
        told = f'shelf_edge_embeds_postponed_total{{camera="a"}} {float(lane.postponed)}'
        assert told in render(figures)[0].decode().splitlines()
    finally:
        bench.close()


def test_crops_of_all_cameras_share_batches(pair: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = pair.runtime.models.embedder
    calls: list[list[int]] = []
    whole = type(embedder).embed_many

    def counted(self: Any, frames: Any, watch: Any = None) -> Any:
        calls.append([len(xyxy) for _, xyxy in frames])
        return whole(self, frames, watch)

    monkeypatch.setattr(type(embedder), "embed_many", counted)
    settle(pair)
    assert [6, 6] in calls
    assert max(len(c) for c in calls) == 2


def test_the_scale_of_the_first_frame_is_kept_over_a_restart(bench: Bench) -> None:
    assert bench.loop.lanes["a"].scale is None
    settle(bench)
    chosen = bench.loop.lanes["a"].scale
    assert chosen is not None
    assert bench.loop.save()
    bench.start()
    assert bench.loop.lanes["a"].scale == chosen


def test_what_another_gallery_knows_is_asked_without_embedding_again(
    bench: Bench, runtime: Runtime
) -> None:
    settle(bench)
    embedded = bench.loop.lanes["a"].figures.embedded
    bench.loop.swap(Runtime(runtime.models))
    assert bench.loop.lanes["a"].memory.inventory() == {None: 6}
    bench.loop.swap(runtime)
    assert bench.loop.lanes["a"].memory.inventory()["red"] == 2
    assert bench.loop.lanes["a"].figures.embedded == embedded
    settle(bench)
    assert changes(bench) == [], "another gallery is no change of the shelf"


def test_frames_that_were_overtaken_are_counted(bench: Bench) -> None:
    bench.show({"a": FULL})
    for _ in range(4):
        bench.write("a", FULL)
    assert bench.loop.round()
    assert not bench.loop.round()
    figures = bench.loop.lanes["a"].figures
    assert (figures.processed, figures.dropped) == (2, 3)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumps_a_day_changes_nothing_but_the_date(bench: Bench, days: int) -> None:
    settle(bench)
    settle(bench, LESS)
    bench.hand.wall += timedelta(days=days)
    settle(bench, LESS)
    assert changes(bench) == [("taken", "red")], "a gap after a day that never passed"
    settle(bench, FULL)
    assert changes(bench) == [("taken", "red"), ("put_back", "red")]
    first, second = (json.loads(p) for p in bench.events())
    assert first["at"].startswith("2031-05-04T09:30")
    assert second["at"].startswith("2031-05-05T09:30" if days > 0 else "2031-05-03T09:30")


def test_a_gap_opens_by_the_time_that_really_passed(bench: Bench) -> None:
    settle(bench)
    settle(bench, LESS)
    for n in range(40):
        bench.show({"a": noisy(LESS, n)}, step_s=1.0)
    assert changes(bench) == [("taken", "red"), ("gap_opened", "red")]


def test_after_a_restart_nothing_is_repeated(bench: Bench) -> None:
    settle(bench)
    settle(bench, LESS)
    before = bench.events()
    assert bench.loop.save()
    bench.start()
    settle(bench, LESS)
    assert bench.events() == before


def test_what_was_not_committed_is_told_again_under_the_same_id(bench: Bench) -> None:
    """Killed between a change and its commit, the next process sees the same change again."""
    settle(bench)
    saved = bench.loop.lanes["a"].state()
    settle(bench, LESS)
    (first,) = bench.events()
    bench.outbox.acknowledge("x", bench.outbox.waiting("x", 9)[-1].seq)
    bench.outbox.commit({"a": saved}, [])
    bench.start()
    settle(bench, LESS)
    (second,) = bench.events()
    assert json.loads(first)["id"] == json.loads(second)["id"]


def test_a_disk_that_takes_nothing_delays_events_and_loses_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(bench)
    commit = bench.outbox.commit

    def full(*_: Any) -> int:
        raise OutputError("full")

    monkeypatch.setattr(bench.outbox, "commit", full)
    settle(bench, LESS)
    assert bench.loop.committer.depth == 1
    monkeypatch.setattr(bench.outbox, "commit", commit)
    assert bench.loop.save()
    assert changes(bench) == [("taken", "red")]


def test_trouble_with_one_camera_is_not_that_of_the_others(
    pair: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no such colour")

    monkeypatch.setattr(pair.loop.lanes["a"].fixed, "look", broken)
    settle(pair, frames=5)
    assert pair.loop.lanes["a"].figures.errors == 5
    assert pair.loop.lanes["b"].figures.processed == 5


def test_models_that_fail_again_and_again_are_worth_a_new_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise InferenceError("the GPU has fallen off the bus")

    monkeypatch.setattr(bench.loop.lanes["a"].fixed, "look", broken)
    for _ in range(4):
        bench.show({"a": FULL})
    with pytest.raises(InferenceError, match="fallen off the bus"):
        bench.show({"a": FULL})


def test_without_work_the_canary_is_progress(bench: Bench) -> None:
    before = bench.loop.progress
    bench.loop.idle_canary(10.0)
    assert bench.loop.progress == before
    bench.hand.tick(11.0)
    bench.loop.idle_canary(10.0)
    assert bench.loop.progress == before + 1


def test_a_canary_that_fails_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> None:
        raise BundleError("canary: embeddings have collapsed")

    monkeypatch.setattr("edge.daemon.runtime.canary.check", wrong)
    bench.hand.tick(100.0)
    with pytest.raises(BundleError, match="collapsed"):
        bench.loop.idle_canary(10.0)


def test_no_evidence_shows_who_stands_in_front(bench: Bench) -> None:
    """The picture before a change is one in which nothing hid the shelf."""
    settle(bench)
    somebody = FULL.copy()
    somebody[40:, 60:200] = (90, 60, 40)
    for n in range(12):
        bench.show({"a": noisy(somebody, n)})
    before = bench.loop.lanes["a"]._before
    assert before is not None
    assert np.abs(before.astype(int) - FULL).max() <= 3


def test_an_inventory_comes_at_its_interval_and_after_changes(
    tmp_path: Path, runtime: Runtime
) -> None:
    bench = Bench(tmp_path, runtime, inventory_s=20.0)
    for n in range(150):
        bench.show({"a": noisy(FULL if n < 110 else LESS, n)})
    told = [json.loads(p) for p in bench.events("inventory")]
    bench.close()
    assert [t["data"]["known"] for t in told] == [5, 5, 4]
    assert len({t["id"] for t in told}) == 3


# ------------------------------------------------------------------------------------------ soak


def run_flat(bench: Bench, frames: int, pictures: list[U8]) -> None:
    """Memory of the last quarter is that of the second; files and threads are never more again than
    they were after the first.

    Nothing here opens a file or starts a thread after the first frames: the database, its log and
    index, the camera's shared memory and the runtime's pool are there from then on. (Counts that
    came and went, 23 and 7 against 25 and 10, were ONNX Runtime's reports to its maker: see above.)
    Every thousandth frame shows a change for a while, events are taken away like a sink does.
    """
    quarters: list[list[float]] = [[], [], [], []]
    shape: list[tuple[float, float]] = []
    for n in range(frames):
        bench.show({"a": pictures[n % len(pictures)]})
        if n % 200 == 0:
            waiting = bench.outbox.waiting("x", 1000)
            if waiting:
                bench.outbox.acknowledge("x", waiting[-1].seq)
            if n % 1000 == 0:
                gc.collect()
            figures = figures_of()
            assert figures is not None
            quarters[4 * n // frames].append(figures["resident_bytes"])
            if n >= frames // 4:
                shape.append((figures["open_files"], figures["threads"]))
    second, last = (float(np.median(quarters[i])) for i in (1, 3))
    assert last <= 1.03 * second, f"{second / 1e6:.1f} MB became {last / 1e6:.1f} MB"
    for kind, counts in zip(("files", "threads"), zip(*shape, strict=True), strict=True):
        assert max(counts) <= counts[0], f"{counts[0]:.0f} open {kind} became {max(counts):.0f}"
    assert bench.loop.lanes["a"].figures.processed == frames
    assert bench.loop.lanes["a"].figures.errors == 0


def shelf_days(full: U8, less: U8) -> list[U8]:
    """A thousand pictures with noise; in the last two hundred something is missing."""
    return [noisy(full if n < 800 else less, n) for n in range(1000)]


def small_settings() -> SlotSettings:
    return SlotSettings(calm_s=0.3, votes=1, detect_s=60.0, compare_width_px=64)


def test_a_day_in_small_is_flat(tmp_path: Path, runtime: Runtime) -> None:
    small = shelf_days(squares(SHELF, 64), squares(EMPTIER, 64))
    bench = Bench(tmp_path, runtime, slots=small_settings(), inventory_s=60.0)
    run_flat(bench, 2_000, small)
    bench.close()


@pytest.mark.soak
def test_100000_frames_are_flat(tmp_path: Path, runtime: Runtime) -> None:
    small = shelf_days(squares(SHELF, 64), squares(EMPTIER, 64))
    bench = Bench(tmp_path, runtime, slots=small_settings(), inventory_s=60.0)
    run_flat(bench, 100_000, small)
    bench.close()


@pytest.mark.soak
def test_10000_frames_of_the_real_bundle_are_flat(tmp_path: Path) -> None:
    import cv2

    from edge.demo import SAMPLE

    real = Runtime.open(Models.open(Bundle.default(), provider="cpu"), None)
    bgr = cv2.imread(str(SAMPLE / "shelf.jpg"))
    assert bgr is not None
    full = np.ascontiguousarray(cv2.resize(bgr, (800, 600))[:, :, ::-1], np.uint8)
    less = full.copy()
    less[200:300, 200:260] = 70
    pictures = [noisy(full if n < 80 else less, n) for n in range(100)]
    bench = Bench(tmp_path, real, slots=SlotSettings(), capacity_pixels=800 * 600)
    run_flat(bench, 10_000, pictures)
    bench.close()
