"""``deelname programme``: publish, check, look at and withdraw programmes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.desk import Desk, command, group
from cli.document import read
from cli.failure import Failure
from cli.foreseen import DryRun, say, told
from cli.output import counted
from cli.programme_files import located, remarks
from contracts import dates
from contracts.base import Text
from contracts.commands import CloseProgramme, Published, PublishProgramme, WithdrawProgramme
from contracts.problem import ProblemError
from contracts.programme import Confirmation, Contact, PriceRule, Programme
from contracts.queries import Everything, LunchList, ProgrammeList, ProgrammeQuestion, ProgrammeStanding, ProgrammeView
from contracts.session import Occasion
from contracts.theme import ThemeReference

app = group("Programmes: publish a YAML file, publish it again with changes, look, withdraw.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files, one programme each.")]
Id = Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id, such as gezinsaanpak-2023.")]


@command(
    app,
    "publish",
    examples=[
        "deelname programme publish gezinsaanpak.yaml --dry-run",
        "deelname programme publish gezinsaanpak.yaml",
    ],
)
def publish(
    desk: Desk,
    files: Files,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whoever is mailed what.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Publish programmes from YAML; publishing again tells only what changed."""
    # All files are read before the first is sent: a typing error in the second does not leave half of them published.
    documents = [read(file, Programme, "programme") for file in files]
    results: list[Published] = []
    for document in documents:
        for remark in remarks(document):
            desk.output.note(f"note {document.path}:{remark}", "yellow")
    with desk.connect() as connection:
        for document in documents:
            try:
                asked = PublishProgramme(programme=document.value, dry_run=dry_run)
                result = told(desk, connection, "publish", asked, yes)
            except ProblemError as error:
                raise located(desk, document, error) from None
            results.append(result)
            say(desk, result, "nothing changes" if dry_run else "nothing changed")
    if desk.output.as_json:
        desk.output.json([result.model_dump(mode="json") for result in results])
    if not dry_run:
        desk.output.next(f"deelname programme show {results[-1].id}")


@command(app, "check", examples=["deelname programme check *.yaml"])
def check(desk: Desk, files: Files) -> None:
    """Check programme files against the contract, without sending them anywhere."""
    failures: list[Failure] = []
    report: list[dict[str, object]] = []
    for file in files:
        try:
            document = read(file, Programme, "programme")
        except Failure as wrong:
            failures.append(wrong)
            report.append({"file": str(file), "valid": False, "errors": wrong.problem.model_dump()["errors"]})
            continue
        noted = remarks(document)
        report.append({"file": str(file), "valid": True, "id": document.value.id, "remarks": noted})
        desk.output.say(f"✓ {file}: {document.value.id}, {counted(len(document.value.sessions), 'session')}", "green")
        for remark in noted:
            desk.output.say(f"  note {file}:{remark}", "yellow")
    if desk.output.as_json:
        desk.output.json(report)
    for failure in failures:
        desk.output.note(f"✗ {failure.what}", "red")
    if failures:
        desk.output.note(f"  {failures[0].remedy}", "")
        raise typer.Exit(max(failure.code for failure in failures))


@command(app, "list", examples=["deelname programme list", "deelname programme list --json"])
def list_(desk: Desk) -> None:
    """All programmes and how full they are."""
    with desk.connect() as connection:
        answer = connection.ask("registration", "programme", "list", Everything(), ProgrammeList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        "Programmes",
        ["Programme", "Title", "Kind", "Enrolment", "Capacity", "Confirmed", "Held", "Waiting"],
        [
            (
                row.id,
                getattr(row.title, desk.language),
                row.kind,
                _state(row),
                row.capacity if row.capacity is not None else "no limit",
                row.confirmed,
                row.held,
                row.waiting,
            )
            for row in answer.programmes
        ],
        empty="No programme is published yet: deelname programme publish FILE",
        spare=("Kind", "Title", "Held"),
    )


@command(app, "show", examples=["deelname programme show gezinsaanpak-2023 --language nl"])
def show(desk: Desk, programme: Id) -> None:
    """One programme: its sessions, who may come, how full it is."""
    with desk.connect() as connection:
        view = connection.ask("registration", "programme", "get", ProgrammeQuestion(programme=programme), ProgrammeView)
    if desk.output.as_json:
        desk.output.json(view)
        return
    definition, output = view.definition, desk.output
    output.say(getattr(view.title, desk.language), "bold")
    output.say(f"{view.id}, {view.kind}, organised by {', '.join(definition.organisers)}", "dim")
    output.say("\n" + getattr(definition.description, desk.language) + "\n")
    output.table(
        "Sessions",
        ["Session", "Title", "When", "Where", "Lunch"],
        [
            (session.id, getattr(session.title, desk.language), _when(session, desk), _where(session), session.lunch)
            for session in definition.sessions
        ],
        empty="No sessions.",
    )
    rules = definition.enrolment
    eligible = rules.eligible
    team = definition.team
    held = f", {view.held} held for who has yet to confirm" if view.held else ""
    taken = f"{view.confirmed} confirmed{held}, {view.waiting} waiting"
    output.table(
        "Enrolment",
        ["Rule", "Value"],
        [
            ("state", _state(view)),
            ("opens", dates.beginning(rules.opens, desk.language) if rules.opens else None),
            ("is open", dates.until(rules.closes, desk.language) if rules.closes else None),
            ("capacity", f"{_capacity(rules.capacity, rules.per)}; {taken}"),
            ("waiting list", rules.waiting_list.policy if rules.waiting_list else "none"),
            *(
                (("nobody is promoted from", dates.beginning(rules.waiting_list.freeze, desk.language)),)
                if rules.waiting_list and rules.waiting_list.freeze
                else ()
            ),
            ("at most per organisation", rules.maximum_per_organisation or "no limit"),
            ("organisations", eligible.kinds or "any kind"),
            ("provinces", eligible.provinces or "any"),
            ("roles", eligible.roles or "any"),
            ("without organisation", eligible.without_organisation),
            ("the public confirms", _confirmation(rules.confirmation, limited=rules.capacity is not None)),
            *(("price", _price(price, rules.per)) for price in rules.prices),
            *(
                (("team complete within", f"{team.complete_within_days} days"),)
                if team and team.complete_within_days
                else ()
            ),
        ],
    )
    if team:
        output.table(
            "Team",
            ["Seat", "Title", "People", "Roles", "Hours", "Sessions"],
            [
                (
                    seat.id,
                    getattr(seat.title, desk.language),
                    "closed" if seat.closed else seat.count,
                    seat.roles or "any",
                    seat.hours,
                    "all" if seat.sessions is None else seat.sessions or "none",
                )
                for seat in team.seats
            ],
        )
    output.table(
        "About",
        ["What", "Value"],
        [
            ("content", _contact(definition.content_contact)),
            ("enrolment", _contact(definition.enrolment_contact)),
            *(("theme", _theme(reference)) for reference in definition.themes),
            *((("page", definition.page),) if definition.page else ()),
        ],
    )
    output.next(f"deelname enrolment list {view.id}", f"deelname report programme {view.id}")


