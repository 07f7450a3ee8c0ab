"""Evaluation tasks from words: which pictures are looked up in which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.errors import ConfigError
from export.datasets import (
    Dataset,
    merge,
    one_per_photo,
    read_csv,
    read_folder,
    read_grocery_store,
    read_rp2k,
)
from export.evaluate import Protocol, Task

READERS = ("folder", "csv", "grocery-store", "rp2k")


def open_dataset(text: str, name: str | None = None) -> Dataset:
    """`[reader:]path[:split[+split…]]`; the reader may be left out for a folder and a .csv file.

    Examples: `shots/`, `crops.csv`, `grocery-store:data/grocery-store:train+val`, `rp2k:RP2K:test`.
    """
    reader, path, splits = _parts(text)
    if reader == "folder":
        return read_folder(path, name)
    if reader == "csv":
        return read_csv(path, name)
    if not splits:
        raise ConfigError(f"{text}: {reader} needs a split, as in {reader}:{path}:test")
    read = read_grocery_store if reader == "grocery-store" else read_rp2k
    parts = [read(path, split) for split in splits]
    return parts[0] if len(parts) == 1 else merge(f"{reader} {'+'.join(splits)}", parts)


def make_task(
    protocol: Protocol,
    gallery: str,
    queries: str | None = None,
    *,
    name: str | None = None,
    category: str | None = None,
    query_skus: Sequence[str] = (),
    per_photo: bool = False,
    seed: int = 0,
) -> Task:
    """A task from the words of the command line.

    Without `queries`, `leave-one-out` asks with the gallery's own pictures, and the other protocols
    take the gallery's clean pictures as gallery and the rest as queries. `category` keeps SKUs
    under that first-level category; `query_skus` asks only for these; `per_photo` keeps one crop of
    each SKU and photo, drawn with `seed`.
    """
    references = open_dataset(gallery)
    asked = references if queries is None else open_dataset(queries)
    if per_photo:
        asked = one_per_photo(asked, seed)
        references = asked if queries is None else one_per_photo(references, seed)
    if queries is None and protocol != "leave-one-out":
        references = references.where(lambda s: s.clean, f"{references.name} clean")
        asked = asked.where(lambda s: not s.clean, f"{asked.name} photos")
    if category is not None:
        references = references.where(lambda s: s.levels[:1] == (category,))
        asked = asked.where(lambda s: s.levels[:1] == (category,))
    if query_skus:
        asked = asked.only(query_skus)
    title = name or f"{asked.name} in {references.name}"
    return Task(title, protocol, references, asked)


def _parts(text: str) -> tuple[str, Path, list[str]]:
    head, _, rest = text.partition(":")
    if head in READERS and rest:
        if head in ("grocery-store", "rp2k"):
            path, _, splits = rest.rpartition(":")
            if not path:
                return head, Path(rest), []
            return head, Path(path), [part for part in splits.split("+") if part]
        return head, Path(rest), []
    return ("csv" if Path(text).suffix.lower() == ".csv" else "folder"), Path(text), []
