"""The tool as a newcomer meets it: help that reads well, examples that work, names that are corrected."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.__main__ import app
from tests.tool import invoke

_ROOT: Any = typer.main.get_command(app)


def commands(group: Any = _ROOT, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


def examples(command: Any) -> list[str]:
    return [line.strip()[2:] for line in (command.epilog or "").splitlines() if line.strip().startswith("$ ")]


@pytest.mark.parametrize(
    ("path", "command"), commands(), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
class TestEachCommand:
    def test_explains_itself(self, path: tuple[str, ...], command: Any) -> None:
        helped = invoke(*path, "--help")
        assert helped.code == 0
        assert helped.said.startswith(f"Usage: deelname {' '.join(path)}") or f" {' '.join(path)} " in helped.said
        assert all(parameter.help for parameter in command.params if hasattr(parameter, "help"))

    def test_has_json_language_and_endpoints(self, path: tuple[str, ...], command: Any) -> None:
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--language", "--endpoints", "--as"} <= options

    def test_shows_examples_that_it_would_take(self, path: tuple[str, ...], command: Any) -> None:
        assert examples(command)
        for example in examples(command):
            words = shlex.split(example.partition(" > ")[0])
            assert words[: len(path) + 1] == ["deelname", *path]
            # Parsing alone: a wrong option, or an argument too many, would raise here.
            command.make_context("deelname", words[len(path) + 1 :], resilient_parsing=False)


def test_the_first_help_groups_the_commands_and_leads_into_a_first_walk() -> None:
    said = invoke("--help").said
    for words in ("The system on this machine", "Setting up", "Running programmes", "Looking after", "A first walk"):
        assert words in said
    assert "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 nobody answers." in said


def test_without_a_command_it_helps() -> None:
    assert "Usage" in invoke().said


def test_a_mistyped_command_is_corrected() -> None:
    mistyped = invoke("program", "list")
    assert mistyped.code == 2
    assert "Did you mean 'programme'?" in mistyped.said


def test_the_version_is_told() -> None:
    assert invoke("--version").out.startswith("deelname 0.")


_ID, _ADDRESS = "Not an id!", "noor at@zeist"


@pytest.mark.parametrize(
    "words",
    [
        ("programme", "show", _ID),
        ("programme", "lunches", _ID),
        ("programme", "withdraw", _ID, "--yes"),
        ("enrolment", "request", _ID, "-p", "Noor <noor@zeist.example>"),
        ("enrolment", "request", "track", "-o", _ID, "-p", "Noor <noor@zeist.example>"),
        ("enrolment", "list", _ID),
        ("enrolment", "show", _ID),
        ("enrolment", "withdraw", _ID),
        ("enrolment", "promote", _ID),
        ("enrolment", "participant", "add", _ID, "Noor <noor@zeist.example>"),
        ("enrolment", "participant", "change", "0198", _ADDRESS, "--seat", "manager"),
        ("enrolment", "participant", "withdraw", "0198", _ADDRESS),
        ("mail", "list", "--programme", _ID),
        ("mail", "preview", _ID, "--purpose", "confirmation"),
        ("mail", "retry", _ID),
        ("mail", "suppress", _ID, "--reason", "asked"),
        ("mail", "lift", _ID),
        ("report", "programme", _ID),
        ("report", "theme", _ID),
        ("log", "show", "--programme", _ID),
        ("log", "tail", "--programme", _ID),
        ("person", "export", _ADDRESS),
        ("person", "correct", "0198", "--new-email", _ADDRESS),
        ("person", "erase", _ADDRESS, "--yes"),
        ("token", "create", "--name", "dashboard", "--role", "organiser", "--organiser", _ID),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_what_cannot_be_right_is_said_and_nobody_is_asked(words: tuple[str, ...], tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.json"
    # Nothing listens there.
    endpoints.write_text('{"nats": {"staff": {"url": "nats://staff:x@127.0.0.1:9", "inbox_prefix": "_INBOX_staff"}}}')
    told = invoke(*words, "--endpoints", endpoints, "--json")
    assert told.code == 2, told.said
    assert told.json["type"] == "urn:deelname:problem:invalid"
    assert "✗" in told.err
    assert f"'{_ID}': " in told.err or f"'{_ADDRESS}': " in told.err
    assert "single hyphens" in told.err or "a letter or a digit" in told.err or "character 5 cannot" in told.err
