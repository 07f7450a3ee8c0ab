"""Running a model: one Protocol and its ONNX Runtime implementation.

The only module that imports onnxruntime. A provider that was asked for by name either runs or is an
error; only ``auto`` may choose, and it says what it chose.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edge.errors import BundleError, ConfigError, InferenceError
from edge.manifest import Variant
from edge.types import F32
from edge.vision.binding import DeviceBinding
from edge.vision.tensorrt import engine_build_logged, tensorrt_options

log = logging.getLogger("edge.vision")

ORT_NAMES = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
BEST_FIRST = ("tensorrt", "cuda", "openvino", "cpu")
_GPU = ("tensorrt", "cuda")
Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape (None = dynamic) and ONNX element type of an input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Session(Protocol):
    """A loaded model with one input."""

    @property
    def provider(self) -> str:
        """The execution provider that runs: tensorrt, cuda, openvino or cpu."""

    @property
    def signature(self) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
        """The input and the outputs."""

    def run(self, batch: F32) -> list[npt.NDArray[Any]]:
        """Outputs for one input batch, in the model's order.

        Raises:
            InferenceError: when the model cannot take this batch or the provider fails.
        """


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """``threads`` defaults to the CPUs this process may use; engines are cached below ``cache``."""

    threads: int | None = None
    cache: Path | None = None
    batch_sizes: tuple[int, ...] = (1,)


def available_threads() -> int:
    """CPUs in this process's affinity mask (a container or systemd unit may allow only a few)."""
    return max(1, len(os.sched_getaffinity(0)))


def available_providers() -> tuple[str, ...]:
    """Providers compiled into the installed onnxruntime, best first."""
    built = _onnxruntime().get_available_providers()
    return tuple(p for p in BEST_FIRST if ORT_NAMES[p] in built)


def open_session(
    folder: Path,
    variants: Sequence[Variant],
    provider: str = "auto",
    options: SessionOptions | None = None,
) -> tuple[OrtSession, Variant]:
    """Load the variant that fits the provider; with ``auto`` the best provider that really works.

    Raises:
        ConfigError: when there is no provider of that name.
        InferenceError: when the provider asked for by name is not installed, does not start, or has
            no file in the bundle; or when no provider works.
    """
    chosen = options or SessionOptions()

    def opened(name: str) -> tuple[OrtSession, Variant]:
        variant = next((v for v in variants if name in v.providers), None)
        if variant is None:
            raise InferenceError(f"{name}: the bundle has no file for it")
        return OrtSession(folder / variant.file, name, chosen), variant

    return first_that_works(provider, opened)


def first_that_works(provider: str, opened: Callable[[str], Opened]) -> Opened:
    """What ``opened`` makes of a provider asked for by name; with ``auto`` of the best that works.

    With ``auto`` a provider on which ``opened`` fails gives way to the next, with a warning.

    Raises:
        ConfigError: when there is no provider of that name.
        InferenceError: when the provider asked for by name is not installed, or none of several works.
        BundleError: as InferenceError, when ``opened`` raises it on the only provider.
    """
    if provider not in ("auto", *BEST_FIRST):
        raise ConfigError(
            f"provider {provider!r} is not known (choose auto, {', '.join(BEST_FIRST)})"
        )
    installed = available_providers()
    if provider != "auto" and provider not in installed:
        raise InferenceError(
            f"provider {provider} is not in the installed onnxruntime (it has"
            f" {', '.join(installed)})"
        )
    names = installed if provider == "auto" else (provider,)
    if len(names) == 1:
        return opened(names[0])
    reasons = []
    for name in names:
        try:
            return opened(name)
        except (InferenceError, BundleError) as error:
            reasons.append(str(error))
            log.warning("provider %s does not work here: %s", name, error)
    raise InferenceError("; ".join(reasons) or "onnxruntime has no execution provider")


class OrtSession:
    """A model on ONNX Runtime, warmed up on the provider it was opened for.

    Raises:
        InferenceError: when the file does not load, or ONNX Runtime put another provider in place.
    """

    def __init__(self, path: Path, provider: str, options: SessionOptions) -> None:
        ort = _onnxruntime()
        if provider in _GPU and hasattr(ort, "preload_dlls"):
            ort.preload_dlls()
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads or available_threads()
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        # threads that spin on after a run take the cores from what comes next
        settings.add_session_config_entry("session.force_spinning_stop", "1")
        self._path = path
        self._provider = provider
        try:
            chain = _provider_chain(ort, provider, path, settings, options)
            with engine_build_logged(provider, path, chain):
                self._session = ort.InferenceSession(str(path), settings, providers=chain)
        except InferenceError:
            raise
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise InferenceError(f"{path}: {provider} cannot load it: {_first(error)}") from error
        self._session.disable_fallback()
        actual = self._session.get_providers()[0]
        if actual != ORT_NAMES[provider]:
            raise InferenceError(
                f"{path}: asked for provider {provider}, but onnxruntime put {actual} in its place"
            )
        self._signature = _read_signature(self._session, path)
        self._binding = DeviceBinding(ort, self._session, "cuda") if provider in _GPU else None

    @property
    def provider(self) -> str:
        """The execution provider that runs."""
        return self._provider

    @property
    def signature(self) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
        """The input and the outputs."""
        return self._signature

    def run(self, batch: F32) -> list[npt.NDArray[Any]]:
        """Outputs for one input batch; InferenceError names file, provider and shape."""
        try:
            if self._binding is not None:
                return self._binding.run(batch)
            name = self.signature[0].name
            return [np.asarray(o) for o in self._session.run(None, {name: batch})]
        except Exception as error:
            raise InferenceError(
                f"{self._path}: {self._provider} failed on a batch of shape {batch.shape}:"
                f" {_first(error)}"
            ) from error


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InferenceError(
            "onnxruntime is not installed: pip install 'shelf-edge[cpu]' (or [gpu], [openvino])"
        ) from error
    return onnxruntime


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _read_signature(session: Any, path: Path) -> tuple[TensorSpec, tuple[TensorSpec, ...]]:
    def spec(arg: Any) -> TensorSpec:
        shape = tuple(n if isinstance(n, int) else None for n in arg.shape)
        return TensorSpec(arg.name, shape, arg.type)

    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = [i.name for i in inputs]
        raise InferenceError(f"{path}: a model must have one input, got {names}")
    if inputs[0].type != "tensor(float)":
        raise InferenceError(
            f"{path}: input {inputs[0].name} must be float32, got {inputs[0].type}"
        )
    return spec(inputs[0]), tuple(spec(o) for o in session.get_outputs())


def _provider_chain(
    ort: Any, provider: str, path: Path, settings: Any, options: SessionOptions
) -> list[Any]:
    cpu = ORT_NAMES["cpu"]
    if provider == "cpu":
        return [cpu]
    if provider == "openvino":
        config = {"device_type": "AUTO"}
        if options.cache is not None:
            config["cache_dir"] = str(options.cache / "openvino")
        return [(ORT_NAMES["openvino"], config), cpu]
    cuda = (ORT_NAMES["cuda"], {"cudnn_conv_algo_search": "EXHAUSTIVE"})
    if provider == "cuda":
        return [cuda, cpu]
    # TensorRT's profile needs the shapes before its session exists: read them on the CPU
    given, _ = _read_signature(ort.InferenceSession(str(path), settings, providers=[cpu]), path)
    trt = tensorrt_options(path, given.name, given.shape, options.batch_sizes, options.cache)
    return [(ORT_NAMES["tensorrt"], trt), cuda, cpu]
