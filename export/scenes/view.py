"""The camera: a pinhole in front of the shelf, as a projection and a homography.

A point (x, y, z) first projects through the eye onto the shelf front (z = 0), which is exact for
every camera at that eye; turning the camera is then a homography of that plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.layout import Facing

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """An eye and a window on the shelf front.

    `window_mm` is x0, y0, x1, y1 on the plane z = 0; `eye_mm` is (x, y, distance); `homography`
    maps front-plane millimetres to output pixels of `size_wh`.
    """

    window_mm: tuple[float, float, float, float]
    eye_mm: tuple[float, float, float]
    size_wh: tuple[int, int]
    homography: Points

    def scale_at(self, z_mm: float) -> float:
        """Size on the front plane of a unit length at depth z."""
        return self.eye_mm[2] / (self.eye_mm[2] + z_mm)

    def to_front(self, x_mm: float, y_mm: float, z_mm: float) -> tuple[float, float]:
        """Project a point through the eye onto the shelf front."""
        scale = self.scale_at(z_mm)
        eye_x, eye_y, _ = self.eye_mm
        return eye_x + (x_mm - eye_x) * scale, eye_y + (y_mm - eye_y) * scale

    def to_image(self, points: Points) -> Points:
        """Front-plane points (N, 2) in millimetres to output pixels (N, 2)."""
        mapped = cv2.perspectiveTransform(points.reshape(-1, 1, 2), self.homography)
        return np.asarray(mapped, np.float64).reshape(-1, 2)

    def front_bounds(self) -> tuple[float, float, float, float]:
        """Bounding box on the front plane of everything the output shows."""
        width, height = self.size_wh
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        back = cv2.perspectiveTransform(corners.reshape(-1, 1, 2), np.linalg.inv(self.homography))
        x, y = back[:, 0, 0], back[:, 0, 1]
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a camera stands relative to what it shows, in shares of the window, and its turn.

    `distance` is in window sides, `eye_x` and `eye_y` in window widths and heights from its top
    left; angles are radians.
    """

    distance: float
    eye_x: float
    eye_y: float
    yaw: float
    pitch: float
    roll: float


def make_camera(rng: np.random.Generator, turn_deg: float) -> Camera:
    """A random camera with normally distributed yaw and pitch of half of `turn_deg`."""
    yaw, pitch, roll = (float(value) for value in rng.normal(0, 0.5, 3) * np.radians(turn_deg))
    return Camera(
        float(rng.uniform(1.0, 1.9)),
        0.5 + float(rng.normal(0, 0.08)),
        float(rng.uniform(0.25, 0.65)),
        yaw,
        pitch * 0.8,
        roll * 0.3,
    )


def make_view(
    camera: Camera, window_mm: tuple[float, float, float, float], size_wh: tuple[int, int]
) -> View:
    """The camera aimed so that the picture is just covered by the turned window."""
    x0, y0, x1, y1 = window_mm
    width, height = x1 - x0, y1 - y0
    distance = camera.distance * max(width, height) + 250
    eye = (x0 + camera.eye_x * width, y0 + camera.eye_y * height, distance)
    turn = _rotation(camera.yaw, camera.pitch, camera.roll)
    to_ray = np.array([[1, 0, -eye[0]], [0, 1, -eye[1]], [0, 0, distance]], np.float64)
    turned = turn @ to_ray
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
    seen = cv2.perspectiveTransform(corners.reshape(-1, 1, 2), turned)[:, 0]
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = max(size_wh[0] / (high[0] - low[0]), size_wh[1] / (high[1] - low[1]))
    middle = (low + high) / 2
    fit = np.array(
        [
            [scale, 0, size_wh[0] / 2 - scale * middle[0]],
            [0, scale, size_wh[1] / 2 - scale * middle[1]],
            [0, 0, 1],
        ],
        np.float64,
    )
    return View(window_mm, eye, size_wh, fit @ turned)


def outlines(facings: tuple[Facing, ...], view: View) -> Points:
    """Corners (N, 4, 2) of upright fronts in output pixels, clockwise from the top left."""
    size = np.array([facing.sku.size_mm for facing in facings]).reshape(-1, 2)
    place = np.array([(f.x_mm, f.base_mm, f.setback_mm) for f in facings]).reshape(-1, 3)
    scale = (view.eye_mm[2] / (view.eye_mm[2] + place[:, 2]))[:, None]
    right = size[:, :1] / 2 * np.array([-1.0, 1.0, 1.0, -1.0])
    up = size[:, 1:] * np.array([-1.0, -1.0, 0.0, 0.0])
    x = view.eye_mm[0] + (place[:, :1] + right - view.eye_mm[0]) * scale
    y = view.eye_mm[1] + (place[:, 1:2] + up - view.eye_mm[1]) * scale
    return view.to_image(np.stack([x, y], axis=2).reshape(-1, 2)).reshape(-1, 4, 2)


def _rotation(yaw: float, pitch: float, roll: float) -> Points:
    cy, sy, cp, sp, cr, sr = (
        f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin)
    )  # fmt: skip
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, np.float64)
