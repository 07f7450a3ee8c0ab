"""Named files in a folder or in a ZIP file, read and written alike."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edge.atomic import cannot_write, make_folder, write_bytes
from edge.errors import EdgeError, GalleryError, OutputError
from edge.gallery.files import publish, sync_file, temporary_name


class Writer(Protocol):
    """Takes files."""

    def write(self, name: str, data: bytes) -> None:
        """Put a file; raises OutputError."""


class Reader(Protocol):
    """Gives files."""

    path: Path

    def read(self, name: str) -> bytes:
        """The content of a file; GalleryError when it is missing or damaged."""


@contextmanager
def open_writer(out: Path) -> Iterator[Writer]:
    """A ZIP file where ``out`` ends in ``.zip``, whole or not at all, else a folder, new or empty.

    Raises OutputError.
    """
    if out.suffix.lower() != ".zip":
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise OutputError(f"{out}: is there already and not an empty folder")
        make_folder(out)
        yield _FolderWriter(out)
        return
    temporary = temporary_name(out)
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            yield _ZipWriter(archive)
        sync_file(temporary)
        publish(temporary, out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def open_reader(source: Path) -> Iterator[Reader]:
    """An export in a folder or a ZIP file; GalleryError when there is none."""
    if source.is_dir():
        yield _FolderReader(source)
        return
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise GalleryError(f"{source}: cannot be read as a folder or ZIP file: {reason}") from error
    with archive:
        yield _ZipReader(source, archive)


class _FolderWriter:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: Path | None = None

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        if path.parent != self._made:
            make_folder(path.parent)
            self._made = path.parent
        if "/" in name:
            # many, and each is covered by a checksum: not worth a wait for the disk
            try:
                path.write_bytes(data)
            except OSError as error:
                raise cannot_write(path, error) from error
            return
        write_bytes(path, data)


class _ZipWriter:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, name: str, data: bytes) -> None:
        # a time of its own would make equal exports differ
        self._archive.writestr(zipfile.ZipInfo(name), data)


class _FolderReader:
    def __init__(self, folder: Path) -> None:
        self.path = folder

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise GalleryError(f"{self.path}: {name}: cannot be read: {error.strerror}") from error


class _ZipReader:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except EdgeError:
            raise
        except Exception as error:  # zipfile raises whatever the damage leads it to
            raise GalleryError(f"{self.path}: {name}: cannot be read: {error}") from error
