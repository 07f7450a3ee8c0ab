"""What this device can run, and whether it computes what it should."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from edge.bundle import Bundle, default_path
from edge.errors import EdgeError

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
_OPENCVS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
)


@dataclass(slots=True)
class DoctorReport:
    """Facts in the order in which they were found, and what is wrong, a line each."""

    facts: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0, or 1 when something is wrong."""
        return 1 if self.problems else 0

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "ok": not self.problems,
            **self.facts,
            "problems": self.problems,
            "notes": self.notes,
        }

    def to_text(self) -> str:
        """For people."""
        width = max(len(key) for key in self.facts)
        lines = [f"{key:<{width}}  {_flat(value)}" for key, value in self.facts.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        lines.append("all well" if not self.problems else f"{len(self.problems)} problem(s)")
        return "\n".join(lines)


def examine(bundle: Path | None = None, provider: str = "auto") -> DoctorReport:
    """Look at packages, providers, bundle and canary; never raises for what it finds."""
    report = DoctorReport()
    report.facts["shelf-edge"] = _version("shelf-edge") or "not installed (running from source)"
    report.facts["python"] = sys.version.split()[0]
    report.facts["machine"] = f"{platform.machine()} {platform.system()} {platform.release()}"
    _packages(report)
    _models(report, bundle, provider)
    return report


def conflicting(installed: dict[str, str]) -> list[str]:
    """Lines about wheels that overwrite each other's files; ``installed`` is version by name."""
    problems = []
    runtimes = [name for name in _RUNTIMES if name in installed]
    if len(runtimes) > 1:
        problems.append(
            f"{' and '.join(runtimes)} are installed over each other: uninstall both, then install"
            " one of shelf-edge[cpu], [gpu], [openvino]"
        )
    versions = {installed[name] for name in _OPENCVS if name in installed}
    if len(versions) > 1:
        names = ", ".join(f"{n} {installed[n]}" for n in _OPENCVS if n in installed)
        problems.append(f"OpenCV wheels of different versions share one folder: {names}")
    return problems


def _packages(report: DoctorReport) -> None:
    names = (*_RUNTIMES, *_OPENCVS, "hnswlib", "numpy")
    installed = {name: version for name in names if (version := _version(name)) is not None}
    report.facts["packages"] = installed
    report.problems += conflicting(installed)
    if not any(name in installed for name in _RUNTIMES):
        report.problems.append(
            "no onnxruntime: pip install 'shelf-edge[cpu]' (or [gpu], [openvino])"
        )
    try:
        import hnswlib  # noqa: F401
    except ImportError:
        report.notes.append(
            "hnswlib cannot be imported: galleries of any size are searched exactly"
        )


def _models(report: DoctorReport, folder: Path | None, provider: str) -> None:
    try:
        # everything below needs a runtime, and each step the one before
        from edge.pipeline import Models
        from edge.vision.session import available_providers, available_threads

        report.facts["threads"] = available_threads()
        report.facts["providers"] = list(available_providers())
        bundle = Bundle.load(folder if folder is not None else default_path())
        manifest = bundle.manifest
        report.facts["bundle"] = bundle.bundle_id
        report.facts["bundle_path"] = str(bundle.path)
        report.facts["bundle_licence"] = manifest.licence
        report.facts["code_licence"] = "Apache-2.0"
        report.facts["tower"] = manifest.tower.fingerprint
        models = Models.open(bundle, provider=provider)
        report.facts["provider"] = models.provider
        report.facts["canary"] = models.canary.to_json()
        best = report.facts["providers"]
        if isinstance(best, list) and provider == "auto" and best[0] not in models.provider:
            report.notes.append(f"{best[0]} is installed but {models.provider} is what works")
    except (EdgeError, ImportError) as error:
        report.problems.append(str(error))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return str(value)
