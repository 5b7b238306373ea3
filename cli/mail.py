"""``deelname mail``: what was mailed, what would be, and once more what failed."""

from __future__ import annotations

import base64
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from cli import private
from cli.connection import Connection
from cli.desk import Desk, Speech, command, group
from cli.failure import USAGE, Failure
from cli.reading import typed_or_octets
from contracts.base import EmailAddress
from contracts.commands import (
    LARGEST_RAW,
    AddSuppression,
    Dismissed,
    DismissReceived,
    LiftSuppression,
    ReceivedMail,
    ReceiveMail,
    ResendMail,
    ResentMail,
    RetriedMail,
    RetryMail,
    Suppressed,
)
from contracts.queries import (
    Everything,
    MailList,
    MailPreview,
    MailPreviewQuestion,
    MailsQuestion,
    ReceivedList,
    ReceivedMailQuestion,
    ReceivedMessage,
    ReceivedQuestion,
    SuppressionList,
)

_LARGEST_MAIL = 64 * 1024 * 1024
_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)

app = group("Mails: list them with their fate, preview one without sending it, retry what failed, see what came back.")


class Fate(StrEnum):
    """What can become of a mail."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DROPPED = "dropped"


@command(
    app, "list", examples=["deelname mail list --programme gezinsaanpak-2023", "deelname mail list --status failed"]
)
def list_(
    desk: Desk,
    *,
    programme: Annotated[str | None, typer.Option(help="Only of this programme.")] = None,
    enrolment: Annotated[str | None, typer.Option(help="Only of this enrolment.")] = None,
    person: Annotated[str | None, typer.Option(help="Only to this person (id).")] = None,
    status: Annotated[Fate | None, typer.Option(help="Only with this fate.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
) -> None:
    """Mails and their fate, the newest first."""
    question = MailsQuestion.model_validate(
        {
            "programme": programme,
            "enrolment": enrolment,
            "person": person,
            "status": status and status.value,
            "limit": limit,
        }
    )
    with desk.connect() as connection:
        answer = connection.ask("notifications", "mail", "list", question, MailList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        f"Mails ({len(answer.mails)})",
        ["Mail", "Purpose", "Programme", "Session", "Person", "Status", "Due", "Attempts", "Answer"],
        [
            (m.mail, m.purpose, m.programme, m.session, m.person, m.status, m.due_at, m.attempts, m.answer or "")
            for m in answer.mails
        ],
        empty="No mail fits.",
        # Why one waits or failed stands in its answer.
        spare=("Person", "Attempts", *(("Answer",) if all(m.status == "sent" for m in answer.mails) else ())),
    )


@command(
    app,
    "preview",
    examples=[
        "deelname mail preview 0198… --purpose confirmation",
        "deelname mail preview 0198… --purpose invite --session aftrap --html mail.html --raw mail.eml",
    ],
)
def preview(
    desk: Desk,
    enrolment: Annotated[str, typer.Argument(metavar="ENROLMENT", help="The enrolment's id.")],
    *,
    purpose: Annotated[str, typer.Option(help="What the mail is for, such as confirmation.")],
    person: Annotated[str | None, typer.Option(help="To whom (id). Default: the first participant.")] = None,
    session: Annotated[str | None, typer.Option(help="About which session, for an invitation.")] = None,
    to_language: Annotated[
        Speech | None, typer.Option("--mail-language", help="In another language than the person's.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the HTML part here.")] = None,
    raw: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the whole message here (.eml).")] = None,
) -> None:
    """How a mail would look now; nothing is sent."""
    question = MailPreviewQuestion.model_validate(
        {
            "enrolment": enrolment,
            "purpose": purpose,
            "person": person,
            "session": session,
            "language": to_language and to_language.value,
        }
    )
    with desk.connect() as connection:
        found = connection.ask("notifications", "mail", "preview", question, MailPreview)
    for path, text in ((html, found.html), (raw, found.raw)):
        if path:
            _write(path, text.encode())
            desk.output.note(f"wrote {path}")
    if desk.output.as_json:
        desk.output.json(found)
        return
    desk.output.say(f"To:      {found.to}", "dim")
    desk.output.say(f"Subject: {found.subject}", "bold")
    desk.output.say("\n" + found.text)
    if found.calendar:
        desk.output.say("\n" + found.calendar.replace("\r\n", "\n"), "dim")


@command(app, "resend", examples=["deelname mail resend 0198…"])
def resend(
    desk: Desk,
    mail: Annotated[str, typer.Argument(metavar="MAIL", help="The mail's id, as 'deelname mail list' shows.")],
) -> None:
    """Send a new copy of a mail that went out, on purpose: from what is so now, to the address as it is now."""
    with desk.connect() as connection:
        result = connection.do("notifications", "mail", "resend", ResendMail(mail=mail, id=str(uuid4())), ResentMail)
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(f"✓ A new copy of {result.copy_of} goes out. It is mail {result.mail}.")


@command(app, "retry", examples=["deelname mail retry 0198…"])
def retry(
    desk: Desk,
    mail: Annotated[str, typer.Argument(metavar="MAIL", help="The mail's id, as 'deelname mail list' shows.")],
) -> None:
    """Send a mail that failed, or whose fate is unknown, once more with the same bytes and Message-ID."""
    with desk.connect() as connection:
        result = connection.do("notifications", "mail", "retry", RetryMail(mail=mail), RetriedMail)
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(f"✓ {result.mail} is due again")


@command(
    app,
    "receive",
    examples=["deelname mail receive bounce.eml", "deelname mail receive - --recipient bounce@example.org"],
)
def receive(
    desk: Desk,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The mail as it came (RFC 5322); - reads it here.")],
    *,
    recipient: Annotated[
        str | None, typer.Option(help="To whom the envelope addressed it. Default: what its headers say.")
    ] = None,
) -> None:
    """Hand a mail over that came back: a bounce, or an answer to an invitation."""
    raw = typed_or_octets(file, _LARGEST_MAIL)
    if not raw.strip():
        raise Failure(f"{file} is empty.", "Give the whole mail as it came, its headers first.", code=USAGE)
    if len(raw) > LARGEST_RAW:
        raise Failure(
            f"The mail has {len(raw)} octets; {LARGEST_RAW} fit into a message of the broker.",
            "Let the mail server hand it over by LMTP (DEELNAME_INBOX).",
            code=USAGE,
        )
    handed = ReceiveMail.model_validate({"raw": base64.b64encode(raw).decode(), "recipient": recipient})
    with desk.connect() as connection:
        result = connection.do("notifications", "mail", "receive", handed, ReceivedMail)
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(f"✓ {result.kind}: {result.note}" + (f" (mail {result.mail})" if result.mail else ""))
    if result.kind == "unknown":
        desk.output.next(f"deelname mail received {result.received}", f"deelname mail dismiss {result.received}")


@command(app, "received", examples=["deelname mail received --unread", "deelname mail received 12 --raw mail.eml"])
def received(
    desk: Desk,
    number: Annotated[int | None, typer.Argument(metavar="NUMBER", help="One of them, to write it out.")] = None,
    *,
    unread: Annotated[bool, typer.Option("--unread", help="Only what waits for a person.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    raw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the mail here (.eml), not to the screen.")
    ] = None,
) -> None:
    """What came back by mail and what was made of it, the newest first."""
    if number is not None:
        with desk.connect() as connection:
            content = _fetched(connection, number)
        if raw:
            _write(raw, content)
            desk.output.note(f"wrote {raw}")
        if desk.output.as_json:
            desk.output.json(ReceivedMessage(raw=base64.b64encode(content).decode(), size=len(content)))
        elif not raw:
            desk.output.say(content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").expandtabs())
        return
    with desk.connect() as connection:
        answer = connection.ask(
            "notifications", "received", "list", ReceivedQuestion(unread=unread, limit=limit), ReceivedList
        )
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        f"Received ({len(answer.received)})",
        ["Number", "At", "Kind", "What was made of it", "Mail", "Person", "Octets kept"],
        [(r.received, r.at, r.kind, r.note, r.mail, r.person, r.size) for r in answer.received],
        empty="Nothing waits for a person." if unread else "Nothing came back.",
    )


@command(app, "dismiss", examples=["deelname mail dismiss 12", "deelname mail dismiss 12 13 14"])
def dismiss(
    desk: Desk,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="As 'deelname mail received' shows them.")],
) -> None:
    """Say that mails which waited for a person are dealt with: what they say is forgotten."""
    asked = DismissReceived.model_validate({"received": numbers})
    with desk.connect() as connection:
        result = connection.do("notifications", "received", "dismiss", asked, Dismissed)
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(
        f"✓ dealt with: {result.changed}" if result.changed else "Nothing is kept under these numbers: nothing changed"
    )


@command(app, "suppressed", examples=["deelname mail suppressed"])
def suppressed(desk: Desk) -> None:
    """Addresses to which nothing is sent, by whose they are, the newest first."""
    with desk.connect() as connection:
        answer = connection.ask("notifications", "suppression", "list", Everything(), SuppressionList)
    if desk.output.as_json:
        desk.output.json(answer)
        return
    desk.output.table(
        f"Suppressed ({len(answer.suppressed)})",
        ["Person", "Since", "By", "Code", "Reason"],
        [(s.person, s.since, s.source, s.status, s.reason) for s in answer.suppressed],
        empty="Every address is mailed.",
    )


@command(app, "suppress", examples=['deelname mail suppress 0198… --reason "asked by telephone"'])
def suppress(
    desk: Desk,
    whom: Annotated[str, typer.Argument(metavar="PERSON|ADDRESS", help="A person's id, or an address.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for colleagues. No personal data.")],
) -> None:
    """Send nothing more to an address, until somebody lifts that."""
    asked = AddSuppression.model_validate({**_whose(whom), "reason": reason})
    with desk.connect() as connection:
        result = connection.do("notifications", "suppression", "add", asked, Suppressed)
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say("✓ suppressed" if result.changed else "✓ it was suppressed already")


@command(app, "lift", examples=["deelname mail lift 0198…", "deelname mail lift noor@bibliotheek.example"])
def lift(
    desk: Desk,
    whom: Annotated[str, typer.Argument(metavar="PERSON|ADDRESS", help="A person's id, or an address.")],
) -> None:
    """Send to an address again; 'deelname mail retry' sends what failed meanwhile."""
    with desk.connect() as connection:
        result = connection.do(
            "notifications", "suppression", "lift", LiftSuppression.model_validate(_whose(whom)), Suppressed
        )
    if desk.output.as_json:
        desk.output.json(result)
    desk.output.say(
        "✓ lifted: mails go to it again; 'deelname mail retry' sends what failed"
        if result.changed
        else "✓ nothing was suppressed: 'deelname mail suppressed' lists what is"
    )


def _whose(whom: str) -> dict[str, str]:
    if "@" not in whom:
        return {"person": whom}
    try:
        return {"email": _ADDRESS.validate_python(whom)}
    except ValidationError:
        raise Failure(
            f"'{whom}' is no address.", "Write it as noor@bibliotheek.example, or give a person's id.", code=USAGE
        ) from None


def _fetched(connection: Connection, number: int) -> bytes:
    """A mail that is kept, piece by piece: a large one fits into no answer."""
    content = b""
    while True:
        question = ReceivedMailQuestion(received=number, begin=len(content))
        piece = connection.ask("notifications", "received", "get", question, ReceivedMessage)
        fresh = base64.b64decode(piece.raw)
        content += fresh
        if not fresh or len(content) >= (piece.size or 0):
            return content


def _write(path: Path, content: bytes) -> None:
    try:
        private.export(path, content)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.", "Choose another file.", code=USAGE) from None
