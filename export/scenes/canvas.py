"""A picture of the shelf front in millimetres, with the product each pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from export.scenes.view import View
from export.scenes.words import Rgb

NOBODY = -1


class Canvas:
    """RGB pixels and an owner map of the front plane seen through a View."""

    def __init__(self, view: View, oversample: float = 1.1) -> None:
        self.view = view
        x0, y0, x1, y1 = view.front_bounds()
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        moved = view.to_image(np.array([[x, y], [x + 1, y], [x, y + 1]]))
        right, down = moved[1] - moved[0], moved[2] - moved[0]
        area = abs(right[0] * down[1] - right[1] * down[0])
        self.px_per_mm = float(np.sqrt(area)) * oversample
        self.x0_mm, self.y0_mm = x0, y0
        width = max(8, round((x1 - x0) * self.px_per_mm))
        height = max(8, round((y1 - y0) * self.px_per_mm))
        self.image = np.zeros((height, width, 3), np.uint8)
        self.owner = np.full((height, width), NOBODY, np.int16)

    def opening(self, rows: slice, columns: slice) -> Canvas:
        """A canvas of a region that shares its pixels: what is drawn there is clipped to it."""
        part = Canvas.__new__(Canvas)
        part.view, part.px_per_mm = self.view, self.px_per_mm
        part.x0_mm = self.x0_mm + columns.start / self.px_per_mm
        part.y0_mm = self.y0_mm + rows.start / self.px_per_mm
        part.image, part.owner = self.image[rows, columns], self.owner[rows, columns]
        return part

    def px(self, x_mm: float, y_mm: float, z_mm: float = 0.0) -> tuple[float, float]:
        """A point in space to canvas pixels."""
        x, y = self.view.to_front(x_mm, y_mm, z_mm)
        return (x - self.x0_mm) * self.px_per_mm, (y - self.y0_mm) * self.px_per_mm

    def quad(
        self, points_mm: Sequence[tuple[float, float, float]], colour: Rgb, owner: int
    ) -> None:
        """Fill a convex polygon given in space."""
        shift = 4
        corners = np.array([self.px(*point) for point in points_mm])
        if not self.owner.size:
            return
        corners = np.round(np.clip(corners, -30000, 60000) * (1 << shift)).astype(np.int32)
        cv2.fillConvexPoly(self.image, corners, colour, cv2.LINE_AA, shift)
        cv2.fillConvexPoly(self.owner, corners, float(owner), cv2.LINE_8, shift)

    def rows(self, y0_mm: float, y1_mm: float, z_mm: float = 0.0) -> slice:
        """Canvas rows between two heights at a depth, clipped to the canvas."""
        top, bottom = self.px(0, y0_mm, z_mm)[1], self.px(0, y1_mm, z_mm)[1]
        limit = self.image.shape[0]
        low = min(max(round(top), 0), limit)
        return slice(low, max(low, min(round(bottom), limit)))

    def columns(self, x0_mm: float, x1_mm: float, z_mm: float = 0.0) -> slice:
        """Canvas columns between two positions at a depth, clipped to the canvas."""
        left, right = self.px(x0_mm, 0, z_mm)[0], self.px(x1_mm, 0, z_mm)[0]
        limit = self.image.shape[1]
        low = min(max(round(left), 0), limit)
        return slice(low, max(low, min(round(right), limit)))

    def dim(self, rows: slice, columns: slice, factor: NDArray[np.float32]) -> None:
        """Multiply a region by a factor that broadcasts to it."""
        part = self.image[rows, columns]
        if part.size:
            part[:] = np.clip(part * factor, 0, 255).astype(np.uint8)

    def paste(self, rgba: NDArray[np.uint8], left: int, top: int, owner: int) -> None:
        """Composite (h, w, 4) with its corner at (left, top), clipped; owns where alpha > half."""
        height, width = self.owner.shape
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + rgba.shape[1], width), min(top + rgba.shape[0], height)
        if x1 <= x0 or y1 <= y0:
            return
        part = rgba[y0 - top : y1 - top, x0 - left : x1 - left]
        under = self.image[y0:y1, x0:x1]
        alpha = part[..., 3:].astype(np.uint16)
        mixed = part[..., :3].astype(np.uint16) * alpha + under.astype(np.uint16) * (255 - alpha)
        under[:] = ((mixed + 127) // 255).astype(np.uint8)
        self.owner[y0:y1, x0:x1][part[..., 3] > 127] = owner

    def shadow(self, alpha: NDArray[np.uint8], left: int, top: int, strength: float) -> None:
        """Darken by a blurred coverage (h, w) with its corner at (left, top)."""
        height, width = self.owner.shape
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + alpha.shape[1], width), min(top + alpha.shape[0], height)
        if x1 > x0 and y1 > y0:
            part = alpha[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32)
            under = self.image[y0:y1, x0:x1]
            under[:] = (under * (1 - part[..., None] * (strength / 255))).astype(np.uint8)

    def photograph(self) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
        """What the camera sees: image (H, W, 3) uint8 and owner (H, W) int16 of `view.size_wh`."""
        to_mm = np.array(
            [
                [1 / self.px_per_mm, 0, self.x0_mm],
                [0, 1 / self.px_per_mm, self.y0_mm],
                [0, 0, 1],
            ]
        )
        matrix = self.view.homography @ to_mm
        size = self.view.size_wh
        image = cv2.warpPerspective(
            self.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        owner = cv2.warpPerspective(
            self.owner, matrix, size, flags=cv2.INTER_NEAREST, borderValue=(NOBODY,) * 4
        )
        return np.asarray(image, np.uint8), np.asarray(owner, np.int16)
