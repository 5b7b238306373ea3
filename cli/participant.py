"""``deelname enrolment participant``: who takes part in an enrolment that stands."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.desk import Desk, command, group
from cli.failure import USAGE, Failure
from cli.people import named, read_participant, report
from contracts.commands import AddParticipant, ChangeParticipant, EnrolmentResult, WithdrawParticipant

app = group("The people in an enrolment: add, change, replace or withdraw one of them.")

Id = Annotated[str, typer.Argument(metavar="ENROLMENT", help="The enrolment's id.")]
Who = Annotated[str, typer.Argument(metavar="PERSON", help="The person's id or e-mail address.")]
Called = Annotated[str | None, typer.Option("--name", help="Whom of those who share the address.")]


@command(
    app,
    "add",
    examples=['deelname enrolment participant add 0198… "Eva Smit <eva@zeist.example> seat=manager role=manager"'],
)
def add(
    desk: Desk,
    enrolment: Id,
    person: Annotated[str, typer.Argument(metavar='"NAME <EMAIL> [seat=…] [role=…] [diet=…]"', help="Who joins.")],
) -> None:
    """Add somebody to an enrolment, such as the one whom a team still lacks."""
    _send(desk, "add", AddParticipant(enrolment=enrolment, participant=read_participant(person)))


@command(
    app,
    "change",
    examples=[
        "deelname enrolment participant change 0198… noor@zeist.example --seat manager",
        'deelname enrolment participant change 0198… noor@zeist.example --replacement "Eva Smit <eva@zeist.example>"',
        'deelname enrolment participant change 0198… noor@zeist.example --diet "no nuts"',
    ],
)
def change(
    desk: Desk,
    enrolment: Id,
    person: Who,
    *,
    name: Called = None,
    seat: Annotated[str | None, typer.Option(help="Another seat.")] = None,
    role: Annotated[str | None, typer.Option(help="Another role.")] = None,
    diet: Annotated[str | None, typer.Option(help="What the person, or the replacement, does not eat.")] = None,
    replacement: Annotated[
        str | None, typer.Option(metavar='"NAME <EMAIL>"', help="Who takes the place instead.")
    ] = None,
) -> None:
    """Give somebody another seat, role or diet, or let somebody else take the place."""
    if not (seat or role or diet or replacement):
        raise Failure("Nothing to change.", "Give --seat, --role, --diet or --replacement.", code=USAGE)
    other = read_participant(replacement) if replacement else None
    about = {"enrolment": enrolment, "seat": seat, "role": role, "diet": diet or (other.diet if other else None)}
    replaced_by = {"replacement": other.person if other else None}
    _send(desk, "change", ChangeParticipant.model_validate(about | replaced_by | named(person, name)))


@command(app, "withdraw", examples=["deelname enrolment participant withdraw 0198… noor@zeist.example"])
def withdraw(desk: Desk, enrolment: Id, person: Who, name: Called = None) -> None:
    """Take one person out of an enrolment that goes on; the last one withdraws it."""
    _send(desk, "withdraw", WithdrawParticipant.model_validate({"enrolment": enrolment} | named(person, name)))


def _send(desk: Desk, verb: str, command_: AddParticipant | ChangeParticipant | WithdrawParticipant) -> None:
    with desk.connect() as connection:
        result = connection.do("registration", "participant", verb, command_, EnrolmentResult)
    report(desk, result)
