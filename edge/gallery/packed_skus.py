"""SKUs in a tenth of the memory: what a gallery of millions knows about its products.

A ``Sku`` with its names takes about 1,600 bytes. Here ids are one text, categories numbers of paths,
and the rest of 16 products at a time is compressed; what is asked for is unpacked, and the last
thousand blocks are kept unpacked. Nothing is read from the file again: the gallery stays as it was.
"""

from __future__ import annotations

import functools
import json
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass

import numpy as np

from edge.gallery.records import Sku
from edge.types import I32, I64

_BLOCK = 16  # SKUs compressed together


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """SKUs in the order in which they came, never changed: new ones are appended to a copy.

    ``text`` holds the ids one after the other, entry e from ``start[e]`` to ``start[e + 1]``; entry e
    is in ``blocks[place[e] // _BLOCK]`` at ``place[e] % _BLOCK``.
    """

    text: bytes
    start: I64
    category: I32
    paths: tuple[tuple[str, ...], ...]
    place: I64
    blocks: tuple[bytes, ...]

    def with_more(self, skus: Iterable[Sku]) -> _Entries:
        text, length = bytearray(self.text), array("q")
        category, place = array("i"), array("q")
        paths = {path: number for number, path in enumerate(self.paths)}
        blocks, rows = list(self.blocks), list[tuple[object, ...]]()
        for sku in skus:
            data = sku.sku_id.encode()
            text += data
            length.append(len(data))
            category.append(paths.setdefault(sku.category, len(paths)))
            place.append(len(blocks) * _BLOCK + len(rows))
            rows.append((sku.sku_id, sku.gtin, sku.brand, dict(sku.names), sku.category))
            if len(rows) == _BLOCK:
                blocks.append(_pack(rows))
                rows = []
        if rows:
            blocks.append(_pack(rows))
        ends = self.start[-1] + np.cumsum(np.frombuffer(length, np.int64))
        return _Entries(
            bytes(text),
            np.concatenate([self.start, ends]),
            np.concatenate([self.category, np.frombuffer(category, np.int32)]),
            tuple(paths),
            np.concatenate([self.place, np.frombuffer(place, np.int64)]),
            tuple(blocks),
        )

    def sku_id(self, entry: int) -> str:
        return self.text[self.start[entry] : self.start[entry + 1]].decode()

    def sku(self, entry: int) -> Sku:
        block, slot = divmod(int(self.place[entry]), _BLOCK)
        return _unpack(self.blocks[block])[slot]


