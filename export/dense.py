"""Losses that teach a YOLO head from a teacher's dense output and from boxes.

A detector of the same grid (strides 8, 16, 32) tells the student a score and a box at every anchor,
so nothing has to be assigned and every anchor learns something: several times more efficient per step
than box targets alone. The box terms are those of Generalized Focal Loss (Li et al., 2020,
arXiv:2006.04388) and Complete IoU (Zheng et al., 2020, arXiv:1911.08287).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import torch
import torch.nn.functional as F
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.tal import bbox2dist, dist2bbox, make_anchors

BOX_GAIN, SCORE_GAIN, DFL_GAIN = 7.5, 0.5, 1.5
REG_MAX = 16


class DenseTeacher:
    """A third party's detector as an ONNX file: NHWC RGB 0..1 in, ``(1, 5, A)`` boxes in 0..1 out."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0]
        self.size = int(self._input.shape[1])

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """``(S, S, 3) uint8`` RGB to ``(A, 5) float16``: x1, y1, x2, y2 in pixels, score in 0..1."""
        x = (image.astype(np.float32) / 255.0)[None]
        out = np.asarray(self._session.run(None, {self._input.name: x})[0][0])
        centre, wh = out[:2] * self.size, out[2:4] * self.size
        rows = np.concatenate([centre - wh / 2, centre + wh / 2, out[4:5]], axis=0)
        return rows.T.astype(np.float16)


def flip_dense(dense: npt.NDArray[np.float16], size: int) -> npt.NDArray[np.float16]:
    """Mirror ``(A, 5)`` dense targets left to right: the grid of a square input maps onto itself."""
    parts, start = [], 0
    for stride in (8, 16, 32):
        n = size // stride
        level = dense[start : start + n * n].reshape(n, n, 5)[:, ::-1].copy()
        level[..., [0, 2]] = size - level[..., [2, 0]]
        parts.append(level.reshape(-1, 5))
        start += n * n
    return np.concatenate(parts)


def dense_loss(
    preds: dict[str, torch.Tensor],
    target: torch.Tensor,
    strides: torch.Tensor,
    *,
    min_score: float = 0.15,
) -> torch.Tensor:
    """Distillation loss, scaled like the box loss of ultralytics (sum of its three gains).

    Args:
        preds: the head's raw training output: ``boxes (B, 64, A)``, ``scores (B, 1, A)``, ``feats``.
        target: ``(B, A, 5) float32``, x1, y1, x2, y2 in pixels and the teacher's score.
        strides: ``(3,)`` pixels per cell of each level.
        min_score: boxes are learnt where the teacher's score is above this.
    """
    logits = preds["scores"].float().permute(0, 2, 1).squeeze(-1)
    distribution = preds["boxes"].float().permute(0, 2, 1)
    anchors, stride = make_anchors(preds["feats"], strides, 0.5)
    score = target[..., 4]
    total = score.sum().clamp(min=1.0)
    error = (logits.sigmoid().detach() - score).abs()
    bce = F.binary_cross_entropy_with_logits(logits, score, reduction="none")
    loss = SCORE_GAIN * (bce * (0.25 + error)).sum() / total * 2.0
    chosen = score > min_score
    if not bool(chosen.any()):
        return loss + 0.0 * distribution.sum()
    weight = score[chosen]
    boxes = (target[..., :4] / stride)[chosen]
    points = anchors.expand(len(logits), -1, -1)[chosen]
    raw = distribution[chosen].view(-1, 4, REG_MAX)
    project = torch.arange(REG_MAX, dtype=torch.float32)
    predicted = dist2bbox(raw.softmax(-1) @ project, points, xywh=False)
    iou = bbox_iou(predicted, boxes, xywh=False, CIoU=True).squeeze(-1)
    distance = bbox2dist(points, boxes, REG_MAX - 1)
    low = distance.long()
    share = distance - low
    flat = raw.reshape(-1, REG_MAX)
    near = F.cross_entropy(flat, low.view(-1), reduction="none")
    far = F.cross_entropy(flat, (low + 1).clamp(max=REG_MAX - 1).view(-1), reduction="none")
    dfl = (near * (1 - share.view(-1)) + far * share.view(-1)).view(-1, 4).mean(-1)
    loss = loss + BOX_GAIN * ((1 - iou) * weight).sum() / total
    return loss + DFL_GAIN * (dfl * weight).sum() / total
