"""What reaches the terminal can be read there, however narrow it is, and nothing is said twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.output import Output
from contracts.problem import Fault, Problem

ID = "01a202ef-7286-74eb-91b3-116eeb9ad9dc"
WHY = "This programme is for libraries. This programme is for the role directeur; 'adviseur' is not one of them."
COLUMNS = ("Enrolment", "Organisation", "Status", "Places", "People", "Number", "Why")
ROWS = ((ID, "bibliotheek-zeist", "refused", 1, "Noor de Wit", None, WHY), (ID, None, "confirmed", 2, "Sam", None, ""))


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Output:
    """As wide as the test's parameter says."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return Output(as_json=False, language="nl")


@pytest.mark.parametrize("output", [140], indirect=True)
def test_a_table_that_fits_breaks_no_word(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    output.table("Enrolments", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 140
    for word in (*COLUMNS, ID, "bibliotheek-zeist", "confirmed", *WHY.split()):
        assert word in printed


@pytest.mark.parametrize("output", [80], indirect=True)
def test_rows_become_lines_where_the_table_would_be_a_row_of_towers(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    output.table("Enrolments", COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "Enrolments",
        "",
        ID,
        "  Organisation  bibliotheek-zeist",
        "  Status        refused",
        "  Places        1",
        "  People        Noor de Wit",
        "  Why           This programme is for libraries. This programme is for the role",
        "                directeur; 'adviseur' is not one of them.",
        "",
        ID,
        "  Status        confirmed",
        "  Places        2",
        "  People        Sam",
        "",
    ]


@pytest.mark.parametrize("output", [20], indirect=True)
def test_one_column_is_enough_and_what_is_copied_stays_in_one_piece(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    output.table("", ["Enrolment"], [(ID,)])
    output.table("", ["Enrolment", "Link"], [(ID, f"https://meet.example/{ID}")])
    printed = capsys.readouterr().out.splitlines()
    assert printed == [ID, "", ID, f"  Link  https://meet.example/{ID}", ""]


@pytest.mark.parametrize("output", [70], indirect=True)
def test_columns_that_one_can_spare_go_first(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    row = ("gezinsaanpak-2023", "Werktraject gezinsaanpak", "round-table", "open", 4)
    columns = ("Programme", "Title", "Kind", "Enrolment", "Confirmed")
    output.table("Programmes", columns, [row], spare=("Kind", "Title"))
    printed = capsys.readouterr().out
    assert "Kind" not in printed
    assert "Title" in printed
    assert max(map(len, printed.splitlines())) <= 70


def test_a_pipe_is_never_too_narrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    Output(as_json=False, language="en").table("", COLUMNS, ROWS)
    assert [line for line in capsys.readouterr().out.splitlines() if ID in line and WHY in line]


@pytest.mark.parametrize("output", [80], indirect=True)
def test_a_column_without_a_heading_is_shown(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    output.table("By organisation", ("", "People"), [("Bibliotheek Zeist", 3)])
    assert "Bibliotheek Zeist" in capsys.readouterr().out


@pytest.mark.parametrize("output", [200], indirect=True)
def test_a_refusal_is_said_once_in_the_language_asked_for_and_where(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = Fault(rule="full", detail="It is full.", detail_nl="Het is vol.")
    address = Fault(field="participants.0.person.email", detail="is not an address", rule="address")
    output.problem(
        Problem(title="Enrolment refused", status=409, detail="It is full. is not an address", errors=(rule, address))
    )
    assert capsys.readouterr().err.splitlines() == [
        "✗ Enrolment refused.",
        "  • Het is vol. (full)",
        "  • participants.0.person.email: is not an address (address)",
    ]


def test_what_is_worth_trying_can_be_typed_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """'make demo' calls the tool by its path; the shell of who reads the advice knows no 'deelname'."""
    output = Output(as_json=False, language="en")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [".venv/bin/deelname", "demo"])
    output.next("deelname report programmes", "curl http://127.0.0.1:4704")
    tool = tmp_path / "deelname"
    tool.touch(mode=0o755)
    output.next("deelname report programmes")
    assert capsys.readouterr().err.split("\n")[:3] == [
        "  try .venv/bin/deelname report programmes",
        "  try curl http://127.0.0.1:4704",
        "  try deelname report programmes",
    ]
