"""``deelname report``: what came of programmes and themes, as a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from cli import spreadsheet
from cli.desk import Desk, command, group
from cli.spreadsheet import COUNTS, TO_CONFIRM, counts_of, named, titled, to_confirm
from contracts.base import OrganisationKind
from contracts.commands import RebuildReport, RebuiltReport
from contracts.queries import (
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

app = group("Reports: who took part, who never did, and what a theme has reached.")

AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else on standard output.")]
_STATUSES = {
    "confirmed": "Confirmed",
    "waiting": "Waiting",
    "withdrawn": "Withdrawn",
    "refused": "Refused",
    "pending": TO_CONFIRM[0],
    "lapsed": TO_CONFIRM[1],
}
_REBUILD_PATIENCE = 600.0


class Heading(StrEnum):
    """What participation can be counted by."""

    THEME = "theme"
    ORGANISER = "organiser"
    PROVINCE = "province"
    MUNICIPALITY = "municipality"


@command(app, "programmes", examples=["deelname report programmes", "deelname report programmes --csv > report.csv"])
def programmes(desk: Desk, as_csv: AsCsv = False) -> None:
    """All programmes: enrolments by status, people confirmed, mails."""
    with desk.connect() as connection:
        answer = connection.ask("reporting", "programme", "list", Everything(), ProgrammeReportList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    rows = [
        (
            row.programme,
            getattr(row.title, desk.language),
            *counts_of(row.counts),
            row.mails_sent,
            row.mails_failed,
            row.mails_bounced,
            *to_confirm(row.counts),
            row.mails_uncertain,
        )
        for row in answer.programmes
    ]
    columns = ("Programme", "Title", *COUNTS, "Mails", "Failed", "Came back", *TO_CONFIRM, "Uncertain")
    _show(
        desk,
        "Programmes, in units (a place, or a team) and people with a place",
        columns,
        rows,
        as_csv=as_csv,
        empty="Nothing to report yet.",
        spare=("Title", "Uncertain", "Came back", "Failed", "Mails", *TO_CONFIRM),
    )


@command(
    app, "programme", examples=["deelname report programme gezinsaanpak-2023", "deelname report programme x --json"]
)
def programme(
    desk: Desk,
    id_: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id.")],
    as_csv: AsCsv = False,
) -> None:
    """One programme: units and people by status, refusals by reason, organisations, provinces, roles, days, mails."""
    with desk.connect() as connection:
        found = connection.ask("reporting", "programme", "get", ProgrammeQuestion(programme=id_), ProgrammeReport)
    output = desk.output
    if output.as_json:
        output.json(found)
        return
    if as_csv:
        desk.output.csv(spreadsheet.COLUMNS, spreadsheet.rows(found, desk.language))
        return
    state = ", withdrawn" if found.withdrawn else ""
    output.say(f"{getattr(found.title, desk.language)} ({found.programme}, {found.kind}{state})", "bold")
    counts = found.counts
    unit = "teams" if found.per == "team" else "units"
    output.table(
        "",
        ["", *_STATUSES.values()],
        [(unit, *_by_status(counts, "units")), ("people", *_by_status(counts, "people"))],
    )
    if found.refusals:
        output.table(
            "Refused because",
            ["Rule", "Refusals", "For example"],
            [
                (titled(desk.language, row.title, row.rule), row.refusals, getattr(row, desk.language))
                for row in found.refusals
            ],
        )
    for title, counted in (
        ("By organisation", found.organisations),
        ("By province", found.provinces),
    ):
        if counted:
            output.table(
                title,
                ["", *COUNTS, *TO_CONFIRM],
                [(named(desk.language, row), *counts_of(row.counts), *to_confirm(row.counts)) for row in counted],
                spare=TO_CONFIRM,
            )
    if found.roles:
        # A role is a person's: units, which may be teams, have none.
        output.table(
            "People by role",
            ["Role", *_STATUSES.values()],
            [(named(desk.language, row), *_by_status(row.counts, "people")) for row in found.roles],
            spare=TO_CONFIRM,
        )
    if found.seats:
        output.table(
            "By seat",
            ["Seat", "People", "Planned hours"],
            [(titled(desk.language, row.title, row.seat), row.people, row.hours) for row in found.seats],
        )
    output.table(
        "By day",
        ["Day", "Requested", "Confirmed", "Waiting", "Refused", "Promoted", "Withdrawn", *TO_CONFIRM],
        [
            (d.day, d.requested, d.confirmed, d.waiting, d.refused, d.promoted, d.withdrawn, d.pending, d.lapsed)
            for d in found.days
        ],
        empty="No enrolments yet.",
        spare=TO_CONFIRM,
    )
    if found.answers:
        output.table(
            "Answers to invitations",
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
        f" of {found.mails_uncertain} nobody knows",
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
    key: Annotated[str | None, typer.Option(help="Only this theme, organiser, province or municipality.")] = None,
    kind: Annotated[OrganisationKind | None, typer.Option(help="Only organisations of this kind.")] = None,
    as_csv: AsCsv = False,
) -> None:
    """Across programmes: which organisations took part, and which never did."""
    question = ParticipationQuestion.model_validate({"by": by.value, "key": key, "kind": kind})
    with desk.connect() as connection:
        answer = connection.ask("reporting", "participation", "get", question, Participation)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    if as_csv:
        # By municipality, the heading says it.
        whereabouts = () if by is Heading.MUNICIPALITY else ("Municipality",)
        desk.output.csv(
            (by.value.capitalize(), "Organisation", "Name", *whereabouts, "Took part"),
            [
                (row.key, organisation.id, organisation.name, *(organisation.municipality for _ in whereabouts), took)
                for row in answer.rows
                for took, organisations in (("yes", row.took_part), ("no", row.never_took_part))
                for organisation in organisations
            ],
        )
        return
    desk.output.table(
        f"Participation by {by.value}",
        [by.value.capitalize(), "Programmes", "People", "Took part", "Never did", "Who never did"],
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
    desk: Desk, id_: Annotated[str, typer.Argument(metavar="THEME", help="The theme's id.")], as_csv: AsCsv = False
) -> None:
    """A theme: per municipality and goal, how many programmes, organisations and people."""
    with desk.connect() as connection:
        found = connection.ask("reporting", "theme", "get", ThemeQuestion(theme=id_), ThemeReport)
    if desk.output.as_json:
        desk.output.json(found)
        return
    if as_csv:
        places = [(row.municipality, row.goals) for row in found.municipalities] + [("(elsewhere)", found.elsewhere)]
        desk.output.csv(
            ("Municipality", "Goal", "Programmes", "Organisations", "People"),
            [(place, c.goal, c.programmes, c.organisations, c.people) for place, cells in places for c in cells],
        )
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


def _show(
    desk: Desk,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    as_csv: bool,
    empty: str,
    spare: Sequence[str] = (),
) -> None:
    if as_csv:
        desk.output.csv(columns, rows)
    else:
        desk.output.table(title, columns, rows, empty=empty, spare=spare)
