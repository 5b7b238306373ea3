"""``deelname enrolment``: ask for places, give them back, promote, vouch, and see why one stands as it does."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import participant
from cli.connection import Connection
from cli.desk import Desk, command, group
from cli.document import read
from cli.failure import USAGE, Failure
from cli.output import counted, moment
from cli.people import read_participant, report
from contracts import dates
from contracts.base import Language
from contracts.commands import (
    ConfirmEnrolment,
    EnrolmentCommand,
    EnrolmentResult,
    PromoteEnrolment,
    RequestEnrolment,
    WithdrawEnrolment,
)
from contracts.enrolment import Reason
from contracts.parameters import for_staff
from contracts.queries import EnrolmentList, EnrolmentQuestion, EnrolmentsQuestion, EnrolmentView, ParticipantView

app = group("Enrolments: request, withdraw, promote, confirm, and see why each stands as it does.")
app.add_typer(participant.app, name="participant")

Id = Annotated[str, typer.Argument(metavar="ENROLMENT", help="The enrolment's id, as 'deelname enrolment list' shows.")]


class Status(StrEnum):
    """How an enrolment can stand."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    WAITING = "waiting"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    LAPSED = "lapsed"


@command(
    app,
    "request",
    examples=[
        'deelname enrolment request tafel -o bibliotheek-zeist -p "Noor de Wit <noor@zeist.example> role=directeur"',
        'deelname enrolment request track -o bibliotheek-zeist -p "Noor <noor@zeist.example> seat=jeugd role=jeugd"',
        "deelname enrolment request track --file team.yaml",
    ],
)
def request(
    desk: Desk,
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id.")],
    organisation: Annotated[
        str | None, typer.Option("--organisation", "-o", help="Its id in the registry; none for a volunteer.")
    ] = None,
    person: Annotated[
        list[str] | None,
        typer.Option(
            "--person",
            "-p",
            metavar='"NAME <EMAIL> [seat=…] [role=…] [language=…] [diet=…]"',
            help="Who takes part; repeat it for more people.",
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="YAML with 'organisation' and 'participants' instead of the options.")
    ] = None,
) -> None:
    """Ask for a place, for one person or for a team."""
    if file and (person or organisation):
        raise Failure("Give either --file or --person, not both.", "Put everything into the file.", code=USAGE)
    if file:
        wanted = read(file, RequestEnrolmentFile, "enrolment").value.model_copy(update={"programme": programme})
        asked = RequestEnrolment(**wanted.model_dump())
    elif person:
        asked = RequestEnrolment(
            programme=programme, organisation=organisation, participants=tuple(read_participant(p) for p in person)
        )
    else:
        raise Failure("Nobody is named.", 'Name them: --person "Noor de Wit <noor@zeist.example>".', code=USAGE)
    with desk.connect() as connection:
        result = connection.do("registration", "enrolment", "request", asked, EnrolmentResult)
    report(desk, result)
    desk.output.next(f"deelname enrolment show {result.enrolment}")


class RequestEnrolmentFile(RequestEnrolment):
    """An enrolment in a file; the programme comes from the command line."""

    programme: str = "from-the-command-line"


def _tell(desk: Desk, verb: str, asked: EnrolmentCommand) -> EnrolmentResult:
    """Ask something of one enrolment, and say how it stands then."""
    with desk.connect() as connection:
        result = connection.do("registration", "enrolment", verb, asked, EnrolmentResult)
    report(desk, result)
    return result


@command(app, "withdraw", examples=["deelname enrolment withdraw 0198…"])
def withdraw(desk: Desk, enrolment: Id) -> None:
    """Give a place, or a place in the waiting list, back; who waits moves up."""
    _tell(desk, "withdraw", WithdrawEnrolment(enrolment=enrolment))


@command(app, "promote", examples=["deelname enrolment promote 0198…"])
def promote(desk: Desk, enrolment: Id) -> None:
    """Give who waits a place by hand, also behind the freeze; never more than the capacity."""
    _tell(desk, "promote", PromoteEnrolment(enrolment=enrolment))


@command(app, "confirm", examples=["deelname enrolment confirm 0198…"])
def confirm(desk: Desk, enrolment: Id) -> None:
    """Vouch for everybody who has yet to confirm a request of the public: they come in as if they had."""
    result = _tell(desk, "confirm", ConfirmEnrolment(enrolment=enrolment))
    desk.output.next(f"deelname enrolment show {result.enrolment}")


