"""Checkpoint files → state dicts, whatever container and naming they use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from edge.errors import ConfigError

_CONTAINERS = ("state_dict", "model", "model_state_dict", "net_dict")
_PREFIXES = ("module.", "trunk.", "model.", "backbone.")
_HEADS = ("classifier.", "fc.", "head.fc.", "_fc.")


def load_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .pt, .pth, .bin or .safetensors file.

    Only tensors are unpickled, so an untrusted file cannot run code. Raises ConfigError for a
    missing file and for one that holds no tensors.
    """
    if not file.is_file():
        raise ConfigError(f"{file}: no such checkpoint")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(str(file)))
    try:
        loaded: object = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(f"{file}: not a readable checkpoint: {error}") from error
    for key in _CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise ConfigError(f"{file}: holds no state dict")
    state = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
    if not state:
        raise ConfigError(f"{file}: holds no tensors")
    return state


def to_trunk_layout(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the names of `own`: prefixes stripped, or renamed by position.

    Renaming by position is for ports of one architecture whose modules are listed in the same
    forward order (EfficientNet-lite of `efficientnet_lite_pytorch` and of timm, say): it is done
    only when, without the classifier, there are as many tensors and every shape agrees.
    """
    bare = {_strip(key): value for key, value in state.items()}
    if set(own) <= set(bare):
        return bare
    body = [(k, v) for k, v in bare.items() if not k.startswith(_HEADS)]
    same = len(body) == len(own) and all(
        value.shape == mine.shape for (_, value), mine in zip(body, own.values(), strict=True)
    )
    if same:
        return {key: value for key, (_, value) in zip(own, body, strict=True)}
    return bare


def _strip(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key
