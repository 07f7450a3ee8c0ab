"""What can be seen of each slot in the present frame, and what looks different there."""

from __future__ import annotations

import numpy as np

from edge.shelf.appearance import Appearance, Look, Mask
from edge.shelf.block_shares import Blocks, BlockShares
from edge.shelf.evidence import Evidence, grown, measure
from edge.shelf.motion import explained_by_motion
from edge.shelf.occlusion import Occlusion, Regions
from edge.shelf.slot import Pending, Slot
from edge.shelf.slot_book import SlotBook
from edge.shelf.slot_settings import SlotSettings
from edge.types import F32, U8

_REACH = 0.3  # of a box beyond its edges, where a change that is in no slot belongs to it
_AROUND = 0.1  # of a box beyond its edges, into which a product may have been pushed


class Visibility:
    """The comparison of one camera's frames with its slots.

    Args:
        size_wh: of the frames.
    """

    def __init__(self, settings: SlotSettings, size_wh: tuple[int, int]) -> None:
        self._settings = settings
        self.appearance = Appearance(settings, size_wh)
        self._occlusion = Occlusion(settings)
        self._shares = BlockShares.empty()
        self.shelved: Mask = np.zeros(self.appearance.shape, bool)
        nothing = np.zeros(self.appearance.shape, bool)
        self._regions = Regions(nothing, nothing, nothing)
        self._look: Look | None = None
        self._evidence: Evidence | None = None
        self._measured: tuple[Blocks, ...] = ()
        self._rows: dict[int, int] = {}
        self._suspected: tuple[float, float] | None = None
        self._confirmed: tuple[float, float] | None = None
        self._checked_s = float("-inf")
        self._another_s = 0.0
        self._started = False
        self.light = 1.0

    @property
    def held(self) -> bool:
        """Whether no slot can be judged: too little light, or the camera may have moved."""
        return self.light < self._settings.least_light or self._suspected is not None

    @property
    def another_view(self) -> bool:
        """Whether the picture has been another one for long, and is still."""
        return self._another_s >= self._settings.reset_after_s

    @property
    def calm(self) -> bool:
        """Whether nothing moves anywhere and nobody stands in front."""
        return not self._regions.unsettled.any()

    def index(self, book: SlotBook) -> None:
        """Take over the boxes of the slots; to be called whenever one changed."""
        self._shares = BlockShares([self.appearance.blocks_of(s.xyxy) for s in book.slots.values()])
        around = BlockShares([grown(blocks) for blocks in self._shares.blocks])
        self.shelved = around.union(self.appearance.shape)

    def observe(self, image: U8, book: SlotBook, now_s: float, elapsed_s: float) -> None:
        """Compare a frame, and mark each slot of the ``book`` as indexed."""
        self._started = bool(self.appearance.known.any())
        self._look = look = self.appearance.observe(image, now_s, elapsed_s)
        self.light = look.light
        self._follow(look, now_s, elapsed_s)
        self._regions = self._occlusion.sort(
            look.changed, look.still, self.shelved, self._shares.median_size(), elapsed_s
        )
        evidence = measure(self._regions.open, self._discounted(look), self._shares.blocks)
        self._evidence, self._measured = evidence, self._shares.blocks
        self._rows = {slot_id: row for row, slot_id in enumerate(book.slots)}
        covered = self._shares.of(self._regions.occluded)
        restless = self._shares.of(self._regions.unsettled) * self._shares.sizes
        columns = (evidence.share, evidence.contrast, covered, restless)
        for slot, *values in zip(book.slots.values(), *(c.tolist() for c in columns), strict=True):
            slot.changed_share, slot.contrast = values[0], values[1]
            slot.hidden = values[2] >= self._settings.hidden_share
            slot.restless = values[3] >= 1.0
            if slot.restless or self.held:
                slot.pending = None
            elif not slot.changed_share:
                slot.pending = None
                slot.same_at = now_s
            elif slot.pending is None:
                slot.pending = Pending(since_s=now_s)

    def follow_shift(self, book: SlotBook) -> tuple[float, float] | None:
        """Once the camera has moved and stands still: the slots move with the picture.

        Returns the shift in frame pixels, None where there is nothing to follow.
        """
        if self._confirmed is None:
            return None
        dx, dy = (s / k for s, k in zip(self._confirmed, self.appearance.scale_xy, strict=True))
        self._confirmed = self._suspected = None
        width, height = self.appearance.size_wh
        for slot in book:
            x1, y1, x2, y2 = (slot.xyxy + np.array([dx, dy, dx, dy], np.float32)).tolist()
            if 0 <= (x1 + x2) / 2 < width and 0 <= (y1 + y2) / 2 < height:
                slot.xyxy = np.array(
                    [max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)], np.float32
                )
                slot.pending = None
            else:
                del book.slots[slot.slot_id]
        self.appearance.relearn()
        self.index(book)
        return dx, dy

    def _discounted(self, look: Look) -> F32:
        """The contrast of each block, less where the picture is so noisy that it says less."""
        settings = self._settings
        loud = (settings.replaced_noise / settings.replaced_levels) ** 2
        return np.asarray(look.energy / np.maximum(1.0, loud * look.noise), np.float32)

    def _follow(self, look: Look, now_s: float, elapsed_s: float) -> None:
        """Look for a shift of the whole picture, and for a view that is another altogether."""
        known = max(int(np.count_nonzero(self.appearance.known)), 1)
        share = np.count_nonzero(look.differs) / known
        self._another_s = self._another_s + elapsed_s if self._is_another(look, share) else 0.0
        due = now_s - self._checked_s >= self._settings.calm_s - 1e-6
        if share < self._settings.nudge_share:
            self._suspected = None
        elif due:
            self._checked_s = now_s
            shift = self.appearance.moved_by(look.differs)
            before, self._suspected = self._suspected, shift
            calm = look.still[look.differs].mean() > 0.9
            if shift is not None and before is not None and calm:
                same = np.hypot(shift[0] - before[0], shift[1] - before[1]) < 0.5
                self._confirmed = shift if same else None

    def _is_another(self, look: Look, share: float) -> bool:
        still = float(look.still.mean())
        return share >= self._settings.moved_share and still > 0.95 and self._suspected is None

    def changed_since(self, slot: Slot) -> float:
        """When, on the memory's clock, a changed slot took its present look."""
        moved = self.appearance.moved_at(self.appearance.blocks_of(slot.xyxy))
        return max(moved, slot.same_at)

    def only_moved(self, slot: Slot) -> bool:
        """Whether a slot shows the print that it showed before, pushed or turned a little."""
        appearance = self.appearance
        assert appearance.reference is not None
        rows, columns = appearance.pixels_of(slot.xyxy, -_AROUND)
        before, after = (p[rows, columns] for p in (appearance.reference, appearance.recent))
        return explained_by_motion(before, after, 2 * self._settings.replaced_levels)

    def place(self, xyxy: F32) -> str:
        """A box without slot: ``changed`` since before, the ``same`` as before, or ``busy``."""
        blocks = self.appearance.blocks_of(xyxy)
        if self._started and self._regions.unsettled[blocks].any():
            return "busy"
        changed = float(self._regions.open[blocks].mean())
        return "changed" if changed >= self._settings.new_place_share else "same"

    def outside_changed(self) -> float:
        """How much looks different outside all slots, in facings."""
        outside = np.count_nonzero(self._regions.open & ~self.shelved)
        return float(outside / self._shares.median_size())

    def adopt_outside(self) -> None:
        """What changed outside all slots becomes part of the scene."""
        self.appearance.adopt(self._regions.open & ~self.shelved)

    def adopt(self, slot: Slot, box: F32 | None = None, *, noise: bool = False) -> None:
        """The present look of a slot, of a new box of it, and of all that changed with it, becomes
        the reference; with ``noise``, the difference so far is what to expect there."""
        assert self._look is not None
        mask = np.zeros(self.appearance.shape, bool)
        row = self._rows.get(slot.slot_id)
        if self._evidence is not None and row is not None:
            mask = self._evidence.region(row, self._measured)
        for xyxy in (slot.xyxy, slot.xyxy if box is None else box):
            mask[grown(self.appearance.blocks_of(xyxy))] = True
            # what the box leaves out of its product, too
            around = self.appearance.blocks_of(xyxy, -_REACH)
            mask[around] |= (self._regions.open & ~self.shelved)[around]
        mask &= ~self._regions.unsettled
        if noise:
            self.appearance.noise.accept(self._look.energy, mask & self._look.changed)
        self.appearance.adopt(mask)
