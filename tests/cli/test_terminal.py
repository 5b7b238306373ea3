"""Whatever text comes from outside, a terminal obeys none of it, and rich takes none of it for markup."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.__main__ import main
from cli.failure import Failure
from cli.output import Output, Screen
from contracts.characters import visible, visible_json
from contracts.problem import Fault, Problem
from contracts.tables import Table
from tests.tool import invoke

ESCAPES = "\x1b]0;TITLE\x07\x1b[2J\x1b[31mRED\x1b[8m \x9b31m\x7f\x00\x08\r\u202egnp.exe\u2066\u2028\ud800\U000e0041"
FILE_NAME = ESCAPES.replace("\0", "").replace("\ud800", "\udc9b")
MARKUP = "[red]red[/] [link=https://evil.example]x[/link] [/nothing] \\[b] :smile: \\"
TEXT = st.text(max_size=40) | st.text(alphabet="\x1b\x9b[]m0;\x07\\\n\r\t\u202e/red ", max_size=20)

Print = Callable[[Output, str], None]
PATHS: dict[str, Print] = {
    "say": lambda output, text: output.say(text, "bold"),
    "note": lambda output, text: output.note(text),
    "next": lambda output, text: output.next(text),
    "table": lambda output, text: output.table(text, [text, "b"], [(text, 1), ("refused", text)], spare=[text]),
    "empty table": lambda output, text: output.table("", ["a"], [], empty=text),
    "lines": lambda output, text: output.table(text, [text, "b", "c" * 40], [(text, text + "x" * 60, "y" * 60)]),
    "problem": lambda output, text: output.problem(
        Problem(title=text, detail=text, status=409, errors=(Fault(detail=text, field=text, rule=text),))
    ),
    "json": lambda output, text: output.json({"a": [text]}),
    "a line of json": lambda output, text: output.json_line(text),
    "csv": lambda output, text: output.csv(Table(("name", "key"), [{"name": text, "key": 1}]).csv("office", "en")),
    "status": lambda output, text: output.notes.print(text, f"… {text}"),
}


def obeyed(printed: str) -> set[str]:
    """The characters in what was printed that do something unseen; lines of CSV end with two."""
    return {
        each
        for each in printed.replace("\r\n", "\n")
        if (each != "\n" and unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"}) or each in "\u202e\u2066\U000e0041"
    }


@pytest.fixture(params=["80", "320"])
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", request.param)


@pytest.mark.parametrize("way", PATHS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=TEXT)
@example(text=ESCAPES)
@example(text=MARKUP)
@example(text="\x1b[31m" * 30)
def test_no_way_of_printing_lets_a_control_character_through(
    way: str, text: str, narrow: None, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Output(as_json=False, language="nl")
    PATHS[way](output, text)
    printed = capfd.readouterr()
    assert obeyed(printed.out + printed.err) == set()
    if "json" in way:
        assert json.loads(printed.out) in (text, {"a": [text]})


@pytest.mark.parametrize("way", [way for way in PATHS if way not in ("json", "a line of json", "csv")])
def test_what_stands_in_brackets_is_text(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    PATHS[way](Output(as_json=False, language="en"), "[red]x[/] [/y]")
    printed = capsys.readouterr()
    assert "[red]x[/] [/y]" in printed.out + printed.err


def test_a_terminal_is_told_our_own_colours_and_nothing_of_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(width=200)
    screen._force_terminal = True
    screen._color_system = None
    screen.print(ESCAPES, style="bold")
    printed = capsys.readouterr().out
    assert printed.count("\x1b") == printed.count("\x1b[1m") + printed.count("\x1b[0m")
    assert "\\x1b]0;TITLE" in printed


def test_what_is_visible_already_stays_as_it_is() -> None:
    for text in ("Noor de Wit", "علی‌رضا", "王小明\nÎle", "👩‍👩‍👧"):
        assert visible(text) == text
    assert visible(visible(ESCAPES)) == visible(ESCAPES)


@given(st.text())
def test_json_says_the_same_in_characters_that_do_nothing(text: str) -> None:
    document = json.dumps({"a": [text]}, ensure_ascii=False)
    assert json.loads(visible_json(document)) == {"a": [text]}
    assert obeyed(visible_json(document)) == set()


@pytest.mark.parametrize(
    "words",
    [
        [FILE_NAME],
        ["programme", FILE_NAME],
        ["programme", "check", FILE_NAME],
        ["programme", "check", "--json", FILE_NAME],
        ["mail", "list", "--status", "\x1b[31m"],
        ["mail", "list", "\x1b[31m"],
        ["mail", "suppress", "\x1b@[31m", "--reason", "x"],
        ["--endpoints\x1b[31m"],
        ["programme", "list", "--endpoints", "/no\x1b[31mwhere"],
    ],
    ids=ascii,
)
def test_a_command_line_is_repeated_without_being_obeyed(words: list[str]) -> None:
    ended = invoke(*words)
    assert ended.code in {1, 2}
    assert obeyed(ended.out + ended.err) == set()
    assert "\\x1b" in ended.out + ended.err or "u001b" in ended.out


def test_a_file_whose_words_are_escapes_is_complained_of_visibly(tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31m.yaml"
    path.write_text('id: "\\e]0;TITLE\\a\\x9b"\n"\\e[2J": 1\n')
    for words in (["check"], ["check", "--json"], ["publish"]):
        ended = invoke("programme", *words, path)
        assert ended.code == 1
        assert obeyed(ended.out + ended.err) == set()


def test_a_fault_of_ours_shows_where_and_obeys_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: Any) -> None:
        raise RuntimeError(ESCAPES)

    monkeypatch.setattr("cli.__main__.app", fails)
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 1
    assert obeyed(printed) == set()
    assert "RuntimeError: \\x1b]0;TITLE" in printed
    assert "Please report it" in printed
    assert logging.lastResort is not None
    record = logging.LogRecord("nats", logging.ERROR, "x", 1, ESCAPES, None, None)
    assert obeyed(logging.lastResort.format(record)) == set()


def test_no_module_of_the_tool_writes_past_the_one_place() -> None:
    """``cli/output.py`` and what runs the tool; everything else hands its words to them."""
    past = re.compile(r"\bprint\(|sys\.stdout\.|sys\.stderr\.write|typer\.(?:echo|secho)|\bConsole\(|sys\.__std")
    found = {
        f"{path.name}: {line.strip()}"
        for path in Path("cli").rglob("*.py")
        if path.name not in {"output.py", "__main__.py"}
        for line in path.read_text(encoding="utf-8").splitlines()
        if past.search(line) and "isatty" not in line and "notes.print" not in line
    }
    assert found == set()


def test_a_failure_is_said_visibly(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Failure(ESCAPES, ESCAPES).problem
    Output(as_json=True, language="en").json(problem)
    assert obeyed(capsys.readouterr().out) == set()
