"""Who may import whom, and what a command line costs before it does anything."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

WORKSTATION_ONLY = {
    "export",
    "torch",
    "torchvision",
    "ultralytics",
    "open_clip",
    "timm",
    "onnx",
    "PIL",
    "matplotlib",
    "pandas",
    "transformers",
}
HOMES = {
    "onnxruntime": {"edge/vision/session.py"},
    "hnswlib": {"edge/gallery/graph.py", "edge/doctor.py"},
}
HEAVY = {"onnxruntime", "cv2", "torch", "hnswlib", "ultralytics", "numpy", "PIL", "open_clip"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Top-level package, line, and whether the import runs when the module is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            lazy.update(ast.walk(node))
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            names = [node.module or ""]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("import_module", "importlib.import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names = [str(node.args[0].value)]
        for name in names:
            yield name.split(".")[0], getattr(node, "lineno", 0), node not in lazy


def test_there_is_something_to_look_at() -> None:
    assert len(modules("edge")) > 20
    found = {name for path in modules("edge") for name, _, _ in imports(path)}
    assert {"numpy", "cv2", "onnxruntime", "hnswlib"} <= found


def test_the_device_never_imports_the_workstation() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules("edge")
        for name, line, _ in imports(path)
        if name in WORKSTATION_ONLY
    ]
    assert wrong == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in modules("edge")
        for name, _, _ in imports(path)
        if name == library
    }
    assert users
    assert users <= HOMES[library]


@pytest.mark.parametrize("library", ["onnxruntime", "hnswlib"])
def test_what_may_be_missing_is_imported_late(library: str) -> None:
    early = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules("edge")
        for name, line, at_once in imports(path)
        if name == library and at_once
    ]
    assert early == []


def test_scenes_need_no_torch() -> None:
    early = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules("export/scenes")
        for name, line, _ in imports(path)
        if name in {"torch", "ultralytics", "open_clip", "timm"}
    ]
    assert early == []


def test_the_project_names_no_folder_of_its_makers() -> None:
    """Nothing that ships knows a path of the machine that it was written on."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for package in ("edge", "export")
        for path in modules(package)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(prefix in line for prefix in ("/home/", "/root/", "/work/", "/tmp/"))
    ]
    assert wrong == []


# ---------------------------------------------------------------------------------- import cost


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh process after ``code``."""
    program = (
        "import json, sys\n"
        "try:\n"
        f"    {code}\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_of_the_device_is_cheap() -> None:
    loaded = loaded_by("from edge.cli import main; main()")
    assert "typer" in loaded
    assert loaded & HEAVY == set()


def test_help_of_the_workstation_is_cheap() -> None:
    loaded = loaded_by("from export.cli import main; main()")
    assert "export" in loaded
    assert loaded & (HEAVY - {"numpy"}) == set()


def test_importing_the_package_costs_nothing() -> None:
    loaded = loaded_by("import edge; assert edge.__all__")
    assert loaded & (HEAVY | {"typer", "pydantic"}) == set()
