"""A damaged file gives a clear error or exactly what was enrolled; never anything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import EdgeError, GalleryError
from edge.gallery.records import Changes, Sku, Snapshot
from edge.gallery.store import GalleryStore

NAMES = ("gallery.db", "gallery.db-wal", "gallery.db.seq")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, unit, new_reference) -> Files:
    """A gallery with removed, moved and undone references, and free pages; nothing in a journal."""
    path = tmp_path_factory.mktemp("closed") / "gallery.db"
    _fill(path, unit, new_reference).close()
    return _files(path.parent)


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory, unit, new_reference) -> Files:
    """The same gallery as a killed writer leaves it: its last changes are in the journal only."""
    path = tmp_path_factory.mktemp("work") / "gallery.db"
    _fill(path, unit, new_reference).close()
    with GalleryStore.open(path, read_only=False) as store:
        store.add_references([new_reference("c", v) for v in unit(3, 64, 7)])
        store.relabel(store.vectors().ids[:2], "b")
        shm = path.with_name("gallery.db-shm").read_bytes()
        return _files(path.parent) | {"gallery.db-shm": shm}


def _fill(path: Path, unit, new_reference) -> GalleryStore:
    store = GalleryStore.create(path, tower="0123456789abcdef", dim=64, precision="fp32")
    names = {"de": "Milch", "en-US": "Milk"}
    store.add_skus([Sku("b", "4006381333931", "Alm", names, ("food", "milk")), Sku("a"), Sku("c")])
    for first in (0, 20):
        ids = store.add_references(
            [new_reference("ab"[i % 2], v) for i, v in enumerate(unit(20, 64, first))]
        )
    store.remove_references(ids[::3])
    store.merge("a", "c")
    store.undo()
    store.relabel(ids[1:3], "c")
    return store


def _files(folder: Path) -> Files:
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


def _lay_out(folder: Path, files: Files) -> Path:
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / NAMES[0]


Seen = tuple[Snapshot, Changes | None]


def _read(path: Path) -> Seen:
    with GalleryStore.open(path) as store:
        return store.snapshot(), store.changes_since(3)


def _same(a: Seen, b: Seen) -> bool:
    (x, x_changes), (y, y_changes) = a, b
    # a reader that is told to read all anew is right, too
    return (
        (x.version, x.skus) == (y.version, y.skus)
        and all(
            np.array_equal(getattr(x.references, name), getattr(y.references, name))
            for name in ("ids", "sku_index", "vectors")
        )
        and (
            x_changes is None
            or y_changes is None
            or (
                np.array_equal(x_changes.vectors, y_changes.vectors)
                and (x_changes.sku_ids, x_changes.skus) == (y_changes.sku_ids, y_changes.skus)
                and x_changes.removed.tolist() == y_changes.removed.tolist()
            )
        )
    )


def _hold(folder: Path, whole: Files, damages: Iterator[tuple[str, Files]]) -> tuple[int, int]:
    """Read each damaged gallery; how many were refused, and how many gave what was enrolled."""
    before = _read(_lay_out(folder, whole))
    refused = harmless = 0
    messages: list[str] = []
    for what, files in damages:
        path = _lay_out(folder, files)
        try:
            after = _read(path)
        except GalleryError as error:
            refused += 1
            messages.append(str(error))
        else:
            harmless += 1
            assert _same(before, after), f"{what} changed the answer"
    assert [text for text in messages if "\n" in text or str(path) not in text] == []
    return refused, harmless


def _flips(files: Files, name: str, places: list[int]) -> Iterator[tuple[str, Files]]:
    rng = np.random.default_rng(len(files[name]))
    for at in places:
        data = bytearray(files[name])
        data[at] ^= int(rng.integers(1, 256))
        yield f"byte {at} of {name}", {**files, name: bytes(data)}


def _sample(files: Files, name: str, size: int) -> list[int]:
    """Places of a file, most of them in use."""
    data = np.frombuffer(files[name], np.uint8)
    rng = np.random.default_rng(3)
    used = rng.permutation(np.flatnonzero(data))[: size * 3 // 4]
    return sorted({*used.tolist(), *rng.integers(0, len(data), size // 4).tolist()})


def test_a_flipped_byte_of_the_database_is_an_error_or_harmless(
    closed: Files, tmp_path: Path
) -> None:
    places = _sample(closed, "gallery.db", 150)
    refused, _ = _hold(tmp_path, closed, _flips(closed, "gallery.db", places))
    assert refused > 50


def test_the_first_page_is_covered_byte_by_byte(closed: Files, tmp_path: Path) -> None:
    refused, _ = _hold(tmp_path, closed, _flips(closed, "gallery.db", list(range(100))))
    assert refused > 20


def test_a_flipped_byte_of_the_journal_is_an_error_or_harmless(
    at_work: Files, tmp_path: Path
) -> None:
    places = [*range(56), *_sample(at_work, "gallery.db-wal", 40)]
    refused, _ = _hold(tmp_path, at_work, _flips(at_work, "gallery.db-wal", places))
    assert refused > 50


def test_a_flipped_byte_under_a_journal_is_an_error_or_harmless(
    at_work: Files, tmp_path: Path
) -> None:
    places = _sample(at_work, "gallery.db", 30)
    _hold(tmp_path, at_work, _flips(at_work, "gallery.db", places))


def test_the_index_of_the_journal_is_made_anew(at_work: Files, tmp_path: Path) -> None:
    name = "gallery.db-shm"
    flips = _flips(at_work, name, _sample(at_work, name, 40))
    assert _hold(tmp_path, at_work, flips)[0] == 0
    cuts = [(f"{name} cut at {n}", {**at_work, name: at_work[name][:n]}) for n in (0, 3, 5000)]
    assert _hold(tmp_path, at_work, iter(cuts)) == (0, 3)


def test_any_flipped_byte_of_the_sidecar_is_an_error(closed: Files, tmp_path: Path) -> None:
    name = "gallery.db.seq"
    size = len(closed[name])
    refused, harmless = _hold(tmp_path, closed, _flips(closed, name, list(range(size))))
    assert (refused, harmless) == (size, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_at_any_tenth_is_an_error_or_harmless(
    closed: Files, at_work: Files, tmp_path: Path, name: str
) -> None:
    for whole in (closed, at_work):
        if name in whole:
            cuts = [len(whole[name]) * tenth // 10 for tenth in range(10)]
            damages = ((f"{name} cut at {n}", {**whole, name: whole[name][:n]}) for n in cuts)
            refused, _ = _hold(tmp_path, whole, damages)
            assert refused >= (10 if name != "gallery.db" or whole is closed else 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_gone_is_an_error(at_work: Files, tmp_path: Path, name: str) -> None:
    path = _lay_out(tmp_path, {n: data for n, data in at_work.items() if n != name})
    with pytest.raises(GalleryError, match=r"gallery\.db"):
        _read(path)


def test_a_writer_of_a_damaged_gallery_fails_clearly_or_writes_what_it_should(
    closed: Files, tmp_path: Path
) -> None:
    messages: list[str] = []
    for what, files in _flips(closed, "gallery.db", _sample(closed, "gallery.db", 60)):
        path = _lay_out(tmp_path, files)
        try:
            with GalleryStore.open(path, read_only=False) as store:
                before = store.snapshot()
                store.add_sku(Sku("new"))
                after = store.snapshot()
        except EdgeError as error:
            messages.append(str(error))
        else:
            assert [sku.sku_id for sku in after.skus] == ["a", "b", "c", "new"], what
            assert after.references.digest == before.references.digest, what
    assert len(messages) > 10
    assert all(str(tmp_path) in text for text in messages)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("state", "name"),
    [("closed", "gallery.db"), ("at_work", "gallery.db-wal"), ("at_work", "gallery.db")],
)
def test_every_single_byte(
    request: pytest.FixtureRequest, tmp_path: Path, state: str, name: str
) -> None:
    """Hours on a busy machine: ``SHELF_EDGE_FLIPS=45000:60000`` takes only those bytes of each file."""
    whole: Files = request.getfixturevalue(state)
    first, _, last = os.environ.get("SHELF_EDGE_FLIPS", ":").partition(":")
    places = list(range(len(whole[name])))[int(first or 0) : int(last) if last else None]
    refused = harmless = 0
    for start in range(0, len(places), 1000):
        some = places[start : start + 1000]
        found = _hold(tmp_path, whole, _flips(whole, name, some))
        refused, harmless = refused + found[0], harmless + found[1]
        print(
            f"{state}, {name} to byte {some[-1]}: {refused} refused, {harmless} harmless",
            flush=True,
        )


def test_the_fixtures_hold_what_they_say(closed: Files, at_work: Files, tmp_path: Path) -> None:
    assert set(closed) == {"gallery.db", "gallery.db.seq"}
    assert set(at_work) == {*NAMES, "gallery.db-shm"}
    snapshot, changes = _read(_lay_out(tmp_path, at_work))
    assert len(snapshot.references) == 36
    assert changes is not None
