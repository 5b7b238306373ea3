"""``deelname mail``: what was mailed, what would be, and once more what failed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.desk import Desk, Speech, command, group
from cli.failure import USAGE, Failure
from contracts.commands import RetriedMail, RetryMail
from contracts.queries import MailList, MailPreview, MailPreviewQuestion, MailsQuestion

app = group("Mails: list them with their fate, preview one without sending it, retry what failed.")


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
        ["Mail", "Purpose", "Programme", "Session", "Status", "Due", "Attempts", "Answer"],
        [
            (m.mail, m.purpose, m.programme, m.session, m.status, m.due_at, m.attempts, m.answer or "")
            for m in answer.mails
        ],
        empty="No mail fits.",
    )


@command(
    app,
    "preview",
    examples=[
        "deelname mail preview 0198… --purpose confirmation",
        "deelname mail preview 0198… --purpose invitation --session aftrap --html mail.html --raw mail.eml",
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
            _write(path, text)
            desk.output.note(f"wrote {path}")
    if desk.output.as_json:
        desk.output.json(found)
        return
    desk.output.say(f"To:      {found.to}", "dim")
    desk.output.say(f"Subject: {found.subject}", "bold")
    desk.output.say("\n" + found.text)
    if found.calendar:
        desk.output.say("\n" + found.calendar.replace("\r\n", "\n"), "dim")


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


def _write(path: Path, text: str) -> None:
    try:
        # newline="": a message's own line ends (RFC 5322) stay as they are.
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.", "Choose another file.", code=USAGE) from None
