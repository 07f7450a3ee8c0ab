"""A segment of shared memory, mapped into this process.

Layout, in native 64-bit words: 0 magic, 1 capacity of a buffer in bytes, 2 number of the latest
frame (0: none yet); 16 and 32 the facts on a buffer each; from word 64 the status (``status.py``); the
two buffers of pixels from byte 8192.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np

from edge.errors import CameraError
from edge.types import U8

HEADER_BYTES = 8192
MAGIC = 0x5348_454C_4600_0001
MAX_PIXELS = 16_777_216
"""Default capacity: 16 megapixels, 4K twice over; memory is taken only for what is used."""
STATUS_WORD = 64
WORD_CAPACITY, WORD_LATEST = 1, 2


class Fence:
    """A full memory barrier, for processors that reorder what other processors see.

    Python has none. A release followed by an acquire of the same lock orders everything before
    against everything after (on ARM both are RCsc, on x86 any locked operation does); the lock
    belongs to this object alone and is never contended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def __call__(self) -> None:
        """Let nothing before this call become visible after what follows it."""
        self._lock.release()
        self._lock.acquire()


class Mapping:
    """A segment mapped into this process: its header as 64-bit words and its buffers as bytes."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("r+b") as file:
                size = os.fstat(file.fileno()).st_size
                self.memory = mmap.mmap(file.fileno(), size) if size > HEADER_BYTES else None
        except OSError as error:
            raise CameraError(f"{path}: no shared memory: {error.strerror}") from error
        if self.memory is None:
            raise CameraError(f"{path}: not a frame segment")
        self.words = memoryview(self.memory)[:HEADER_BYTES].cast("Q")
        if self.words[0] != MAGIC:
            raise CameraError(f"{path}: not a frame segment of this version")
        self.capacity = self.words[WORD_CAPACITY]
        self.fence = Fence()
        self.path = path

    def pixels(self, buffer: int, height: int, width: int) -> U8:
        """A view ``(height, width, 3) uint8`` on the start of buffer 0 or 1."""
        assert self.memory is not None
        start = HEADER_BYTES + buffer * self.capacity
        flat = np.frombuffer(self.memory, np.uint8, height * width * 3, start)
        return flat.reshape(height, width, 3)

    def close(self) -> None:
        """Unmap; views that still exist keep the memory until they go."""
        self.words.release()
        try:
            if self.memory is not None:
                self.memory.close()
        except BufferError:
            self.memory = None
