"""Loading a model bundle: manifest and checksums hold before any file of it is used."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.errors import BundleError
from edge.manifest import FORMAT, Manifest

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle folder. ``bundle_id`` names it in every result."""

    path: Path
    manifest: Manifest
    bundle_id: str

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and verify a bundle folder.

        Raises:
            BundleError: when the folder, its manifest or a file is missing, altered, extra or leads
                out of the folder, or when the format is not known.
        """
        folder = Path(path)
        text = _read_manifest(folder)
        manifest = _parse(folder / MANIFEST, text)
        _verify_files(folder, manifest)
        digest = hashlib.sha256(text).hexdigest()[:12]
        return cls(folder, manifest, f"{manifest.name}-{manifest.version}+{digest}")

    @classmethod
    def default(cls) -> Bundle:
        """The bundle that comes with the package, in a wheel and in a checkout alike."""
        return cls.load(default_path())


def default_path() -> Path:
    """The folder of the default bundle.

    Raises:
        BundleError: when neither the installed package nor a checkout around it has one.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "_models" / "default", package.parent / "models" / "default"):
        if (candidate / MANIFEST).is_file():
            return candidate
    raise BundleError(f"no default bundle beside {package}: name one with --bundle")


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(folder: Path) -> bytes:
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such bundle folder")
    path = folder / MANIFEST
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{path}: missing, so {folder} is no bundle") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, text: bytes) -> Manifest:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise BundleError(f"{path}: must hold one JSON object")
    if data.get("format") != FORMAT:
        raise BundleError(
            f"{path}: format {data.get('format')!r} is not known (this version reads {FORMAT})"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{path}: {mistakes(error)}") from error


def mistakes(error: ValidationError) -> str:
    """All that is wrong with a manifest in one line, each with its key path."""
    return "; ".join(
        f"{'.'.join(_printable(str(p)) for p in e['loc']) or 'manifest'}: {e['msg']}"
        for e in error.errors()
    )


def _printable(key: str) -> str:
    return key if key.isprintable() else repr(key)


def _verify_files(folder: Path, manifest: Manifest) -> None:
    root = folder.resolve()
    present = {
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_symlink() or not p.is_dir()
    }
    extra = sorted(present - set(manifest.files) - {MANIFEST})
    if extra:
        raise BundleError(f"{folder / extra[0]}: not named in the manifest")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            if not path.resolve().is_relative_to(root):
                raise BundleError(f"{path}: leads out of the bundle's folder")
            if not stat.S_ISREG(path.stat().st_mode):
                raise BundleError(f"{path}: not a regular file")
            actual = sha256(path)
        except FileNotFoundError as error:
            raise BundleError(f"{path}: missing, though the manifest names it") from error
        except (OSError, RuntimeError) as error:
            # a loop of links is a RuntimeError before Python 3.13
            reason = getattr(error, "strerror", None) or "its links lead in a circle"
            raise BundleError(f"{path}: cannot be read: {reason}") from error
        if actual != expected:
            raise BundleError(
                f"{path}: altered: SHA-256 is {actual[:12]}…, the manifest says {expected[:12]}…"
            )
