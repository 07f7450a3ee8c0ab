"""Image towers: a trunk, a projection and L2 normalisation, whatever library the trunk is from.

A model is named `library:architecture`: `timm:tf_efficientnet_lite0`, `open_clip:ViT-B-32`,
`hf-clip:/path/to/CLIPModel`. `weights` is a local checkpoint, a tag the library knows, or None
(random weights). Preprocessing comes from the checkpoint's own configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from torch import Tensor, nn

from edge.errors import ConfigError
from edge.manifest import Interpolation, Preprocessing
from export.checkpoints import load_state, to_trunk_layout

LIBRARIES = ("timm", "open_clip", "hf-clip")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the starting weights come from; goes into the bundle and the model card."""

    model: str
    weights: str
    sha256: str
    licence: str


class ImageTower(nn.Module):  # type: ignore[misc]
    """(n, 3, S, S) float32 → (n, D) float32 with L2 norm 1.

    `trunk` gives pooled features (n, F); `projection` is linear or the identity.
    """

    def __init__(self, trunk: nn.Module, projection: nn.Module, preprocessing: Preprocessing):
        super().__init__()
        self.trunk = trunk
        self.projection = projection
        self.preprocessing = preprocessing

    def features(self, images: Tensor) -> Tensor:
        """Pooled features (n, F) before the projection."""
        return cast(Tensor, self.trunk(images))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (n, D) of norm 1."""
        projected = self.projection(self.features(images)).float()
        return nn.functional.normalize(projected, dim=-1)

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """The trunk's parameters by depth, stem first; the projection is not among them.

        Depth follows names like `blocks.3.1`, `resblocks.7`, `layer4.0`: all architectures here
        number their blocks in forward order.
        """
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.trunk.named_parameters():
            numbered = any(key not in ("stem", "head") for key in groups)
            groups.setdefault(_block(name, numbered), []).append(parameter)
        last = groups.pop("head", [])
        return [*groups.values(), *([last] if last else [])]


def load_tower(
    model: str,
    weights: str | None,
    *,
    size: int | None = None,
    resize: Literal["stretch", "pad", "crop"] | None = None,
    antialias: bool = True,
) -> tuple[ImageTower, Provenance]:
    """Builds the tower `model` and loads `weights`; `size` and `resize` override the checkpoint's.

    With `antialias` pictures are resized as the checkpoint's library does; without, by the device's
    faster averaging, which a tower that is trained with it does not mind.

    Raises ConfigError for an unknown architecture, a missing file and a checkpoint of another
    shape; the message names the model, the file and the first tensors that do not fit.
    """
    library, _, architecture = model.partition(":")
    if library == "timm":
        tower = _timm(architecture, weights, size, resize)
        licence = _timm_licence(architecture)
    elif library == "open_clip":
        tower = _open_clip(architecture, weights, size, resize)
        licence = "see the checkpoint"
    elif library == "hf-clip":
        tower = _hf_clip(Path(architecture), size, resize)
        licence = "see the checkpoint"
    else:
        raise ConfigError(f"model {model!r}: expected timm:…, open_clip:… or hf-clip:…")
    if not antialias:
        plain = tower.preprocessing.interpolation.removesuffix("-antialias")
        tower.preprocessing = tower.preprocessing.model_copy(update={"interpolation": plain})
    digest = ""
    if weights and Path(weights).is_file():
        digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    return tower.eval(), Provenance(model, Path(weights or "random").name, digest, licence)


def _timm(name: str, weights: str | None, size: int | None, resize: str | None) -> ImageTower:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:8]}*")[:5])
        raise ConfigError(f"timm has no model {name!r}" + (f"; near: {near}" if near else ""))
    trunk = timm.create_model(name, pretrained=weights == "pretrained", num_classes=0)
    if weights and weights != "pretrained":
        state = to_trunk_layout(load_state(Path(weights)), trunk.state_dict())
        _load(trunk, state, name, weights)
    data = timm.data.resolve_model_data_config(trunk)
    preprocessing = Preprocessing(
        size=size or int(data["input_size"][1]),
        mean=_three(data["mean"]),
        std=_three(data["std"]),
        resize=cast(Literal["stretch", "pad", "crop"], resize or "crop"),
        interpolation=_antialiased(data["interpolation"] == "bicubic"),
    )
    return ImageTower(trunk, nn.Identity(), preprocessing)


def _timm_licence(name: str) -> str:
    import timm

    return str(timm.get_pretrained_cfg(name, allow_unregistered=True).license or "unknown")


def _open_clip(name: str, weights: str | None, size: int | None, resize: str | None) -> ImageTower:
    import open_clip

    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip has no model {name!r}; `open_clip.list_models()` has all")
    try:
        model = open_clip.create_model(name, pretrained=weights, force_image_size=size)
    except Exception as error:  # torch and the hub raise many classes for a file that is none
        raise ConfigError(f"{weights}: does not fit {name}: {_first_line(error)}") from error
    visual = cast(nn.Module, model.visual)
    config = open_clip.get_model_preprocess_cfg(model)
    side = config["size"]
    modes = {"shortest": "crop", "longest": "pad", "squash": "stretch"}
    preprocessing = Preprocessing(
        size=side if isinstance(side, int) else int(side[0]),
        mean=_three(config["mean"]),
        std=_three(config["std"]),
        resize=cast(
            Literal["stretch", "pad", "crop"],
            resize or modes[config.get("resize_mode", "shortest")],
        ),
        interpolation=_antialiased(config.get("interpolation") != "bilinear"),
    )
    return ImageTower(visual, nn.Identity(), preprocessing)


class _HfVision(nn.Module):  # type: ignore[misc]
    """The vision half of a Hugging Face CLIPModel, projection included."""

    def __init__(self, vision: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.vision_model = vision
        self.visual_projection = projection

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.visual_projection(self.vision_model(images).pooler_output))


def _hf_clip(folder: Path, size: int | None, resize: str | None) -> ImageTower:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: no CLIPModel folder (config.json is missing)")
    try:
        from transformers import CLIPImageProcessor, CLIPModel
    except ImportError as error:
        raise ConfigError("hf-clip models need the package transformers") from error
    try:
        # the whole model: its projection's size stands in the part that joins both halves
        model, told = CLIPModel.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True
        )
        processor = CLIPImageProcessor.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises whatever the missing part is
        raise ConfigError(f"{folder}: holds no CLIPModel: {_first_line(error)}") from error
    absent = sorted(str(key) for key in (*told["missing_keys"], *told["mismatched_keys"]))
    if absent:
        raise ConfigError(
            f"{folder}: holds no CLIPModel: {absent[0]} is missing or of another shape"
        )
    trained = int(processor.crop_size["height"])
    if size not in (None, trained):
        raise ConfigError(f"{folder}: trained at {trained} px, cannot be run at {size} px")
    preprocessing = Preprocessing(
        size=trained,
        mean=_three(processor.image_mean),
        std=_three(processor.image_std),
        resize=cast(Literal["stretch", "pad", "crop"], resize or "crop"),
        interpolation=_antialiased(int(processor.resample) != 2),
    )
    trunk = _HfVision(model.vision_model, model.visual_projection)
    return ImageTower(trunk, nn.Identity(), preprocessing)


def _load(module: nn.Module, state: Mapping[str, Tensor], model: str, file: str) -> None:
    own = module.state_dict()
    wrong = [
        f"{key} {tuple(state[key].shape)} ≠ {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    if wrong or missing:
        detail = "; ".join((wrong + [f"{key} missing" for key in missing])[:3])
        raise ConfigError(f"{file}: does not fit {model}: {detail}")
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)


def _block(name: str, after_first: bool) -> str:
    parts = name.split(".")
    numbered = [i for i, part in enumerate(parts) if part.isdigit() or part[:-1] == "layer"]
    if not numbered:
        last = after_first or parts[0] in ("proj", "head", "visual_projection")
        return "head" if last else "stem"
    first = numbered[0]
    end = first + 1 if first + 1 in numbered else first
    return ".".join(parts[: end + 1])


def _antialiased(cubic: bool) -> Interpolation:
    return "bicubic-antialias" if cubic else "bilinear-antialias"


def _three(values: object) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in cast(list[float], values))
    return red, green, blue


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:2])[:200]