class PackedSkus(Mapping[str, Sku]):
    """SKUs by id, in the order of their ids. Immutable; may be shared between threads."""

    def __init__(self, entries: _Entries, order: I32) -> None:
        """Used by ``of`` and ``after``; ``order (S,)`` are the entries that count, by id."""
        self._entries = entries
        self._order = order
        self._ids: tuple[str, ...] | None = None

    @classmethod
    def of(cls, skus: Iterable[Sku]) -> PackedSkus:
        """Of SKUs sorted by id; ValueError that names one that is out of order."""
        nothing = np.zeros(0, np.int64)
        none = _Entries(b"", np.zeros(1, np.int64), nothing.astype(np.int32), (), nothing, ())
        entries = none.with_more(_ascending(skus))
        return cls(entries, np.arange(len(entries.category), dtype=np.int32))

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[str]:
        return map(self._entries.sku_id, self._order.tolist())

    def __getitem__(self, sku_id: str) -> Sku:
        return self._entries.sku(int(self._order[self.place(sku_id)]))

    def __contains__(self, sku_id: object) -> bool:
        return isinstance(sku_id, str) and self._at(sku_id)[1]

    def values(self) -> ValuesView[Sku]:
        """The SKUs in the order of their ids."""
        return _Values(self)

    def place(self, sku_id: str) -> int:
        """Where a SKU is among all; KeyError where it is not."""
        place, there = self._at(sku_id)
        if not there:
            raise KeyError(sku_id)
        return place

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids; kept, once they were asked for."""
        if self._ids is None:
            self._ids = tuple(self)
        return self._ids

    @property
    def categories(self) -> tuple[tuple[str, ...], ...]:
        """The category of each SKU."""
        paths = self._entries.paths
        return tuple(paths[i] for i in self._entries.category[self._order].tolist())

    def sku_id(self, place: int) -> str:
        """The id at a place."""
        return self._entries.sku_id(int(self._order[place]))

    def sku(self, place: int) -> Sku:
        """The SKU at a place."""
        return self._entries.sku(int(self._order[place]))

    def after(self, changed: Sequence[Sku], removed: Sequence[str]) -> tuple[PackedSkus, I32]:
        """The SKUs with those new or ``changed`` (sorted by id) and without those ``removed``.

        Also the new place ``(S,)`` of each of the old ones, -1 for those that are gone.
        """
        first = len(self._entries.category)
        entries = self._entries.with_more(changed)
        order, stays = self._order.copy(), np.ones(len(self), bool)
        at, fresh = [], []
        for number, sku in enumerate(changed, first):
            place, there = self._at(sku.sku_id)
            if there:
                order[place] = number
            else:
                at.append(place)
                fresh.append(number)
        for sku_id in removed:
            place, there = self._at(sku_id)
            if there:
                stays[place] = False
        where = np.insert(np.arange(len(self)), at, -1)
        kept = np.insert(stays, at, True)
        where = where[kept]
        moved = np.full(len(self), -1, np.int32)
        moved[where[where >= 0]] = np.flatnonzero(where >= 0)
        made = np.insert(order, at, np.array(fresh, np.int32))[kept]
        return PackedSkus(entries, made.astype(np.int32)), moved

    def _at(self, sku_id: str) -> tuple[int, bool]:
        place = bisect_left(range(len(self)), sku_id, key=self.sku_id)
        return place, place < len(self) and self.sku_id(place) == sku_id


class SkuPlaces:
    """Finds the places of many SKUs at once; takes 12 bytes a SKU while it is needed."""

    def __init__(self, skus: PackedSkus) -> None:
        self._skus = skus
        made = np.fromiter(map(hash, skus), np.int64, len(skus))
        self._place = np.argsort(made, kind="stable").astype(np.int32)
        self._hash = made[self._place]

    def __call__(self, sku_ids: Sequence[str]) -> I32:
        """The place ``(N,) int32`` of each SKU, -1 where there is none."""
        wanted = np.fromiter(map(hash, sku_ids), np.int64, len(sku_ids))
        out = np.full(len(sku_ids), -1, np.int32)
        for row, at in enumerate(np.searchsorted(self._hash, wanted).tolist()):
            while at < len(self._hash) and self._hash[at] == wanted[row]:
                place = int(self._place[at])
                if self._skus.sku_id(place) == sku_ids[row]:
                    out[row] = place
                    break
                at += 1
        return out


class _Values(ValuesView[Sku]):
    """The SKUs one by one, without a search for each."""

    def __init__(self, skus: PackedSkus) -> None:
        super().__init__(skus)
        self._skus = skus

    def __iter__(self) -> Iterator[Sku]:
        return map(self._skus.sku, range(len(self._skus)))


def _ascending(skus: Iterable[Sku]) -> Iterator[Sku]:
    last = ""
    for sku in skus:
        if sku.sku_id <= last:
            raise ValueError(f"SKU {sku.sku_id!r} is out of order")
        last = sku.sku_id
        yield sku


def _pack(rows: Sequence[tuple[object, ...]]) -> bytes:
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode(), 1)


@functools.lru_cache(maxsize=1024)
def _unpack(block: bytes) -> tuple[Sku, ...]:
    rows = json.loads(zlib.decompress(block))
    return tuple(
        Sku(sku_id, gtin, brand, names, tuple(category))
        for sku_id, gtin, brand, names, category in rows
    )
