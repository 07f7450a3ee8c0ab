"""Camera effects: clean is clean, hard is harder, geometry and determinism stay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from export.scenes.canvas import NOBODY
from export.scenes.effects import Difficulty, apply_effects
from export.scenes.foreground import add_foreground


@pytest.fixture
def image() -> NDArray[np.uint8]:
    y, x = np.mgrid[0:180, 0:240]
    checks = ((x // 20 + y // 20) % 2 * 120 + 60).astype(np.uint8)
    return np.dstack([checks, np.roll(checks, 5, axis=1), checks])


def test_clean_changes_nothing(image: NDArray[np.uint8]) -> None:
    assert np.array_equal(apply_effects(image, np.random.default_rng(0), "clean"), image)


@pytest.mark.parametrize("difficulty", ["mild", "hard"])
def test_the_same_state_gives_the_same_bytes_and_leaves_the_input(
    image: NDArray[np.uint8], difficulty: Difficulty
) -> None:
    before = image.copy()
    first = apply_effects(image, np.random.default_rng(3), difficulty)
    again = apply_effects(image, np.random.default_rng(3), difficulty)

    assert np.array_equal(first, again)
    assert np.array_equal(image, before)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, image)


def test_hard_is_further_from_the_original_than_mild(image: NDArray[np.uint8]) -> None:
    def distance(difficulty: Difficulty) -> float:
        return float(
            np.mean(
                [
                    np.abs(
                        apply_effects(image, np.random.default_rng(seed), difficulty) - 1.0 * image
                    )
                    for seed in range(12)
                ]
            )
        )

    assert distance("hard") > 1.5 * distance("mild")


@pytest.mark.parametrize("shape", [(8, 8, 3), (24, 9, 3), (600, 700, 3)])
def test_any_size_works(shape: tuple[int, int, int]) -> None:
    flat = np.full(shape, 128, np.uint8)

    assert apply_effects(flat, np.random.default_rng(0), "hard").shape == shape


def test_an_obstacle_takes_ownership_and_no_clutter_takes_none(image: NDArray[np.uint8]) -> None:
    hidden = 0
    for seed in range(40):
        owner = np.zeros((180, 240), np.int16)
        drawn = image.copy()
        add_foreground(drawn, owner, np.random.default_rng(seed), 1.0)
        hidden += bool((owner == NOBODY).any())
        untouched = image.copy()
        add_foreground(untouched, owner, np.random.default_rng(seed), 0.0)
        assert np.array_equal(untouched, image)

    assert 1 <= hidden <= 15
