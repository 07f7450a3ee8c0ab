from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.camera.source import SourceFailure, count_hint, iter_frames, read_frame, read_image, shown
from edge.errors import CameraError
from edge.types import Frame
from tests.edge.camera.pictures import (
    encode,
    exif_block,
    noise,
    png_claiming,
    with_exif,
    write,
    write_clip,
)


def frames_and_failures(
    paths: Sequence[str | Path], every_s: float = 1.0
) -> tuple[list[Frame], list[SourceFailure]]:
    items = list(iter_frames(paths, every_s=every_s))
    return (
        [item for item in items if isinstance(item, Frame)],
        [item for item in items if isinstance(item, SourceFailure)],
    )


def test_a_picture_is_one_rgb_frame(tmp_path: Path) -> None:
    picture = noise(30, 20)
    path = write(tmp_path / "a.png", encode(picture, ".png"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    (frame,), failures = frames_and_failures([path])
    assert failures == []
    np.testing.assert_array_equal(frame.image, picture)
    assert (frame.camera_id, frame.index) == (str(path), 0)
    assert frame.captured_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_exif_time_goes_before_file_time(tmp_path: Path) -> None:
    block = exif_block(taken="2026:03:04 15:16:17", offset="-01:00")
    path = write(tmp_path / "a.jpg", with_exif(encode(noise(16, 16), ".jpg"), block))
    (frame,), _ = frames_and_failures([path])
    assert frame.captured_at == datetime(2026, 3, 4, 16, 16, 17, tzinfo=UTC)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    picture = noise(30, 20)
    path = write(tmp_path / "png.jpg", encode(picture, ".png"))
    np.testing.assert_array_equal(read_image(path), picture)
    clip = write_clip(tmp_path / "clip.avi", [10, 20]).rename(tmp_path / "clip.jpg")
    (frame,), _ = frames_and_failures([clip])
    assert frame.image.shape == (48, 64, 3)
    with pytest.raises(CameraError, match=r"clip\.jpg: a clip"):
        read_image(clip)


def test_a_folder_is_read_by_name_and_without_what_is_no_picture(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", ".hidden.png", "notes.txt"):
        write(tmp_path / name, encode(noise(8, 8), ".png"))
    (tmp_path / "sub.png").mkdir()
    frames, failures = frames_and_failures([tmp_path])
    assert [Path(frame.camera_id).name for frame in frames] == ["a.png", "b.PNG"]
    assert failures == []
    assert count_hint([tmp_path]) == 2


def test_globs_cross_folders_and_nothing_is_read_twice(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    one = write(tmp_path / "x" / "1.png", encode(noise(8, 8), ".png"))
    write(tmp_path / "x" / "y" / "2.png", encode(noise(8, 8), ".png"))
    frames, _ = frames_and_failures([str(tmp_path / "**" / "*.png"), one, one.parent])
    assert [Path(frame.camera_id).name for frame in frames] == ["1.png", "2.png"]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "shelf [1].png", encode(noise(8, 8), ".png"))
    frames, failures = frames_and_failures([path])
    assert (len(frames), failures) == (1, [])


def bad_inputs(folder: Path) -> dict[Path, str]:
    """Inputs that cannot be read, with a part of the line that says so."""
    (folder / "empty").mkdir()
    jpeg = encode(noise(160, 120, block=4), ".jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to(folder / "gone.jpg")
    (folder / "trunc.avi").write_bytes(
        write_clip(folder / "whole.avi", [9] * 40).read_bytes()[:9000]
    )
    return {
        write(folder / "text.jpg", b"Dear all, " * 40): "neither a picture nor a clip",
        write(folder / "empty.jpg", b""): "the file is empty",
        write(folder / "cut.jpg", jpeg[: len(jpeg) // 2]): "cut short",
        write(folder / "zero.png", png_claiming(0, 0)): "no pixels",
        write(folder / "bomb.png", png_claiming(60_000, 60_000)): "more than can be decoded",
        write(folder / "a.heic", b"\0\0\0\x18ftypheic" + b"\0" * 50): "HEIC and AVIF",
        write(folder / "junk.mp4", b"\0\0\0\x18ftypisom" + b"\0" * 50): "cannot be opened",
        write(folder / "list.mp4", b"#EXTM3U\nhttp://example.invalid/x.ts\n"): "neither",
        write_clip(folder / "none.avi", []): "the clip has no frames",
        write_clip(folder / "none.mp4", [], codec="mp4v"): "has no frames",
        folder / "trunc.avi": "breaks off after frame",
        folder / "empty": "holds no pictures",
        folder / "missing.jpg": "no such file",
        folder / "*.gif": "no file matches",
        folder / "pipe.jpg": "not a regular file",
        folder / "link.jpg": "",
        folder / ("x" * 300): "",
    }


def test_bad_inputs_give_one_line_each_and_stop_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = bad_inputs(tmp_path)
    good = write(tmp_path / "good.png", encode(noise(8, 8), ".png"))
    capfd.readouterr()
    frames, failures = frames_and_failures([*bad, good])
    assert [failure.source for failure in failures] == [str(path) for path in bad]
    for failure, (path, why) in zip(failures, bad.items(), strict=True):
        assert str(failure.error).startswith(f"{path}: ")
        assert why in str(failure.error)
        assert "\n" not in str(failure.error)
    assert frames[-1].camera_id == str(good)
    assert {Path(f.camera_id).name for f in frames} == {"trunc.avi", "good.png"}
    assert count_hint([*bad, good]) >= 1
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", encode(noise(8, 8), ".png"))
    path.chmod(0)
    _, (failure,) = frames_and_failures([path])
    assert "Permission denied" in str(failure.error)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "MJPG")]
)
def test_a_clip_is_sampled_by_its_clock(tmp_path: Path, suffix: str, codec: str) -> None:
    shades = [10 * i for i in range(25)]
    path = write_clip(tmp_path / f"c{suffix}", shades, fps=10, codec=codec)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    frames, failures = frames_and_failures([path], every_s=1.0)
    assert failures == []
    assert [frame.index for frame in frames] == [0, 10, 20]
    start = datetime.fromtimestamp(1_700_000_000, UTC)
    assert [(f.captured_at - start) for f in frames] == [timedelta(seconds=s) for s in (0, 1, 2)]
    for frame in frames:
        red, green, blue = frame.image.reshape(-1, 3).mean(0)
        assert abs(red - shades[frame.index]) < 12
        assert max(green, blue) < 20
    assert count_hint([path]) == 3
    assert [f.index for f in frames_and_failures([path], every_s=0.25)[0]][:4] == [0, 3, 5, 8]
    assert len(frames_and_failures([path], every_s=0.01)[0]) == 25


def test_a_frame_is_found_again_by_source_and_index(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.avi", [10 * i for i in range(25)])
    frames, _ = frames_and_failures([path], every_s=0.7)
    for frame in frames:
        np.testing.assert_array_equal(read_frame(frame.camera_id, frame.index), frame.image)
    with pytest.raises(CameraError, match="no frame 99"):
        read_frame(path, 99)


@pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf")])
def test_the_sampling_step_must_be_above_zero(every_s: float) -> None:
    with pytest.raises(ValueError, match="every_s"):
        list(iter_frames(["x"], every_s=every_s))


def test_any_file_name_is_one_line_of_text(tmp_path: Path) -> None:
    assert shown("a\nb\x1b[31m.jpg") == "a\\x0ab\\x1b[31m.jpg"
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(encode(noise(8, 8), ".png"))
    (frame,), _ = frames_and_failures([tmp_path])
    frame.camera_id.encode("utf-8")
    clip = write_clip(tmp_path / "c.avi", [9, 9])
    clip.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.avi"))
    _, (failure,) = frames_and_failures([tmp_path])
    assert "is not UTF-8" in str(failure.error)
