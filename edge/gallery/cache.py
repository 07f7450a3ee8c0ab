"""The index on disk: a cache beside the gallery that is used only when it is proved right.

``gallery.db.hnsw.json`` is the header. It names the files that belong together (the graph, which
reference is which node, and for large galleries the vectors), each with its size and SHA-256, and all
that they were made from; a checksum covers the header itself. The files have names of their own for
every version and are complete before the header that names them takes the place of the last one: at
any moment there is a whole index or none. Whatever differs, the index is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge import atomic
from edge.errors import GalleryError, OutputError
from edge.gallery import graph
from edge.gallery.files import sync_file
from edge.gallery.measured import Recall

FORMAT = 3
_LAYOUT = (
    f"{sys.byteorder}-{sys.maxsize.bit_length() + 1}"  # hnswlib writes the machine's own words
)
_COPY_S = 3600  # longer than any copy of a graph takes
ROLES = ("hnsw", "nodes", "vectors")
"""Endings of the files that a header may name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What an index must have been made from to be of any use to a gallery."""

    gallery_id: str
    tower: str
    dim: int


@dataclass(frozen=True, slots=True)
class Header:
    """``last_seq`` is the state that the index is of; ``recall`` what was measured at ``ef``."""

    origin: Origin
    last_seq: int
    references: int
    nodes: int
    dead: int
    axes: int
    ef: int
    recall: Mapping[str, object]
    files: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    metric: str = graph.METRIC
    m: int = graph.M
    ef_construction: int = graph.EF_CONSTRUCTION

    @property
    def measured(self) -> Recall:
        """``recall`` as what it is."""
        return Recall.from_json(self.recall)


def graph_path(gallery: Path) -> Path:
    """The name under which the index of a gallery file goes; its header is beside it."""
    return gallery.with_name(gallery.name + ".hnsw")


def header_path(index: Path) -> Path:
    """The header of the index that goes under the name ``index``."""
    return index.with_name(index.name + ".json")


def file_of(index: Path, header: Header, role: str) -> Path:
    """The file of a role (see ROLES) that the header names."""
    return index.with_name(str(header.files[role]["name"]))


def read(index: Path, origin: Origin) -> Header:
    """The header, after it and every byte that it stands for were found right.

    Raises GalleryError with the reason why the index must not be loaded.
    """
    header = read_header(index, origin)
    for role in header.files:
        path, seal = file_of(index, header, role), header.files[role]
        try:
            size = path.stat().st_size
            if size != seal["bytes"]:
                raise GalleryError(f"{path.name} has {size} bytes, expected {seal['bytes']}")
            if sha256(path) != seal["sha256"]:
                raise GalleryError(f"{path.name} does not match its checksum")
        except OSError as error:
            raise GalleryError(f"{path.name} cannot be read: {error.strerror}") from error
    return header


def read_header(index: Path, origin: Origin | None = None) -> Header:
    """The header alone, proved undamaged and, with ``origin``, of this gallery. Raises GalleryError."""
    path = header_path(index)
    try:
        stored = json.loads(path.read_bytes())
        sealed = stored.pop("checksum")
        damaged = sealed != _seal(stored)
    except FileNotFoundError:
        raise GalleryError("there is none yet") from None
    except OSError as error:
        raise GalleryError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        damaged = True
    if damaged:
        raise GalleryError(f"{path.name} is damaged")
    expected: dict[str, object] = {
        "format": FORMAT,
        "layout": _LAYOUT,
        "metric": graph.METRIC,
        "m": graph.M,
        "ef_construction": graph.EF_CONSTRUCTION,
    }
    if origin is not None:
        expected |= {"origin": asdict(origin)}
    for name, value in expected.items():
        if stored.get(name) != value:
            raise GalleryError(f"{name} is {stored.get(name)!r}, expected {value!r}")
    values = {name: stored[name] for name in stored if name not in ("format", "layout", "origin")}
    return Header(origin=Origin(**stored["origin"]), **values)


def new_file(index: Path, version: str, role: str) -> Path:
    """The name of a file of a version (any hexadecimal text) that is being written."""
    return index.with_name(f"{index.stem}.{version}.{role}")


def new_version() -> str:
    """A name for files that no other version has."""
    return secrets.token_hex(4)


def seal(path: Path, size: int | None = None) -> dict[str, object]:
    """Name, size and SHA-256 of a written file, once it is on disk.

    ``size`` is what it must have: hnswlib does not say when a disk is full. Raises OutputError.
    """
    try:
        written = path.stat().st_size
        if size is not None and written != size:
            raise OutputError(f"{path}: cannot be written: {written} of {size} bytes written")
        sync_file(path)
        return {"name": path.name, "bytes": written, "sha256": sha256(path)}
    except OSError as error:
        raise atomic.cannot_write(path, error) from error


def publish(index: Path, header: Header) -> None:
    """Make ``header``, whose files are sealed, the one that counts; then remove what is old.

    Raises OutputError; then the last version is still whole.
    """
    content = {"format": FORMAT, "layout": _LAYOUT, **asdict(header)}
    text = json.dumps(content | {"checksum": _seal(content)}, indent=1)
    try:
        atomic.sync_folder(index.parent)
    except OSError as error:
        raise atomic.cannot_write(index, error) from error
    atomic.write_text(header_path(index), text + "\n")
    clean(index)


def clean(index: Path) -> list[str]:
    """Remove files that no header names, as a killed process leaves them; their names.

    Only for the holder of ``writing``.
    """
    try:
        kept = {str(one["name"]) for one in read_header(index).files.values()}
    except GalleryError:
        kept = set()
    stale = [
        path
        for role in ROLES
        for path in index.parent.glob(f"{index.stem}.????????.{role}")
        if path.name not in kept
    ]
    stale += index.parent.glob(f".{header_path(index).name}.*.tmp")
    for path in stale:
        path.unlink(missing_ok=True)
    for folder in index.parent.glob(".hnsw-copy-*"):
        if time.time() - folder.stat().st_mtime > _COPY_S:
            shutil.rmtree(folder, ignore_errors=True)
    return sorted(path.name for path in stale)


def discard(index: Path) -> None:
    """Remove an index with all its files, where there is one."""
    header_path(index).unlink(missing_ok=True)
    clean(index)


@contextmanager
def writing(index: Path) -> Iterator[bool]:
    """Whether this process is the one that may write the index, until the end of the block.

    False where another is writing it; raises OutputError where nothing can be written.
    """
    path = index.with_name(index.name + ".lock")
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise atomic.cannot_write(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(lock)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(content: Mapping[str, object]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
