"""Questions to notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Identity, Language, Message, Slug
from contracts.facts import DeliveryVerdict

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
    verdict: DeliveryVerdict | None = Field(
        default=None, description="What it says about the address, where a mail server refused it or it came back."
    )
    copy_of: Identity | None = Field(default=None, description="The mail of which somebody wanted a new copy.")


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


ReceivedKind = Literal["bounce", "delayed", "reply", "automatic", "unknown"]
"""What came back: only what is ``unknown`` waits for a person."""


class ReceivedQuestion(Message):
    """Mails that came back, the newest first; ``unread`` asks only for those that nobody but a person understands."""

    unread: bool = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ReceivedView(Message):
    """One mail that came back and what was made of it."""

    received: int
    at: datetime
    kind: ReceivedKind
    note: str
    mail: Identity | None = None
    person: Identity | None = None
    size: int | None = Field(default=None, description="Octets of the message, where it is kept.")


class ReceivedList(Message):
    """Mails that came back; ``unread`` is how many are kept for a person, however many are listed."""

    received: tuple[ReceivedView, ...]
    unread: int | None = None


class ReceivedMailQuestion(Message):
    """
    One mail that came back, by its number in the list.

    With ``begin`` a piece of it, from this octet on: as much as fits into an answer.
    """

    received: int
    begin: Annotated[int, Field(ge=0, le=2**31)] | None = None


class ReceivedMessage(Message):
    """A mail that came back, or a piece of it, as it came (RFC 5322), in base64; ``size`` has all of it in octets."""

    raw: str
    size: int | None = None


class SuppressionView(Message):
    """
    An address to which nothing is sent. The address itself is not kept, only whether another is the same.

    ``person`` is whose it is, as far as that is known; ``status`` an enhanced status code (RFC 3463).
    """

    person: Identity | None = None
    since: datetime
    source: Literal["smtp", "bounce", "staff"]
    reason: str
    status: str | None = None


class SuppressionList(Message):
    """Addresses to which nothing is sent, the newest first."""

    suppressed: tuple[SuppressionView, ...]


class AnswerView(Message):
    """What a person's calendar last answered to an invitation."""

    programme: Slug
    session: Slug
    answer: Literal["accepted", "tentative", "declined"]
    at: datetime
    words: str | None = Field(default=None, description="What came with it, in the person's own words.")


class MailsExport(Message):
    """Everything that notifications keeps about a person (GDPR art. 15)."""

    person: Identity
    mails: tuple[MailView, ...]
    messages: tuple[str, ...] = Field(description="The mails as they went out (RFC 5322).")
    received: tuple[str, ...] = Field(default=(), description="Mails that came back and are kept (RFC 5322).")
    suppressed: tuple[SuppressionView, ...] = ()
    answers: tuple[AnswerView, ...] = ()
