"""`python -m export …`: the `edge-export` command line, as torchrun starts it."""

from __future__ import annotations

from export.cli import main

if __name__ == "__main__":
    main()
