"""Writes a fixed-camera clip to a folder: the clip, its truth in time, fronts and catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edge.atomic import make_folder, write_text
from edge.errors import ConfigError, OutputError
from export.scenes.brands import Split
from export.scenes.catalog import Catalog, build_catalog
from export.scenes.clip import Clip, ClipPlan, Nudge
from export.scenes.sensor import LightStep
from export.scenes.shopper import Walk
from export.scenes.writer import Progress, write_store

_TRIES = 40
CHANGES = 10
SWAPS = 4
PUT_BACK = 2


def busy_plan(
    seed: int,
    *,
    seconds: float = 60.0,
    fps: float = 5.0,
    size_wh: tuple[int, int] = (1280, 720),
    facings: tuple[int, int] = (112, 128),
    nudge: bool = False,
) -> ClipPlan:
    """A minute of a busy shelf, stretched to `seconds`.

    Ten changes: four swaps of near-identical variants, four products taken and two of them put
    back; two changes fall into a lighting step. Somebody walks by and stands in front for three
    seconds, while nothing changes. With `nudge`, the camera is pushed near the end. Raises
    ConfigError for less than 40 seconds, in which the changes would run into one another.
    """
    if seconds < 40:
        raise ConfigError(f"a busy clip takes at least 40 s, got {seconds}")
    rng = np.random.default_rng([seed, 77])
    unit = seconds / 60
    step_s = float(rng.uniform(38, 40)) * unit
    times = np.array([7, 11, 15, 19, 23, 0, 0, 46, 50, 54], float) * unit
    times += rng.uniform(-1, 1, CHANGES) * unit
    times[5], times[6] = step_s + 0.3, step_s + 1.1
    walk_s = float(rng.uniform(25.5, 26.5)) * unit
    red, green, blue = (float(g) for g in rng.uniform(0.65, 0.8) * rng.uniform(0.95, 1.05, 3))
    return ClipPlan(
        seconds=seconds,
        fps=fps,
        size_wh=size_wh,
        facings=facings,
        changes_at_s=tuple(float(t) for t in times),
        swaps=SWAPS,
        put_back=PUT_BACK,
        walks=(Walk(walk_s, walk_s + 8.0, bool(rng.random() < 0.5), 3.0, 0.5, seed),),
        steps=(LightStep(step_s, 2.0, (red, green, blue), float(rng.random()), 0.8),),
        nudges=(Nudge(57 * unit, (6.0, -4.0)),) if nudge else (),
    )


def find_clip(
    plan: ClipPlan, seed: int, *, split: Split = "test", skus: int = 60, hard_share: float = 0.3
) -> tuple[Catalog, Clip]:
    """The first store of a seed whose shelf has the places that a plan needs.

    Raises ConfigError when none of 40 does.
    """
    reason = ""
    for attempt in range(_TRIES):
        catalog = build_catalog(
            seed=seed + 1000 * attempt, split=split, skus=skus, hard_share=hard_share
        )
        try:
            return catalog, Clip(catalog, seed, plan)
        except ConfigError as error:
            reason = str(error)
    raise ConfigError(f"no store of seed {seed} holds this clip: {reason}")


def write_clip(
    out: Path,
    plan: ClipPlan,
    *,
    seed: int,
    split: Split = "test",
    skus: int = 60,
    hard_share: float = 0.3,
    front_px: int = 384,
    quality: int = 95,
    progress: Progress | None = None,
) -> Clip:
    """Render a clip into `out`, which is made where it is missing.

    Writes `clip.avi` (Motion JPEG, so that no codec is needed), `fronts/<sku_id>.jpg`, `skus.csv`
    and last `truth.json`: places, events and inventories with their times. `progress(done, total)`
    is called after every frame.

    Raises:
        ConfigError: no store of this seed can hold the plan.
        OutputError: a file cannot be written.
    """
    make_folder(out)
    catalog, clip = find_clip(plan, seed, split=split, skus=skus, hard_share=hard_share)
    write_store(
        out, seed=catalog.seed, split=split, skus=skus, photos=0, hard_share=hard_share,
        front_px=front_px,
    )  # fmt: skip
    (out / "truth.jsonl").unlink(missing_ok=True)
    path, temp = out / "clip.avi", out / ".clip.partial.avi"
    # OpenCV's own writer: FFmpeg's takes no quality, and its own is poor
    writer = cv2.VideoWriter(
        str(temp), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), plan.fps, plan.size_wh
    )
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, quality)
    try:
        if not writer.isOpened():
            raise OutputError(f"{path}: cannot be written")
        for number, frame in enumerate(clip.frames(), 1):
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
            if progress is not None:
                progress(number, len(clip))
        writer.release()
        temp.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        writer.release()
        temp.unlink(missing_ok=True)
    write_text(out / "truth.json", json.dumps(clip.truth()) + "\n")
    return clip
