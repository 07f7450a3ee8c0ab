"""A clip of a fixed camera in front of a shelf, frame by frame, with ground truth in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from export.scenes.brands import SPLIT_CODES
from export.scenes.catalog import Catalog
from export.scenes.changes import Change, apply_changes, plan_changes
from export.scenes.fronts import DEFAULT_FRONTS, FrontCache
from export.scenes.scene import arrange
from export.scenes.sensor import Exposures, LightStep, Sensor
from export.scenes.shopper import Sprite, Walk, draw_arm, draw_person, put_over
from export.scenes.store import draw_store

REACH_S = 1.0
"""How long an arm hides a place before its change can be seen."""
_PERSON_MM = 1750.0


@dataclass(frozen=True, slots=True)
class Nudge:
    """From `at_s` on the camera looks elsewhere: a shift in pixels and a turn in degrees."""

    at_s: float
    shift_px: tuple[float, float]
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """What a clip shows. `changes_at_s` ascending; `swaps` of them are by near-identical variants,
    `put_back` products taken earlier, the others taken."""

    seconds: float = 60.0
    fps: float = 5.0
    size_wh: tuple[int, int] = (1280, 720)
    facings: tuple[int, int] = (112, 128)
    changes_at_s: tuple[float, ...] = ()
    swaps: int = 0
    put_back: int = 0
    walks: tuple[Walk, ...] = ()
    steps: tuple[LightStep, ...] = ()
    nudges: tuple[Nudge, ...] = ()
    sensor: Sensor = field(default_factory=Sensor)


@dataclass(frozen=True, eq=False, slots=True)
class ShelfState:
    """The shelf between two changes: `image (H, W, 3) uint8` without camera effects, boxes
    `xyxy (N, 4) float32`, the `place` of each and its SKU."""

    image: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    place: tuple[int, ...]
    sku_id: tuple[str, ...]

    def facings(self) -> dict[str, int]:
        """Visible facings by SKU."""
        return dict(sorted(Counter(self.sku_id).items()))


class Clip:
    """One clip, rendered frame by frame; the same arguments give the same frames and truth.

    Each state of the shelf is drawn once; people, light and noise are laid over it. Raises
    ConfigError when the shelf cannot hold the plan.
    """

    def __init__(
        self, catalog: Catalog, seed: int, plan: ClipPlan, *, fronts: FrontCache | None = None
    ) -> None:
        if plan.seconds <= 0 or plan.fps <= 0:
            raise ConfigError(f"a clip needs time: {plan.seconds} s at {plan.fps} frames a second")
        self.plan = plan
        self.seed = seed
        self._stream = [SPLIT_CODES[catalog.split], catalog.seed, 4, seed]
        rng = np.random.default_rng(self._stream)
        layout, view = arrange(
            catalog, rng, plan.size_wh, plan.facings, "clean", hard_variants=True
        )
        fronts = fronts or DEFAULT_FRONTS

        def draw(changes: list[Change]) -> ShelfState:
            after, places = apply_changes(catalog, layout, changes)
            # the same stream each time: board, rails and labels stay as they are
            stream = np.random.default_rng([*self._stream, 1])
            image, xyxy, who = draw_store(after, view, fronts, stream, min_visible=0.5)
            skus = tuple(after.facings[i].sku.sku_id for i in who.tolist())
            return ShelfState(image, xyxy, tuple(places[i] for i in who.tolist()), skus)

        first = draw([])
        inner = _well_inside(first, plan.size_wh)
        self.changes = plan_changes(
            catalog, layout, inner, rng, list(plan.changes_at_s),
            swaps=plan.swaps, put_back=plan.put_back,
        )  # fmt: skip
        self.states = [first]
        for count in range(1, len(self.changes) + 1):
            self.states.append(draw(self.changes[:count]))
        low, high = view.front_bounds()[1::2]
        self._person_px = round(_PERSON_MM * 1.15 * plan.size_wh[1] / (high - low))
        self._people = [draw_person(self._person_px, w.seed) for w in plan.walks]
        boxes = dict(zip(first.place, first.xyxy, strict=True))
        self._boxes = boxes
        self._arms = {c.place: self._arm(boxes[c.place], c.place) for c in self.changes if c.reach}
        self._exposures = Exposures(plan.sensor, plan.steps, plan.size_wh, seed)

    def __len__(self) -> int:
        return round(self.plan.seconds * self.plan.fps)

    def time_s(self, number: int) -> float:
        """When a frame is taken."""
        return number / self.plan.fps

    def state(self, at_s: float) -> ShelfState:
        """The shelf as it stands at a time."""
        return self.states[sum(change.at_s <= at_s + 1e-9 for change in self.changes)]

    def box(self, place: int) -> NDArray[np.float32]:
        """The box `(4,)` of a place in the first state, in pixels."""
        return np.asarray(self._boxes[place], np.float32)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """All frames (H, W, 3) uint8 RGB, one after the other."""
        for number in range(len(self)):
            yield self.frame(number)

    def frame(self, number: int) -> NDArray[np.uint8]:
        """One frame (H, W, 3) uint8 RGB."""
        at_s = self.time_s(number)
        picture = self.state(at_s).image.astype(np.float32)
        for change in self.changes:
            if change.reach and change.at_s - REACH_S <= at_s < change.at_s - 1e-9:
                self._reach(picture, change, at_s)
        for walk, person in zip(self.plan.walks, self._people, strict=True):
            x = walk.centre(at_s)
            if x is not None:
                left = round(x * picture.shape[1] - person.shape[1] / 2)
                bob = round(0.008 * person.shape[0] * np.sin(9 * at_s))
                top = round(0.06 * picture.shape[0]) + bob
                put_over(picture, person, left, top)
        for nudge in self.plan.nudges:
            if at_s >= nudge.at_s:
                picture = _nudged(picture, nudge)
        return self._exposures.expose(picture, number, at_s)

    def truth(self) -> dict[str, object]:
        """Ground truth in time, ready for JSON; boxes are those before any nudge."""
        plan = self.plan
        first = self.states[0]
        since = [0.0, *(change.at_s for change in self.changes)]
        return {
            "format": 1,
            "seed": self.seed,
            "width": plan.size_wh[0],
            "height": plan.size_wh[1],
            "fps": plan.fps,
            "frames": len(self),
            "places": [
                {"place": place, "xyxy": [float(v) for v in box], "sku_id": sku}
                for place, box, sku in zip(first.place, first.xyxy, first.sku_id, strict=True)
            ],
            "events": [
                {
                    "at_s": change.at_s,
                    "kind": change.kind,
                    "place": change.place,
                    "xyxy": [float(v) for v in self.box(change.place)],
                    "sku_before": change.sku_before,
                    "sku_after": change.sku_after,
                }
                for change in self.changes
            ],
            "inventory": [
                {"from_s": at_s, "facings": state.facings()}
                for at_s, state in zip(since, self.states, strict=True)
            ],
            "people": [{"from_s": walk.from_s, "to_s": walk.to_s} for walk in plan.walks],
            "light": [{"at_s": step.at_s, "ramp_s": step.ramp_s} for step in plan.steps],
            "nudges": [{"at_s": n.at_s, "shift_px": list(n.shift_px)} for n in plan.nudges],
        }

    def _arm(self, box: NDArray[np.float32], seed: int) -> Sprite:
        to_xy = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
        thick = max(6.0, 0.9 * float(box[2] - box[0]))
        return draw_arm(self.plan.size_wh, to_xy, thick, seed)

    def _reach(self, picture: NDArray[np.float32], change: Change, at_s: float) -> None:
        """The arm comes up, holds, and goes down again."""
        share = (at_s - (change.at_s - REACH_S)) / REACH_S
        out = 1.0 - min(1.0, share / 0.3, (1.0 - share) / 0.25)
        height = picture.shape[0]
        put_over(picture, self._arms[change.place], 0, round(0.5 * out * height))


def _well_inside(state: ShelfState, size_wh: tuple[int, int]) -> list[int]:
    """Places whose boxes lie inside the picture, so that a change there can be seen."""
    width, height = size_wh
    x1, y1, x2, y2 = state.xyxy.T
    inside = (x1 > 6) & (y1 > 6) & (x2 < width - 6) & (y2 < height - 6)
    return [state.place[i] for i in np.flatnonzero(inside).tolist()]


def _nudged(picture: NDArray[np.float32], nudge: Nudge) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), nudge.turn_deg, 1.0)
    matrix[:, 2] += np.array(nudge.shift_px)
    moved = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.float32)
