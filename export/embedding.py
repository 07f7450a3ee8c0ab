"""Pictures → embeddings with any tower, through the device's own preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.manifest import Preprocessing
from edge.vision.preprocess import crops
from edge.vision.session import OrtSession, SessionOptions
from export.allocation import keep_freed_memory
from export.datasets import Sample
from export.images import Image, read_rgb

if TYPE_CHECKING:
    from export.backbones import ImageTower

F32 = NDArray[np.float32]
Embed = Callable[[F32], F32]


def whole(image: Image, spec: Preprocessing) -> F32:
    """The whole picture as one crop: (1, 3, S, S) float32."""
    height, width = image.shape[:2]
    return crops(image, np.array([[0, 0, width, height]], np.float32), spec)


def embed_samples(
    samples: Sequence[Sample],
    embed: Embed,
    spec: Preprocessing,
    *,
    batch: int = 32,
    unit: bool = True,
    progress: Callable[[int], None] | None = None,
) -> F32:
    """(N, D) float32 embeddings in the samples' order, scaled to norm 1 unless `unit` is false."""

    def load(part: Sequence[Sample]) -> F32:
        return np.concatenate([whole(read_rgb(s.path), spec) for s in part])

    parts = [samples[i : i + batch] for i in range(0, len(samples), batch)]
    vectors: list[F32] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(load, parts[0])
        for number, part in enumerate(parts):
            images = pending.result()
            # the next pictures are read while this batch is computed
            if number + 1 < len(parts):
                pending = pool.submit(load, parts[number + 1])
            vectors.append(embed(images))
            if progress is not None:
                progress(len(part))
    stacked = np.concatenate(vectors).astype(np.float32, copy=False)
    return normalised(stacked) if unit else stacked


def normalised(vectors: F32) -> F32:
    """Rows scaled to L2 norm 1; rows of zeros stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


def torch_embed(tower: ImageTower, *, bf16: bool = False) -> Embed:
    """Runs the tower in evaluation mode where its weights are."""
    import torch

    device = next(tower.parameters()).device
    if device.type == "cpu":
        keep_freed_memory()

    def embed(images: F32) -> F32:
        batch = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            vectors = tower(batch)
        return np.asarray(vectors.float().cpu().numpy(), np.float32)

    return embed


def onnx_embed(file: Path, *, threads: int | None = None) -> Embed:
    """Runs an ONNX tower (n, 3, S, S) → (n, D) on the CPU provider, as the device does."""
    session = OrtSession(file, "cpu", SessionOptions(threads=threads))

    def embed(images: F32) -> F32:
        return np.asarray(session.run(images)[0], np.float32)

    return embed
