"""CSV that a spreadsheet reads as text and numbers, and never calculates."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import facts
from contracts.base import OrganisationKind
from contracts.facts import NO_PROGRAMME
from contracts.organisation import Organisation
from contracts.queries import Heading
from services.chassis.state import State
from services.reporting import tables
from services.reporting.domain import evolve, participation, programme_list, programme_report, theme_report
from tests.plausible import MEETING, PlausibleLogs, fact, logs, meeting


def read(document: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document.decode("utf-8-sig"), newline=""), strict=True))


@pytest.mark.parametrize("by", ["theme", "organiser", "province", "municipality"])
def test_no_two_columns_have_the_same_name(by: Heading) -> None:
    """Whoever reads them by name would see the last alone."""
    header = tables.participation_csv(participation(State(), by)).decode("utf-8-sig").splitlines()[0]
    columns = header.split(",")
    assert columns[0] == by
    assert columns.count("municipality") == 1
    assert len(columns) == len(set(columns))


@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("http://x.example","klik")',
        "+31 30 1234567",
        "-2+3",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        "  =1+1",
        "＝1+1",
    ],
)
def test_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(formula: str) -> None:
    assert tables.neutral(formula) == "'" + formula


@pytest.mark.parametrize("cell", ["Bibliotheek Zeist", "a=b", "", "1", 7, -7, 2.5, None])
def test_anything_else_stays_as_it_is(cell: tables.Cell) -> None:
    assert tables.neutral(cell) == cell


def test_the_file_begins_with_a_byte_order_mark_and_its_lines_end_as_the_standard_says() -> None:
    document = tables.csv_document(("a", "b"), [{"a": "één", "b": 1}, {"a": 'met "aanhaling", komma en\nregel'}])
    assert document == '\ufeffa,b\r\néén,1\r\n"met ""aanhaling"", komma en\nregel",\r\n'.encode()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_what_goes_in_comes_out_and_nothing_is_calculated(texts: list[str]) -> None:
    rows = read(tables.csv_document(("column", "next"), [{"column": text, "next": "-"} for text in texts]))
    assert [row["column"].removeprefix("'") for row in rows] == [text.removeprefix("'") for text in texts]
    assert not any(row["column"].lstrip()[:1] in set("=+-@") for row in rows)


def test_a_name_in_the_registry_cannot_calculate_in_anybodys_report() -> None:
    evil = Organisation(id="boos", name='=cmd|"/c calc"!A1', kind=OrganisationKind.LIBRARY, municipality="@Almelo")
    state = evolve(State(), fact(facts.OrganisationRegistered(organisation=evil), NO_PROGRAMME))
    state = evolve(state, fact(facts.ProgrammePublished(programme=meeting()), MEETING))
    (row,) = read(tables.participation_csv(participation(state, "organiser")))
    assert row["organisation_name"] == "'" + evil.name
    assert row["municipality"] == "'@Almelo"


def test_what_is_counted_since_later_has_its_columns_at_the_end() -> None:
    """Whoever reads the columns by number goes on reading the same ones."""
    state = evolve(State(), fact(facts.ProgrammePublished(programme=meeting()), MEETING))
    report = programme_report(state, MEETING)
    assert report is not None
    for document, before in (
        (tables.programme_list_csv(programme_list(state)), "people_refused,mails_sent,mails_failed,mails_bounced"),
        (tables.programme_csv(report), "people_refused,refusals,units,people,hours,enrolments_requested"),
    ):
        header = document.decode("utf-8-sig").splitlines()[0]
        assert before in header
        assert "units_pending,units_lapsed,people_pending,people_lapsed" in header.partition(before)[2]


@given(logs())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_report_of_any_log_is_a_rectangle_without_formulas(grown: PlausibleLogs) -> None:
    state = State()
    for each in grown.registration + grown.notifications:
        state = evolve(state, each)
    listed = programme_list(state)
    documents = [tables.programme_list_csv(listed), tables.participation_csv(participation(state, "municipality"))]
    for row in listed.programmes:
        report = programme_report(state, row.programme)
        assert report is not None
        documents.append(tables.programme_csv(report))
    theme = theme_report(state, "vluchtelingen")
    if theme is not None:
        documents.append(tables.theme_csv(theme))
    for document in documents:
        lines = list(csv.reader(io.StringIO(document.decode("utf-8-sig"), newline=""), strict=True))
        assert {len(line) for line in lines} == {len(lines[0])}
        assert not any(cell[:1] in set("=+-@") for line in lines for cell in line)
