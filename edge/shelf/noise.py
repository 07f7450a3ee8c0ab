"""How much each place of a picture differs although nothing changed there.

A sensor's noise is new in every frame and averages out. Compression is not: at a low bit rate an
encoder leaves blocks as they are for seconds, and draws the whole picture anew at each key frame. So
three levels are kept for each block, all mean squares in grey levels, learned while the camera runs:
from frame to frame, at key frames, and between the settled picture and the reference.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.shelf.slot_settings import SlotSettings
from edge.types import F32

Mask = npt.NDArray[np.bool_]
_LEARN = 0.05
_PULSE = 1.3  # times the step of the frame before, in the whole picture, that a key frame has
_PULSE_LEAST = 0.5
_PULSE_MOST = 25.0  # times the picture's own step: somebody who moves meanwhile is no noise
_KEYS_FADE_S, _KEYS_LEAST = 10.0, 1.5  # after so many, what comes in between is the encoder's, too
_PULSE_FACTOR = 4.0
_PULSE_FADES_S = 300.0
_RISE_S, _SINK_S = 4.0, 30.0
_CHANGED_RISE_S = 60.0  # a change must be settled long before it could pass for noise
_CLIP = 4.0
_LIKE_OTHERS = 9.0  # times the picture's level: no place is noisier than that
_UNSURE_S = 4.0  # of seeing a picture, after which its noise is known to a factor of two
_RESUMED_S = 60.0
_STRIDE = 2  # of the blocks from which the picture's own level is taken


class PictureNoise:
    """The noise of one camera's picture; arrays are per block ``(rows, columns) float32``.

    ``quick``: between a frame and the mean of those before; ``drift``: between such a mean and the
    reference, what averaging leaves; ``pulse``: what a key frame does; ``seen_s``: how long the
    picture has been learned.
    """

    def __init__(self, settings: SlotSettings, shape: tuple[int, int]) -> None:
        self._settings = settings
        self.quick: F32 = np.full(shape, 9.0, np.float32)
        self.drift: F32 = np.zeros(shape, np.float32)
        self.pulse: F32 = np.zeros(shape, np.float32)
        self._previous = np.inf
        self._keys = 0.0
        self.seen_s = 0.0

    @property
    def coded(self) -> bool:
        """Whether key frames can be told in the picture, as in a stream of little bit rate."""
        return float(self.pulse.mean()) > _PULSE_LEAST

    def resume(self, quick: F32, drift: F32 | None, pulse: F32 | None) -> None:
        """Go on from what was stored, as far as it is of this shape."""
        if quick.shape == self.quick.shape:
            self.quick = quick.copy()
        if drift is not None and drift.shape == self.drift.shape:
            self.drift = drift.copy()
            self.seen_s = _RESUMED_S
        if pulse is not None and pulse.shape == self.pulse.shape:
            self.pulse = pulse.copy()

    def restart(self) -> None:
        """Begin to learn anew, after the camera moved; what was learned serves until then."""
        self.seen_s = 0.0

    def moving(self, step: F32, elapsed_s: float) -> Mask:
        """The blocks in which something moves, and learn from the others.

        Args:
            step: mean square difference of a frame to the mean of those before.
            elapsed_s: since the frame before.
        """
        settings = self._settings
        self._follow_pulse(step, elapsed_s)
        least = np.maximum(np.float32(settings.motion_levels**2), self.pulse * _PULSE_FACTOR)
        moving = step > np.maximum(least, np.float32(settings.noise_factor**2) * self.quick)
        quiet = np.minimum(step, _CLIP * self.quick)
        self.quick += np.float32(_LEARN) * np.where(moving, 0.0, quiet - self.quick)
        return np.asarray(moving, bool)

    def level(self, energy: F32, watched: Mask) -> F32:
        """What counts as noise in each block now: its own, and at least that of the whole picture;
        more of both as long as little was seen.

        Args:
            energy: mean square difference to the reference, quick noise taken off.
            watched: blocks that are still and have a reference.
        """
        unsure = np.float32(1.0 + _UNSURE_S / max(self.seen_s, 0.2))
        return np.maximum(self.drift, self._floor(energy, watched)) * unsure

    def learn(self, energy: F32, watched: Mask, changed: Mask, elapsed_s: float) -> None:
        """Follow the drift of the blocks that are ``watched``; slowly where they look changed."""
        floor = self._floor(energy, watched)
        self.seen_s += min(elapsed_s, 1.0)
        first = min(elapsed_s / max(self.seen_s, 0.2), 1.0)
        rise, sink, late = (
            np.float32(max(min(elapsed_s / time_s, 1.0), first))
            for time_s in (_RISE_S, _SINK_S, _CHANGED_RISE_S)
        )
        off = np.minimum(energy, _CLIP * np.maximum(self.drift, floor)) - self.drift
        rate = np.where(off > 0, np.where(changed, late, rise), sink)
        self.drift += np.where(watched, rate * off, np.float32(0.0))
        np.minimum(self.drift, np.float32(_LIKE_OTHERS * max(floor, 1.0)), out=self.drift)

    def accept(self, energy: F32, blocks: Mask) -> None:
        """What was looked into in these blocks and found to be the same product was noise."""
        enough = energy / np.float32(self._settings.noise_factor**2)
        np.maximum(self.drift, enough, out=self.drift, where=blocks)

    def _floor(self, energy: F32, watched: Mask) -> float:
        """The median over the picture, in which most places are as they were; 0 where it is so large
        that the camera sees something else."""
        part = energy[::_STRIDE, ::_STRIDE][watched[::_STRIDE, ::_STRIDE]]
        if not part.size:
            return 0.0
        level = float(np.median(part))
        return level if level <= self._settings.noise_levels_max**2 else 0.0

    def _follow_pulse(self, step: F32, elapsed_s: float) -> None:
        """Learn what a key frame does to each block. It does it to the whole picture at once and
        from one frame to the next, as nobody who walks in does."""
        level = float(np.quantile(step[::_STRIDE, ::_STRIDE], 0.3))
        least = _PULSE * self._previous + _PULSE_LEAST
        key = least < level <= self._settings.noise_levels_max**2
        self._previous = level or self._previous
        self._keys = self._keys * max(1.0 - elapsed_s / _KEYS_FADE_S, 0.0) + key
        if not key and self._keys < _KEYS_LEAST:
            self.pulse *= np.float32(max(1.0 - elapsed_s / _PULSE_FADES_S, 0.0))
            return
        size = np.minimum(step, np.float32(_PULSE_MOST * level))
        rate = np.where(size > self.pulse, np.float32(1.0 if key else 0.5), np.float32(0.3))
        self.pulse += (size - self.pulse) * rate
