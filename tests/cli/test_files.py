"""No file that the tool is given ends in a traceback, or takes longer than it is large: what is wrong is said."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli import document, endpoints, intake_files, organisation, reading
from cli.failure import Failure
from contracts.programme import Programme
from contracts.theme import Theme
from tests.cli.conftest import definition
from tests.ports import free_ports
from tests.tool import ROOT, Outcome, invoke

REGISTRY = "id;name;kind;province;municipality\r\n"
GOOD_ROW = "bieb;Bibliotheek Één;library;utrecht;Zeist\r\n"
NOBODY = ROOT / "nobody.json"

READERS: dict[str, tuple[str, ...]] = {
    "a programme": ("programme", "check"),
    "a programme to publish": ("programme", "publish"),
    "a theme": ("theme", "publish"),
    "a registry": ("organisation", "load"),
    "messages": ("intake", "check"),
    "messages to send": ("intake", "send"),
    "a mail": ("mail", "receive"),
    "endpoints": ("programme", "list", "--endpoints"),
    "endpoints for the doctor": ("doctor", "--endpoints"),
    "the endpoints of a system to end": ("down", "--endpoints"),
}


def ended(*words: object) -> Outcome:
    """How a command ended; an exception of Python's ends the test."""
    return invoke(*words, env={"DEELNAME_ENDPOINTS": str(NOBODY)})


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, Path]:
    """What may stand behind a name."""
    found = {name: tmp_path / name for name in ("absent", "loop", "pipe", "empty", "zip", "utf-16", "binary", "large")}
    found["loop"].symlink_to(found["loop"])
    os.mkfifo(found["pipe"])
    found["empty"].touch()
    found["zip"].write_bytes(b"PK\x03\x04" + bytes(1000))
    found["utf-16"].write_text("a: 1", encoding="utf-16")
    found["binary"].write_bytes(random.Random(1).randbytes(5000))
    with found["large"].open("wb") as file:
        file.truncate(5_000_000_000)
    return found | {"a directory": tmp_path, "zeros": Path("/dev/zero"), "nothing": Path("/dev/null")}


@pytest.mark.parametrize("reader", READERS)
def test_whatever_stands_behind_a_name_the_command_ends_with_a_sentence(
    reader: str, odd: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PATIENCE", 0.05)
    for name, path in odd.items():
        told = ended(*READERS[reader], path)
        assert told.code in {1, 2, 3}, name
        assert told.err, name
        assert "Traceback" not in told.err
        problem = ended(*READERS[reader], path, "--json").out
        assert not problem or json.loads(problem), name


def test_what_comes_by_a_pipe_is_read(tmp_path: Path) -> None:
    gone, into = os.pipe()
    os.write(into, (REGISTRY + GOOD_ROW).encode())
    os.close(into)
    assert [one.id for one in organisation.read_csv(Path(f"/dev/fd/{gone}"))] == ["bieb"]
    os.close(gone)


NESTED = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n' + "".join(
    f"{one}: &{one} [{','.join([f'*{before}'] * 9)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "[" * 5000, "1:34: not YAML: it nests more than 30 deep"),
        ("{" * 200_000, "nests more than 30 deep"),
        ("[\n" * 100_000, "31:1: not YAML: it nests more than 30 deep"),
        ('["]",' * 40_000, "nests more than 30 deep"),
        ("- " * 50_000, "nests more than 30 deep"),
        ("? " * 50_000, "nests more than 30 deep"),
        ("".join(" " * deep + "a:\n" for deep in range(600)), "nests more than 30 deep"),
        (NESTED, "2:8: not YAML: aliases (*name) are not taken here: write the value out"),
        ("a: &a [*a]", "aliases"),
        ("id: " + "9" * 5000, "1:5: not YAML: this value cannot be read"),
        ("id: 0x" + "f" * 5000, "1:5: not YAML: this number is too large"),
        ("a: 1\nid: 2023-99-99\nenrolment: {closes: 2023-99-99}", "enrolment.closes: write a day as 2026-09-08"),
        ("id: !!int foo", "1:5: not YAML"),
        ("id: a\n\x01", "2:1: not YAML: it holds"),
        ("x: 1\n" * 2, "2:1: not YAML"),
        ("".join(f"k{number}: 1\n" for number in range(12_000)), "this is more than a document of ours has"),
        ("a: [" + "a," * 20_000 + "]", "this is more than a document of ours has"),
        ("organisers:\n" + "- A\n" * 6000, "these 100 mistakes, and perhaps more"),
        ('a: "' + "x\n" * 100_000, "100001:1: not YAML: found unexpected end of stream"),
        ("<<: {id: x}\ntitl: x\n", "2:1: titl: unknown key; did you mean 'title'?"),
        ("? [a, b]\n: 1\n1: 2\n~: 3\n", "keys should be strings"),
        ("a" * 300_000, "is larger than 256 KiB"),
    ],
    ids=lambda text: ascii(text[:14]),
)
def test_a_document_is_bounded_before_anything_is_built_of_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    begun = time.process_time()
    told = ended("programme", "check", path)
    assert time.process_time() - begun < 8
    assert told.code in {1, 2}
    assert said in told.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            REGISTRY + GOOD_ROW + '5;"Bibliotheek;library;utrecht;Zeist\r\n' + "x;y;library;;\r\n" * 50_000,
            "3:1: line 3: a quote is never closed",
        ),
        (REGISTRY + 'x;"Bibliotheek;library\r\ny;Bieb";library\r\n', "2:1: line 2: a quote is never closed"),
        (REGISTRY + 'x;"Bibliotheek" Zeist;library\r\n', "2:1: not CSV: ';' expected after '\"'"),
        (REGISTRY + "x;" + "y" * 200_000 + ";library", "2:1: not CSV: field larger than field limit"),
        ("id;name;name;kind\r\nx;y;z;library", "1:3: name: column name stands twice"),
        ("id;naam;kind\r\nx;y;library", "1:2: naam: unknown column; did you mean 'name'?"),
        ("\r\n" * 100_000, "this column is missing in the first line"),
        (";" * 1_000_000, "this column is missing in the first line"),
        (REGISTRY + ";;;;\r\n" * 50_000, "no organisation in it"),
        (REGISTRY + "x;y;bieb;utrecht;z\r\n" * 100_000, "these 100 mistakes, and perhaps more"),
        (REGISTRY + "x;y;library;utrecht;z;;;more\r\n", "more values than columns"),
        ("id;name;kind;\r\nx;y;library;z", "a value in a column without a name"),
        (REGISTRY + "x;y\0;library", "is no text: line 2 holds a NUL"),
        ("x" * 9_000_000, "is larger than 8 MiB"),
        ('"' * 1_000_000, "1:1: not CSV: field larger than field limit"),
    ],
    ids=lambda text: ascii(text[-24:]),
)
def test_a_registry_that_cannot_be_read_says_the_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    begun = time.process_time()
    told = ended("organisation", "load", path)
    assert time.process_time() - begun < 8
    assert told.code in {1, 2}
    assert said in told.said
    problem = ended("organisation", "load", path, "--json").json
    assert problem["status"] in {400, 422}


