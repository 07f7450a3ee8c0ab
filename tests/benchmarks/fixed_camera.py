"""What the shelf memory saves on a fixed camera, and whether it misses or invents a change.

    python -m tests.benchmarks.fixed_camera [--seed 0] [--seconds 60] [--full-every 1] [--bundle DIR]

Renders a clip of at least 120 facings with sensor noise, mains flicker, wandering exposure, somebody
who walks by and stands in front, a lighting step, and ten changes: four swaps of near-identical
variants, four products taken and two of them put back; two of the changes fall into the lighting
step. The gallery holds one clean front of each of the 60 SKUs. The clip runs through the memory and,
frame by frame, through the whole pipeline with the same models, provider and scale; and through a
second memory for which the detector and the embeddings of all facings in sight are computed in every
frame, nothing skipped.

Prints one JSON object: the time a frame of memory and whole pipeline and their ratio (by the wall
clock, and by the processor time used, which other work on the machine does not stretch), what was
computed, the events against the truth (found within two seconds, late, repeated, false, wrong kind or
SKU), and the final inventories, each against the others and the truth: of the memory, of the memory
that skips nothing (``full_memory``), and the median count over the last ten seconds, as an audit counts
a clip of the whole pipeline's frames, which knows neither slots nor the time before (``full_median``).
With ``--full-every 5`` only every fifth frame is computed in full.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from edge import geometry
from edge.bundle import Bundle
from edge.enrolment import build_from_folder
from edge.gallery.gallery import Gallery
from edge.pipeline import Models, Pipeline
from edge.shelf.facings import FacingsCounter
from edge.shelf.slot_events import SlotEvent
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.shelf.watch import FixedCamera
from edge.types import F32, Frame
from export.scenes.catalog import Catalog
from export.scenes.clip import Clip
from export.scenes.clip_writer import busy_plan, find_clip
from export.scenes.writer import write_store
from tests.benchmarks.full_memory import FullMemory

FACINGS = (124, 140)
WITHIN_S = 2.0
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
CAMERA = "clip"


def make_clip(seed: int, seconds: float) -> tuple[Catalog, Clip]:
    """A busy clip in a store that holds it."""
    return find_clip(busy_plan(seed, seconds=seconds, facings=FACINGS), seed)


def make_gallery(catalog: Catalog, folder: Path, bundle: Path | None) -> Gallery:
    """One clean front a SKU, enrolled."""
    write_store(
        folder, seed=catalog.seed, split="test", skus=60, photos=0, hard_share=0.3, front_px=384
    )
    build_from_folder(folder / "fronts", folder / "gallery.db", bundle=bundle, provider="cpu")
    return Gallery.open(folder / "gallery.db")


def frame_of(clip: Clip, number: int) -> Frame:
    """One frame of the clip as a camera gives it."""
    at = START + timedelta(seconds=clip.time_s(number))
    return Frame(clip.frame(number), CAMERA, number, at)


@dataclass(slots=True)
class Score:
    """Events against the truth."""

    found: int = 0
    late: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    other_kind: list[str] = field(default_factory=list)
    other_sku: list[str] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)


def score(clip: Clip, events: list[SlotEvent]) -> Score:
    """Pair each true change with the events at its place from its time on."""
    result = Score()
    left = [e for e in events if e.xyxy is not None and e.kind != "gap_opened"]
    others = [e for e in events if e.xyxy is None]
    result.false += [f"{e.kind} at {_seconds(e):.1f} s" for e in others]
    for change in reversed(clip.changes):
        box = clip.box(change.place)
        near = [e for e in left if _overlap(box, e) >= 0.3 and _seconds(e) >= change.at_s - 0.01]
        name = f"{change.kind} at {change.at_s:.1f} s, place {change.place}"
        for event in near:
            left.remove(event)
        if not near:
            result.missed.append(name)
            continue
        delay = _seconds(near[0]) - change.at_s
        result.delays_s.append(round(delay, 2))
        if delay <= WITHIN_S:
            result.found += 1
        else:
            result.late.append(f"{name}: {delay:.1f} s")
        result.repeated += [f"{name}: {e.kind} at {_seconds(e):.1f} s" for e in near[1:]]
        if near[0].kind != change.kind:
            result.other_kind.append(f"{name}: {near[0].kind}")
        if near[0].sku_after != change.sku_after:
            result.other_sku.append(f"{name}: {near[0].sku_after}, truth {change.sku_after}")
    result.false += [f"{e.kind} at {_seconds(e):.1f} s, slot {e.slot_id} {e.xyxy}" for e in left]
    return result


def _seconds(event: SlotEvent) -> float:
    return (event.at - START).total_seconds()


def _overlap(box: F32, event: SlotEvent) -> float:
    return float(geometry.iou(box[None], np.array([event.xyxy], np.float32))[0, 0])


def differences(ours: dict[str, int], theirs: dict[str, int]) -> dict[str, list[int]]:
    """SKUs whose facings are not the same, with both counts."""
    names = sorted(set(ours) | set(theirs))
    return {
        n: [ours.get(n, 0), theirs.get(n, 0)] for n in names if ours.get(n, 0) != theirs.get(n, 0)
    }


def _named(inventory: dict[str | None, int]) -> dict[str, int]:
    return {str(sku): count for sku, count in inventory.items()}


def run(
    clip: Clip, gallery: Gallery, models: Models, settings: SlotSettings, full_every: int
) -> dict[str, object]:
    """The clip through the memory and through the whole pipeline, frames interleaved."""
    memory = ShelfMemory(CAMERA, settings)
    camera = FixedCamera(models, gallery, memory)
    full_memory = FullMemory(CAMERA, settings)
    full_camera = FixedCamera(models, gallery, full_memory)
    full_events: list[SlotEvent] = []
    whole = Pipeline(models, gallery)
    counter = FacingsCounter()
    events: list[SlotEvent] = []
    spent: Counter[str] = Counter()
    memory_s: list[float] = []
    memory_cpu_s: list[float] = []
    full_s: list[float] = []
    full_cpu_s: list[float] = []
    passes = embeds = 0
    for number in range(len(clip)):
        frame = frame_of(clip, number)
        begun, used = time.perf_counter(), time.process_time()
        step = camera.look(frame)
        result, new = camera.finish(step, camera.embed(step))
        memory_s.append(time.perf_counter() - begun)
        memory_cpu_s.append(time.process_time() - used)
        events += new
        passes += step.detected
        embeds += len(step.plan.slot_ids)
        spent.update(result.timings_ms)
        if not full_every:
            continue
        full_memory.full = number % full_every == 0
        full_events += full_camera.process(frame)[1]
        if full_memory.full:
            begun, used = time.perf_counter(), time.process_time()
            full = whole(frame)
            full_s.append(time.perf_counter() - begun)
            full_cpu_s.append(time.process_time() - used)
            if clip.time_s(number) >= clip.plan.seconds - 10:
                counter.add(full)
    ours = _named(memory.inventory())
    truth = clip.state(clip.plan.seconds).facings()
    report: dict[str, object] = {
        "facings": len(clip.states[0].place),
        "frames": len(clip),
        "detector_passes": passes,
        "embeddings": embeds,
        "memory_ms": round(1000 * float(np.mean(memory_s)), 2),
        "memory_cpu_ms": round(1000 * float(np.mean(memory_cpu_s)), 2),
        "memory_median_ms": round(1000 * float(np.median(memory_s)), 2),
        "stages_ms": {k: round(v / len(clip), 2) for k, v in spent.items()},
        "events": [e.to_json() for e in events],
        "score": asdict(score(clip, events)),
        "against_truth": differences(ours, truth),
    }
    if full_s:
        median = dict(counter.facings())
        if counter.unknown():
            median["None"] = counter.unknown()
        every = _named(full_memory.inventory())
        report["full_frames"] = len(full_s)
        report["full_ms"] = round(1000 * float(np.mean(full_s)), 2)
        report["full_cpu_ms"] = round(1000 * float(np.mean(full_cpu_s)), 2)
        report["times_less_cpu"] = round(float(np.mean(full_cpu_s) / np.mean(memory_cpu_s)), 1)
        report["times_less"] = round(float(np.mean(full_s)) / float(np.mean(memory_s)), 1)
        report["against_full_memory"] = differences(ours, every)
        report["full_memory_against_truth"] = differences(every, truth)
        report["full_memory_score"] = asdict(score(clip, full_events))
        report["against_full_median"] = differences(ours, median)
        report["full_median_against_truth"] = differences(median, truth)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--full-every", type=int, default=1)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    catalog, clip = make_clip(options.seed, options.seconds)
    bundle = Bundle.load(options.bundle) if options.bundle else Bundle.default()
    models = Models.open(bundle, provider="cpu", scale="whole", threads=options.threads)
    with tempfile.TemporaryDirectory() as folder:
        gallery = make_gallery(catalog, Path(folder), options.bundle)
        report = run(clip, gallery, models, SlotSettings(), options.full_every)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
