from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.settings import CommonSettings, read


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "NATS_URL": "nats://127.0.0.1:4222",
        "NATS_NAME": "reporting",
        "NATS_PASSWORD": "throw-away",
        "DATA": "/var/lib/deelname",
        "HTTP_PORT": "8080",
        "NOW": "",
    }.items():
        monkeypatch.setenv(f"DEELNAME_{name}", value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    settings = CommonSettings()
    assert settings.data == Path("/var/lib/deelname")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert settings.now is None
    assert settings.nats_password is not None
    assert settings.nats_password.get_secret_value() == "throw-away"


def test_a_password_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    assert "throw-away" not in repr(CommonSettings())


def test_settings_do_not_change(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        CommonSettings().http_port = 1  # type: ignore[misc]


def test_what_is_missing_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("DEELNAME_DATA")
    with pytest.raises(ValidationError, match="data"):
        CommonSettings()


def test_what_the_environment_leaves_open_is_read_from_a_file_of_secrets(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An empty variable leaves it open: Compose sets every variable that its file names."""
    (tmp_path / "deelname_nats_password").write_text("from a file\n", encoding="utf-8")
    assert CommonSettings(_secrets_dir=tmp_path).nats_password.get_secret_value() == "throw-away"  # type: ignore[union-attr]
    environment.setenv("DEELNAME_NATS_PASSWORD", "")
    assert CommonSettings(_secrets_dir=tmp_path).nats_password.get_secret_value() == "from a file"  # type: ignore[union-attr]


@pytest.mark.usefixtures("own_journal")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "DEELNAME_NATS_URL: Field required"),
        ({"NATS_URL": "nats://x", "DATA": "/x", "HTTP_PORT": "http"}, "DEELNAME_HTTP_PORT: Input should be a valid"),
    ],
    ids=["missing", "wrong"],
)
def test_settings_that_cannot_work_are_one_line_of_the_log_without_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, str], said: str
) -> None:
    """An orchestrator collects what is written: what is not a line of JSON there, nobody reads."""
    for name in ("NATS_URL", "DATA", "HTTP_PORT"):
        monkeypatch.delenv(f"DEELNAME_{name}", raising=False)
    for name, value in {"NATS_NAME": "x", "NATS_PASSWORD": "throw-away", **given}.items():
        monkeypatch.setenv(f"DEELNAME_{name}", value)
    with pytest.raises(SystemExit, match="1"):
        read(CommonSettings, "registration")
    written = capsys.readouterr()
    line = json.loads(written.out)
    assert (line["level"], line["service"]) == ("critical", "registration")
    assert line["event"].startswith("the settings cannot work: ")
    assert said in line["event"]
    assert "throw-away" not in written.out + written.err


@pytest.mark.usefixtures("own_journal")
def test_a_setting_that_is_to_be_json_is_named_as_it_was_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Settings(CommonSettings):
        domains: dict[str, int]

    monkeypatch.setenv("DEELNAME_DOMAINS", "outlook.com: 30")
    with pytest.raises(SystemExit, match="1"):
        read(Settings, "notifications")
    assert "DEELNAME_DOMAINS: this is to be JSON" in json.loads(capsys.readouterr().out)["event"]
