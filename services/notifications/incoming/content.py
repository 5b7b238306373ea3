"""What a mail that came in may say: small frozen data, which is all that leaves the process that read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """
    What became of a mail for one recipient (RFC 3464 §2.3). ``action`` is in lower case, addresses without type.

    ``diagnostic`` is what the refusing server said, ``words`` what the report says about the recipient to a person.
    """

    action: str
    status: str | None
    addresses: tuple[str, ...]
    diagnostic: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery status notification; ``message_ids`` are those of the mail that it returns."""

    recipients: tuple[RecipientReport, ...]
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OddReport:
    """
    A bounce in no standard's form: addresses that failed, for good or for now, and what is said about each.

    Without addresses there is one text, of a mail server that may say that a mail failed and does not say for whom.
    """

    addresses: tuple[str, ...]
    message_ids: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """
    One attendee's answer about one calendar item, its ``partstat`` in upper case (RFC 5545 §3.2.12).

    ``stamp`` is when the answer was made, or, from calendars that repeat it, when the invitation was; ``replied`` when
    somebody answered, as some calendars say besides. ``words`` are the person's own, as they were typed.
    """

    uid: str
    attendee: str
    partstat: str
    sequence: int
    stamp: datetime | None
    replied: datetime | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """
    Answers to invitations (RFC 5546 §3.2.3), as they stand in the mail.

    ``sender`` is the one address of the header From, if it has one, and ``date`` the mail's own.
    """

    sender: str | None
    answers: tuple[Answered, ...]
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Automatic:
    """An answering machine, or a receipt: nobody needs to read it. ``what`` says which, in English for staff."""

    what: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something that a person should look at; ``why`` says so in English, without quoting the mail."""

    why: str
    uids: tuple[str, ...] = ()


Content = Report | OddReport | Reply | Automatic | Unclear


@dataclass(frozen=True, slots=True)
class Read:
    """
    What a mail says, to whom its headers say that it goes, and every address that stands anywhere in it.

    ``sender`` is the one address of the header From, if it has one.
    """

    content: Content
    recipients: tuple[str, ...] = ()
    mentioned: frozenset[str] = frozenset()
    sender: str | None = None
