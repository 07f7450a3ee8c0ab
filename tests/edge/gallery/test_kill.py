"""A writer that is killed at any moment loses nothing that it has acknowledged."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from edge.gallery.gallery import Gallery
from edge.gallery.sidecar import read_marks
from edge.gallery.store import GalleryStore
from edge.gallery.verify import verify_gallery
from tests.edge.gallery import enrolling
from tests.edge.gallery.enrolling import DIM, State, read_state


class Record:
    """What a killed process has said: the states that the gallery may be in."""

    def __init__(self, before: list[State], lines: list[dict[str, Any]]) -> None:
        self.possible = before
        self.acknowledged = 0
        self.recovered: list[str] = []
        for line in lines:
            if "now" in line:
                opened = as_state(line["now"])
                assert opened in self.possible, "another state than before was opened"
                self.possible = [opened]
                self.recovered.append(line["recovered"])
            elif "then" in line:
                self.possible = [*self.possible, as_state(line["then"])]
            else:
                self.acknowledged = line["acknowledged"]
                self.possible = self.possible[-1:]


def as_state(value: list[Any]) -> State:
    return dict(value[0]), list(value[1])


def kill_after(path: Path, seed: int, lines: int, wait_s: float) -> list[dict[str, Any]]:
    """Start a writer, kill it ``wait_s`` after so many lines; all that it has said."""
    out, its_out = os.pipe()
    writer = os.fork()  # with all modules loaded: the time goes into what is tested
    if writer == 0:
        try:
            os.close(out)
            enrolling.run(path, seed, its_out)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(its_out)
    said = []
    with open(out, "rb") as pipe:  # noqa: PTH123 - a descriptor
        for line in pipe:
            said.append(line)
            if len(said) == lines:
                time.sleep(wait_s)
                os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    assert os.WIFSIGNALED(status), "the writer failed by itself"
    assert all(line.endswith(b"\n") for line in said)
    return [json.loads(line) for line in said]


def soak(path: Path, kills: int) -> dict[str, int]:
    """Kill a writer again and again; AssertionError at the first thing that is not as it must be."""
    GalleryStore.create(path, tower="t", dim=DIM, precision="fp32").close()
    rng = random.Random(kills)
    possible: list[State] = [({}, [])]
    counts = {"acknowledged": 0, "in flight kept": 0, "in flight gone": 0, "recovered": 0}
    for number in range(kills):
        lines = kill_after(path, number, rng.randint(1, 25), rng.uniform(0.0, 0.03))
        record = Record(possible, lines)
        counts["acknowledged"] += sum("acknowledged" in line for line in lines)
        counts["recovered"] += bool(record.recovered and record.recovered[0])
        marks = read_marks(path) or ()
        assert marks[0].last_seq >= record.acknowledged
        # killed between making the lock and writing who holds it, a writer has begun nothing
        lock = path.with_name(f".{path.name}.lock")
        lock_left = lock.exists() and lock.stat().st_size > 0
        read_only = rng.random() < 0.5
        with GalleryStore.open(path, read_only=read_only) as store:
            counts["recovered"] += bool(store.recovery)
            assert read_only or bool(store.recovery) >= lock_left
            assert list(store.structural_problems()) == []
            state = read_state(store)
            assert store.last_seq >= record.acknowledged
        assert state in record.possible, f"kill {number}: an acknowledged change is lost"
        if len(record.possible) > 1:
            kept = state == record.possible[-1]
            counts["in flight kept" if kept else "in flight gone"] += 1
        if rng.random() < 0.3:
            assert len(Gallery.open(path, threshold=0)) == len(state[0])
        possible = [state]
    with GalleryStore.open(path, read_only=False):
        pass
    assert list(path.parent.glob(f".{path.name}.*")) == []
    assert verify_gallery(path).ok
    return counts


def test_eight_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    counts = soak(tmp_path / "gallery.db", 8)
    assert counts["acknowledged"] > 8
    assert counts["recovered"] > 0


@pytest.mark.soak
def test_three_hundred_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    counts = soak(tmp_path / "gallery.db", 300)
    print(counts)
    assert counts["acknowledged"] > 300
    assert counts["in flight gone"] > 0
    assert counts["recovered"] > 100
