"""The errors that callers of this package can expect: one root, one class a room."""

from __future__ import annotations


class EdgeError(Exception):
    """Root of all expected errors; its message is one line that names the file, key or value."""

    exit_status = 1


class ConfigError(EdgeError):
    """The call or the configuration is wrong: an unknown option, value or missing path."""

    exit_status = 2


class BundleError(EdgeError):
    """A model bundle is missing, altered, of an unknown format, or gives wrong answers."""


class CameraError(EdgeError):
    """An image, clip or stream cannot be opened or decoded."""


class InferenceError(EdgeError):
    """A model cannot be loaded or run on the provider that was asked for."""


class GalleryError(EdgeError):
    """A gallery is damaged, of another tower, or a picture cannot be enrolled."""


class OutputError(EdgeError):
    """A result cannot be written: no space, no permission."""
