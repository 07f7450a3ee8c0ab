from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from edge.errors import BundleError, InferenceError
from edge.timing import Stopwatch
from edge.types import F32
from edge.vision import preprocess
from edge.vision.embedder import Embedder
from tests.factories import (
    COLOURS,
    CROP,
    DIM,
    SHELF,
    FakeSession,
    boxes_of,
    squares,
    tower_session,
    tower_spec,
)


def boxes(n: int) -> F32:
    left = np.arange(n, dtype=np.float32) * 4
    return np.stack([left, left * 0, left + 4, left * 0 + 8], axis=1)


def picture(n: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (8, 4 * max(n, 1), 3), dtype=np.uint8)


def test_batches_are_of_listed_sizes_and_none_is_padded() -> None:
    session = tower_session()
    embedder = Embedder(session, tower_spec(batch_sizes=(2, 4)))
    watch = Stopwatch()
    made = embedder.embed(picture(11), boxes(11), watch)
    assert sorted(shape[0] for shape in session.shapes) == [1, 2, 4, 4]
    assert made.vectors.shape == (11, DIM)
    assert made.tower == tower_spec().fingerprint
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
    assert set(watch.timings_ms()) == {"crops", "tower"}


def test_workers_share_the_crops_and_keep_their_order() -> None:
    threads: set[str] = set()

    def slow(batch: F32) -> F32:
        threads.add(threading.current_thread().name)
        time.sleep(0.01)
        return batch.reshape(len(batch), -1)[:, :DIM] + 3

    alone = Embedder(tower_session(slow), tower_spec()).embed(picture(23), boxes(23))
    threads.clear()
    shared = Embedder(tower_session(slow), tower_spec(), workers=3).embed(picture(23), boxes(23))
    np.testing.assert_array_equal(shared.vectors, alone.vectors)
    assert len(threads) == 3


def test_a_failing_worker_fails_the_frame() -> None:
    def fail(batch: F32) -> F32:
        raise InferenceError("no memory")

    with pytest.raises(InferenceError, match="no memory"):
        Embedder(tower_session(fail), tower_spec(), workers=2).embed(picture(9), boxes(9))


def test_a_crop_has_one_embedding_however_it_comes() -> None:
    embedder = Embedder(tower_session(), tower_spec())
    image = picture(5)
    together = embedder.embed(image, boxes(5)).vectors
    for i, (x1, y1, x2, y2) in enumerate(boxes(5).astype(int)):
        alone = embedder.embed(image, boxes(5)[i : i + 1]).vectors[0]
        whole = embedder.embed_images([image[y1:y2, x1:x2]]).vectors[0]
        np.testing.assert_allclose(alone, together[i], atol=1e-6)
        np.testing.assert_allclose(whole, together[i], atol=1e-6)


def test_no_crop_runs_no_model() -> None:
    session = tower_session()
    embedder = Embedder(session, tower_spec())
    assert len(embedder.embed(picture(1), np.zeros((0, 4), np.float32))) == 0
    assert len(embedder.embed_images([])) == 0
    assert session.shapes == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, 0.0])
def test_an_answer_that_is_no_direction_is_an_error(value: float) -> None:
    session = tower_session(lambda b: np.full((len(b), DIM), value, np.float32))
    embedder = Embedder(session, tower_spec())
    with pytest.raises(InferenceError, match="tower on fake gave"):
        embedder.embed(picture(2), boxes(2))
    with pytest.raises(InferenceError, match="tower on fake gave"):
        embedder.embed_images([picture(2)])


def test_one_bad_row_is_enough() -> None:
    def one_nan(batch: F32) -> F32:
        out = np.ones((len(batch), DIM), np.float32)
        out[-1, 0] = np.nan
        return out

    with pytest.raises(InferenceError, match="NaN"):
        Embedder(tower_session(one_nan), tower_spec()).embed(picture(3), boxes(3))


def test_half_precision_answers_are_taken() -> None:
    session = tower_session(lambda b: np.ones((len(b), DIM), np.float16))
    assert Embedder(session, tower_spec()).embed(picture(2), boxes(2)).vectors.dtype == np.float32


def test_an_open_output_that_turns_out_wrong_is_an_error() -> None:
    session = FakeSession(
        lambda b: np.ones((len(b), 7), np.float32), (None, 3, CROP, CROP), (None, None)
    )
    with pytest.raises(BundleError, match=r"tower output must be \(2, 12\), got \(2, 7\)"):
        Embedder(session, tower_spec()).embed(picture(2), boxes(2))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 3, CROP, CROP), (1, DIM)), "dynamic batch"),
        (((None, 3, 16, 16), (None, DIM)), r"input must be \(batch, 3, 32, 32\)"),
        (((None, CROP, CROP, 3), (None, DIM)), "input must be"),
        (((None, 3, CROP, CROP), (None, 7)), r"output must be \(batch, 12\), got \(None, 7\)"),
        (((None, 3, CROP, CROP), (None, DIM, 1, 1)), "output must be"),
    ],
)
def test_a_model_that_does_not_fit_its_manifest_is_refused(shapes: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Embedder(FakeSession(lambda b: b, *shapes), tower_spec())


def test_the_bare_run_is_the_model_alone() -> None:
    session = tower_session()
    run = Embedder(session, tower_spec()).bare_run(picture(5), boxes(5), 2)
    assert session.shapes == []
    run()
    assert [shape[0] for shape in session.shapes] == [2, 2, 1]


def test_crops_are_the_shared_preprocessing() -> None:
    seen: list[F32] = []

    def remember(batch: F32) -> F32:
        seen.append(batch)
        return np.ones((len(batch), DIM), np.float32)

    Embedder(tower_session(remember), tower_spec()).embed(picture(2), boxes(2))
    expected = preprocess.crops(picture(2), boxes(2), tower_spec().preprocessing)
    np.testing.assert_array_equal(seen[0], expected)


def test_boxes_of_several_frames_share_batches_and_keep_their_order() -> None:
    session = tower_session()
    embedder = Embedder(session, tower_spec())
    first, second = squares(SHELF), squares({(2, 2): COLOURS["blue"]})
    frames = [(first, boxes_of(SHELF)[:3]), (second, boxes_of({(2, 2): COLOURS["blue"]}))]
    together = embedder.embed_many([*frames, (second, boxes_of({}))])
    assert session.shapes[0][0] == 4
    apart = np.concatenate([embedder.embed(image, xyxy).vectors for image, xyxy in frames])
    np.testing.assert_allclose(together.vectors, apart, atol=1e-6)