@pytest.mark.parametrize(
    "raw",
    [
        (REGISTRY + GOOD_ROW).encode("utf-8-sig"),
        (REGISTRY + GOOD_ROW).replace(";", "\t").encode(),
        (REGISTRY + GOOD_ROW).replace(";", ",").encode(),
        (REGISTRY + GOOD_ROW + ";;;;\r\n;;;;\r\n").encode(),
        (REGISTRY + "\r\n" + GOOD_ROW).replace("\r\n", ";;;\r\n").encode(),
        ("Id; Name ;Kind;PROVINCE;Municipality \r\n" + GOOD_ROW).encode(),
        ("sep=;\r\n" + REGISTRY + GOOD_ROW).encode(),
        (REGISTRY + GOOD_ROW).replace("Bibliotheek Één", '"Bibliotheek Één"').replace("\r\n", "\n").encode(),
    ],
    ids=["BOM", "tabs", "commas", "empty rows", "empty columns", "header", "sep", "quotes"],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    (one,) = organisation.read_csv(path)
    assert (one.id, one.name, one.kind, one.municipality) == ("bieb", "Bibliotheek Één", "library", "Zeist")


def test_a_column_that_is_missing_is_not_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id;name;kind;municipality\nbieb;Bibliotheek;library;\n")
    (one,) = organisation.read_csv(path)
    assert one.model_fields_set == {"id", "name", "kind", "municipality"}
    assert one.municipality is None


@pytest.mark.parametrize(("raw", "said"), [((REGISTRY + GOOD_ROW).encode("cp1252"), "line 2"),
                                           ((REGISTRY + GOOD_ROW).encode("utf-16"), "is UTF-16"),
                                           (b"PK\x03\x04\x14\x00", "is a workbook"),
                                           (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook")])  # fmt: skip
def test_what_is_not_utf_8_says_what_to_choose_in_excel(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(raw)
    told = ended("organisation", "load", path)
    assert said in told.said
    assert "Opslaan als > CSV UTF-8" in told.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "is not JSON: it nests more than 64 deep"),
        ('{"a":' * 3000, "is not JSON"),
        ("[" * 70 + "]" * 70, "nests more than 64 deep"),
        ('[{"id": "\ud800"}]'.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), "is missing"),
        ('[{"id": "\\ud800"}]', "not valid JSON"),
        ('{"id": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"id": NaN, "data": {"x": 1e999}, "type": []}', "type: "),
        ("[1, null, true]", "is not a JSON object"),
        ("x" * 1_000_000, "at most 262144 are taken"),
        ("x\n" * 100_001, "100001 messages; 100000 are taken at once"),
        ('{"type": "' + "enrolment" * 20_000 + '"}', "is not known"),
    ],
    ids=lambda text: ascii(text[:14]),
)
def test_messages_that_cannot_be_read_are_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    begun = time.process_time()
    told = ended("intake", "check", path)
    assert time.process_time() - begun < 8
    assert told.code in {1, 2}
    assert said in told.said
    assert ended("intake", "check", path, "--json").json


def test_a_line_ends_where_a_line_ends(tmp_path: Path) -> None:
    """U+2028 may stand in JSON as it is, and does in text that somebody pasted."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a\u2028b"}\n\n{"id": "c\x85d"}\r\n')
    assert [(one.line, one.id) for one in intake_files.read_messages(path)] == [(1, "a\u2028b"), (3, "c\x85d")]


def test_a_backup_from_elsewhere_names_no_files_of_its_own(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    for manifest in (
        "[" * 100_000,
        "[]",
        '{"format": 1, "services": {"registration": {"file": "/dev/zero", "sha256": ""}}}',
        '{"format": 1, "services": {"../x": {"file": "x", "sha256": ""}}}',
        '{"format": 1, "services": [["registration"]]}',
        '{"format": 1, "services": {"registration": 1}}',
    ):
        (backup / "manifest.json").write_text(manifest)
        told = ended("restore", backup, "--data", tmp_path / "data")
        assert told.code in {1, 2}
        assert told.err.startswith("✗")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 1}', "[" * 100_000, "\0", ""])
def test_what_an_earlier_start_kept_and_is_damaged_now_is_named(tmp_path: Path, content: str) -> None:
    passwords = tmp_path / "broker" / "passwords.json"
    passwords.parent.mkdir()
    passwords.write_text(content)
    told = ended("up", "--data", tmp_path, "--port-base", free_ports(5))
    assert told.code in {1, 2}
    assert str(passwords) in told.said
    assert "remove it while nothing runs" in told.said or "NUL" in told.said


# At random ------------------------------------------------------------------------------------------------------------

PROGRAMME = definition("gesprek-2023")
PIECES = [
    *(
        "[",
        "{",
        "]",
        "}",
        ": ",
        "- ",
        "? ",
        "&a ",
        "*a",
        "!!int ",
        "!!set ",
        '"',
        "'",
        "|\n",
        ">\n",
        "#",
        "<<: ",
        "\n",
        "  ",
    ),
    *(
        "---\n",
        "%TAG ! x\n",
        "9" * 30,
        "0x",
        "2023-99-99",
        "\t",
        "\x85",
        "é",
        ",",
        ";",
        "\r\n",
        "~",
        ".nan",
        "\\u",
        "null",
    ),
]


@st.composite
def mutated(draw: st.DrawFn, good: str) -> bytes:
    """A good file, with pieces of it doubled, taken out, or replaced by what parsers stumble over."""
    text = good
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = (
            text[:start]
            + draw(st.sampled_from(PIECES) | st.text(max_size=3)) * draw(st.sampled_from([1, 1, 3, 60]))
            + text[end:]
        )
    raw = text.encode("utf-8", "surrogatepass")
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


def read_messages(path: Path) -> None:
    for message in intake_files.read_messages(path):
        intake_files.judge(message, "demo")
        assert message.subject("demo").startswith("intake.demo.")
        assert message.text.encode()


NOOR = {"name": "Noor", "email": "noor@x.example"}
MESSAGE = json.dumps(
    {
        "specversion": "1.0",
        "id": "a",
        "type": "enrolment.request.v1",
        "source": "demo",
        "time": "2023-02-06T09:00:00Z",
        "data": {"programme": "x", "participants": [{"person": NOOR}]},
    }
)
ENDPOINTS = json.dumps(
    {
        "nats": {"staff": {"url": "nats://staff:x@127.0.0.1:1", "inbox_prefix": "_INBOX"}},
        "http": {"a": "b"},
        "process": 1,
    }
)
READ: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a programme": (PROGRAMME, lambda path: document.read(path, Programme, "programme")),
    "a theme": ("id: x\ntitle: {nl: x, en: y}\ngoals: []\n", lambda path: document.read(path, Theme, "theme")),
    "a registry": (REGISTRY + GOOD_ROW * 2, organisation.read_csv),
    "messages": (f"{MESSAGE}\n" * 2, read_messages),
    "endpoints": (ENDPOINTS, endpoints.read),
}


@pytest.mark.parametrize("kind", READ)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_file_holds_it_is_read_or_refused(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    good, read = READ[kind]
    path = tmp_path / "file"
    path.write_bytes(data.draw(mutated(good) | st.binary(max_size=200)))
    begun = time.process_time()
    with contextlib.suppress(Failure):
        read(path)
    assert time.process_time() - begun < 5
