"""Frames from pictures, folders, globs and clips; the one place where BGR becomes RGB."""

from __future__ import annotations

import glob
import logging
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from edge.camera.clip import clip_length, frame_at, sample_clip
from edge.camera.decode import decode_picture
from edge.camera.header import kind_of
from edge.errors import CameraError
from edge.types import U8, Frame

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
CLIP_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"}
)
MAX_FILE_BYTES = 1_000_000_000
"""Picture files above this are refused unread."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """An input that gave no frame, or broke off; the error's line names it."""

    source: str
    error: CameraError


def iter_frames(
    paths: Sequence[str | Path], *, every_s: float = 1.0
) -> Iterator[Frame | SourceFailure]:
    """Yield the frames of all inputs in order; one bad input never stops the others.

    A path is a picture, a clip, a folder (the pictures and clips directly in it, by name; hidden
    files are left out) or a glob (``**`` crosses folders). A file that is named twice is read once.
    Names decide only which files of a folder are taken: what a file is, its content says.

    ``Frame.camera_id`` is the path as given; ``index`` is the frame's number in a clip, 0 for a
    picture; ``captured_at`` is a picture's EXIF time, else the file's time plus the time in a clip.

    Args:
        paths: inputs in the order in which they are read.
        every_s: seconds of a clip between two frames, above 0.

    Raises:
        ValueError: ``every_s`` is not above 0.
    """
    if not (math.isfinite(every_s) and every_s > 0):
        raise ValueError(f"every_s must be above 0, got {every_s}")
    seen: set[str] = set()
    for item in _expand(paths):
        if isinstance(item, SourceFailure):
            yield item
            continue
        try:
            real = os.path.realpath(item)
            if real in seen:
                continue
            seen.add(real)
            yield from _frames_of(item, every_s)
        except OSError as error:
            yield _failure(item, error.strerror or str(error))
        except CameraError as error:
            yield SourceFailure(shown(item), error)


def read_image(path: str | Path) -> U8:
    """One picture as ``(H, W, 3) uint8`` RGB, upright; CameraError names the file."""
    path = Path(path)
    return _rgb(decode_picture(_read_picture(path), shown(path)).bgr)


def read_frame(source: str | Path, index: int) -> U8:
    """The pixels behind a result: ``source`` and ``index`` as its record gives them.

    Returns ``(H, W, 3) uint8`` RGB, of the size that the result had.

    Raises:
        CameraError: the file is gone, or has no such frame.
    """
    path = Path(source)
    if _kind(path) == "clip":
        return _rgb(frame_at(path, shown(path), index))
    return read_image(path)


def count_hint(paths: Sequence[str | Path], *, every_s: float = 1.0) -> int:
    """About how many frames :func:`iter_frames` will give; for progress bars. Decodes nothing."""
    total = 0
    for item in _expand(paths):
        if isinstance(item, SourceFailure):
            continue
        try:
            if _kind(item) == "clip":
                frames, seconds = clip_length(item, shown(item))
                total += int(min(frames, seconds / every_s + 1)) if seconds else 1
            else:
                total += 1
        except CameraError:
            total += 1
    return total


def write_rgb(bgr: U8, out: U8) -> None:
    """Write a live frame, ``(H, W, 3) uint8`` BGR, into ``out`` of the same shape as RGB."""
    cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=out)


def shown(path: str | Path) -> str:
    """A path as one line of printable text, whatever bytes the file's name is made of."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]", lambda m: f"\\x{ord(m[0]):02x}", text)


def _expand(paths: Sequence[str | Path]) -> Iterator[Path | SourceFailure]:
    for given in paths:
        path = Path(given)
        try:
            if path.is_dir():
                yield from _folder(path)
            elif path.exists() or path.is_symlink():
                yield path
            elif glob.has_magic(str(given)):
                yield from _glob(str(given))
            else:
                yield _failure(path, "no such file or folder")
        except (OSError, ValueError) as error:
            yield _failure(path, getattr(error, "strerror", None) or str(error))


def _folder(path: Path) -> Iterator[Path | SourceFailure]:
    suffixes = PICTURE_SUFFIXES | CLIP_SUFFIXES
    files = sorted(
        child
        for child in path.iterdir()
        if child.suffix.lower() in suffixes
        and not child.name.startswith(".")
        and not child.is_dir()
    )
    if not files:
        yield _failure(path, "the folder holds no pictures or clips (subfolders are not searched)")
    yield from files


def _glob(pattern: str) -> Iterator[Path | SourceFailure]:
    # Path.glob takes no absolute pattern
    found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    files = [path for path in found if not path.is_dir()]
    if not files:
        yield _failure(Path(pattern), "no file matches")
    yield from files


def _frames_of(path: Path, every_s: float) -> Iterator[Frame]:
    name = shown(path)
    if _kind(path) == "clip":
        start = _file_time(path)
        for sample in sample_clip(path, name, every_s):
            moment = start + timedelta(seconds=sample.at_s)
            yield Frame(_rgb(sample.bgr), name, sample.number, moment)
        return
    decoded = decode_picture(_read_picture(path), name)
    yield Frame(_rgb(decoded.bgr), name, 0, decoded.taken_at or _file_time(path))


def _kind(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CameraError(f"{shown(path)}: not a regular file")
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CameraError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    kind = kind_of(head)
    if not head:
        raise CameraError(f"{shown(path)}: the file is empty")
    if kind == "heif":
        raise CameraError(f"{shown(path)}: HEIC and AVIF are not supported, save it as JPEG")
    if kind == "other":
        raise CameraError(f"{shown(path)}: neither a picture nor a clip that can be read")
    return kind


def _read_picture(path: Path) -> bytes:
    name = shown(path)
    if _kind(path) == "clip":
        raise CameraError(f"{name}: a clip, where a picture is expected")
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise CameraError(f"{name}: {size} bytes are more than a picture may have")
        return path.read_bytes()
    except OSError as error:
        raise CameraError(f"{name}: cannot be read: {error.strerror or error}") from error


def _file_time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _rgb(bgr: U8) -> U8:
    return np.ascontiguousarray(bgr[..., ::-1])


def _failure(path: Path, why: str) -> SourceFailure:
    name = shown(path)
    return SourceFailure(name, CameraError(f"{name}: {why}"))
