from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.daemon import keeper as keeper_module
from edge.daemon.keeper import InferenceKeeper
from edge.daemon.outbox_schema import DamagedError
from edge.daemon.settings import SupervisionSettings
from edge.daemon.watchdog import Watchdog

Make = Callable[..., InferenceKeeper]
FED: list[float] = []
COMMITS: list[float] = []


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes keepers of the fake process; what still runs is killed."""
    monkeypatch.setattr(keeper_module, "MODULE", "tests.edge.daemon.fake_inference")
    made: list[InferenceKeeper] = []
    FED.clear()
    COMMITS.clear()

    def keeper(play: str, **settings: float) -> InferenceKeeper:
        values = {"restart_first_s": 0.2, "restart_most_s": 1.0, **settings}
        supervision = SupervisionSettings.model_validate(values)
        watchdog = Watchdog(lambda: FED.append(time.monotonic()), 0.1, supervision.progress_s)
        made.append(
            InferenceKeeper(
                supervision, lambda: {"play": play}, watchdog, lambda: COMMITS.append(0.0)
            )
        )
        return made[-1]

    yield keeper
    for one in made:
        if one.pid is not None:
            os.kill(one.pid, signal.SIGKILL)


def poll(keeper: InferenceKeeper, until: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        keeper.poll(0.05)


def test_a_process_that_works_feeds_the_watchdog_and_stops_when_told(make: Make) -> None:
    keeper = make("work")
    poll(keeper, lambda: len(FED) >= 3)
    assert keeper.phase == "ready"
    assert keeper.info["provider"] == "fake"
    assert len(keeper.status["text"]) == 200_000
    keeper.stop(5.0)
    assert (keeper.pid, keeper.phase, len(COMMITS)) == (None, "down", 1)
    assert keeper.starts == 1


def test_one_that_works_at_nothing_is_killed_and_started_again(make: Make) -> None:
    keeper = make("hang", progress_s=1.0)
    poll(keeper, lambda: keeper.starts == 2 and keeper.phase == "ready")
    assert len(FED) <= 2


def test_one_that_loads_too_long_is_killed(make: Make) -> None:
    keeper = make("load", load_s=1.0)
    poll(keeper, lambda: keeper.starts == 2)
    assert FED == []


def test_one_that_dies_is_started_again_at_growing_intervals(make: Make) -> None:
    keeper = make("die")
    starts: list[float] = []

    def three() -> bool:
        if keeper.starts > len(starts):
            starts.append(time.monotonic())
        return len(starts) >= 3

    poll(keeper, three)
    assert keeper.failure is None


def test_one_that_names_its_failure_is_heard(make: Make) -> None:
    keeper = make("fail")
    poll(keeper, lambda: keeper.failure is not None)
    assert keeper.failure == ("no such bundle", 1)


def test_a_damaged_outbox_is_everybodys_business(make: Make) -> None:
    keeper = make("damaged")
    with pytest.raises(DamagedError):
        poll(keeper, lambda: False, 20.0)


def test_kill_9_is_noticed_at_once(make: Make) -> None:
    keeper = make("work")
    poll(keeper, lambda: keeper.phase == "ready")
    assert keeper.pid is not None
    os.kill(keeper.pid, signal.SIGKILL)
    begun = time.monotonic()
    poll(keeper, lambda: keeper.phase == "down")
    assert time.monotonic() - begun < 2
    poll(keeper, lambda: keeper.phase == "ready")
    assert keeper.starts == 2
