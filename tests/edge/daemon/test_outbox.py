from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.daemon.outbox import Limits, Outbox, Stored
from edge.daemon.outbox_schema import DamagedError
from edge.errors import OutputError
from tests.conftest import ROOT
from tests.edge.daemon.disks import fill, small_disk
from tests.edge.daemon.events_for_tests import event, events


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    box = Outbox(tmp_path / "outbox.db")
    box.register(["mqtt"])
    return box


def numbers(stored: list[Stored]) -> list[int]:
    return [json.loads(s.payload)["data"]["number"] for s in stored]


def test_events_come_in_the_order_of_their_commits_until_acknowledged(outbox: Outbox) -> None:
    outbox.commit({}, events(1, 3))
    outbox.commit({}, events(4, 5, camera="b"))
    waiting = outbox.waiting("mqtt", 10)
    assert numbers(waiting) == [1, 2, 3, 4, 5]
    outbox.acknowledge("mqtt", waiting[1].seq)
    assert numbers(outbox.waiting("mqtt", 10)) == [3, 4, 5]
    assert outbox.depth()[0] == 3


def test_an_event_goes_when_every_sink_has_it(outbox: Outbox) -> None:
    outbox.register(["mqtt", "jsonl"])
    outbox.commit({}, events(1, 2))
    outbox.acknowledge("mqtt", outbox.waiting("mqtt", 9)[-1].seq)
    assert outbox.waiting("mqtt", 9) == []
    assert numbers(outbox.waiting("jsonl", 9)) == [1, 2]
    assert outbox.backlog() == {"jsonl": 2, "mqtt": 0}
    outbox.acknowledge("jsonl", outbox.waiting("jsonl", 9)[0].seq)
    assert outbox.depth()[0] == 1


def test_a_sink_that_is_no_longer_configured_holds_nothing_back(outbox: Outbox) -> None:
    outbox.register(["mqtt", "webhook"])
    outbox.commit({}, events(1, 2))
    outbox.acknowledge("mqtt", outbox.waiting("mqtt", 9)[-1].seq)
    outbox.register(["mqtt"])
    assert outbox.depth() == (0, 0)


def test_a_repeat_is_harmless(outbox: Outbox) -> None:
    outbox.commit({}, events(1, 2))
    outbox.commit({}, events(1, 3))
    assert numbers(outbox.waiting("mqtt", 9)) == [1, 2, 3]


