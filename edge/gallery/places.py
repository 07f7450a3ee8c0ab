"""Where a gallery's index is kept: beside it, or in the user's cache where that is read-only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edge.gallery.cache import graph_path


def index_places(gallery: Path) -> tuple[Path, ...]:
    """Names of indexes to look for; the first is where a new one is written.

    Beside the gallery where its folder can be written. On a read-only medium, in ``galleries`` of
    systemd's CACHE_DIRECTORY, of XDG_CACHE_HOME or of ``~/.cache``, under a name that no other gallery
    has; one that was delivered on the medium is then the second.
    """
    beside = graph_path(gallery)
    if os.access(beside.parent, os.W_OK):
        return (beside,)
    folder = cache_folder()
    if folder is None:
        return (beside,)
    digest = hashlib.sha256(os.fsencode(gallery.resolve())).hexdigest()[:16]
    return (folder / "galleries" / f"{digest}-{beside.name}", beside)


def cache_folder() -> Path | None:
    """This program's cache folder, which need not exist; None where there is no home for one."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "shelf-edge"
    except RuntimeError:
        return None
