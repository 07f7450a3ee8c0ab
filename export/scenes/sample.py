"""The sample that comes with `edge`: one shelf photo, its truth, and one clean front a SKU."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from edge.atomic import make_folder, write_bytes, write_text
from export.scenes.writer import Progress, write_store

SEED = 10
SKUS = 60
FRONT_PX = 384


def write_sample(out: Path, *, seed: int = SEED, progress: Progress | None = None) -> None:
    """Render the sample into ``out``: ``shelf.jpg``, ``truth.json``, ``fronts/*.jpg|skus.csv``.

    Raises:
        OutputError: a file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="shelf-edge-sample-") as folder:
        rendered = Path(folder)
        write_store(
            rendered,
            seed=seed,
            split="demo",
            skus=SKUS,
            photos=1,
            facings=(110, 135),
            hard_share=0.0,
            front_px=FRONT_PX,
            progress=progress,
        )
        make_folder(out / "fronts")
        for front in sorted((rendered / "fronts").iterdir()):
            write_bytes(out / "fronts" / front.name, front.read_bytes())
        shutil.copyfile(rendered / "skus.csv", out / "fronts" / "skus.csv")
        write_bytes(out / "shelf.jpg", (rendered / "photos" / "0000.jpg").read_bytes())
        truth = json.loads((rendered / "truth.jsonl").read_text())
        write_text(out / "truth.json", json.dumps({**truth, "photo": "shelf.jpg"}) + "\n")
