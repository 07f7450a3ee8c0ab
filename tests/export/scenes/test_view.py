"""The camera: projection, what it covers, and that turning it loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.scenes.canvas import Canvas
from export.scenes.view import Camera, View, make_view

cameras = st.builds(
    Camera,
    distance=st.floats(1.0, 1.9),
    eye_x=st.floats(0.2, 0.8),
    eye_y=st.floats(0.2, 0.8),
    yaw=st.floats(-0.5, 0.5),
    pitch=st.floats(-0.3, 0.3),
    roll=st.floats(-0.1, 0.1),
)
SIZE = (320, 240)


def _view(camera: Camera) -> View:
    return make_view(camera, (100.0, 50.0, 900.0, 650.0), SIZE)


@given(cameras)
@settings(max_examples=60)
def test_front_bounds_hold_everything_that_the_picture_shows(camera: Camera) -> None:
    view = _view(camera)
    x0, y0, x1, y1 = view.front_bounds()
    inverse = np.linalg.inv(view.homography)
    pixels = np.array([[0, 0, 1], [320, 0, 1], [0, 240, 1], [320, 240, 1], [160, 120, 1]], float)
    points = pixels @ inverse.T
    points = points[:, :2] / points[:, 2:]

    assert (points >= [x0 - 1e-6, y0 - 1e-6]).all()
    assert (points <= [x1 + 1e-6, y1 + 1e-6]).all()
    back = view.to_image(points)
    np.testing.assert_allclose(back, pixels[:, :2], atol=1e-6)


@given(cameras, st.floats(0, 600), st.floats(0, 900), st.floats(0, 700))
@settings(max_examples=60)
def test_depth_draws_points_towards_the_eye(camera: Camera, z: float, x: float, y: float) -> None:
    view = _view(camera)
    eye = np.array(view.eye_mm[:2])
    near, far = np.array(view.to_front(x, y, 0.0)), np.array(view.to_front(x, y, z))

    np.testing.assert_allclose(near, [x, y], atol=1e-9)
    np.testing.assert_allclose(far - eye, (near - eye) * view.scale_at(z), atol=1e-6)
    assert 0 < view.scale_at(z) <= 1


def test_a_straight_camera_shows_exactly_its_window() -> None:
    view = _view(Camera(1.5, 0.5, 0.5, 0.0, 0.0, 0.0))

    np.testing.assert_allclose(view.front_bounds(), (100, 50, 900, 650), atol=1e-6)
    np.testing.assert_allclose(view.to_image(np.array([[500.0, 350.0]])), [[160, 120]], atol=1e-6)


@pytest.mark.parametrize("yaw", [-0.4, 0.0, 0.4])
def test_a_canvas_point_lands_where_the_view_says(yaw: float) -> None:
    view = _view(Camera(1.4, 0.5, 0.5, yaw, 0.05, 0.02))
    canvas = Canvas(view)
    x, y = canvas.px(520.0, 330.0)
    canvas.image[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 255
    canvas.owner[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4] = 7
    image, owner = canvas.photograph()
    ys, xs = np.nonzero(owner == 7)
    expected = view.to_image(np.array([[520.0, 330.0]]))[0]

    assert np.abs([xs.mean(), ys.mean()] - expected).max() < 1.5
    assert image.shape == (240, 320, 3)


def test_an_opening_clips_what_is_drawn_and_shares_pixels() -> None:
    canvas = Canvas(_view(Camera(1.5, 0.5, 0.5, 0.0, 0.0, 0.0)))
    part = canvas.opening(canvas.rows(200, 300), canvas.columns(300, 500))
    part.quad([(0, 0, 0), (1000, 0, 0), (1000, 700, 0), (0, 700, 0)], (255, 255, 255), 3)

    owned = canvas.owner == 3
    assert owned[canvas.rows(200, 300), canvas.columns(300, 500)].all()
    assert owned.sum() == part.owner.size
    assert part.px(400, 250)[0] + canvas.columns(300, 500).start == pytest.approx(
        canvas.px(400, 250)[0]
    )
