"""Questions to notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Identity, Language, Message, Slug

MailStatus = Literal["planned", "sending", "sent", "failed", "uncertain", "dropped"]


class MailsQuestion(Message):
    """Mails by any of these; the newest first."""

    programme: Slug | None = None
    enrolment: Identity | None = None
    person: Identity | None = None
    status: MailStatus | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class MailView(Message):
    """One mail and its fate."""

    mail: Identity
    purpose: Slug
    person: Identity
    programme: Slug | None = None
    enrolment: Identity | None = None
    session: Slug | None = None
    status: MailStatus
    due_at: datetime
    attempts: int
    message_id: str | None = None
    answer: str | None = Field(
        default=None, description="What the mail server last said, or why it was dropped or waits."
    )


class MailList(Message):
    """Mails."""

    mails: tuple[MailView, ...]


class MailPreviewQuestion(Message):
    """How a mail would look now, for an enrolment; nothing is sent."""

    enrolment: Identity
    purpose: Slug
    person: Identity | None = None
    session: Slug | None = None
    language: Language | None = None


class MailPreview(Message):
    """A mail that was not sent."""

    subject: str
    to: str
    text: str
    html: str
    calendar: str | None = None
    raw: str = Field(description="The whole message as it would go out (RFC 5322).")


class MailsExport(Message):
    """Everything that notifications keeps about a person (GDPR art. 15)."""

    person: Identity
    mails: tuple[MailView, ...]
    messages: tuple[str, ...] = Field(description="The mails as they went out (RFC 5322).")