def test_state_and_events_are_committed_together_or_not_at_all(
    outbox: Outbox, tmp_path: Path
) -> None:
    outbox.commit({"a": b"one"}, events(1, 1))
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute(
            "CREATE TRIGGER fail BEFORE INSERT ON events WHEN new.id = '" + event(3).id + "'"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(OutputError, match=r"outbox\.db: cannot be written: no"):
        outbox.commit({"a": b"two"}, events(2, 3))
    assert outbox.state("a") == b"one"
    assert numbers(outbox.waiting("mqtt", 9)) == [1]


def test_states_of_removed_cameras_are_forgotten(outbox: Outbox) -> None:
    outbox.commit({"a": b"1", "b": b"2"}, [])
    outbox.forget_states(["b"])
    assert (outbox.state("a"), outbox.state("b")) == (None, b"2")


def test_when_full_the_oldest_snapshots_go_first_then_the_oldest_events(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", Limits(events=4))
    outbox.register(["mqtt", "jsonl"])
    outbox.commit({}, [event(1), event(2, "inventory"), event(3), event(4, "inventory")])
    outbox.acknowledge("jsonl", 2)
    assert outbox.commit({}, [event(5)]) == 1
    assert numbers(outbox.waiting("mqtt", 9)) == [1, 3, 4, 5]
    assert outbox.commit({}, [event(6), event(7)]) == 2
    assert numbers(outbox.waiting("mqtt", 9)) == [3, 5, 6, 7]
    # jsonl had events 1 and 2 already: they are no loss for it
    assert outbox.counters() == {
        "dropped:jsonl:snapshot": 1,
        "dropped:mqtt:event": 1,
        "dropped:mqtt:snapshot": 2,
    }


def test_it_is_bounded_in_bytes_as_well(tmp_path: Path) -> None:
    size = len(event(1).to_json())
    outbox = Outbox(tmp_path / "o.db", Limits(payload_bytes=3 * size))
    outbox.register(["mqtt"])
    outbox.commit({}, events(1, 5))
    assert numbers(outbox.waiting("mqtt", 9)) == [3, 4, 5]
    assert outbox.depth() == (3, 3 * size)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 4), st.booleans()),
            st.tuples(st.just("ack"), st.sampled_from(["x", "y"]), st.integers(1, 5)),
        ),
        max_size=25,
    )
)
def test_every_event_is_delivered_or_counted(steps: list[tuple[str, object, object]]) -> None:
    """Whatever is committed, acknowledged and dropped in whatever order, the sums hold."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Outbox(Path(folder) / "o.db", Limits(events=6)) as outbox,
    ):
        outbox.register(["x", "y"])
        made, got = 0, {"x": 0, "y": 0}
        for what, one, two in steps:
            if what == "add":
                assert isinstance(one, int)
                kind = "inventory" if two else "change"
                outbox.commit({}, events(made + 1, made + one, kind))  # type: ignore[arg-type]
                made += one
            else:
                sink = str(one)
                waiting = outbox.waiting(sink, int(str(two)))
                if waiting:
                    got[sink] += len(waiting)
                    outbox.acknowledge(sink, waiting[-1].seq)
        lost, backlog = outbox.counters(), outbox.backlog()
        for sink, count in got.items():
            dropped = sum(v for k, v in lost.items() if k.startswith(f"dropped:{sink}:"))
            assert count + dropped + backlog[sink] == made
        rows = outbox.depth()[0]
        assert rows <= 6
        assert rows == max(backlog.values())


def test_what_is_committed_survives_kill_9(tmp_path: Path) -> None:
    """The child says a number only after its commit; all that it said must be there."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edge.daemon.outbox import Outbox\n"
        "from tests.edge.daemon.events_for_tests import event\n"
        "box = Outbox(Path(sys.argv[1])); box.register(['mqtt'])\n"
        "for n in range(1, 100000):\n"
        "    box.commit({'a': str(n).encode()}, [event(n)]); print(n, flush=True)\n"
    )
    path = tmp_path / "outbox.db"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    said = 0
    while said < 20:
        said = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    said = int((child.stdout.read().split() or [str(said)])[-1])
    child.wait()
    with Outbox(path) as outbox:
        got = numbers(outbox.waiting("mqtt", 100000))
        assert got[:said] == list(range(1, said + 1))
        assert outbox.state("a") == str(got[-1]).encode()


def test_a_damaged_file_is_set_aside_by_the_first_who_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        outbox.commit({}, events(1, 50))
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DamagedError, match="not a database"):
        Outbox(path)
    with Outbox(path, mend=True) as outbox:
        outbox.register(["mqtt"])
        outbox.commit({}, events(1, 1))
        assert numbers(outbox.waiting("mqtt", 9)) == [1]
    assert path.with_name("outbox.db.damaged").read_bytes().startswith(b"not a database")


def test_damage_inside_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        for n in range(300):
            outbox.commit({f"s{n}": b"x" * 3000}, [])
    with path.open("r+b") as file:
        file.seek(40_000)
        file.write(b"\xff" * 20_000)
    with Outbox(path, mend=True) as outbox:
        assert outbox.state("s1") is None
    assert path.with_name("outbox.db.damaged").exists()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(OutputError, match=r"format 9 \(this version writes 1\)"):
        Outbox(path)


def test_two_processes_of_writers_do_not_lose_each_others_events(tmp_path: Path) -> None:
    one, other = Outbox(tmp_path / "o.db"), Outbox(tmp_path / "o.db")
    one.register(["mqtt"])
    for n in range(1, 20, 2):
        one.commit({}, [event(n)])
        other.commit({"s": b"x"}, [event(n + 1)])
    assert numbers(one.waiting("mqtt", 99)) == list(range(1, 21))


def test_a_full_disk_is_an_error_that_passes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk, Outbox(disk / "o.db") as outbox:
        outbox.register(["mqtt"])
        outbox.commit({"a": b"old"}, events(1, 5))
        filler = fill(disk)
        with pytest.raises(OutputError, match="full"):
            outbox.commit({"a": b"new" * 1_000_000}, events(6, 9))
        assert outbox.state("a") == b"old"
        assert numbers(outbox.waiting("mqtt", 99)) == [1, 2, 3, 4, 5]
        filler.unlink()
        outbox.commit({"a": b"new"}, events(6, 9))
        assert numbers(outbox.waiting("mqtt", 99)) == list(range(1, 10))
