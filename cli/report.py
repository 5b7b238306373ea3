"""``deelname report``: what came of programmes and themes, as a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel

from cli.desk import Desk, command, group
from cli.failure import USAGE, Failure
from contracts import tables
from contracts.base import Language, OrganisationKind, Title
from contracts.commands import RebuildReport, RebuiltReport
from contracts.queries import (
    CountRow,
    Counts,
    Everything,
    Participation,
    ParticipationQuestion,
    ProgrammeQuestion,
    ProgrammeReport,
    ProgrammeReportList,
    ThemeQuestion,
    ThemeReport,
)
from contracts.table_words import TABLE_WORDS
from contracts.tables import Table

app = group("Reports: who took part, who never did, and what a theme has reached.")

AsCsv = Annotated[
    bool, typer.Option("--csv", help="Print CSV as spreadsheets of offices open it, in the language of --language.")
]
PlainCsv = Annotated[
    bool, typer.Option("--plain-csv", help="Print CSV for programs: commas, points, ISO dates, names of fields.")
]
_STATUSES = {status: TABLE_WORDS["en"][status].capitalize() for status in tables.STATUSES}
_SELDOM = tuple(_STATUSES[status] for status in tables.SELDOM)
_REBUILD_PATIENCE = 600.0

Report = TypeVar("Report", bound=BaseModel)


class Heading(StrEnum):
    """What participation can be counted by."""

    THEME = "theme"
    ORGANISER = "organiser"
    PROVINCE = "province"
    MUNICIPALITY = "municipality"


@command(app, "programmes", examples=["deelname report programmes", "deelname report programmes --csv > report.csv"])
def programmes(desk: Desk, as_csv: AsCsv = False, plain_csv: PlainCsv = False) -> None:
    """All programmes: places and people by status, mails."""
    with desk.connect() as connection:
        answer = connection.ask("reporting", "programme", "list", Everything(), ProgrammeReportList)
    if _given(desk, answer, tables.programme_list_table, as_csv=as_csv, plain_csv=plain_csv):
        return
    places = {f"Places {status.lower()}": key for key, status in _STATUSES.items()}
    desk.output.table(
        "Programmes: places (a person's, or a team's), people with a place, and mails",
        ["Programme", "Title", *places, "People", "Mails", "Failed", "Came back", "Uncertain"],
        [
            (
                row.programme,
                getattr(row.title, desk.language),
                *_by_status(row.counts, "units"),
                row.counts.people_confirmed,
                row.mails_sent,
                row.mails_failed,
                row.mails_bounced,
                row.mails_uncertain,
            )
            for row in answer.programmes
        ],
        empty="Nothing to report yet.",
        spare=("Title", "Uncertain", "Came back", "Failed", "Mails", *list(places)[:3:-1]),
    )


@command(
    app, "programme", examples=["deelname report programme gezinsaanpak-2023", "deelname report programme x --json"]
)
def programme(
    desk: Desk,
    id_: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id.")],
    as_csv: AsCsv = False,
    plain_csv: PlainCsv = False,
) -> None:
    """One programme: places and people by status, refusals by reason, organisations, provinces, roles, days, mails."""
    with desk.connect() as connection:
        found = connection.ask("reporting", "programme", "get", ProgrammeQuestion(programme=id_), ProgrammeReport)
    if _given(desk, found, tables.programme_table, as_csv=as_csv, plain_csv=plain_csv):
        return
    output = desk.output
    state = ", withdrawn" if found.withdrawn else ", closed" if found.closed else ""
    output.say(f"{getattr(found.title, desk.language)} ({found.programme}, {found.kind}{state})", "bold")
    counts = found.counts
    unit = "places (teams)" if found.per == "team" else "places"
    output.table(
        "Places and people",
        ["", *_STATUSES.values()],
        [(unit, *_by_status(counts, "units")), ("people", *_by_status(counts, "people"))],
    )
    if found.refusals:
        output.table(
            "Refused because",
            ["Rule", "Refusals", "Places", "People", "For example"],
            [
                (
                    titled(desk.language, row.title, row.rule),
                    row.refusals,
                    row.units,
                    row.people,
                    getattr(row, desk.language),
                )
                for row in found.refusals
            ],
            spare=("People", "Places"),
        )
    for title, counted in (
        ("Places by organisation, and people with one", found.organisations),
        ("Places by province, and people with one", found.provinces),
    ):
        if counted:
            output.table(
                title,
                ["", *_STATUSES.values(), "People"],
                [
                    (named(desk.language, row), *_by_status(row.counts, "units"), row.counts.people_confirmed)
                    for row in counted
                ],
                spare=_SELDOM,
            )
    if found.roles:
        # A role is a person's: places, which may be a team's, have none.
        output.table(
            "People by role",
            ["Role", *_STATUSES.values()],
            [(named(desk.language, row), *_by_status(row.counts, "people")) for row in found.roles],
            spare=_SELDOM,
        )
    if found.seats:
        output.table(
            "People with a place by seat",
            ["Seat", "People", "Planned hours"],
            [(titled(desk.language, row.title, row.seat), row.people, row.hours) for row in found.seats],
        )
    output.table(
        "Enrolments by day",
        ["Day", "Requested", "Confirmed", "Waiting", "Refused", "Promoted", "Withdrawn", *_SELDOM],
        [
            (d.day, d.requested, d.confirmed, d.waiting, d.refused, d.promoted, d.withdrawn, d.pending, d.lapsed)
            for d in found.days
        ],
        empty="No enrolments yet.",
        spare=_SELDOM,
    )
    if found.answers:
        output.table(
            "Answers of people to invitations",
            ["Session", "Invited", "Accepted", "Tentative", "Declined", "No answer"],
            [
                (
                    titled(desk.language, row.title, row.session),
                    row.invited,
                    row.accepted,
                    row.tentative,
                    row.declined,
                    row.unanswered,
                )
                for row in found.answers
            ],
        )
    output.table(
        f"Mails: {found.mails_sent} sent, {found.mails_failed} failed, {found.mails_bounced} came back,"
        f" {found.mails_uncertain} uncertain",
        ["Purpose", "Sent", "Failed", "Came back", "Uncertain"],
        [(row.purpose, row.sent, row.failed, row.bounced, row.uncertain) for row in found.mails],
        empty="No mails yet.",
    )


@command(
    app,
    "participation",
    examples=["deelname report participation --by province", "deelname report participation --by theme --kind library"],
)
def participation(
    desk: Desk,
    by: Annotated[Heading, typer.Option(help="What to count by.")],
    *,
    key: Annotated[str | None, typer.Option(help="Only this theme, organiser, province or municipality.")] = None,
    kind: Annotated[OrganisationKind | None, typer.Option(help="Only organisations of this kind.")] = None,
    as_csv: AsCsv = False,
    plain_csv: PlainCsv = False,
) -> None:
    """Across programmes: which organisations took part, and which never did."""
    question = ParticipationQuestion.model_validate({"by": by.value, "key": key, "kind": kind})
    with desk.connect() as connection:
        answer = connection.ask("reporting", "participation", "get", question, Participation)
    if _given(desk, answer, tables.participation_table, as_csv=as_csv, plain_csv=plain_csv):
        return
    desk.output.table(
        f"Participation by {by.value}",
        [by.value.capitalize(), "Programmes", "People with a place", "Took part", "Never did", "Who never did"],
        [
            (
                titled(desk.language, row.title, row.name),
                len(row.programmes),
                row.counts.people_confirmed,
                len(row.took_part),
                len(row.never_took_part),
                _shortened([organisation.name for organisation in row.never_took_part]),
            )
            for row in answer.rows
        ],
        empty="Nothing to report yet.",
        spare=("Programmes",),
    )


@command(app, "theme", examples=["deelname report theme vluchtelingen-integratie --language nl"])
def theme(
    desk: Desk,
    id_: Annotated[str, typer.Argument(metavar="THEME", help="The theme's id.")],
    as_csv: AsCsv = False,
    plain_csv: PlainCsv = False,
) -> None:
    """A theme: per municipality and goal, how many programmes, organisations and people."""
    with desk.connect() as connection:
        found = connection.ask("reporting", "theme", "get", ThemeQuestion(theme=id_), ThemeReport)
    if _given(desk, found, tables.theme_table, as_csv=as_csv, plain_csv=plain_csv):
        return
    desk.output.say(getattr(found.title, desk.language), "bold")
    desk.output.table(
        "Goals",
        ["Goal", "", "People"],
        [(g.key, named(desk.language, g), g.counts.people_confirmed) for g in found.goals],
    )
    rows = [
        (row.municipality, *(cell.people for cell in row.goals), row.whole.organisations, row.whole.people)
        for row in found.municipalities
    ]
    rows.append(
        (
            "(elsewhere)",
            *(cell.people for cell in found.elsewhere),
            found.whole_elsewhere.organisations,
            found.whole_elsewhere.people,
        )
    )
    desk.output.table(
        "People reached per municipality and goal",
        ["Municipality", *(goal.key for goal in found.goals), "Organisations", "People"],
        rows,
        # Those that reached fewest first; what each reached in all is told above.
        spare=[goal.key for goal in sorted(found.goals, key=lambda goal: goal.counts.people_confirmed)],
    )


@command(app, "rebuild", examples=["deelname report rebuild"])
def rebuild(desk: Desk) -> None:
    """Fold all facts again into a fresh database and swap it in; mails nothing."""
    with desk.connect() as connection, desk.output.notes.status("Folding all facts again…"):
        result = connection.do(
            "reporting", "report", "rebuild", RebuildReport(), RebuiltReport, patience=_REBUILD_PATIENCE
        )
    if desk.output.as_json:
        desk.output.json(result)
        return
    same = "identical, byte for byte" if result.identical else "DIFFERENT from what was there"
    desk.output.say(f"✓ {result.facts} facts in {result.seconds:.2f} s; the report is {same}.")
    desk.output.say(f"  digest {result.digest}", "dim")


def _by_status(counts: Counts, what: str) -> list[int]:
    return [getattr(counts, f"{what}_{status}") for status in _STATUSES]


def _shortened(names: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _given(desk: Desk, report: Report, as_table: Callable[[Report], Table], *, as_csv: bool, plain_csv: bool) -> bool:
    """Give the report in a form that is asked for; whether one is."""
    if as_csv and plain_csv:
        raise Failure("Give either --csv or --plain-csv, not both.", "Offices open --csv.", code=USAGE)
    if desk.output.as_json:
        desk.output.json(report)
    elif as_csv or plain_csv:
        desk.output.csv(as_table(report).csv("office" if as_csv else "program", desk.language))
    return desk.output.as_json or as_csv or plain_csv


def named(language: Language, row: CountRow) -> str:
    """What a row of a report is called."""
    return titled(language, row.title, row.name)


def titled(language: Language, title: Title | None, otherwise: str) -> str:
    """A title, or what stands for it where there is none."""
    return getattr(title, language) if title else otherwise
