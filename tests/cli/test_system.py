"""``up`` and ``demo`` say what is missing, taken or in the way."""

from __future__ import annotations

import builtins
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import local
from tests.ports import free_ports
from tests.tool import ROOT, invoke


def leaving_by(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What ``deelname up`` takes mail to leave by, told instead of started."""
    given: list[str | None] = []

    def system(*_: object, transport: str | None, **__: object) -> None:
        given.append(transport)
        raise local.DidNotStart("it was not to")

    monkeypatch.setattr(local, "LocalSystem", system)
    return given


def test_the_mail_servers_password_comes_by_file_by_standard_input_or_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, relay = leaving_by(monkeypatch), "smtps://deelname:ge@heim?/@relay.example:465?ca=/etc/a@b.pem"
    (tmp_path / "transport").write_text(f"{relay}\n")
    monkeypatch.delenv("DEELNAME_TRANSPORT", raising=False)
    assert "it was not to" in invoke("up", "--transport-file", tmp_path / "transport").said
    ended = subprocess.run(
        [sys.executable, "-c", "from cli.system import _transport; print(_transport(None, '-'))"],
        input=relay, capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert ended.stdout == f"{relay}\n"
    invoke("up", env={"DEELNAME_TRANSPORT": relay})
    for harmless in ("smtp://relay.example:25?ca=/etc/a@b.pem", "maildir:/srv/mail@home"):
        invoke("up", "--transport", harmless, env={"DEELNAME_TRANSPORT": relay})
    invoke("up")
    assert given == [relay, relay, "smtp://relay.example:25?ca=/etc/a@b.pem", "maildir:/srv/mail@home", None]
    for words in (("--transport", relay), ("--transport", "smtp://x", "--transport-file", "-")):
        told = invoke("up", *words)
        assert told.code == 2
        assert "heim" not in told.said
    assert invoke("up", "--transport-file", tmp_path / "missing").code == 2
    assert len(given) == 5


@pytest.mark.parametrize("command", ["up", "demo"])
def test_without_the_deployment_it_says_what_to_install(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "deploy" or name.startswith("deploy.")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without_deploy(name: str, *rest: Any) -> Any:
        if name.startswith("deploy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="deploy")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_deploy)
    monkeypatch.setattr("importlib.import_module", without_deploy)
    told = invoke(command)
    assert told.code == 2
    assert "the package deelname-deploy is not installed" in told.said
    assert "pip install deelname-deploy" in told.said


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_directory_that_cannot_be_made_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = invoke(command, "--data", tmp_path / "file" / "data", "--port-base", free_ports(5))
    assert told.code == 1
    assert f"✗ {tmp_path}/file/data" in told.said
    assert "cannot be used: Not a directory. Choose another" in told.said


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    base = free_ports(5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 2))
        taken.listen()
        told = invoke("up", "--data", tmp_path / "data", "--port-base", base)
    assert told.code == 1
    assert f"port {base + 2}" in told.said
    assert "--port-base" in told.said


def test_a_partner_s_impossible_name_is_told(tmp_path: Path) -> None:
    told = invoke("up", "--data", tmp_path / "data", "--port-base", free_ports(5), "--partner", "Staff!")
    assert told.code == 1
    assert "Staff!" in told.said


def test_the_demo_removes_nothing_that_is_not_a_demo_s(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    told = invoke("demo", "--once", "--data", tmp_path)
    assert told.code == 1
    assert "holds something that no demo put there" in told.said
    assert precious.read_text() == "mine"


def test_a_demo_that_went_otherwise_than_expected_ends_with_1_and_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner alone is replaced: what it found missing must reach the person and the exit code."""
    monkeypatch.setattr("deploy.demo.runner.run", lambda *_, **__: ["gezinsaanpak-2023: mails for 'invite': 1, not 55"])
    told = invoke("demo", "--once", "--data", tmp_path / "demo")
    assert told.code == 1
    assert "gezinsaanpak-2023: mails for 'invite': 1, not 55" in told.said
    assert str(tmp_path / "demo" / "logs") in told.said
