"""Where the full vectors lie with which a graph's candidates are compared again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from edge.errors import GalleryError
from edge.types import F32, I64


class Vectors(Protocol):
    """The vector of each node."""

    def __len__(self) -> int:
        """The number of nodes."""

    def take(self, nodes: I64) -> F32:
        """The vectors ``(N, D) float32`` of ``nodes (N,)``; GalleryError when they cannot be read."""

    def blocks(self, size: int) -> Iterator[F32]:
        """All vectors in their order, in blocks of at most ``size``."""


class InMemory:
    """Vectors ``(N, D) float32``, exact."""

    def __init__(self, vectors: F32) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def take(self, nodes: I64) -> F32:
        """See ``Vectors.take``."""
        return self._vectors[nodes]

    def blocks(self, size: int) -> Iterator[F32]:
        """All vectors in their order, in blocks of at most ``size``."""
        for first in range(0, len(self._vectors), size):
            yield self._vectors[first : first + size]


class OnDisk:
    """Vectors in a file of ``(N, D) float16``, read one by one: they take no memory of the process.

    The kernel keeps in its page cache what there is room for. Half precision changes a cosine by
    about 1e-5; eight bits change it by 5e-4, which mistakes one nearest neighbour in twenty among
    60,000 facings. Read with ``pread``, not mapped: a disk that fails or a file that is cut is an
    error then, and not the end of the process.
    """

    def __init__(self, path: Path, dim: int, count: int) -> None:
        """Opens the file; raises GalleryError when it has not the size that it must have."""
        self.path = path
        self._dim, self._count, self._row = dim, count, 2 * dim
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
        size = os.fstat(self._file).st_size
        if size < count * self._row:
            raise GalleryError(f"{path}: has {size} bytes, expected {count * self._row}")
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)

    def __len__(self) -> int:
        return self._count

    def take(self, nodes: I64) -> F32:
        """See ``Vectors.take``."""
        file, row = self._file, self._row
        try:
            data = b"".join([os.pread(file, row, node * row) for node in nodes.tolist()])
        except OSError as error:
            raise GalleryError(f"{self.path}: cannot be read: {error.strerror}") from error
        if len(data) != len(nodes) * row:
            raise GalleryError(f"{self.path}: damaged: it became shorter while it was in use")
        return np.frombuffer(data, "<f2").reshape(len(nodes), self._dim).astype(np.float32)

    def block(self, first: int, last: int) -> F32:
        """The vectors ``(last - first, D) float32`` of neighbouring nodes, in one read."""
        data = b""
        while len(data) < (last - first) * self._row:
            at = first * self._row + len(data)
            part = os.pread(self._file, (last - first) * self._row - len(data), at)
            if not part:
                raise GalleryError(f"{self.path}: damaged: it became shorter while it was in use")
            data += part
        return np.frombuffer(data, "<f2").reshape(last - first, self._dim).astype(np.float32)

    def blocks(self, size: int) -> Iterator[F32]:
        """All vectors in their order, in blocks of at most ``size``."""
        for first in range(0, self._count, size):
            yield self.block(first, min(self._count, first + size))

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)
