"""The units are valid, as tight as stated, and fit the program."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.daemon.settings import SupervisionSettings
from tests.conftest import ROOT

UNITS = ROOT / "systemd"
MOST_EXPOSURE = 2.0


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program that exists in place of the installed one."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder, ignore=shutil.ignore_patterns("*.d", "*.toml", "*.conf"))
    for unit in folder.iterdir():
        unit.write_text(unit.read_text().replace("/opt/shelf-edge/bin/edge", "/bin/true"))
    return folder


def with_drop_in(units: Path, name: str) -> Path:
    place = units / "shelf-edge.service.d"
    place.mkdir(exist_ok=True)
    shutil.copyfile(UNITS / "shelf-edge.service.d" / name, place / name)
    return units / "shelf-edge.service"


@pytest.mark.parametrize(
    "name", ["shelf-edge.service", "shelf-edge-audit@night.service", "shelf-edge-audit@night.timer"]
)
def test_verify_is_clean(units: Path, name: str) -> None:
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", str(units / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "shelf-edge" in line]
    assert (done.returncode, ours) == (0, [])


def exposure(unit: Path) -> float:
    done = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze cannot judge a file here: {done.stderr.strip()[:200]}")
    return float(found[1])


def test_the_main_unit_is_little_exposed(units: Path) -> None:
    assert exposure(units / "shelf-edge.service") <= MOST_EXPOSURE


@pytest.mark.parametrize("name", ["gpu.conf", "usb-camera.conf"])
def test_it_stays_so_with_devices(units: Path, name: str) -> None:
    assert exposure(with_drop_in(units, name)) <= MOST_EXPOSURE


def test_the_audit_is_less_exposed_still(units: Path) -> None:
    assert exposure(units / "shelf-edge-audit@.service") <= 1.5


def test_the_user_and_the_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        [tool("systemd-sysusers"), f"--root={tmp_path}", str(UNITS / "shelf-edge.sysusers.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission denied" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("needs root")
    assert done.returncode == 0, done.stderr
    passwd = (tmp_path / "etc" / "passwd").read_text()
    assert re.search(r"^shelf-edge:.*:/var/lib/shelf-edge:\S*nologin$", passwd, re.MULTILINE)
    done = subprocess.run(
        [
            tool("systemd-tmpfiles"),
            "--create",
            f"--root={tmp_path}",
            str(UNITS / "shelf-edge.tmpfiles.conf"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("etc/shelf-edge", "var/lib/shelf-edge/audits", "var/cache/shelf-edge"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", ["shelf-edge.service", "shelf-edge-audit@.service"])
def test_the_runtime_tells_its_maker_nothing(name: str) -> None:
    assert "\nEnvironment=ORT_DISABLE_TELEMETRY=1\n" in (UNITS / name).read_text()


def test_systemd_never_gives_up() -> None:
    text = (UNITS / "shelf-edge.service").read_text()
    for line in ("StartLimitIntervalSec=0", "Restart=always", "RestartPreventExitStatus=2"):
        assert f"\n{line}\n" in text


def test_systemd_is_more_patient_than_the_supervisor() -> None:
    """It must not kill the service while the supervisor still mends it."""
    text = (UNITS / "shelf-edge.service").read_text()

    def seconds(key: str) -> float:
        found = re.search(rf"^{key}=(\d+)$", text, re.MULTILINE)
        assert found is not None
        return float(found[1])

    patience = SupervisionSettings()
    assert seconds("TimeoutStartSec") > patience.load_s
    assert seconds("WatchdogSec") >= patience.progress_s + patience.restart_most_s + 60
    assert seconds("TimeoutStopSec") > 5
