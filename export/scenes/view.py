"""The camera: a pinhole in front of the shelf, as a projection and a homography.

A point (x, y, z) first projects through the eye onto the shelf front (z = 0), which is exact for
every camera at that eye; turning the camera is then a homography of that plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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


def make_view(
    rng: np.random.Generator,
    window_mm: tuple[float, float, float, float],
    size_wh: tuple[int, int],
    turn_deg: float,
) -> View:
    """A camera that shows a window, turned by up to about `turn_deg` in yaw, pitch and half in roll."""
    x0, y0, x1, y1 = window_mm
    width, height = x1 - x0, y1 - y0
    distance = float(rng.uniform(1.0, 1.9)) * max(width, height) + 250
    eye_y = y0 + height * float(rng.uniform(0.25, 0.65))
    eye = ((x0 + x1) / 2 + float(rng.normal(0, 0.08)) * width, eye_y, distance)
    yaw, pitch = rng.normal(0, 0.5, 2) * np.radians(turn_deg)
    roll = float(rng.normal(0, 0.2)) * np.radians(turn_deg)
    turn = _rotation(float(yaw), float(pitch), roll)
    to_ray = np.array([[1, 0, -eye[0]], [0, 1, -eye[1]], [0, 0, distance]], np.float64)
    turned = turn @ to_ray
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
    seen = cv2.perspectiveTransform(corners.reshape(-1, 1, 2), turned)[:, 0]
    # Fit the turned window into the picture so that it is covered, never smaller than the picture.
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


def _rotation(yaw: float, pitch: float, roll: float) -> Points:
    cy, sy, cp, sp, cr, sr = (
        f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin)
    )  # fmt: skip
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y, np.float64)
