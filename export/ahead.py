"""Results computed on threads before they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(tasks: Iterator[Callable[[], T]], *, workers: int, depth: int) -> Generator[T]:
    """The results of endless ``tasks`` in their order, ``depth`` of them under way meanwhile.

    What a task raises is raised here. Close the generator: that waits for the threads, and one that
    still works when Python ends can take the process down with it.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pending: deque[Future[T]] = deque()
        try:
            while True:
                while len(pending) <= depth:
                    pending.append(pool.submit(next(tasks)))
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
