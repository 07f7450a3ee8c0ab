"""What a person or a machine sees of a command: progress, JSON, one line an error."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from edge.errors import EdgeError

Progress = Callable[[int, int], None]


def run(app: Callable[[], object]) -> None:
    """Run a command line: an expected error is one line on stderr and its exit status.

    0 done, 1 the work failed, 2 the call was wrong, 130 interrupted.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a file name may hold bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except EdgeError as error:
        say(f"error: {error}")
        raise SystemExit(error.exit_status) from None
    except BrokenPipeError:
        # the reader (head, less) has gone; nothing is left to say
        _let_go_of_stdout()
        raise SystemExit(1) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}")
        _let_go_of_stdout()
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _let_go_of_stdout() -> None:
    """Send what is still buffered to nowhere, so that Python's own last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """A line for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Mapping[str, object]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A progress bar on stderr when it is a terminal, silence otherwise.

    Yields a function of the number done and the total.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
