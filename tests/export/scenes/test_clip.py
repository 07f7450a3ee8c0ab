"""Fixed-camera clips: the same bytes again, and a truth that the pixels agree with."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from export.scenes.catalog import Catalog, build_catalog
from export.scenes.clip import Clip, ClipPlan, Nudge
from export.scenes.clip_writer import busy_plan, write_clip
from export.scenes.sensor import Exposures, LightStep, Sensor
from export.scenes.shopper import Walk

QUIET = Sensor(noise=0.0, flicker=0.0, wander=0.0)
PLAN = ClipPlan(
    seconds=8.0,
    fps=2.0,
    size_wh=(480, 270),
    facings=(24, 36),
    changes_at_s=(2.0, 4.0, 6.0),
    swaps=1,
    put_back=1,
    sensor=QUIET,
)


def a_clip(plan: ClipPlan) -> tuple[Catalog, Clip]:
    for seed in range(20):
        catalog = build_catalog(seed=seed, split="test", skus=30, hard_share=0.6)
        try:
            return catalog, Clip(catalog, 3, plan)
        except ConfigError:
            continue
    raise AssertionError("no shelf holds the plan")


@pytest.fixture(scope="module")
def clip() -> Clip:
    return a_clip(PLAN)[1]


def test_each_change_alters_its_place_and_hardly_anything_else(clip: Clip) -> None:
    for before, after, change in zip(clip.states, clip.states[1:], clip.changes, strict=False):
        differs = np.abs(before.image.astype(int) - after.image.astype(int)).max(axis=2) > 8
        x1, y1, x2, y2 = clip.box(change.place).astype(int)
        assert differs[y1:y2, x1:x2].any()
        # the side and the shadow of what stands there reach a little further
        wide, high = x2 - x1, y2 - y1
        differs[max(y1 - high // 2, 0) : y2 + high // 2, max(x1 - wide, 0) : x2 + wide] = False
        assert not differs.any()


def test_inventories_follow_the_events(clip: Clip) -> None:
    counts = dict(clip.states[0].facings())
    for change, state in zip(clip.changes, clip.states[1:], strict=True):
        if change.sku_before is not None:
            counts[change.sku_before] -= 1
        if change.sku_after is not None:
            counts[change.sku_after] = counts.get(change.sku_after, 0) + 1
        assert {sku: n for sku, n in counts.items() if n} == state.facings()


def test_the_plan_s_changes_come_in_its_order(clip: Clip) -> None:
    kinds = [change.kind for change in clip.changes]
    assert sorted(kinds) == ["put_back", "replaced", "taken"]
    assert kinds[0] == "taken"
    assert kinds[-1] == "put_back"
    assert clip.changes[0].place == clip.changes[-1].place
    (swap,) = (change for change in clip.changes if change.kind == "replaced")
    assert swap.sku_before != swap.sku_after


def test_a_change_can_be_seen_from_its_time_on(clip: Clip) -> None:
    swap = next(change for change in clip.changes if change.kind == "replaced")
    number = round(swap.at_s * PLAN.fps)
    x1, y1, x2, y2 = clip.box(swap.place).astype(int)
    frames = [clip.frame(n)[y1:y2, x1:x2].astype(int) for n in (number - 1, number)]
    assert np.abs(frames[0] - frames[1]).max() > 8


def test_an_arm_hides_the_place_before_a_product_is_taken(clip: Clip) -> None:
    taken = clip.changes[0]
    x1, y1, x2, y2 = clip.box(taken.place).astype(int)
    clean = clip.states[0].image[y1:y2, x1:x2].astype(int)
    before, during = (
        clip.frame(round((taken.at_s - s) * PLAN.fps))[y1:y2, x1:x2].astype(int) for s in (1.5, 0.5)
    )
    assert np.abs(before - clean).max() <= 1
    assert np.mean(np.abs(during - clean).max(axis=2) > 20) > 0.5


def test_the_same_seed_gives_the_same_frames(clip: Clip) -> None:
    again = a_clip(PLAN)[1]
    assert again.truth() == clip.truth()
    assert np.array_equal(again.frame(5), clip.frame(5))


def test_a_walk_leaves_the_picture_as_it_was() -> None:
    walk = Walk(from_s=1.0, to_s=6.0, rightwards=True, pause_s=1.0, pause_at=0.5, seed=4)
    assert walk.centre(0.9) is None
    assert walk.centre(6.0) is None
    middle = [walk.centre(t) for t in (3.1, 3.5, 3.9)]
    assert all(m is not None and abs(m - 0.5) < 0.02 for m in middle)


def test_noise_and_flicker_have_the_size_asked_for() -> None:
    flat = np.full((270, 480, 3), 128, np.float32)
    noisy = Exposures(Sensor(4.0, 0.0, 2.4, 0.0), (), (480, 270), 1).expose(flat, 0, 0.0)
    assert float(noisy.std()) == pytest.approx(4.0, rel=0.1)
    banded = Exposures(Sensor(0.0, 0.05, 2.4, 0.0), (), (480, 270), 1).expose(flat, 0, 0.0)
    rows = banded.mean(axis=(1, 2))
    assert float(rows.max() - rows.min()) == pytest.approx(2 * 0.05 * 128, rel=0.1)


def test_a_lighting_step_takes_its_time() -> None:
    flat = np.full((270, 480, 3), 100, np.float32)
    step = LightStep(2.0, 1.0, (0.5, 0.6, 0.7), 0.5, 50.0)
    exposures = Exposures(QUIET, (step,), (480, 270), 1)
    means = [exposures.expose(flat, 0, t)[..., 0].mean() for t in (1.9, 2.5, 3.0, 9.0)]
    assert means == pytest.approx([100, 75, 50, 50], abs=1)


def test_a_nudge_moves_the_picture() -> None:
    nudged = ClipPlan(
        seconds=4.0, fps=2.0, size_wh=(480, 270), facings=(24, 36), sensor=QUIET,
        nudges=(Nudge(2.0, (5.0, -3.0)),),
    )  # fmt: skip
    clip = a_clip(nudged)[1]
    before, after = clip.frame(0)[20:-20, 20:-20], clip.frame(6)
    assert np.array_equal(after[17:-23, 25:-15], before)


def test_writing_a_clip(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, PLAN, seed=1, skus=30, hard_share=0.6, front_px=64)
    capture = cv2.VideoCapture(str(tmp_path / "clip.avi"))
    done, first = capture.read()
    capture.release()
    assert done
    # colour is stored at half the size
    assert np.abs(first[..., ::-1].astype(int) - clip.frame(0)).mean() < 6
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["frames"] == 16
    assert [e["kind"] for e in truth["events"]] == [c.kind for c in clip.changes]
    assert len(list((tmp_path / "fronts").iterdir())) == 30
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "clip.avi", "fronts", "photos", "skus.csv", "truth.json",
    ]  # fmt: skip


def test_a_plan_that_no_shelf_holds_is_refused() -> None:
    catalog = build_catalog(seed=1, split="test", skus=8, hard_share=0.0)
    with pytest.raises(ConfigError, match="too few for 1 swaps"):
        Clip(catalog, 1, PLAN)


def test_a_busy_clip_needs_time() -> None:
    plan = busy_plan(3)
    assert len(plan.changes_at_s) == 10
    assert sorted(plan.changes_at_s) == list(plan.changes_at_s)
    step = plan.steps[0]
    during = [t for t in plan.changes_at_s if step.at_s <= t <= step.at_s + step.ramp_s]
    assert len(during) == 2
    with pytest.raises(ConfigError, match="at least 40 s"):
        busy_plan(3, seconds=10)
