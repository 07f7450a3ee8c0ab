"""COCO AP and recall of a detector on rendered shelves of brands never seen in training.

    python tests/benchmarks/rendered_detector.py MODEL [--split test] [--seed 11] [--photos 40]
        [--skus 120] [--difficulty mild] [--scale whole] [--keep DIR]

MODEL is an ultralytics checkpoint, an ONNX file or a bundle. The truth are the facings of which at least
the default share is seen (``export.scenes.store.MIN_VISIBLE``). Prints one JSON object: AP, AP50, AP75,
recall at 300 and 1,000 detections and at a precision of 0.90, on the device's own decode. With
``--keep`` the scenes stay in a folder there that is named after their options, and are used again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from export.detector_command import DetectorRequest, run_detector
from export.scenes.store import MIN_VISIBLE
from export.scenes.writer import write_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--split", choices=("test", "demo"), default="test")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--skus", type=int, default=120)
    parser.add_argument("--difficulty", choices=("clean", "mild", "hard"), default="mild")
    parser.add_argument("--scale", default="whole")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    scenes = {k: getattr(options, k) for k in ("split", "seed", "skus", "photos", "difficulty")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / "-".join(map(str, scenes.values()))
        if not (folder / "truth.jsonl").is_file():  # written last
            write_store(
                folder,
                seed=options.seed,
                split=options.split,
                skus=options.skus,
                photos=options.photos,
                difficulty=options.difficulty,
                yolo_labels=True,
            )
        request = DetectorRequest(
            options.model,
            evaluate=(folder,),
            photos=options.photos,
            scale=options.scale,
            threads=options.threads,
        )
        row = run_detector(request)["evaluations"][0]
    row["folder"] = "rendered"
    print(json.dumps({"scenes": {**scenes, "min_visible": MIN_VISIBLE}, **row}, indent=1))


if __name__ == "__main__":
    main()
