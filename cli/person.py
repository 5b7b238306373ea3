"""``deelname person``: what is known about somebody, corrected or erased."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli import private
from cli.connection import Connection
from cli.desk import Desk, Speech, command, group
from cli.failure import USAGE, Failure
from cli.output import counted
from cli.people import named
from contracts import dates
from contracts.commands import CorrectPerson, ErasePerson, PersonResult
from contracts.moments import day_of
from contracts.queries import (
    AddressQuestion,
    MailsExport,
    PeopleExpiring,
    PeopleExpiringQuestion,
    PeopleList,
    PersonExport,
    PersonQuestion,
)

app = group("People: export, correct and erase what is kept about somebody (GDPR articles 15 to 17).")

Who = Annotated[str, typer.Argument(metavar="PERSON", help="The person's id or e-mail address.")]
Called = Annotated[
    str | None, typer.Option("--name", help="Whom of those who share the address; 'deelname person list' names them.")
]
_EVERYBODY = typer.Option("--everybody", help="All who share the address.")


@command(app, "export", examples=["deelname person export noor@zeist.example --output noor.json"])
def export(
    desk: Desk,
    person: Who,
    name: Called = None,
    everybody: Annotated[bool, _EVERYBODY] = False,
    file: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write the JSON here.")] = None,
) -> None:
    """
    Everything that is kept about somebody: contact, enrolments, and the mails as they went out.

    With --everybody the JSON is a list, of all who share the address.
    """
    with desk.connect() as connection:
        if everybody:
            found = _sharing(connection, person, name)
            exports = [_export(connection, PersonQuestion(person=one.person)) for one in found.people]
        else:
            exports = [_export(connection, PersonQuestion.model_validate(named(person, name)))]
    written = [
        {"registration": known.model_dump(mode="json"), "notifications": mails.model_dump(mode="json")}
        for known, mails in exports
    ]
    everything = written if everybody else written[0]
    if file:
        try:
            private.export(file, (json.dumps(everything, ensure_ascii=False, indent=2) + "\n").encode())
        except OSError as error:
            raise Failure(f"{file} cannot be written: {error.strerror}.", "Choose another file.", code=USAGE) from None
        desk.output.note(f"wrote {file}")
    if desk.output.as_json:
        desk.output.json(everything)
        return
    for known, mails in exports:
        _show(desk, known, mails)
    if not file:
        desk.output.next(f"deelname person export {person} --output export.json")


def _export(connection: Connection, question: PersonQuestion) -> tuple[PersonExport, MailsExport]:
    known = connection.ask("registration", "person", "export", question, PersonExport)
    return known, connection.ask("notifications", "person", "export", PersonQuestion(person=known.person), MailsExport)


def _sharing(connection: Connection, email: str, name: str | None = None) -> PeopleList:
    """Everybody at an address; somebody, or it is a failure."""
    if "@" not in email or name:
        raise Failure("Everybody is at an address.", "Give the address alone.", code=USAGE)
    found = connection.ask("registration", "person", "list", AddressQuestion(email=email), PeopleList)
    if not found.people:
        raise Failure("There is no person with this address.", "Check the address.")
    return found


def _show(desk: Desk, known: PersonExport, mails: MailsExport) -> None:
    desk.output.say(f"{known.contact.name} <{known.contact.email}>, {known.contact.language}", "bold")
    desk.output.say(f"person {known.person}", "dim")
    if known.shares_address:
        desk.output.say(f"shares the address with {known.shares_address} more: see 'deelname person list'", "yellow")
    desk.output.table(
        "Enrolments",
        ["Enrolment", "Programme", "Organisation", "Status"],
        [(view.enrolment, view.programme, view.organisation, view.status) for view in known.enrolments],
        empty="No enrolments.",
    )
    desk.output.table(
        f"Mails ({len(mails.mails)}, {len(mails.messages)} kept whole)",
        ["Mail", "Purpose", "Programme", "Status", "Due"],
        [(mail.mail, mail.purpose, mail.programme, mail.status, mail.due_at) for mail in mails.mails],
        empty="No mails.",
    )


@command(app, "list", examples=["deelname person list jeugd@zeist.example"])
def list_(
    desk: Desk,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The e-mail address.")],
) -> None:
    """Everybody at an address: a person is an address and a name, and colleagues may share a mailbox."""
    with desk.connect() as connection:
        found = _sharing(connection, address)
    if desk.output.as_json:
        desk.output.json(found)
        return
    desk.output.table(
        f"People at {address}",
        ["Person", "Name", "Language", "Known since", "Programmes"],
        [
            (
                one.person,
                one.contact.name,
                one.contact.language,
                one.since,
                ", ".join(one.programmes),
            )
            for one in found.people
        ],
    )


@command(app, "expiring", examples=["deelname person expiring", "deelname person expiring --within 365 --json"])
def expiring(
    desk: Desk,
    within: Annotated[int, typer.Option(min=0, max=10_000, help="Days from now.")] = 30,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="People to list at most.")] = 200,
) -> None:
    """Who will be erased by itself, because the term for which people are kept passes, and when."""
    with desk.connect() as connection:
        question = PeopleExpiringQuestion(within_days=within, limit=limit)
        answer = connection.ask("registration", "person", "expiring", question, PeopleExpiring)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        f"Erased within {within} days: {answer.total}",
        ["From", "Person", "Name", "Programmes"],
        [
            (
                row.until,
                row.person,
                row.contact.name if row.contact else "",
                ", ".join(row.programmes),
            )
            for row in answer.people
        ],
        empty=f"Nobody is erased within {within} days.",
    )
    if answer.total > len(answer.people):
        desk.output.note(f"{answer.total - len(answer.people)} more: --limit")
    if answer.undecided:
        kept = counted(answer.undecided, "person is", "people are")
        desk.output.note(f"{kept} in programmes whose end is not known yet, and kept.")
        desk.output.next("deelname programme close PROGRAMME")


@command(app, "correct", examples=["deelname person correct noor@zeist.example --new-email noor.dewit@zeist.example"])
def correct(
    desk: Desk,
    person: Who,
    *,
    name: Called = None,
    new_name: Annotated[str | None, typer.Option(help="The right name.")] = None,
    new_email: Annotated[str | None, typer.Option(help="The right address.")] = None,
    mail_language: Annotated[Speech | None, typer.Option(help="The language for mails.")] = None,
) -> None:
    """Correct somebody's name, address or language."""
    if not (new_name or new_email or mail_language):
        raise Failure("Nothing to correct.", "Give --new-name, --new-email or --mail-language.", code=USAGE)
    new = {"new_name": new_name, "new_email": new_email, "language": mail_language and mail_language.value}
    asked = CorrectPerson.model_validate(named(person, name) | new)
    with desk.connect() as connection:
        result = connection.do("registration", "person", "correct", asked, PersonResult)
    _report(desk, result)
    if new_email and result.result == "corrected":
        desk.output.say(
            "  What still holds is mailed to the new address. What the old one was sent is cancelled there, unless mail"
            " to it came back.",
            "dim",
        )
        desk.output.next(f"deelname mail list --person {result.person}")