@command(
    app,
    "list",
    examples=[
        "deelname enrolment list gezinsaanpak-2023",
        "deelname enrolment list gezinsaanpak-2023 --status waiting",
        "deelname enrolment list gezinsaanpak-2023 --status pending",
    ],
)
def list_(
    desk: Desk,
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id.")],
    status: Annotated[Status | None, typer.Option(help="Only those that stand so.")] = None,
) -> None:
    """The enrolments of a programme, in the order in which they were made."""
    question = EnrolmentsQuestion.model_validate({"programme": programme, "status": status and status.value})
    with desk.connect() as connection:
        answer = _all(connection, question)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        f"Enrolments of {programme}",
        ["Enrolment", "Organisation", "Status", "Places", "People", "Number", "Why"],
        [
            (
                view.enrolment,
                view.organisation,
                view.status,
                view.units,
                _names(view.participants),
                view.place if view.place else "",
                _why(desk, view),
            )
            for view in answer.enrolments
        ],
        empty="No enrolments.",
    )


def _why(desk: Desk, view: EnrolmentView) -> str:
    reasons = " ".join(_told(reason, desk.language) for reason in view.reasons)
    if view.status == "lapsed":
        return reasons or "never confirmed"
    words = [
        reasons or (f"lacks {', '.join(m.seat for m in view.missing)}" if view.missing else ""),
        f"{_awaited(view)} yet to confirm until {moment(view.confirm_by, desk.language)}" if view.confirm_by else "",
    ]
    return "; ".join(word for word in words if word)


def _told(reason: Reason, language: Language) -> str:
    return for_staff(getattr(reason, language), reason.parameters)


def _awaited(view: EnrolmentView) -> int:
    return sum(participant.unconfirmed for participant in view.participants)


def _all(connection: Connection, question: EnrolmentsQuestion) -> EnrolmentList:
    """Page after page, as one list."""
    enrolments: list[EnrolmentView] = []
    while True:
        page = connection.ask("registration", "enrolment", "list", question, EnrolmentList)
        enrolments += page.enrolments
        if page.next is None:
            return EnrolmentList(enrolments=tuple(enrolments))
        question = question.model_copy(update={"after": page.next})


@command(app, "show", examples=["deelname enrolment show 0198… --language nl"])
def show(desk: Desk, enrolment: Id) -> None:
    """One enrolment with its history, and the reason of every promotion, pass-over and refusal."""
    with desk.connect() as connection:
        view = connection.ask("registration", "enrolment", "get", EnrolmentQuestion(enrolment=enrolment), EnrolmentView)
    output = desk.output
    if output.as_json:
        output.json(view)
        return
    place = f", number {view.place} in the waiting list" if view.place else ""
    output.say(f"{view.enrolment}: {view.status}{place}", "bold")
    units = counted(view.units, "place")
    output.say(f"{view.programme}, {view.organisation or 'without organisation'}, {units}, via {view.source}")
    if view.confirm_by:
        held = f"; {counted(view.held, 'place')} held until then" if view.held else ""
        output.say(f"{_awaited(view)} yet to confirm until {moment(view.confirm_by, desk.language)}{held}", "yellow")
    if view.price is not None:
        output.say(f"price: € {view.price:.2f}")
    for missing in view.missing if view.status != "lapsed" else ():
        until = f", needed by {dates.ending(view.complete_by, desk.language)}" if view.complete_by else ""
        output.say(f"lacks {missing.count} × {missing.seat}{until}", "yellow")
    output.table(
        "People",
        ["Person", "Name", "Address", "Language", "Seat", "Role", *(["Confirms"] if _awaited(view) else [])],
        [
            (
                *(
                    (p.person, p.contact.name, _address(p), p.contact.language, p.seat, p.role)
                    if p.contact
                    else (p.person, "(erased)", "", "", p.seat, p.role)
                ),
                *(["not yet" if p.unconfirmed else "need not"] if _awaited(view) else []),
            )
            for p in view.participants
        ],
        empty="Nobody.",
    )
    output.table(
        "History",
        ["Position", "When", "What", "Why"],
        [
            (event.position, event.time, event.type, _told(event.reason, desk.language) if event.reason else "")
            for event in view.history
        ],
        empty="No history.",
    )
    vouch = [f"deelname enrolment confirm {view.enrolment}"] if _awaited(view) else []
    output.next(*vouch, f"deelname mail list --enrolment {view.enrolment}")


def _address(view: ParticipantView) -> str:
    email = view.contact.email if view.contact else ""
    return f"{email} (shared by {view.shares_address + 1})" if view.shares_address else email


def _names(participants: tuple[ParticipantView, ...]) -> str:
    return ", ".join(
        (view.contact.name if view.contact else "(erased)") + (" (yet to confirm)" if view.unconfirmed else "")
        for view in participants
    )
