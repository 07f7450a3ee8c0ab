"""What a video encoder does to a still shelf is no change of it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.shelf.noise import Mask, PictureNoise
from edge.shelf.slots import ShelfMemory
from edge.types import U8, Frame
from tests.edge.shelf.watched_shelf import (
    FPS,
    SETTINGS,
    SIZE_WH,
    Paint,
    Shelf,
    Watcher,
    slot_at,
)

GROUP = 10


@dataclass
class BlockCodec:
    """A video encoder in miniature: a poor key frame every ten frames, none like the last, and in
    between only the blocks that are most off are sent again, a little better.

    ``quality`` and ``better`` are those of JPEG.
    """

    quality: int
    better: int
    shown: U8 | None = None
    number: int = 0

    def __call__(self, picture: U8) -> U8:
        key = self.number % GROUP == 0
        turn = self.number // GROUP * 7 % 12
        self.number += 1
        coded = _jpeg(picture, self.quality + turn if key else self.better)
        if key or self.shown is None:
            self.shown = coded
        else:
            height, width = picture.shape[:2]
            off = np.square(picture.astype(np.float32) - self.shown).mean(axis=2)
            blocks = cv2.resize(off, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
            sent = (blocks > np.quantile(blocks, 0.8)).astype(np.uint8)
            mask = cv2.resize(sent, (width, height), interpolation=cv2.INTER_NEAREST)
            self.shown = np.where(mask[..., None] > 0, coded, self.shown).astype(np.uint8)
        return self.shown


@dataclass
class SqueezedShelf(Shelf):
    """A shelf seen through a codec; its frames are to be asked for in their order."""

    codec: BlockCodec = field(default_factory=lambda: BlockCodec(8, 25))

    def frame(self, number: int, paint: Paint | None = None) -> Frame:
        """The next frame, as it comes out of the codec."""
        plain = super().frame(number, paint)
        return Frame(self.codec(plain.image), plain.camera_id, number, plain.captured_at)


def _jpeg(picture: U8, quality: int) -> U8:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("codec", [(50, 75), (60, 80)])
def test_key_frames_and_stale_blocks_are_no_change(codec: tuple[int, int]) -> None:
    watcher = Watcher(SqueezedShelf.full(codec=BlockCodec(*codec)))
    assert watcher.run(12.0) == []
    embedded, passes = watcher.embedded, watcher.detections
    assert watcher.run(8.0) == []
    # most of the frames cost no inference
    assert watcher.embedded - embedded <= 2 * SETTINGS.votes * 4
    assert watcher.detections - passes <= 2


def test_changes_are_still_seen_on_a_compressed_stream() -> None:
    watcher = Watcher(SqueezedShelf.full(codec=BlockCodec(50, 75)))
    watcher.run(8.0)
    watcher.shelf.products[9] = ("d", False)
    (replaced,) = watcher.run(3.0)
    assert (replaced.kind, replaced.sku_before, replaced.sku_after) == ("replaced", "b", "d")
    del watcher.shelf.products[2]
    (taken,) = watcher.run(3.0)
    assert (taken.kind, taken.slot_id) == ("taken", slot_at(watcher.memory, 2))


def test_what_was_learned_of_the_noise_is_kept_over_a_restart() -> None:
    watcher = Watcher(SqueezedShelf.full(codec=BlockCodec(50, 75)))
    watcher.run(8.0)
    again = ShelfMemory.restore("cam", watcher.memory.state(), SETTINGS)
    before, after = watcher.memory.view, again.view
    assert before is not None
    assert after is not None
    kept, expected = after.appearance.noise.drift, before.appearance.noise.drift
    assert expected.max() > 1
    assert np.allclose(kept, expected, rtol=1e-3, atol=1e-3)
    watcher.memory = again
    assert watcher.run(6.0) == []


def test_suspects_wait_their_turn_and_are_counted() -> None:
    settings = SETTINGS.model_copy(update={"suspects_max": 2})
    watcher = Watcher(Shelf.full(), ShelfMemory("cam", settings))
    watcher.run(4.0)
    assert watcher.memory.postponed == 0
    after = {"a": "b", "b": "c", "c": "d", "d": "a"}
    # far from one another, so that they are no single large region
    for place in (0, 2, 5, 7, 9, 11, 14):
        sku, _ = watcher.shelf.products[place]
        watcher.shelf.products[place] = (after[sku], False)
    events = []
    for _ in range(40):
        events += watcher.step()
        assert len(watcher.last_slots) <= 2 + np.ceil(settings.refresh_share * 16)
    assert [e.kind for e in events] == ["replaced"] * 7
    assert len({e.slot_id for e in events}) == 7
    assert watcher.memory.postponed > 0


def h264(pictures: list[U8], folder: Path, kbit: int) -> list[U8]:
    """Through x264 and back; skips where GStreamer or its parts are missing."""
    launch = shutil.which("gst-launch-1.0")
    if launch is None:
        pytest.skip("no gst-launch-1.0")
    height, width = pictures[0].shape[:2]
    path = folder / "clip.mkv"
    line = (
        f"fdsrc ! rawvideoparse format=rgb width={width} height={height} framerate={FPS:.0f}/1"
        " ! videoconvert ! video/x-raw,format=I420"
        f" ! x264enc threads=1 tune=zerolatency speed-preset=ultrafast key-int-max={GROUP}"
        f" bitrate={kbit} ! h264parse ! matroskamux ! filesink location={path}"
    )
    done = subprocess.run(
        [launch, "-q", *line.split()],
        input=b"".join(p.tobytes() for p in pictures),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"gst-launch-1.0: {done.stderr.decode(errors='replace').strip()[:200]}")
    video = cv2.VideoCapture(str(path))
    shown = []
    while len(shown) < len(pictures):
        read, picture = video.read()
        if not read:
            pytest.skip("this OpenCV reads no H.264")
        shown.append(np.ascontiguousarray(picture[..., ::-1]))
    return shown


def test_somebody_who_walks_in_is_no_key_frame() -> None:
    rng = np.random.default_rng(3)
    noise = PictureNoise(SETTINGS, (40, 60))

    def step(covered: int) -> Mask:
        energy = rng.uniform(3.0, 5.0, (40, 60)).astype(np.float32)
        energy[:, :covered] = 150.0
        return noise.moving(energy, 1 / FPS)

    for number in range(60):
        # in for two thirds of the picture, then gone again
        covered = min(number, 60 - number) * 4 // 3
        moving = step(covered)
        assert moving[:, :covered].all()
    assert not noise.coded
    # what comes to the whole picture at once is one
    assert not noise.moving(np.full((40, 60), 30.0, np.float32), 1 / FPS).any()
    assert noise.coded


@pytest.mark.parametrize("kbit", [150, 400])
def test_an_h264_stream_of_a_still_shelf_has_no_change(tmp_path: Path, kbit: int) -> None:
    shelf = Shelf.full(noise=4.0)
    even = (SIZE_WH[0] // 2 * 2, SIZE_WH[1] // 2 * 2)
    assert even == SIZE_WH
    shown = h264([shelf.frame(n).image for n in range(80)], tmp_path, kbit)

    class Played(Shelf):
        def frame(self, number: int, paint: Paint | None = None) -> Frame:
            at = super().frame(number).captured_at
            return Frame(shown[number], "cam", number, at)

    watcher = Watcher(Played.full())
    assert watcher.run(16.0) == []
    assert sum(watcher.memory.inventory().values()) == len(shelf.products)
