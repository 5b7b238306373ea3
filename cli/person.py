"""``deelname person``: what is known about somebody, corrected or erased."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.desk import Desk, Speech, command, group
from cli.failure import USAGE, Failure
from cli.output import moment
from cli.people import named
from contracts.commands import CorrectPerson, ErasePerson, PersonResult
from contracts.queries import MailsExport, PeopleExpiring, PeopleExpiringQuestion, PersonExport, PersonQuestion

app = group("People: export, correct and erase what is kept about somebody (GDPR articles 15 to 17).")

Who = Annotated[str, typer.Argument(metavar="PERSON", help="The person's id or e-mail address.")]


@command(app, "export", examples=["deelname person export noor@zeist.example --output noor.json"])
def export(
    desk: Desk,
    person: Who,
    file: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write the JSON here.")] = None,
) -> None:
    """Everything that is kept about somebody: contact, enrolments, and the mails as they went out."""
    name, value = named(person)
    question = PersonQuestion.model_validate({name: value})
    with desk.connect() as connection:
        known = connection.ask("registration", "person", "export", question, PersonExport)
        mails = connection.ask("notifications", "person", "export", PersonQuestion(person=known.person), MailsExport)
    everything = {"registration": known.model_dump(mode="json"), "notifications": mails.model_dump(mode="json")}
    if file:
        try:
            file.write_text(json.dumps(everything, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise Failure(f"{file} cannot be written: {error.strerror}.", "Choose another file.", code=USAGE) from None
        desk.output.note(f"wrote {file}")
    if desk.output.as_json:
        desk.output.json(everything)
        return
    desk.output.say(f"{known.contact.name} <{known.contact.email}>, {known.contact.language}", "bold")
    desk.output.say(f"person {known.person}", "dim")
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
    if not file:
        desk.output.next(f"deelname person export {person} --output export.json")


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
            (moment(row.until), row.person, row.contact.name if row.contact else "", ", ".join(row.programmes))
            for row in answer.people
        ],
        empty=f"Nobody is erased within {within} days.",
    )
    if answer.total > len(answer.people):
        desk.output.note(f"{answer.total - len(answer.people)} more: --limit")
    if answer.undecided:
        desk.output.note(f"{answer.undecided} people are in programmes whose end is not known yet: they are kept.")


@command(app, "correct", examples=["deelname person correct noor@zeist.example --new-email noor.dewit@zeist.example"])
def correct(
    desk: Desk,
    person: Who,
    name: Annotated[str | None, typer.Option(help="The right name.")] = None,
    new_email: Annotated[str | None, typer.Option(help="The right address.")] = None,
    mail_language: Annotated[Speech | None, typer.Option(help="The language for mails.")] = None,
) -> None:
    """Correct somebody's name, address or language."""
    if not (name or new_email or mail_language):
        raise Failure("Nothing to correct.", "Give --name, --new-email or --mail-language.", code=USAGE)
    key, value = named(person)
    asked = CorrectPerson.model_validate(
        {key: value, "name": name, "new_email": new_email, "language": mail_language and mail_language.value}
    )
    with desk.connect() as connection:
        result = connection.do("registration", "person", "correct", asked, PersonResult)
    _report(desk, result)


@command(app, "erase", examples=["deelname person erase noor@zeist.example --yes"])
def erase(
    desk: Desk,
    person: Who,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase everything that says who somebody is; the counts in the reports stay."""
    desk.confirm(f"Erase everything that says who {person} is? It can't be taken back.", yes)
    name, value = named(person)
    with desk.connect() as connection:
        result = connection.do(
            "registration", "person", "erase", ErasePerson.model_validate({name: value}), PersonResult
        )
    _report(desk, result)


def _report(desk: Desk, result: PersonResult) -> None:
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(f"✓ person {result.person}: {result.result}")
