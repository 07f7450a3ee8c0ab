"""A process that changes a gallery until it is killed, and says what it is about to do and has done.

Each line that it writes is a JSON object:
``{"now": state}`` after opening, with what was recovered; ``{"then": state}`` before a change, with
the state that it will lead to; ``{"acknowledged": seq}`` after it. A state is SKU by picture, and
the list of SKUs.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Never

import numpy as np

from edge.gallery.gallery import Gallery
from edge.gallery.records import NewReference, Sku
from edge.gallery.store import GalleryStore
from edge.types import F32

DIM = 8
State = tuple[dict[str, str], list[str]]


def vector_of(picture: str) -> F32:
    """The vector of a picture of this name."""
    vector = np.random.default_rng(int(picture.removeprefix("p"))).standard_normal(DIM)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def read_state(store: GalleryStore) -> State:
    """What is in a gallery; AssertionError when a picture has another picture's vector."""
    pictures = {}
    with store.reading():
        found = store.snapshot()
        for reference in store.references():
            assert np.array_equal(reference.vector, vector_of(reference.source))
            assert reference.source not in pictures
            pictures[reference.source] = reference.sku_id
    assert len(pictures) == len(found.references)
    return pictures, [sku.sku_id for sku in found.skus]


class Enroller:
    """Changes one gallery at random, and its own record of it beside."""

    def __init__(self, path: Path, rng: random.Random, out: int) -> None:
        self._path = path
        self._rng = rng
        self._out = out

    def session(self) -> None:
        """Open the gallery, change it a few times, close it."""
        with GalleryStore.open(self._path, read_only=False) as store:
            recovered = store.recovery.to_text()
            pictures, skus = read_state(store)
            self._say(now=(pictures, skus), recovered=recovered)
            undoable: list[State] = []
            for _ in range(self._rng.randint(1, 12)):
                before = (dict(pictures), list(skus))
                done = self._change(store, pictures, skus, undoable)
                if done == "change":
                    undoable.append(before)
        if self._rng.random() < 0.2:
            Gallery.open(self._path, threshold=0)  # builds the search graph and saves it

    def _change(
        self,
        store: GalleryStore,
        pictures: dict[str, str],
        skus: list[str],
        undoable: list[State],
    ) -> str:
        rng = self._rng
        ids = {r.source: r.reference_id for r in store.references()}
        some = rng.sample(sorted(pictures), min(len(pictures), rng.randint(1, 3)))
        action = rng.choice(
            ["enrol"] * 4 + ["sku", "remove", "relabel", "drop", "merge", "undo", "compact"]
        )
        if action == "sku" or (not skus and action != "undo"):
            sku = f"s{store.last_seq}"
            skus.append(sku)
            skus.sort()
            return self._do(
                pictures, skus, lambda: store.add_sku(Sku(sku, category=("a", "b"))), store
            )
        if action == "enrol":
            sku = rng.choice(skus)
            names = [f"p{store.last_seq}{i}" for i in range(rng.randint(1, 4))]
            pictures.update(dict.fromkeys(names, sku))
            jpeg = b"\xff\xd8" + bytes(rng.randint(0, 9000))
            new = [NewReference(sku, vector_of(n), jpeg, n, "0", 1.0) for n in names]
            return self._do(pictures, skus, lambda: store.add_references(new), store)
        if action == "remove" and some:
            for name in some:
                del pictures[name]
            return self._do(
                pictures, skus, lambda: store.remove_references([ids[n] for n in some]), store
            )
        if action == "relabel" and some:
            sku = rng.choice(skus)
            moved = [n for n in some if pictures[n] != sku]
            pictures.update(dict.fromkeys(some, sku))
            done = self._do(
                pictures, skus, lambda: store.relabel([ids[n] for n in some], sku), store
            )
            return done if moved else "nothing"
        if action == "drop" and len(skus) > 3:
            sku = rng.choice(skus)
            skus.remove(sku)
            for name in [n for n, s in pictures.items() if s == sku]:
                del pictures[name]
            return self._do(pictures, skus, lambda: store.remove_skus([sku]), store)
        if action == "merge" and len(skus) > 3:
            old, new_sku = rng.sample(skus, 2)
            skus.remove(old)
            pictures.update({n: new_sku for n, s in pictures.items() if s == old})
            return self._do(pictures, skus, lambda: store.merge(old, new_sku), store)
        if action == "undo" and undoable:
            then = undoable.pop()
            pictures.clear()
            pictures.update(then[0])
            skus[:] = then[1]
            self._do(pictures, skus, store.undo, store)
            return "undo"
        if action == "compact":
            store.compact()
        return "nothing"

    def _do(
        self,
        pictures: dict[str, str],
        skus: list[str],
        change: Callable[[], object],
        store: GalleryStore,
    ) -> str:
        self._say(then=(pictures, skus))
        change()
        self._say(acknowledged=store.last_seq)
        return "change"

    def _say(self, **what: object) -> None:
        """One line in one write, so that a kill leaves no half of it."""
        os.write(self._out, json.dumps(what).encode() + b"\n")


def run(path: Path, seed: int, out: int) -> Never:
    """Change the gallery for ever, and write to the descriptor ``out``."""
    enroller = Enroller(path, random.Random(seed), out)
    while True:
        enroller.session()
