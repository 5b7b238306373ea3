"""``deelname token``, and who stands in ``deelname log show``."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.connection import Connection
from contracts.commands import TokenRevocation
from tests.tool import invoke


def reports(running: Path, token: str) -> int:
    address = json.loads(running.read_text())["http"]["reporting"]
    request = urllib.request.Request(f"{address}/api/programmes", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_endpoints_of_one_machine_hold_tokens_that_are_let_in_as_soon_as_they_are_there(running: Path) -> None:
    endpoints = json.loads(running.read_text())
    assert endpoints["tokens"].keys() == {"viewer", "admin"}
    assert [reports(running, token) for token in endpoints["tokens"].values()] == [200, 200]
    led = {}
    for role, token in endpoints["tokens"].items():
        request = urllib.request.Request(
            f"{endpoints['http']['registration']}/api/ask/token/list",
            data=b"{}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                led[role] = answer.status
        except urllib.error.HTTPError as error:
            error.close()
            led[role] = error.code
    assert led == {"viewer": 403, "admin": 200}
    for file in (running, running.with_name("tokens.json")):
        assert file.stat().st_mode & 0o077 == 0, file


def until(running: Path, token: str, status: int) -> None:
    """Reporting reads of a token in the log, a moment later."""
    deadline = time.monotonic() + 30
    while (found := reports(running, token)) != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_token_opens_the_reports_until_it_is_revoked(running: Path) -> None:
    at = ("--endpoints", running)
    made = invoke("token", "create", "--name", "me", "--role", "viewer", "--json", *at).json
    until(running, made["token"], 200)
    (listed,) = [one for one in invoke("token", "list", "--json", *at).json["tokens"] if one["name"] == "me"]
    assert (listed["role"], listed["account"], listed["used"] is not None) == ("viewer", made["account"], True)
    assert made["token"] not in invoke("token", "list", *at).said
    assert invoke("token", "revoke", "me", "--yes", *at).code == 0
    until(running, made["token"], 401)
    assert "revoked" in invoke("token", "list", *at).said
    assert invoke("token", "revoke", "me", "--yes", *at).code == 1


def test_who_revokes_hears_that_reporting_cannot_know_it_yet(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = ("--endpoints", running)
    invoke("token", "create", "--name", "gone", "--role", "viewer", *at)
    ask = Connection.do

    def do(self: Connection, *words: Any) -> Any:
        answer = ask(self, *words)
        if not isinstance(answer, TokenRevocation):
            return answer
        assert answer.told
        return answer.model_copy(update={"told": False, "detail": "Registration alone turns it away."})

    monkeypatch.setattr(Connection, "do", do)
    revoked = invoke("token", "revoke", "gone", "--yes", *at)
    assert revoked.code == 0
    assert "reporting does not know it yet" in revoked.said
    assert "Registration alone turns it away." in revoked.said


def test_a_new_token_is_shown_once_by_itself_with_what_to_do_with_it(running: Path) -> None:
    told = invoke("token", "create", "--name", "shown", "--role", "viewer", "--endpoints", running)
    assert [line for line in (told.out + told.err).splitlines() if "deelname_" in line] == [told.out.splitlines()[1]]
    assert len(told.out.splitlines()[1].split()) == 1, "in no command, which others on the machine would see"
    assert "not shown again" in told.said
    assert json.loads(running.read_text())["http"]["reporting"] in told.said


def test_a_token_is_written_for_curl_and_shown_nowhere(running: Path, tmp_path: Path) -> None:
    at, file = ("--endpoints", running), tmp_path / "my header"
    told = invoke("token", "create", "--name", "written", "--header-file", file, *at)
    assert told.code == 0
    assert f"curl --header @'{file}' http" in told.said
    name, _, value = file.read_text().partition(": ")
    scheme, token = value.split()
    assert (name, scheme, file.stat().st_mode & 0o777) == ("Authorization", "Bearer", 0o600)
    assert token not in told.said
    until(running, token, 200)
    as_json = invoke("token", "create", "--name", "in-json", "--header-file", tmp_path / "other", "--json", *at)
    assert as_json.json.keys() >= {"account", "name"}
    assert "token" not in as_json.json
    viewer = running.with_name("viewer.header").read_text()
    assert viewer == f"Authorization: Bearer {json.loads(running.read_text())['tokens']['viewer']}\n"


def test_no_token_is_made_that_cannot_be_written_and_no_file_where_none_is_made(running: Path, tmp_path: Path) -> None:
    at, file = ("--endpoints", running), tmp_path / "header"
    file.write_text("somebody's")
    told = invoke("token", "create", "--name", "unwritten", "--header-file", file, *at)
    assert (told.code, file.read_text()) == (2, "somebody's")
    assert "unwritten" not in invoke("token", "list", *at).said
    invoke("token", "create", "--name", "twice", *at)
    assert invoke("token", "create", "--name", "twice", "--header-file", tmp_path / "second", *at).code == 1
    assert not (tmp_path / "second").exists()


def test_the_log_says_who_caused_a_fact(running: Path) -> None:
    shown = invoke("log", "show", "--endpoints", running)
    assert "broker staff" in shown.said
    facts = invoke("log", "show", "--json", "--endpoints", running).json
    assert facts[0]["actor"] == "broker:staff"


@pytest.mark.parametrize(
    "words",
    [("--role", "boss"), ("--role", "organiser"), ("--role", "viewer", "--organiser", "x"), ("--expires", "soon")],
)
def test_a_token_that_makes_no_sense_is_refused_before_anything_is_asked(words: tuple[str, ...]) -> None:
    assert invoke("token", "create", "--name", "x", *words, "--endpoints", "/nowhere").code == 2
