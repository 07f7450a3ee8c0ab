"""Names and checksums of an export's files (see ``edge.gallery.exchange``)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from edge.errors import GalleryError
from edge.gallery.exchange_files import Reader
from edge.gallery.records import NewReference, Reference
from edge.gallery.rows import checksum, vector_blob

FORMAT = 1
HEAD = "gallery.json"
SKUS = "skus.csv"
REFERENCES = "references.csv"
PART = 1000
"""References a folder: no folder of millions of files, and bounded memory."""
COLUMNS = ("picture", "sku_id", "source", "source_sha256", "quality", "created_at", "checksum")
SUM = "sha256"


def read_head(reader: Reader) -> dict[str, Any]:
    """``gallery.json`` without its own checksum; GalleryError for damage and other formats."""
    where = f"{reader.path}: {HEAD}"
    try:
        head = json.loads(reader.read(HEAD))
        stored = head.pop(SUM)
        if head["format"] != FORMAT:
            raise GalleryError(
                f"{where}: format {head['format']!r} is not known (this version reads {FORMAT})"
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GalleryError(f"{where}: damaged: {error}") from error
    if stored != sum_of(head):
        raise GalleryError(f"{where}: altered: its checksum does not match")
    return dict(head)


def checked(reader: Reader, head: dict[str, Any], name: str) -> bytes:
    """A file whose checksum ``gallery.json`` holds; GalleryError when it is altered."""
    data = reader.read(name)
    if sha256_of(data) != head["files"].get(name):
        raise GalleryError(f"{reader.path}: {name}: altered: its checksum does not match")
    return data


def checksum_of(one: Reference | NewReference, created_at: str) -> str:
    """Over all of a reference but its number, vector and picture included."""
    blob = vector_blob(one.vector)
    values = (one.sku_id, blob, one.source, one.source_sha256, float(one.quality), created_at)
    return checksum([*values, one.jpeg]).hex()


def picture_name(number: int) -> str:
    """Where the picture of a reference lies; they are numbered from 1."""
    return f"parts/{(number - 1) // PART:05d}/{number:06d}.jpg"


def vectors_name(number: int) -> str:
    """Where the vector of a reference lies, with those of its part."""
    return f"parts/{(number - 1) // PART:05d}/vectors.npz"


def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sum_of(head: dict[str, Any]) -> str:
    """The checksum of ``gallery.json`` over what else stands in it."""
    return sha256_of(json.dumps(head, sort_keys=True).encode())
