"""What a fixed camera's picture looked like, and where it moves or looks different now.

Frames are compared at a reduced size, in the light of a reference picture, in blocks of ``BLOCK``
pixels. Each block keeps the mean of the frames since something last moved there, so that noise
averages out while a change is seen at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge.shelf.light import LightMatch, Places, cells_mostly
from edge.shelf.noise import PictureNoise
from edge.shelf.registration import counts_as_shift, estimate_shift, shifted
from edge.shelf.running_mean import blend
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32, U8

BLOCK = 4
Mask = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
_MEMORY = 12  # frames in the running mean of a place that is still


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One frame against the reference, per block ``(rows, columns)``.

    ``moving``: differs from the mean of the frames before; ``still``: has not moved for ``calm_s``;
    ``changed``: its mean since it last moved differs from the reference by more than its noise, and
    than the picture as a whole does; ``differs``: the same without regard to the whole; ``energy
    (rows, columns) float32``: the mean square of that difference, sensor noise taken off;
    ``noise``: of it, what is noise; ``light``: the median gain.
    """

    moving: Mask
    still: Mask
    changed: Mask
    differs: Mask
    energy: F32
    noise: F32
    light: float


class Appearance:
    """The reference picture of one camera and the running comparison with it.

    Args:
        size_wh: of the frames.
    """

    def __init__(self, settings: SlotSettings, size_wh: tuple[int, int]) -> None:
        self._settings = settings
        self.size_wh = size_wh
        shrink = min(1.0, settings.compare_width_px / size_wh[0])
        width, height = (max(BLOCK, round(side * shrink / BLOCK) * BLOCK) for side in size_wh)
        self._wh = (width, height)
        self.scale_xy = (width / size_wh[0], height / size_wh[1])
        rows, columns = height // BLOCK, width // BLOCK
        self.reference: F32 | None = None
        self.known: Mask = np.zeros((rows, columns), bool)
        self.noise = PictureNoise(settings, (rows, columns))
        self._resumed = False
        self._light = LightMatch((width, height))
        self._clipped: Places | None = None  # of the reference, until that changes
        self.factor: F32 | None = None
        self._trusted: Mask = np.ones(self._light.cells_wh[::-1], bool)
        # fresh memory costs more than the work done in it
        self._even, self._scratch, self._weight = np.empty((3, height, width, 3), np.float32)
        self._small: F32 = np.zeros((height, width, 3), np.float32)
        self._grey: U8 = np.zeros((height, width, 3), np.uint8)
        self._recent: F32 = np.zeros((height, width, 3), np.float32)
        self._count: F32 = np.zeros((rows, columns), np.float32)
        self._moved_at: F64 = np.full((rows, columns), -np.inf)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return int(self.known.shape[0]), int(self.known.shape[1])

    @property
    def recent(self) -> F32:
        """The mean picture since each block last moved, in the reference's light."""
        return self._recent

    def reduced(self, image: U8) -> F32:
        """A frame ``(H, W, 3) uint8`` at the size of the comparison, float32 grey levels; good until
        the next call."""
        # a slight reduction needs no averaging, which is slow there
        slight = self.scale_xy[0] > 0.6
        how = cv2.INTER_LINEAR if slight else cv2.INTER_AREA
        cv2.resize(image, self._wh, dst=self._grey, interpolation=how)
        np.copyto(self._small, self._grey)
        return self._small

    def observe(self, image: U8, now_s: float, elapsed_s: float) -> Look:
        """Take in the frame at ``now_s`` (seconds of a clock that never goes back)."""
        small = self.reduced(image)
        if self.reference is None:
            self.reference = small.copy()
        elif self._resumed:
            self._fill_unknown(small)
        self.factor = factor = self._light.factor(small, self.reference, self._trusted)
        light = self._light.level
        even = self._even
        if self._clipped is None:
            self._clipped = self._light.clipped_in(self.reference)
        self._light.even(small, self.reference, factor, even, self._clipped)
        # noise is a camera's own: in less light it is larger against the reference
        dim = 1.0 / min(max(light, 0.05), 1.0)
        if not self._count.any():
            np.copyto(self._recent, even)
            self._moved_at[:] = now_s
        # against a mean rather than the frame before, so that slow steps add up
        step = self._energy(even, self._recent) / np.float32(dim**2)
        moving = self.noise.moving(step, elapsed_s)
        self._moved_at[moving] = now_s
        self._count = np.where(moving, 1.0, np.minimum(self._count + 1, _MEMORY)).astype(np.float32)
        blend(self._recent, even, self._count, _MEMORY, self._scratch, self._weight)
        still = now_s - self._moved_at >= self._settings.calm_s - 1e-6
        self.adopt(still & ~self.known)
        energy, least = self._excess(dim)
        factor2 = np.float32(self._settings.noise_factor**2)
        watched = still & self.known
        differs = self.known & (energy > np.maximum(least, factor2 * self.noise.drift))
        if self.noise.seen_s < self._settings.learn_s:
            # an encoder's first frames are poor: what they became is the reference
            self.adopt(watched & differs)
            differs[:] = False
        noise = self.noise.level(energy, watched)
        changed = differs & (energy > factor2 * noise)
        if light >= self._settings.least_light:
            self.noise.learn(energy, watched, differs, elapsed_s)
        self._trusted = cells_mostly(~(changed | moving), self._light.cells_wh)
        return Look(moving, still, changed, differs, energy, noise, light)

    def adopt(self, blocks: Mask) -> None:
        """Make what these blocks look like now their reference."""
        assert self.reference is not None
        if not blocks.any():
            return
        np.copyto(self.reference, self._recent, where=self._pixels(blocks)[..., None])
        self.known |= blocks
        self._clipped = None

    def reference_of(self, blocks: Mask) -> U8:
        """The reference picture ``(H, W, 3)`` rounded to grey levels, black outside ``blocks``."""
        assert self.reference is not None
        picture = np.rint(self.reference * self._pixels(blocks)[..., None])
        return np.asarray(picture.clip(0, 255), dtype=np.uint8)

    def resume(self, reference: F32 | None, known: Mask) -> None:
        """Go on from a stored reference ``(H, W, 3)``; outside ``known`` it is learned anew."""
        self.reference = reference
        self._clipped = None
        self.known = known.copy()
        self._resumed = reference is not None

    def moved_at(self, blocks: tuple[slice, slice]) -> float:
        """When something last moved in a part of the picture."""
        part = self._moved_at[blocks]
        return float(part.max()) if part.size else -np.inf

    def blocks_of(self, xyxy: F32, inset: float = 0.0) -> tuple[slice, slice]:
        """Rows and columns of the blocks of a box in frame pixels, at least one.

        ``inset`` in 0..0.5 leaves out that share of the box at each side.
        """
        rows, columns = self.shape
        x1, y1, x2, y2 = (float(v) for v in xyxy)
        dx, dy = inset * (x2 - x1), inset * (y2 - y1)
        sx, sy = self.scale_xy[0] / BLOCK, self.scale_xy[1] / BLOCK
        left = int(np.clip(round((x1 + dx) * sx), 0, columns - 1))
        top = int(np.clip(round((y1 + dy) * sy), 0, rows - 1))
        right = int(np.clip(round((x2 - dx) * sx), left + 1, columns))
        bottom = int(np.clip(round((y2 - dy) * sy), top + 1, rows))
        return slice(top, bottom), slice(left, right)

    def pixels_of(self, xyxy: F32, inset: float = 0.0) -> tuple[slice, slice]:
        """The same in pixels of the comparison."""
        rows, columns = self.blocks_of(xyxy, inset)
        return (
            slice(rows.start * BLOCK, rows.stop * BLOCK),
            slice(columns.start * BLOCK, columns.stop * BLOCK),
        )

    def moved_by(self, changed: Mask) -> tuple[float, float] | None:
        """The shift in pixels of the comparison that explains most of what changed, or None."""
        assert self.reference is not None
        # not in the reference's light: that was taken from a picture that does not fit
        shift = estimate_shift(self.reference, self._small)
        moved = shifted(self.reference, shift)
        factor = self._light.factor(self._small, moved)
        self._light.even(self._small, moved, factor, self._even)
        least = np.maximum(self._settings.change_levels**2, 4.0 * self.noise.quick)
        left = np.count_nonzero(changed & (self._energy(self._even, moved) > least))
        explained = counts_as_shift(shift, int(np.count_nonzero(changed)), int(left))
        return shift if explained else None

    def relearn(self) -> None:
        """After the camera moved: learn the reference anew, in the present light."""
        self.reference = self._small.copy()
        self._clipped = None
        self.known[:] = False
        self._trusted[:] = True
        self._count[:] = 0
        self.noise.restart()

    def _fill_unknown(self, small: F32) -> None:
        """After a restart: what was not stored is taken from the first frame, in the old light."""
        assert self.reference is not None
        known = self._pixels(self.known)
        gain = 1.0
        if known.any():
            now, then = small[known].sum(axis=0), self.reference[known].sum(axis=0)
            gain = now / np.maximum(then, 1.0)
        np.copyto(self.reference, small / gain, where=~known[..., None])
        self._clipped = None
        self._resumed = False

    def _energy(self, a: F32, b: F32) -> F32:
        """Mean square difference a block, ``(rows, columns)``, of two pictures ``(H, W, 3)``."""
        cv2.subtract(a, b, dst=self._scratch)
        cv2.multiply(self._scratch, self._scratch, dst=self._scratch)
        size = (a.shape[1] // BLOCK, a.shape[0] // BLOCK)
        # as one channel: a block's mean over its pixels and their channels in one go
        rows = self._scratch.reshape(len(a), -1)
        return np.asarray(cv2.resize(rows, size, interpolation=cv2.INTER_AREA), np.float32)

    def _excess(self, dim: float) -> tuple[F32, F32]:
        """How far the recent picture is from the reference, and the least of it that can count."""
        assert self.reference is not None
        settings = self._settings
        # the noise that is left in the two means is no change; levels are those of the present light
        left = 0.5 * self.noise.quick * (1 / self._count + 1 / _MEMORY)
        energy = self._energy(self._recent, self.reference) / np.float32(dim**2)
        excess = np.asarray(np.maximum(energy - left, 0.0), np.float32)
        least = np.maximum(settings.change_levels**2, settings.noise_factor**2 * left)
        return excess, np.asarray(least, np.float32)

    def _pixels(self, blocks: Mask) -> Mask:
        full = cv2.resize(blocks.astype(np.uint8), self._wh, interpolation=cv2.INTER_NEAREST)
        return np.asarray(full, dtype=bool)
