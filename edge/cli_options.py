"""Options that several commands of `edge` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle folder; the embedded default otherwise.")
]
ProviderOption = Annotated[
    str, typer.Option("--provider", help="auto, cpu, cuda, tensorrt or openvino.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]
GalleryArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Gallery file.")]
