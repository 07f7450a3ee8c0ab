"""TensorRT settings: engine cache, optimisation profile, FP16, and a word before a long build.

Options are those of ONNX Runtime's TensorRT execution provider.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.errors import InferenceError

log = logging.getLogger("edge.vision")


def default_cache() -> Path:
    """Where engines are kept: the XDG cache folder of this user."""
    import os

    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "shelf-edge"


def tensorrt_options(
    path: Path,
    input_name: str,
    shape: Sequence[int | None],
    batch_sizes: Sequence[int],
    cache: Path | None,
) -> dict[str, Any]:
    """Provider options for one model.

    The cache folder is keyed by the model's hash, the GPU's architecture and the versions of driver
    and TensorRT: an engine of another is never picked up.

    Raises:
        InferenceError: when a dimension other than the batch is dynamic.
    """
    if any(n is None for n in shape[1:]):
        raise InferenceError(f"{path}: TensorRT needs fixed sizes beside the batch, got {shape}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    folder = (cache or default_cache()) / "tensorrt" / f"{digest}-{_platform_key()}"
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {
        "trt_fp16_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder.parent),
    }
    if shape[0] is None:
        low, best, high = (
            min(batch_sizes),
            sorted(batch_sizes)[len(batch_sizes) // 2],
            max(batch_sizes),
        )
        for key, batch in (("min", low), ("opt", best), ("max", high)):
            dims = "x".join(str(n) for n in (batch, *shape[1:]))
            options[f"trt_profile_{key}_shapes"] = f"{input_name}:{dims}"
    return options


@contextlib.contextmanager
def engine_build_logged(provider: str, path: Path, chain: Sequence[Any]) -> Iterator[None]:
    """Say that an engine is being built, and how long it took: it may take ten minutes."""
    if provider != "tensorrt":
        yield
        return
    folder = Path(chain[0][1]["trt_engine_cache_path"])
    if any(folder.glob("*.engine")):
        yield
        return
    log.warning("building a TensorRT engine for %s into %s; this takes minutes", path.name, folder)
    begun = time.monotonic()
    yield
    log.warning("TensorRT engine for %s built in %.0f s", path.name, time.monotonic() - begun)


def _platform_key() -> str:
    """Compute capability and driver of GPU 0, and TensorRT's version, as a folder name."""
    try:
        query = "--query-gpu=compute_cap,driver_version"
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader", "--id=0"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        gpu = "-".join(part.strip() for part in done.stdout.strip().split(","))
    except (OSError, subprocess.SubprocessError):
        gpu = "gpu-unknown"
    return f"sm{gpu}-trt{_tensorrt_version()}"


def _tensorrt_version() -> str:
    for name in ("libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8"):
        with contextlib.suppress(OSError, AttributeError):
            return str(ctypes.CDLL(name).getInferLibVersion())
    return "unknown"