@command(app, "lunches", examples=["deelname programme lunches gezinsaanpak-2023"])
def lunches(desk: Desk, programme: Id) -> None:
    """The lunches to come: how many people, and what some of them do not eat. Gone the day after the last one."""
    with desk.connect() as connection:
        answer = connection.ask("registration", "lunch", "list", ProgrammeQuestion(programme=programme), LunchList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    for lunch in answer.lunches:
        # How many eat is what a kitchen asks first, also where nobody has named a diet.
        who = counted(lunch.people, "person", "people")
        desk.output.say(f"{getattr(lunch.title, desk.language)} ({lunch.session}): {who}", "bold")
        desk.output.table(
            "",
            ["Name", "Seat", "Diet"],
            [(one.name, one.seat, one.diet) for one in lunch.diets],
            empty="Nobody has named a diet.",
        )
    if not answer.lunches:
        desk.output.say("No lunch is to come.")


@command(
    app,
    "withdraw",
    examples=['deelname programme withdraw ruimte --reason-nl "Te weinig deelnemers." --reason-en "Too few people."'],
)
def withdraw(
    desk: Desk,
    programme: Id,
    *,
    reason_nl: Annotated[str | None, typer.Option(help="Why, in Dutch; goes into the mails.")] = None,
    reason_en: Annotated[str | None, typer.Option(help="Why, in English.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Withdraw a programme: its sessions are cancelled and everybody enrolled is told."""
    if (reason_nl is None) != (reason_en is None):
        raise Failure("A reason needs both languages.", "Give --reason-nl and --reason-en, or neither.", code=2)
    desk.confirm(f"Withdraw {programme} and mail everybody who is enrolled?", yes or dry_run)
    reason = Text(nl=reason_nl, en=reason_en) if reason_nl and reason_en else None
    with desk.connect() as connection:
        asked = WithdrawProgramme(programme=programme, reason=reason, dry_run=dry_run)
        result = told(desk, connection, "withdraw", asked, yes)
    if desk.output.as_json:
        desk.output.json(result)
    say(desk, result, "was withdrawn already")


@command(app, "close", examples=["deelname programme close leesclub-2023"])
def close(
    desk: Desk,
    programme: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Let a programme be over although it, or a session, never had a date. Nobody can enrol, and nobody is mailed."""
    desk.confirm(f"Close {programme} for good? Nobody is mailed.", yes or dry_run)
    with desk.connect() as connection:
        result = told(desk, connection, "close", CloseProgramme(programme=programme, dry_run=dry_run), yes)
    if desk.output.as_json:
        desk.output.json(result)
    say(desk, result, "was closed or withdrawn already")


def _state(row: ProgrammeStanding) -> str:
    return "withdrawn" if row.withdrawn else "over" if row.over else "open" if row.open else "closed"


def _when(session: Occasion, desk: Desk) -> str:
    if when := dates.occasion(session, desk.language):
        return when
    return getattr(session.period, desk.language) if session.period else "not known yet"


def _price(price: PriceRule, per: str) -> str:
    whom = ", ".join([*price.kinds, *price.provinces])
    return (f"€ {price.amount:.2f} a {per}" if price.amount else "free") + (f" ({whom})" if whom else "")


_WHO_CONFIRMS = {
    "always": "everybody",
    "unknown": "who never did from that address",
    "never": "nobody",
}


def _capacity(capacity: int | None, per: str) -> str:
    return counted(capacity, per, "people" if per == "person" else "") if capacity else "no limit"


def _confirmation(rule: Confirmation, *, limited: bool) -> str:
    who = _WHO_CONFIRMS[rule.needed]
    if rule.needed == "never":
        return who
    share = f"; {rule.held_percent}% held at most, {rule.source_percent}% by one source" if limited else ""
    return f"{who}, within {rule.within_hours} hours{share}"


def _contact(contact: Contact) -> str:
    return ", ".join(word for word in (contact.name, contact.email, contact.phone) if word)


def _theme(reference: ThemeReference) -> str:
    return f"{reference.theme}: {', '.join(reference.goals)}" if reference.goals else reference.theme


def _where(session: Occasion) -> str:
    if session.venue:
        return f"{session.venue.name}, {session.venue.address}"
    if session.online is None:
        return "–"
    known = [word for word in (session.online.platform, session.online.join_link) if word]
    return f"online: {', '.join(known)}" if known else "online"
