from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from edge.doctor import DoctorReport, conflicting, examine
from edge.errors import InferenceError
from tests.factories import reseal, write_tower


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ({}, []),
        ({"onnxruntime": "1.30.0", "opencv-python-headless": "5.0.0.93"}, []),
        ({"opencv-python-headless": "5.0.0.93", "opencv-python": "5.0.0.93"}, []),
        (
            {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.30.0"},
            ["onnxruntime and onnxruntime-gpu are installed over each other", "uninstall both"],
        ),
        (
            {"onnxruntime": "1.30.0", "onnxruntime-openvino": "1.24.1", "onnxruntime-gpu": "1.3"},
            ["onnxruntime and onnxruntime-gpu and onnxruntime-openvino"],
        ),
        (
            {"opencv-python-headless": "5.0.0.93", "opencv-contrib-python": "4.12.0.88"},
            ["opencv-python-headless 5.0.0.93, opencv-contrib-python 4.12.0.88"],
        ),
    ],
)
def test_wheels_over_each_other_are_found(installed: dict[str, str], words: list[str]) -> None:
    problems = conflicting(installed)
    assert len(problems) == (1 if words else 0)
    for word in words:
        assert word in problems[0]


def fake_versions(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)


def test_a_sound_device_is_well(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_versions(monkeypatch, {"onnxruntime": "1.30.0", "shelf-edge": "0.1.0"})
    report = examine(tiny_bundle, "cpu")
    assert report.problems == []
    assert report.exit_status == 0
    assert report.facts["provider"] == "cpu"
    assert report.facts["bundle_licence"] == "CC0-1.0"
    assert report.facts["code_licence"] == "Apache-2.0"
    assert report.facts["shelf-edge"] == "0.1.0"
    assert report.to_json()["ok"] is True
    assert set(report.to_json()["canary"]) == {"cosine", "spread", "box_agreement"}  # type: ignore[call-overload]
    assert report.to_text().splitlines()[-1] == "all well"


def test_all_that_is_wrong_is_reported(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_versions(monkeypatch, {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.30.0"})
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    (own_bundle / "tower.onnx").unlink()
    report = examine(own_bundle, "cpu")
    assert report.exit_status == 1
    assert len(report.problems) == 2
    assert "installed over each other" in report.problems[0]
    assert "tower.onnx: missing" in report.problems[1]
    assert any("hnswlib" in note and "exactly" in note for note in report.notes)
    assert "not installed" in str(report.facts["shelf-edge"])
    text = report.to_text()
    assert "PROBLEM: " in text
    assert text.splitlines()[-1] == "2 problem(s)"


def test_a_missing_runtime_is_one_problem_with_its_cure(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_versions(monkeypatch, {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = examine(tiny_bundle, "cpu")
    assert report.exit_status == 1
    assert any("pip install 'shelf-edge[cpu]'" in problem for problem in report.problems)
    assert report.to_json()["ok"] is False


def test_a_failing_canary_is_a_problem(own_bundle: Path) -> None:
    write_tower(own_bundle / "tower.onnx", noise=0.3)
    reseal(own_bundle)
    report = examine(own_bundle, "cpu")
    assert len(report.problems) == 1
    assert "canary on cpu: tower (fp32) differs" in report.problems[0]
    assert "provider" not in report.facts


def test_a_lesser_provider_is_noted(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.vision import session

    monkeypatch.setattr(session, "available_providers", lambda: ("cuda", "cpu"))

    class NoCuda(session.OrtSession):
        def __init__(self, path: Path, provider: str, options: session.SessionOptions) -> None:
            if provider == "cuda":
                raise InferenceError(f"{path}: no driver")
            super().__init__(path, provider, options)

    monkeypatch.setattr(session, "OrtSession", NoCuda)
    report = examine(tiny_bundle)
    assert report.facts["provider"] == "cpu"
    assert "cuda is installed but cpu is what works" in report.notes


def test_an_empty_report_is_well() -> None:
    assert DoctorReport(facts={"a": {"b": "c"}}).to_text() == "a  b c\nall well"
