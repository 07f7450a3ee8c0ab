"""Runs of equal neighbours in a shelf row, for labels that stand for several facings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.shelf.lettering import Box
from edge.types import F32


def runs(xyxy: F32, labels: Sequence[str | None]) -> list[list[int]]:
    """Group boxes into runs of equal neighbours in a row, each from left to right.

    Neighbours overlap vertically by half of the lower one and are apart, or overlap, by less than
    half of the narrower one. None is never equal. Every box is in exactly one run.
    """
    order = np.argsort(xyxy[:, 0], kind="stable")
    boxes = xyxy.tolist()
    found: list[list[int]] = []
    by_label: dict[str | None, list[list[int]]] = {}
    for i in (int(i) for i in order):
        x1, y1, x2, y2 = boxes[i]
        best, best_gap = None, math.inf
        same = by_label.setdefault(labels[i], [])
        for run in same if labels[i] is not None else ():
            px1, py1, px2, py2 = boxes[run[-1]]
            overlap = min(y2, py2) - max(y1, py1)
            gap = abs(x1 - px2)
            if overlap < 0.5 * min(y2 - y1, py2 - py1) or gap > 0.5 * min(x2 - x1, px2 - px1):
                continue
            if gap < best_gap:
                best, best_gap = run, gap
        if best is None:
            best = []
            found.append(best)
            same.append(best)
        best.append(i)
    return found


def level_parts(all_runs: list[list[int]], boxes: list[Box]) -> list[list[int]]:
    """Cut runs where the shelf, seen at a slant, has led away from a level label."""
    parts = []
    for run in all_runs:
        part = [run[0]]
        for i in run[1:]:
            height = boxes[part[0]][3] - boxes[part[0]][1]
            if abs(boxes[i][1] - boxes[part[0]][1]) > max(18, 0.25 * height):
                parts.append(part)
                part = []
            part.append(i)
        parts.append(part)
    return parts
