from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge.errors import ConfigError  # noqa: E402
from export.weights import greedy_soup, interpolate, wise_ft  # noqa: E402


def _state(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((2, 2), value), "count": torch.tensor(int(value))}


def _near(target: float):
    return lambda state: -abs(float(state["w"][0, 0]) - target)


def test_interpolation_runs_from_start_to_tuned() -> None:
    start, tuned = _state(0.0), _state(4.0)
    assert torch.equal(interpolate(start, tuned, 0.0)["w"], start["w"])
    assert torch.equal(interpolate(start, tuned, 1.0)["w"], tuned["w"])
    assert torch.equal(interpolate(start, tuned, 0.25)["w"], torch.ones(2, 2))
    assert interpolate(start, tuned, 0.25)["count"] == 4


def test_weights_of_another_model_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="different models: w"):
        interpolate({"w": torch.zeros(3)}, {"w": torch.zeros(2)}, 0.5)


def test_the_best_share_on_validation_is_chosen_and_the_curve_kept() -> None:
    chosen = wise_ft(_state(0.0), _state(10.0), _near(7.0))
    assert float(chosen.state["w"][0, 0]) == pytest.approx(7.0)
    assert [name for name, _ in chosen.curve][-1] == "share 1"
    flat = wise_ft(_state(0.0), _state(10.0), lambda state: 1.0)
    assert float(flat.state["w"][0, 0]) == 10.0


def test_a_run_that_spoils_the_soup_stays_out() -> None:
    chosen = greedy_soup([_state(4.0), _state(6.0), _state(40.0)], _near(5.0))
    assert float(chosen.state["w"][0, 0]) == pytest.approx(5.0)
    assert len(chosen.curve) == 3
    with pytest.raises(ConfigError, match="at least one"):
        greedy_soup([], _near(1.0))
