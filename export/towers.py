"""Any tower by name, ready to embed: bundle, ONNX file, fine-tuned checkpoint or library model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge.errors import BundleError, ConfigError
from edge.manifest import Manifest, Preprocessing
from export.embedding import Embed, onnx_embed


@dataclass(frozen=True, slots=True, eq=False)
class OpenTower:
    """`embed` takes (n, 3, S, S) float32 prepared as `preprocessing` says."""

    name: str
    preprocessing: Preprocessing
    embed: Embed


def open_tower(name: str, *, threads: int | None = None) -> OpenTower:
    """Opens what `name` says.

    - a folder with manifest.json (bundle): its FP32 tower, or its first file
    - a .onnx file with a .json of the same stem beside it that holds `preprocessing`
    - a .pt checkpoint of `finetune`
    - `timm:NAME[@FILE]`, `open_clip:NAME[@FILE or tag]`, `hf-clip:FOLDER`: torch models

    Raises ConfigError or BundleError naming what does not exist or fit.
    """
    library, _, rest = name.partition(":")
    if library in ("timm", "open_clip", "hf-clip") and rest:
        return _torch_model(library, rest, threads)
    path = Path(name)
    if path.is_dir():
        return _bundle(path, threads)
    if path.suffix == ".onnx" and path.is_file():
        return OpenTower(path.stem, _beside(path), onnx_embed(path, threads=threads))
    if path.suffix == ".pt" and path.is_file():
        return _checkpoint(path, threads)
    raise ConfigError(f"{name}: no bundle, ONNX file, checkpoint or model of that name")


def _bundle(folder: Path, threads: int | None) -> OpenTower:
    file = folder / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror or error}") from error
    except ValidationError as error:
        raise BundleError(f"{file}: {error.errors()[0]['msg']}") from error
    variants = manifest.tower.variants
    variant = next((v for v in variants if v.precision == "fp32"), variants[0])
    embed = onnx_embed(folder / variant.file, threads=threads)
    return OpenTower(manifest.name, manifest.tower.preprocessing, embed)


def _beside(file: Path) -> Preprocessing:
    for about in (file.with_suffix(".json"), file.parent / "tower.json"):
        if about.is_file():
            try:
                data = json.loads(about.read_text(encoding="utf-8"))
                return Preprocessing.model_validate(data["preprocessing"])
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{about}: no usable preprocessing: {error}") from error
    raise ConfigError(f"{file}: {file.stem}.json with its preprocessing is missing beside it")


def _checkpoint(file: Path, threads: int | None) -> OpenTower:
    from export.embedding import torch_embed
    from export.finetune import load_finetuned

    _limit_threads(threads)
    tower, _ = load_finetuned(file)
    return OpenTower(file.parent.name, tower.preprocessing, torch_embed(tower))


def _torch_model(library: str, rest: str, threads: int | None) -> OpenTower:
    from export.backbones import load_tower
    from export.embedding import torch_embed

    _limit_threads(threads)
    architecture, _, weights = rest.partition("@")
    tower, _ = load_tower(f"{library}:{architecture}", weights or None)
    return OpenTower(architecture, tower.preprocessing, torch_embed(tower))


def _limit_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
