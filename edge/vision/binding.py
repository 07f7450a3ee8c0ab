"""I/O binding: inputs are written into device buffers allocated once per shape and reused."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge.types import F32


class DeviceBinding:
    """Runs an ONNX Runtime session through preallocated buffers on ``device`` (cuda or cpu).

    Batch sizes come from a short closed list, so the buffers kept are few.
    """

    def __init__(self, ort: Any, session: Any, device: str, device_id: int = 0) -> None:
        self._ort = ort
        self._session = session
        self._device = device
        self._device_id = device_id
        self._input = session.get_inputs()[0].name
        self._outputs = [o.name for o in session.get_outputs()]
        self._bound: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def run(self, batch: F32) -> list[npt.NDArray[Any]]:
        """Copy ``batch`` to the device, run, and copy the outputs back to host arrays."""
        batch = np.ascontiguousarray(batch)
        if batch.shape not in self._bound:
            self._bound[batch.shape] = self._bind(batch)
        value, binding = self._bound[batch.shape]
        value.update_inplace(batch)
        self._session.run_with_iobinding(binding)
        return [np.asarray(o) for o in binding.copy_outputs_to_cpu()]

    def _bind(self, batch: F32) -> tuple[Any, Any]:
        value = self._ort.OrtValue.ortvalue_from_numpy(batch, self._device, self._device_id)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, value)
        for name in self._outputs:
            binding.bind_output(name, self._device, self._device_id)
        return value, binding
