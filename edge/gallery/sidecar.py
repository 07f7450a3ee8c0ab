"""``gallery.db.seq``: the last acknowledged change, kept outside the database.

A database that was cut, put back from a copy or lost its journal is still a valid database; only
something beside it can tell that it once held more. The file holds one JSON line: gallery id, last
sequence number, what the change was, and a checksum. It is replaced atomically after each commit
and before the change is acknowledged. While one gallery file takes another's place it holds a line
for each of the two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import atomic
from edge.errors import GalleryError
from edge.gallery import rows

SUFFIX = ".seq"


@dataclass(frozen=True, slots=True)
class Mark:
    """That gallery ``gallery_id`` held change ``last_seq``; ``change`` says in words what it was."""

    gallery_id: str
    last_seq: int
    change: str

    def to_line(self) -> str:
        """The mark as a line of the file."""
        values = (self.gallery_id, self.last_seq, self.change)
        return json.dumps(
            {
                "gallery_id": self.gallery_id,
                "last_seq": self.last_seq,
                "change": self.change,
                "checksum": rows.checksum(values).hex(),
            },
            ensure_ascii=True,
        )


def sidecar_path(gallery: Path) -> Path:
    """Where the last acknowledged change of the gallery file is kept."""
    return gallery.with_name(gallery.name + SUFFIX)


def write_marks(gallery: Path, marks: Sequence[Mark]) -> None:
    """Put ``marks`` in the file's place; on disk when it returns. Raises OutputError."""
    atomic.write_text(sidecar_path(gallery), "".join(mark.to_line() + "\n" for mark in marks))


def read_marks(gallery: Path) -> tuple[Mark, ...] | None:
    """The marks beside a gallery; None where there is no such file.

    Raises GalleryError when the file is damaged or cannot be read.
    """
    path = sidecar_path(gallery)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror or error}") from error
    marks = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
            mark = Mark(value["gallery_id"], value["last_seq"], value["change"])
        except (ValueError, TypeError, KeyError, RecursionError):
            break
        marks.append(mark)
    # to the byte what would be written: no flipped bit can hide in a space or a zero
    if not marks or text != "".join(mark.to_line() + "\n" for mark in marks).encode():
        raise GalleryError(
            f"{path}: damaged: it does not say which change was the last: check the gallery and"
            f" write it anew with: edge gallery repair {gallery}"
        )
    return tuple(marks)
