"""CSV that a spreadsheet reads as text and numbers, and never calculates."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import facts, tables
from contracts.base import OrganisationKind, Title
from contracts.characters import visible
from contracts.enrolment import Participant, Reason
from contracts.facts import NO_PROGRAMME
from contracts.organisation import Organisation
from contracts.queries import Heading
from contracts.table_words import TABLE_WORDS
from services.chassis.state import State
from services.reporting.domain import evolve, participation, programme_list, programme_report, theme_report
from tests.plausible import MEETING, PlausibleLogs, fact, logs, meeting


def read(table: tables.Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv("program"), newline=""), strict=True))


@pytest.mark.parametrize("reader", ["office", "program"])
@pytest.mark.parametrize("by", ["theme", "organiser", "province", "municipality"])
def test_no_two_columns_have_the_same_name(by: Heading, reader: tables.Reader) -> None:
    """Whoever reads them by name would see the last alone."""
    header = tables.participation_table(participation(State(), by)).csv(reader, "en").splitlines()[0]
    columns = header.removeprefix("\ufeff").split("," if reader == "program" else ";")
    assert len(columns) == len(set(columns))
    assert len([each for each in columns if each.lower() == "municipality"]) == 1
    assert by in {each.lower() for each in columns}


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
    assert tables.neutral(formula) == visible("'" + formula)


@pytest.mark.parametrize("cell", ["Bibliotheek Zeist", "a=b", "", "1"])
def test_anything_else_stays_as_it_is(cell: str) -> None:
    assert tables.neutral(cell) == cell


SAMPLE = tables.Table(
    ("name", "key", "hours", "day", "took_part", "section"),
    [
        {"name": Title(nl="één", en="one"), "key": "een", "hours": 12.5, "day": date(2023, 3, 2), "took_part": True},
        {"name": 'met "aanhaling"; en, komma\nregel', "hours": 3.0, "section": tables.Word("everywhere", "_all")},
    ],
    frozenset({"key"}),
)


def test_an_office_opens_it_by_a_double_click() -> None:
    """Semicolons, a byte order mark, decimals and days as its language writes them; words, and no ids."""
    assert SAMPLE.csv("office", "nl") == (
        "\ufeffNaam;Geplande uren (bevestigd);Dag;Deed mee;Onderdeel\r\n"
        "één;12,5;02-03-2023;ja;\r\n"
        '"met ""aanhaling""; en, komma\nregel";3;;;alles samen\r\n'
    )
    assert SAMPLE.csv("office", "en").splitlines()[:2] == [
        "\ufeffName;Planned hours (confirmed);Day;Took part;Part",
        "one;12.5;02/03/2023;yes;",
    ]


def test_a_program_reads_the_names_of_fields_points_and_iso_dates() -> None:
    assert SAMPLE.csv("program", "en") == (
        "name,key,hours,day,took_part,section\r\n"
        "one,een,12.5,2023-03-02,yes,\r\n"
        '"met ""aanhaling""; en, komma\nregel",,3,,,_all\r\n'
    )


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_what_goes_in_comes_out_and_nothing_is_calculated(texts: list[str]) -> None:
    rows = read(tables.Table(("name", "key"), [{"name": text, "key": "-"} for text in texts]))
    assert [row["name"].removeprefix("'") for row in rows] == [visible(text).removeprefix("'") for text in texts]
    assert not any(row["name"].lstrip()[:1] in set("=+-@") for row in rows)


def test_a_name_in_the_registry_cannot_calculate_in_anybodys_report() -> None:
    evil = Organisation(id="boos", name='=cmd|"/c calc"!A1', kind=OrganisationKind.LIBRARY, municipality="@Almelo")
    state = evolve(State(), fact(facts.OrganisationRegistered(organisation=evil), NO_PROGRAMME))
    state = evolve(state, fact(facts.ProgrammePublished(programme=meeting()), MEETING))
    (row,) = read(tables.participation_table(participation(state, "organiser")))
    assert row["organisation"] == "'" + evil.name
    assert row["municipality"] == "'@Almelo"


def test_every_column_says_what_it_counts_in_both_languages() -> None:
    """Places, people and enrolments are three measures: "confirmed" alone could be any of them."""
    state = evolve(State(), fact(facts.ProgrammePublished(programme=meeting()), MEETING))
    report = programme_report(state, MEETING)
    assert report is not None
    for table in (tables.programme_list_table(programme_list(state)), tables.programme_table(report)):
        for language in ("nl", "en"):
            headings = [TABLE_WORDS[language][column] for column in table.columns]
            assert len(headings) == len(set(headings))
            counted = [column for column in table.columns if column.endswith(("_confirmed", "_waiting", "_refused"))]
            assert {column.partition("_")[0] for column in counted} <= {"units", "people", "enrolments"}
            measures = ("Plekken ", "Personen ", "Aanmeldingen ", "Places ", "People ", "Enrolments ")
            assert all(TABLE_WORDS[language][column].startswith(measures) for column in counted)


def test_nobody_in_an_office_reads_an_id(grown_state: State) -> None:
    report = programme_report(grown_state, MEETING)
    assert report is not None
    document = tables.programme_table(report).csv("office", "nl")
    assert "kind-not-eligible" not in document
    assert "_" not in document
    assert [line.partition(";")[0] for line in document.splitlines()[1:3]] == ["Totaal", "Organisatie"]


@pytest.fixture
def grown_state() -> State:
    state = evolve(State(), fact(facts.ProgrammePublished(programme=meeting()), MEETING))
    reason = Reason(rule="kind-not-eligible", nl="Niet voor jullie.", en="Not for you.")
    refused = facts.EnrolmentRefused(
        enrolment="e1", units=1, participants=(Participant(person="p1"),), source="demo", reasons=(reason,)
    )
    return evolve(state, fact(refused, MEETING))


@given(logs())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_report_of_any_log_is_a_rectangle_without_formulas(grown: PlausibleLogs) -> None:
    state = State()
    for each in grown.registration + grown.notifications:
        state = evolve(state, each)
    listed = programme_list(state)
    made = [tables.programme_list_table(listed), tables.participation_table(participation(state, "municipality"))]
    for row in listed.programmes:
        report = programme_report(state, row.programme)
        assert report is not None
        made.append(tables.programme_table(report))
    theme = theme_report(state, "vluchtelingen")
    if theme is not None:
        made.append(tables.theme_table(theme))
    for table in made:
        for reader, delimiter in READERS.items():
            document = io.StringIO(table.csv(reader, "nl").removeprefix("\ufeff"), newline="")
            lines = list(csv.reader(document, delimiter=delimiter, strict=True))
            assert {len(line) for line in lines} == {len(lines[0])}
            assert not any(cell[:1] in set("=+-@") for line in lines for cell in line)


READERS: dict[tables.Reader, str] = {"office": ";", "program": ","}
