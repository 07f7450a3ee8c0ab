"""shelf-edge: finds, identifies and counts the products on a shelf, on the device, offline.

The public API is ``Bundle``, ``Gallery``, ``Pipeline`` and ``Frame``; loaded when first used, so that
``import edge`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.bundle import Bundle as Bundle
    from edge.errors import EdgeError as EdgeError
    from edge.gallery.gallery import Gallery as Gallery
    from edge.pipeline import Pipeline as Pipeline
    from edge.types import Frame as Frame
    from edge.types import FrameResult as FrameResult

# ONNX Runtime reports to its maker from release 1.29 on, with a database below ~/.cache and threads of
# its own; it reads this once, when it is loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Bundle", "EdgeError", "Frame", "FrameResult", "Gallery", "Pipeline"]

_HOME = {
    "Bundle": "edge.bundle",
    "EdgeError": "edge.errors",
    "Frame": "edge.types",
    "FrameResult": "edge.types",
    "Gallery": "edge.gallery.gallery",
    "Pipeline": "edge.pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