@command(
    app,
    "erase",
    examples=[
        "deelname person erase noor@zeist.example --yes",
        'deelname person erase jeugd@zeist.example --name "Noor de Wit"',
        "deelname person erase jeugd@zeist.example --everybody",
    ],
)
def erase(
    desk: Desk,
    person: Who,
    name: Called = None,
    everybody: Annotated[bool, _EVERYBODY] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase everything that says who somebody is, or who everybody at an address is; the counts in the reports stay."""
    if everybody:
        with desk.connect() as connection:
            found = _sharing(connection, person, name)
        names = ", ".join(one.contact.name for one in found.people)
        whom = f"everybody at {person} is ({len(found.people)}: {names})"
        asked = ErasePerson(email=person, everybody=True)
    else:
        asked = ErasePerson.model_validate(named(person, name))
        whom = f"{name or person} is"
    desk.confirm(f"Erase everything that says who {whom}? It can't be taken back.", yes)
    with desk.connect() as connection:
        result = connection.do("registration", "person", "erase", asked, PersonResult)
    _report(desk, result)


def _report(desk: Desk, result: PersonResult) -> None:
    if desk.output.as_json:
        desk.output.json(result)
        return
    for person in result.people or (result.person,):
        desk.output.say(f"✓ person {person}: {result.result}")
    if result.copies_until is not None:
        until = dates.short_day(day_of(result.copies_until), desk.language)
        desk.output.say(
            f"  Copies of databases from before an update may know them until {until} at the latest, and go by"
            " themselves. Backups ('deelname backup', folders 'replaced-…' of 'deelname restore') know them as long as"
            " you keep those; so do mails that have arrived.",
            "dim",
        )
