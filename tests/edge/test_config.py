from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.cli import app
from edge.config import Config, load_config, parse_config
from edge.config_models import keys_of
from edge.daemon.check import check_config
from edge.daemon.secrets import read_secret
from edge.daemon.settings import Secret
from edge.errors import ConfigError
from tests.conftest import ROOT

SMALL = """
[device]
id = "store-17"
[[cameras]]
id = "aisle-3"
url = "rtsp://10.0.0.7/live"
[sinks.jsonl]
path = "events.jsonl"
"""


def parse(text: str) -> Config:
    return parse_config(tomllib.loads(text), "site.toml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.exit_status == 2
    lines = str(caught.value).splitlines()
    return lines[1:] if "mistakes" in lines[0] else [lines[0].removeprefix("site.toml: ")]


def test_a_small_file_is_enough() -> None:
    config = parse(SMALL)
    assert config.cameras[0].fps == 5.0
    assert config.outbox.max_events == 100_000
    assert config.sinks.jsonl is not None
    with pytest.raises(ValueError, match="frozen"):
        config.device.id = "other"


def test_all_mistakes_come_at_once_each_with_its_key_path() -> None:
    text = """
        [device]
        idd = "x"
        [[cameras]]
        id = "a"
        ulr = "rtsp://x"
        fps = 700
        [cameras.slots]
        calm = 3
        [[cameras]]
        id = "b b"
        url = "rtsp://u:secret@host/x"
        [outbox]
        max_mb = "a"
        [sinks.mqtt]
        host = "x"
        topic = "a/#"
        prot = 3
        [zzz]
        span = 1
    """
    assert sorted(mistakes(text)) == [
        "cameras[0].fps: Input should be less than or equal to 60",
        "cameras[0].slots.calm: unknown key, did you mean calm_s?",
        "cameras[0].ulr: unknown key, did you mean url?",
        "cameras[0].url: missing",
        "cameras[1].id: String should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'",
        "cameras[1].url: user and password must not stand in the configuration: write ${NAME} for"
        " each, or use credentials_file",
        "device.id: missing",
        "device.idd: unknown key, did you mean id?",
        "outbox.max_mb: Input should be a valid number, unable to parse string as a number",
        "sinks.mqtt.prot: unknown key, did you mean port?",
        "sinks.mqtt.topic: must be a topic without wildcard, space or / at its end: 'a/#'",
        "zzz: unknown key, known are cameras, device, events, evidence, http, log, models, outbox,"
        " sinks, slots, supervision",
    ]


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (
            '[[cameras]]\nid = "aisle-3"\nurl = "0"\n',
            "cameras: two cameras are named aisle-3",
        ),
        (
            '[sinks.mqtt]\nhost = "x"\nca_file = "y"\n',
            "sinks.mqtt: ca_file, cert_file and key_file need tls = true",
        ),
        (
            '[sinks.mqtt]\nhost = "x"\npassword = {}\n',
            "sinks.mqtt.password: needs either env or file",
        ),
        (
            '[sinks.webhook]\nurl = "https://u:p@host/"\n',
            "sinks.webhook.url: must hold no credentials: give them as token",
        ),
        (
            '[sinks.webhook]\nurl = "ftp://host/"\n',
            "sinks.webhook.url: must be an http or https address",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named(change: str, mistake: str) -> None:
    assert mistakes(SMALL + change) == [mistake]


def test_events_must_go_somewhere() -> None:
    text = SMALL.replace('[sinks.jsonl]\npath = "events.jsonl"', "[sinks]")
    assert mistakes(text) == ["sinks: needs at least one of mqtt, jsonl, webhook"]


def test_no_secret_of_a_wrong_file_is_shown() -> None:
    text = SMALL.replace("rtsp://10.0.0.7/live", "rtsp://admin:s3cret@10.0.0.7/live")
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "not UTF-8 text"),
        (b"device = [", "not valid TOML"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_configuration(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"site\.toml: {message}"):
        load_config(path)


def test_what_a_camera_leaves_out_is_as_for_all() -> None:
    config = parse(
        SMALL.replace(
            "[sinks", "[cameras.slots]\ncalm_s = 2.0\n[slots]\ncalm_s = 1\nvotes = 7\n[sinks"
        )
    )
    slots = config.slots_of(config.cameras[0])
    assert (slots.calm_s, slots.votes) == (2.0, 7)


def test_it_crosses_to_another_process_unchanged() -> None:
    config = parse(SMALL + "[slots]\nvotes = 7\n")
    again = Config.from_json(config.to_json())
    assert again == config
    assert again.slots_of(again.cameras[0]).votes == 7


def test_every_key_is_explained() -> None:
    keys = {key.path: key for key in keys_of(Config)}
    assert [path for path, key in keys.items() if not key.meaning] == []
    assert keys["cameras[].url"].default == ""
    assert keys["outbox.max_events"].line == (
        "outbox.max_events (default 100000): events that may wait before the oldest are dropped"
    )
    assert keys["sinks.mqtt.password.env"].default == "none"
    assert keys["cameras[].slots.gap_after_s"].meaning == keys["slots.gap_after_s"].meaning
    done = CliRunner().invoke(app, ["run", "--explain"])
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, len(keys))


@given(st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
), max_size=4))  # fmt: skip
def test_whatever_stands_there_is_a_named_mistake(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^site\.toml: "):
        parse_config(data, "site.toml")


def test_the_example_is_valid() -> None:
    config = load_config(ROOT / "systemd" / "site.example.toml")
    assert config.sinks.mqtt is not None
    assert len(config.cameras) >= 2


# ---------------------------------------------------------------------------------------- secrets


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "s3cret")
    assert read_secret(Secret(env="BROKER"), "k") == "s3cret"
    monkeypatch.delenv("BROKER")
    with pytest.raises(ConfigError, match=r"^k\.env: the environment has no BROKER$"):
        read_secret(Secret(env="BROKER"), "k")
    assert read_secret(None, "k") is None


