"""What notifications is told to do, and how it answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contracts.base import EmailAddress, Identity, Line, Message
from contracts.choices import Choice, Choosing
from contracts.commands.base import Command
from contracts.queries import ReceivedKind

LARGEST_RAW = 700_000
"""Octets of a mail that fits into one message of the broker (``max_payload`` is 1 MiB, base64 takes a third more)."""


class RetryMail(Command):
    """Send a mail that failed, or whose fate is unknown, once more, with the same bytes and Message-ID."""

    mail: Identity


class ResendMail(Command):
    """
    Send a new copy of a mail that went out, on purpose: from what is so now, to the address as it is now.

    A copy is a mail of its own, with a Message-ID of its own; ``mail.sent`` names the mail of which it is one.
    """

    mail: Identity


class ReceiveMail(Command):
    """
    Hand a mail over that came back: a bounce, or an answer to an invitation.

    ``recipient`` is the envelope's recipient (RFC 5321), where it is known; else the headers are searched for it.
    """

    raw: Annotated[
        str, Field(min_length=1, max_length=LARGEST_RAW * 4 // 3 + 4, description="The message (RFC 5322), in base64.")
    ]
    recipient: EmailAddress | None = None


class DismissReceived(Command):
    """
    Mails that came back and were kept for a person need not be any more: somebody has dealt with them.

    What they say is forgotten; that they came, and what was made of them, is not.
    """

    received: Annotated[tuple[int, ...], Field(min_length=1, max_length=1000)]


class SuppressionCommand(Command, Choosing):
    """A command about one address, named by itself or by the person whose it is."""

    choices = (
        Choice(
            ("person", "email"),
            "Name the address by 'person' (an id) or by 'email', and not by both.",
            "Noem het adres met 'person' (een id) of met 'email', en niet met allebei.",
        ),
    )

    person: Identity | None = None
    email: EmailAddress | None = None


class AddSuppression(SuppressionCommand):
    """Send nothing more to an address, whoever has it."""

    reason: Line


class LiftSuppression(SuppressionCommand):
    """Send to an address again; what was not sent meanwhile is sent by ``mail.retry``."""


class RetriedMail(Message):
    """The mail is due again."""

    mail: Identity


class ResentMail(Message):
    """A copy is due: ``mail`` is the copy's own id."""

    mail: Identity
    copy_of: Identity


class ReceivedMail(Message):
    """What a mail that came back was understood as; ``received`` is its number in the list of received mails."""

    received: int
    kind: ReceivedKind
    note: str
    mail: Identity | None = None


class Dismissed(Message):
    """How many of the mails were still kept."""

    changed: int


class Suppressed(Message):
    """How many addresses are suppressed or lifted; 0 where it was so already."""

    changed: int
