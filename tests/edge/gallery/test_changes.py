"""Every change can be taken back, and a reader that follows the changes has what the store has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import GalleryError
from edge.gallery import following, journal
from edge.gallery.records import Changes, NewReference, Sku, Snapshot
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery
from edge.types import F32

State = tuple[dict[str, Sku], dict[int, tuple[str, bytes]]]


def writing(path: Path) -> GalleryStore:
    return GalleryStore.open(path, read_only=False)


def state(snapshot: Snapshot) -> State:
    references = snapshot.references
    skus = snapshot.skus
    return {sku.sku_id: sku for sku in skus}, {
        int(i): (skus[s].sku_id, v.tobytes())
        for i, s, v in zip(references.ids, references.sku_index, references.vectors, strict=True)
    }


def follow(before: State, changes: Changes) -> State:
    """What a reader that knows ``before`` has after ``changes``."""
    skus, references = dict(before[0]), dict(before[1])
    for i in changes.removed.tolist():
        del references[i]
    for i, sku_id in changes.relabelled.items():
        assert references[i][0] != sku_id
        references[i] = (sku_id, references[i][1])
    for i, sku_id, vector in zip(changes.ids, changes.sku_ids, changes.vectors, strict=True):
        assert int(i) not in references
        references[int(i)] = (sku_id, vector.tobytes())
    for sku_id in changes.removed_skus:
        del skus[sku_id]
    skus.update({sku.sku_id: sku for sku in changes.skus})
    assert (len(skus), len(references)) == (changes.sku_count, changes.reference_count)
    return skus, references


def test_what_is_removed_is_gone_and_its_id_never_comes_back(small: Path, unit, new_reference):
    with writing(small) as store:
        first, second, third = store.vectors().ids.tolist()
        store.remove_references([second])
        assert store.vectors().ids.tolist() == [first, third]
        (new,) = store.add_references([new_reference("b", unit(1, 8, 9)[0])])
        assert new > third
        store.remove_skus(["a"])
        assert [sku.sku_id for sku in store.skus()] == ["b", "c"]
        assert store.vectors().ids.tolist() == [new]
    assert verify_gallery(small).ok


def test_pictures_move_and_products_merge(small: Path) -> None:
    with writing(small) as store:
        first = int(store.vectors().ids[0])
        store.relabel(np.array([first]), "c")
        assert store.vectors().sku_index.tolist() == [2, 1, 0]
        store.merge("a", "b")
        assert [sku.sku_id for sku in store.skus()] == ["b", "c"]
        assert store.vectors().sku_index.tolist() == [1, 0, 0]
        store.update_sku(Sku("c", "96385074", names={"en": "Cream"}))
        assert store.skus()[1].gtin == "96385074"
    assert verify_gallery(small).ok


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.remove_references([1, 2, 99]), "no reference"),
        (lambda s: s.remove_skus(["c", "x"]), "no SKU 'x'"),
        (lambda s: s.relabel([4], "x"), "no SKU 'x'"),
        (lambda s: s.relabel([77], "c"), "no reference 77"),
        (lambda s: s.merge("a", "x"), "no SKU 'x'"),
        (lambda s: s.merge("x", "a"), "no SKU 'x'"),
        (lambda s: s.merge("a", "a"), "SKU 'a' cannot be merged into itself"),
        (lambda s: s.update_sku(Sku("x")), "no SKU 'x'"),
        (lambda s: s.update_sku(Sku("c", "4006381333931")), "SKU 'c': GTIN .* is that of SKU 'b'"),
        (lambda s: s.redo(), "nothing to redo"),
    ],
)
def test_what_cannot_be_changed_is_named_and_nothing_is_changed(
    small: Path, change: Callable[[GalleryStore], object], message: str
) -> None:
    with writing(small) as store:
        before = (store.version, state(store.snapshot()), store.history())
        with pytest.raises(GalleryError, match=rf"gallery\.db: .*{message}"):
            change(store)
        assert (store.version, state(store.snapshot()), store.history()) == before


CHANGES: dict[str, Callable[[GalleryStore], object]] = {
    "add_skus": lambda s: s.add_skus([Sku("d"), Sku("e", category=("food", "tea"))]),
    "add_references": lambda s: s.add_references(
        [
            NewReference("c", np.eye(8, dtype=np.float32)[i], b"\xff\xd8", "x", "0", 1.0)
            for i in (1, 2)
        ]
    ),
    "remove_references": lambda s: s.remove_references(s.vectors().ids[:2]),
    "remove_skus": lambda s: s.remove_skus(["b", "a"]),
    "relabel": lambda s: s.relabel(s.vectors().ids, "c"),
    "merge": lambda s: s.merge("a", "b"),
    "update_sku": lambda s: s.update_sku(Sku("b", category=("food", "tea", "black"))),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_undo_gives_back_exactly_what_was_there_and_redo_takes_it_again(
    small: Path, kind: str
) -> None:
    with writing(small) as store:
        before = state(store.snapshot())
        CHANGES[kind](store)
        after = state(store.snapshot())
        assert after != before
        assert store.undo().kind == kind
        assert state(store.snapshot()) == before
        assert store.redo().kind == kind
        assert state(store.snapshot()) == after
        store.undo()
        assert state(store.snapshot()) == before
    assert verify_gallery(small).ok


def test_undo_goes_back_change_by_change_and_says_what_it_did(small: Path) -> None:
    with writing(small) as store:
        states = [state(store.snapshot())]
        for change in ("relabel", "remove_references", "merge"):
            CHANGES[change](store)
            states.append(state(store.snapshot()))
        assert [store.undo().kind for _ in range(2)] == ["merge", "remove_references"]
        assert state(store.snapshot()) == states[1]
        assert store.redo().kind == "remove_references"
        assert state(store.snapshot()) == states[2]
        CHANGES["add_skus"](store)
        with pytest.raises(GalleryError, match="nothing to redo"):
            store.redo()
        assert [store.undo().kind for _ in range(3)] == [
            "add_skus",
            "remove_references",
            "relabel",
        ]
        assert state(store.snapshot()) == states[0]
        history = store.history()
        assert [change.seq for change in history] == sorted(change.seq for change in history)
        assert history[-1].seq == store.last_seq
        undone = {change.kind: change.undone_by is not None for change in history[:6]}
        assert undone["merge"]
        assert undone["relabel"]
    assert verify_gallery(small).ok


def test_all_enrolments_can_be_undone_down_to_nothing(small: Path) -> None:
    with writing(small) as store:
        kinds = [store.undo().kind for _ in range(3)]
        assert kinds == ["add_references", "add_skus", "add_skus"]
        assert len(store.vectors()) == len(store.skus()) == 0
        with pytest.raises(GalleryError, match="nothing to undo"):
            store.undo()


def test_what_was_built_is_not_undone_in_parts(small: Path) -> None:
    with writing(small) as store:
        store.remove_references([4])
        store.begin_history("build", "3 SKUs")
        (change,) = store.history()
        assert (change.kind, change.summary, change.undoable) == ("build", "3 SKUs", False)
        with pytest.raises(GalleryError, match="nothing to undo"):
            store.undo()
        before = state(store.snapshot())
        CHANGES["merge"](store)
        assert store.undo().kind == "merge"
        assert state(store.snapshot()) == before
        assert store.changes_since(change.seq - 1) is not None
        assert store.changes_since(change.seq - 2) is None
    assert verify_gallery(small).ok


def test_an_unpublished_gallery_keeps_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with GalleryStore.create(path, tower="t", dim=8, precision="fp32", unpublished=True) as store:
        store.add_skus([Sku("a"), Sku("b")])
        store.merge("a", "b")
        assert store.history() == ()
        assert [sku.sku_id for sku in store.skus()] == ["b"]
        assert list(store.structural_problems()) == []


def test_several_writes_are_one_change(small: Path, unit, new_reference) -> None:
    with writing(small) as store:
        before = state(store.snapshot())
        with store.change("import", "two products"):
            store.add_sku(Sku("d"))
            store.add_references([new_reference("d", unit(1, 8, 5)[0])])
            store.add_sku(Sku("e"))
        assert store.history()[-1].kind == "import"
        assert store.history()[-1].summary == "two products"
        assert store.undo().kind == "import"
        assert state(store.snapshot()) == before
        with pytest.raises(GalleryError, match="nothing is stored"):
            _import_and_carry_on(store)
        assert state(store.snapshot()) == before


@pytest.mark.parametrize("action", ["undo", "redo", "compact"])
def test_what_must_stand_alone_is_no_part_of_a_change(small: Path, action: str) -> None:
    with (
        writing(small) as store,
        pytest.raises(GalleryError, match="cannot be a part of another change"),
        store.change("import", "x"),
    ):
        getattr(store, action)()


def test_a_closed_gallery_is_not_called_damaged(small: Path) -> None:
    store = writing(small)
    store.close()
    with pytest.raises(GalleryError, match=r"used wrongly: .*closed"):
        store.skus()


def _import_and_carry_on(store: GalleryStore) -> None:
    with store.change("import", "bad"):
        store.add_sku(Sku("d"))
        with pytest.raises(GalleryError, match="enrolled already"):
            store.add_sku(Sku("d"))


def test_a_change_of_nothing_is_no_change(small: Path) -> None:
    with writing(small) as store:
        version = store.version
        store.add_references([])
        store.relabel([], "a")
        store.remove_references([])
        store.update_sku(store.skus()[0])
        with store.change("import", "empty"):
            pass
        assert store.version == version


def test_the_journal_is_bounded_and_forgets_the_oldest_with_its_pictures(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEEP_CHANGES", 4)
    with writing(small) as store:
        store.remove_references(store.vectors().ids[:1])
        since = store.last_seq
        for number in range(4):
            store.add_sku(Sku(f"n{number}"))
        assert [change.kind for change in store.history()] == ["add_skus"] * 4
        assert store._connection.execute("SELECT count(*) FROM removed_references").fetchone() == (
            0,
        )
        assert store.changes_since(since) is not None
        assert store.changes_since(since - 1) is None
        for _ in range(2):
            store.undo()
        assert len(store.history()) == 4
        assert [sku.sku_id for sku in store.skus()][-2:] == ["n0", "n1"]
    assert verify_gallery(small).ok


def test_a_reader_cannot_follow_from_a_state_that_is_not_of_this_file(small: Path) -> None:
    with writing(small) as store:
        last = store.last_seq
        assert store.changes_since(last + 1) is None
        assert store.changes_since(last).empty
        assert store.changes_since(last - 1) is None  # within a change: never committed


def test_too_many_changes_are_read_anew(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_FOLLOWED", 1)
    with writing(small) as store:
        since = store.last_seq
        CHANGES["relabel"](store)
        assert store.changes_since(since) is None


NUMBERS = st.integers(0, 1000)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["sku", "add", "remove", "drop", "relabel", "merge", "update", "undo", "redo"]
        ),
        NUMBERS,
        NUMBERS,
    ),
    min_size=1,
    max_size=14,
)


def _change(store: GalleryStore, action: str, x: int, y: int, vectors: F32) -> None:
    ids = store.vectors().ids.tolist()
    skus = [sku.sku_id for sku in store.skus()]
    some = ids[x % (len(ids) + 1) :][: 1 + y % 3]
    match action:
        case "sku":
            store.add_sku(Sku(f"s{store.last_seq}", category=("food", f"c{x % 3}")))
        case "add" if skus:
            chosen = [vectors[(x + i) % len(vectors)] for i in range(1 + y % 3)]
            store.add_references(
                [NewReference(skus[x % len(skus)], v, b"\xff\xd8 x", "x", "0", 1.0) for v in chosen]
            )
        case "remove":
            store.remove_references(some)
        case "drop" if skus:
            store.remove_skus([skus[x % len(skus)]])
        case "relabel" if skus:
            store.relabel(some, skus[y % len(skus)])
        case "merge" if len(skus) > 1:
            store.merge(skus[x % len(skus)], skus[(x + 1) % len(skus)])
        case "update" if skus:
            store.update_sku(Sku(skus[x % len(skus)], brand=f"brand {y}"))
        case "undo" | "redo":
            with contextlib.suppress(GalleryError):  # nothing left to take back
                store.undo() if action == "undo" else store.redo()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_a_reader_that_follows_from_any_state_has_the_latest(
    steps: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory, unit
) -> None:
    path = tmp_path_factory.mktemp("follow") / "gallery.db"
    vectors = unit(8, 8, 2)
    with (
        pytest.MonkeyPatch.context() as patch,
        GalleryStore.create(path, tower="0123456789abcdef", dim=8, precision="fp32") as store,
    ):
        patch.setattr("os.fsync", lambda _: None)  # not what is tested, and slow
        store._connection.execute("PRAGMA synchronous = OFF")
        states = {store.last_seq: state(store.snapshot())}
        vector_of: dict[int, bytes] = {}
        for step in steps:
            _change(store, *step, vectors)
            states[store.last_seq] = now = state(store.snapshot())
            for i, (_, vector) in now[1].items():
                assert vector_of.setdefault(i, vector) == vector  # an id is one vector for ever
        for since, then in states.items():
            changes = store.changes_since(since)
            assert changes is not None
            assert follow(then, changes) == now
        assert list(store.structural_problems()) == []