def test_a_secret_comes_from_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("s3cret\n")
    file.chmod(0o640)
    assert read_secret(Secret(file=file), "k") == "s3cret"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="open to everybody"):
        read_secret(Secret(file=file), "k")
    file.chmod(0o600)
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_secret(Secret(file=file), "k")
    with pytest.raises(ConfigError, match="No such file"):
        read_secret(Secret(file=tmp_path / "none"), "k")


# ------------------------------------------------------------------------------------------ check


def test_the_check_names_all_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        SMALL.replace("rtsp://10.0.0.7/live", "rtsp://${CAM_USER}@10.0.0.7/live")
        + '[models]\nbundle = "/none"\ngallery = "/none.db"\n'
        + '[sinks.webhook]\nurl = "http://h/"\ntoken = { env = "NO_SUCH_TOKEN" }\n'
    )
    with pytest.raises(ConfigError) as caught:
        check_config(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 4 problem(s)",
        "sinks.webhook.token.env: the environment has no NO_SUCH_TOKEN",
        "models.bundle: /none is no bundle",
        "models.gallery: /none.db does not exist",
        "cameras[0]: the environment variable CAM_USER is not set",
    ]


def test_the_check_says_what_is_set_up(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SMALL)
    assert check_config(path) == [
        f"{path}: valid",
        "device store-17, state in /var/lib/shelf-edge",
        "camera aisle-3: rtsp, 5 frames a second",
        "sinks: jsonl",
    ]


def test_the_command_checks_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SMALL)
    done = CliRunner().invoke(app, ["run", "--check", "--config", str(path)])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, f"{path}: valid")
    path.write_text(SMALL.replace("url", "ulr"))
    done = CliRunner().invoke(app, ["run", "--check", "--config", str(path)])
    assert isinstance(done.exception, ConfigError)
