from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.credentials import has_literal_login, resolve, shown_url
from edge.errors import CameraError

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


def login_file(folder: Path, text: str = "admin:s3cret\n", mode: int = 0o600) -> Path:
    path = folder / "login"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_variables_are_taken_from_the_environment_as_they_are() -> None:
    address = resolve("rtsp://${U}:${P}@cam:554/1?a=b", None, {"U": "ad min", "P": "p@ss/w:rd"})
    assert (address.bare, address.user, address.password) == (
        "rtsp://cam:554/1?a=b",
        "ad min",
        "p@ss/w:rd",
    )
    assert address.with_login() == "rtsp://ad%20min:p%40ss%2Fw%3Ard@cam:554/1?a=b"


@given(user=TEXT, password=TEXT)
def test_any_login_survives_the_url_and_none_survives_a_log(user: str, password: str) -> None:
    address = resolve("rtsp://${U}:${P}@cam/1", None, {"U": user, "P": password})
    parts = urlsplit(address.with_login())
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)
    assert parts.hostname == "cam"
    shown = address.redact(f"could not open {address.with_login()} as {password!s} for {user!s}")
    assert address.with_login() not in shown
    assert repr(password) not in repr(address)
    assert password not in shown.replace("***", "").replace(
        "could not open rtsp://@cam/1 as  for ", ""
    )


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(CameraError, match="environment variable CAM_PASSWORD is not set"):
        resolve("rtsp://${CAM_USER}:${CAM_PASSWORD}@cam/1", None, {"CAM_USER": "a"})


def test_a_login_is_read_from_a_file_of_the_owner(tmp_path: Path) -> None:
    path = login_file(tmp_path, "admin:with:colons \n")
    address = resolve("http://cam/snap", path, {})
    assert (address.user, address.password) == ("admin", "with:colons ")
    named = resolve("http://cam/snap", Path("${DIR}/login"), {"DIR": str(tmp_path)})
    assert named.password == "with:colons "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CameraError, match=r"login: .*set its mode to 0600"):
        resolve("http://cam/snap", login_file(tmp_path, mode=mode), {})


def test_what_systemd_hands_over_may_show_its_access_list_as_a_group(tmp_path: Path) -> None:
    path = login_file(tmp_path, mode=0o440)
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    named = Path("${CREDENTIALS_DIRECTORY}/login")
    assert resolve("http://cam/snap", named, environment).password == "s3cret"
    path.chmod(0o444)
    with pytest.raises(CameraError, match="set its mode to 0600"):
        resolve("http://cam/snap", named, environment)
    path.chmod(0o440)
    with pytest.raises(CameraError, match="set its mode to 0600"):
        resolve("http://cam/snap", path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "elsewhere")})


@pytest.mark.parametrize("text", ["", "admin", "admin:a\nroot:b\n"])
def test_a_malformed_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(CameraError, match="not one line 'user:password'") as caught:
        resolve("http://cam/snap", login_file(tmp_path, text), {})
    assert "admin" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"absent: the credentials cannot be read"):
        resolve("http://cam/snap", tmp_path / "absent", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = login_file(tmp_path)
    os.chown(path, 12345, -1)
    with pytest.raises(CameraError, match="belong to another user"):
        resolve("http://cam/snap", path, {})


def test_variables_in_a_query_are_secrets_too() -> None:
    address = resolve("http://cam/snap?pwd=${P}", None, {"P": "hunter2"})
    assert address.bare == "http://cam/snap?pwd=hunter2"
    assert "hunter2" not in address.redact("GET http://cam/snap?pwd=hunter2 failed")


def test_what_people_see_of_a_url() -> None:
    assert shown_url("rtsp://a:b@cam:1/x?pwd=c") == "rtsp://cam:1/x"
    assert not has_literal_login("rtsp://${A}:${B}@cam/x")
    assert not has_literal_login("rtsp://cam/x@y")
    assert has_literal_login("rtsp://${A}:b@cam/x")
    assert has_literal_login("http://cam/x?channel=1&PassWord=b")
    assert not has_literal_login("http://cam/x?channel=1&pwd=${B}")
