"""Finds the products of a frame: passes at a chosen scale, decoded, merged, in frame pixels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from edge import geometry
from edge.errors import BundleError, ConfigError
from edge.manifest import DetectorSpec
from edge.timing import Stopwatch
from edge.types import F32, U8, Detections
from edge.vision import decode, preprocess
from edge.vision.merge import Region, merge
from edge.vision.scale import Scale, choose, parse_scale, tile_origins, whole_factor
from edge.vision.session import Session

log = logging.getLogger("edge.vision")

TILE_BATCH = 4
"""Tiles a run, where the model's batch is dynamic."""
_COPY_GAP = 16


class Detector:
    """A detector session with its manifest entry.

    Args:
        scale: ``auto`` or a fixed choice as written in results (``whole``, ``tiles@0.75``, …);
            by default the manifest's.

    Raises:
        BundleError: when input or output of the model do not fit the manifest.
        ConfigError: when ``scale`` is not known.
    """

    def __init__(self, session: Session, spec: DetectorSpec, scale: str | None = None) -> None:
        self._session = session
        self._spec = spec
        self._scale_text = scale or spec.scale.mode
        parse_scale(self._scale_text, 1.0)
        given, outputs = session.signature
        width, height = spec.input_wh
        expected = (3, height, width) if spec.layout == "nchw" else (height, width, 3)
        if len(given.shape) != 4 or any(
            n not in (None, e) for n, e in zip(given.shape[1:], expected, strict=True)
        ):
            wanted = ", ".join(str(n) for n in expected)
            raise BundleError(f"detector input must be (batch, {wanted}), got {given.shape}")
        decode.check_output(outputs[0].shape, spec)
        self._batch = TILE_BATCH if given.shape[0] is None else int(given.shape[0])
        self._fixed_batch = given.shape[0] is not None

    @property
    def provider(self) -> str:
        """The execution provider in use."""
        return self._session.provider

    def at_scale(self, scale: str | None) -> Detector:
        """The same session with another choice of scale, as in the constructor."""
        return Detector(self._session, self._spec, scale)

    def detect(self, image: U8, watch: Stopwatch | None = None) -> tuple[Detections, str]:
        """Products of ``image (H, W, 3) uint8`` RGB, best first, and the scale that found them.

        ``watch`` gets the stages letterbox, detector, nms.
        """
        watch = watch or Stopwatch()
        frame_wh = (int(image.shape[1]), int(image.shape[0]))
        fixed = parse_scale(self._scale_text, whole_factor(frame_wh, self._spec.input_wh))

        def passes(scales: Sequence[Scale]) -> list[Detections]:
            if len(scales) > 1:
                return self._side_by_side(image, scales, watch)
            return [self._at(image, scales[0], watch)]

        if fixed is not None:
            self._check_tiles(fixed, frame_wh)
            found, chosen = self._at(image, fixed, watch), fixed
        else:
            found, chosen = choose(passes, frame_wh, self._spec.input_wh, self._spec.scale)
        if len(found) >= self._spec.max_det:
            log.warning("max_det reached: only the %d surest boxes are kept", self._spec.max_det)
        return found, str(chosen)

    def _check_tiles(self, scale: Scale, frame_wh: tuple[int, int]) -> None:
        if scale.mode != "tiles":
            return
        policy = self._spec.scale
        tiles = len(tile_origins(frame_wh, self._spec.input_wh, scale.factor, policy.overlap))
        if tiles > policy.max_tiles:
            raise ConfigError(
                f"scale {scale} needs {tiles} tiles on {frame_wh[0]}x{frame_wh[1]}, more than the"
                f" bundle's {policy.max_tiles}"
            )

    def bare_run(self, image: U8) -> Callable[[], None]:
        """The model alone on the whole frame, its input ready: what a benchmark compares with."""
        factor = whole_factor((image.shape[1], image.shape[0]), self._spec.input_wh)
        batch = self._padded(self._place(image, (0, 0, image.shape[1], image.shape[0]), factor)[0])

        def run() -> None:
            self._session.run(batch)

        return run

    def _at(self, image: U8, scale: Scale, watch: Stopwatch) -> Detections:
        height, width = image.shape[:2]
        if scale.mode == "tiles":
            overlap = self._spec.scale.overlap
            regions = tile_origins((width, height), self._spec.input_wh, scale.factor, overlap)
        else:
            regions = [(0, 0, width, height)]
        boxes = self._regions(image, regions, scale.factor, watch)
        with watch.stage("nms"):
            return merge(boxes, regions, (width, height), self._spec)

    def _side_by_side(
        self, image: U8, scales: Sequence[Scale], watch: Stopwatch
    ) -> list[Detections]:
        """Several smaller copies of a frame in one input: one pass for all of them."""
        height, width = image.shape[:2]
        frame_wh = (int(width), int(height))
        with watch.stage("letterbox"):
            canvas = preprocess.blank(self._spec.input_wh)
            along_x = width <= height
            sides = [max(1, round((width if along_x else height) * s.factor)) for s in scales]
            free = self._spec.input_wh[0 if along_x else 1] - sum(sides)
            gap = max(0, min(_COPY_GAP, free // (len(scales) - 1)))
            at, placed = 0, []
            for scale, side in zip(scales, sides, strict=True):
                corner = (at, 0) if along_x else (0, at)
                placed.append(preprocess.paste(canvas, image, scale.factor, at_xy=corner))
                at += side + gap
            batch = self._padded(
                preprocess.to_tensor(canvas, self._spec.layout, self._spec.value_range)
            )
        with watch.stage("detector"):
            output = self._session.run(batch)[0]
        with watch.stage("nms"):
            xyxy, confidence, class_id = decode.decode(output, self._spec)[0]
            centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
            start = np.array([t.pad_xy[0 if along_x else 1] for t in placed])
            owner = np.searchsorted(start, centre[:, 0 if along_x else 1], side="right") - 1
            found = []
            for i, transform in enumerate(placed):
                mine = owner == i
                raw = (transform.inverse(xyxy[mine]), confidence[mine], class_id[mine])
                found.append(merge([raw], [(0, 0, *frame_wh)], frame_wh, self._spec))
            return found

    def _padded(self, batch: F32) -> F32:
        """Fill up a batch for a model whose batch size is fixed."""
        missing = self._batch - len(batch) if self._fixed_batch else 0
        if missing <= 0:
            return batch
        return np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.float32)])

    def _regions(
        self,
        image: U8,
        regions: Sequence[Region],
        factor: float,
        watch: Stopwatch,
    ) -> list[decode.RawBoxes]:
        """Decoded boxes of each region, in frame pixels."""
        results: list[decode.RawBoxes] = []
        for start in range(0, len(regions), self._batch):
            part = regions[start : start + self._batch]
            with watch.stage("letterbox"):
                placed = [self._place(image, region, factor) for region in part]
                batch = placed[0][0] if len(placed) == 1 else np.concatenate([p[0] for p in placed])
                batch = self._padded(batch)
            with watch.stage("detector"):
                output = self._session.run(batch)[0]
            with watch.stage("nms"):
                for (_, transform), raw in zip(
                    placed, decode.decode(output, self._spec), strict=False
                ):
                    results.append((transform.inverse(raw[0]), raw[1], raw[2]))
        return results

    def _place(
        self, image: U8, region: Region, factor: float
    ) -> tuple[F32, geometry.LetterboxTransform]:
        x1, y1, x2, y2 = region
        spec = self._spec
        # rounding may put a region one pixel over the input
        factor = min(factor, spec.input_wh[0] / (x2 - x1), spec.input_wh[1] / (y2 - y1))
        return preprocess.letterbox(
            image[y1:y2, x1:x2],
            spec.input_wh,
            scale=factor,
            layout=spec.layout,
            value_range=spec.value_range,
            origin_xy=(x1, y1),
        )
