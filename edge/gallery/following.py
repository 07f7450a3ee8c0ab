"""What lies between a state that a reader has and the latest one, from the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import GalleryError
from edge.gallery import rows
from edge.gallery.journal import Journal, Step
from edge.gallery.meta import Meta
from edge.gallery.records import Changes, Sku
from edge.types import F32

MOST_FOLLOWED = 200_000
"""References beyond which reading the gallery anew is the better way."""


@dataclass(slots=True)
class _Fate:
    """What became of a reference: whether the reader has it, whether it lives, its SKU before."""

    known: bool
    alive: bool
    sku_before: str | None = None


def read_changes(
    path: Path, connection: sqlite3.Connection, journal: Journal, meta: Meta, since: int
) -> Changes | None:
    """The difference between the state at ``since`` and that of ``meta``; see ``Changes``.

    None where the journal does not reach back so far, or where reading all anew is quicker.
    """
    if not journal.reaches_back_to(since, meta.last_seq):
        return None
    journal.changes(meta.last_seq, since)  # the chain must be whole
    fates: dict[int, _Fate] = {}
    skus: dict[str, bool] = {}
    for step in journal.steps_since(since):
        _follow(step, fates, skus)
        if len(fates) > MOST_FOLLOWED:
            return None
    new = sorted(i for i, fate in fates.items() if fate.alive and not fate.known)
    gone = sorted(i for i, fate in fates.items() if fate.known and not fate.alive)
    added = [_reference(path, connection, meta.dim, reference_id) for reference_id in new]
    relabelled = {}
    for reference_id, fate in fates.items():
        if fate.alive and fate.known and fate.sku_before is not None:
            sku_id = _reference(path, connection, meta.dim, reference_id)[0]
            if sku_id != fate.sku_before:
                relabelled[reference_id] = sku_id
    changed, lost = _skus(path, connection, skus)
    vectors = [vector for _, vector in added]
    return Changes(
        since=since,
        last_seq=meta.last_seq,
        version=meta.version,
        ids=np.array(new, np.int64),
        sku_ids=tuple(sku_id for sku_id, _ in added),
        vectors=np.stack(vectors) if vectors else np.zeros((0, meta.dim), np.float32),
        removed=np.array(gone, np.int64),
        relabelled=relabelled,
        skus=changed,
        removed_skus=lost,
        sku_count=meta.sku_count,
        reference_count=meta.reference_count,
    )


def _follow(step: Step, fates: dict[int, _Fate], skus: dict[str, bool]) -> None:
    """Take one step into account; ``skus`` says of each touched one whether the reader has it."""
    match step["do"]:
        case "add_references":
            for i in range(step["first"], step["last"] + 1):
                fates[i] = _Fate(known=False, alive=True)
        case "restore_references":
            for i in step["ids"]:
                fates.setdefault(i, _Fate(known=False, alive=True)).alive = True
        case "remove_references":
            for i in step["ids"]:
                fates.setdefault(i, _Fate(known=True, alive=False)).alive = False
        case "relabel":
            for i in step["ids"]:
                fate = fates.setdefault(i, _Fate(known=True, alive=True))
                if fate.sku_before is None:
                    fate.sku_before = step["from"]
        case "add_sku":
            skus.setdefault(step["sku_id"], False)
        case "remove_sku":
            skus.setdefault(step["sku"]["sku_id"], True)
        case "update_sku":
            skus.setdefault(step["before"]["sku_id"], True)


def _reference(
    path: Path, connection: sqlite3.Connection, dim: int, reference_id: int
) -> tuple[str, F32]:
    row = connection.execute(
        f'SELECT {rows.REFERENCE_COLUMNS} FROM "references" WHERE id = ?', (reference_id,)
    ).fetchone()
    what = f"{path}: reference {reference_id}"
    if row is None:
        raise GalleryError(f"{what}: damaged gallery: it is missing")
    values = rows.verify(row, what)
    return values[rows.REFERENCE_SKU], rows.to_vector(values[2], dim, what)


def _skus(
    path: Path, connection: sqlite3.Connection, touched: dict[str, bool]
) -> tuple[tuple[Sku, ...], tuple[str, ...]]:
    changed, lost = [], []
    for sku_id, known in sorted(touched.items()):
        row = connection.execute(
            f"SELECT {rows.SKU_ROW} FROM skus WHERE sku_id = ?", (sku_id,)
        ).fetchone()
        if row is not None:
            changed.append(rows.to_sku(row, str(path)))
        elif known:
            lost.append(sku_id)
    return tuple(changed), tuple(lost)
