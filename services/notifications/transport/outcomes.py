"""What became of one attempt to deliver one mail, and when to try again (RFC 5321 §4.2, RFC 3463)."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.notifications.domain.bouncing import Verdict

WAITS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
)
"""How long to wait after the first, second … attempt; after the last one it stays at that."""

SPREAD = 0.1
"""The part of a wait that jitter adds or takes away, so that mails held up together do not come back together."""

GIVE_UP_AFTER = timedelta(hours=48)

LONGEST_KEPT = 1000
"""Characters of a reply that are kept with the mail, at every attempt; a server may say 30 times that."""

SERVICE_NOT_AVAILABLE = 421

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\d)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer. `code` is None where no server spoke; `status` is its enhanced code, such as "5.1.1".

    `text` may name the recipient: only `code` and `status` may go to a log or a fact. `general`: it was given before
    the server was told whom the mail is for.
    """

    text: str
    code: int | None = None
    status: str | None = None
    general: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, code: int, text: str) -> "Reply":
        """The reply of a server, its enhanced status code read from the text (RFC 2034)."""
        status = _STATUS.match(text)
        return cls(text[:LONGEST_KEPT], code, status[0] if status else None)

    def __str__(self) -> str:
        parts = (str(self.code) if self.code is not None else "", self.text)
        return " ".join(part for part in parts if part)

    @property
    def of_the_server(self) -> bool:
        """Whether it is about the server or us, whoever the mail is for: nobody spoke, or whoever did takes no mail."""
        return self.general or self.code is None or self.code == SERVICE_NOT_AVAILABLE

    @property
    def unquoting(self) -> str:
        """The reply without what could name the recipient."""
        if self.code is None or self.general:
            return str(self)
        return " ".join(part for part in (str(self.code), self.status or "") if part)


@dataclass(frozen=True, slots=True)
class Sent:
    """The relay took responsibility for the mail."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: 4xx, or a connection that failed before the hand-over. The same bytes go again `after` a while."""

    reply: Reply
    after: timedelta

    @property
    def unreached(self) -> str:
        """Why the server takes no mail at all, "" where it answered for this one. Never names a person."""
        return self.reply.unquoting if self.reply.of_the_server else ""


@dataclass(frozen=True, slots=True)
class Failed:
    """This mail will not arrive. `verdict`: what a refusal says about the address; None where no server refused it."""

    reply: Reply
    verdict: Verdict | None = None
    permanent: bool = True

    @property
    def suppress(self) -> bool:
        """Whether the address does not exist: nothing more should go to it."""
        return self.verdict == "gone"


@dataclass(frozen=True, slots=True)
class Fault:
    """The relay refuses us, not this mail: wrong password, sender or certificate. Stop the queue and call a person."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Uncertain:
    """No answer after the final dot: it may have arrived. A later attempt has to carry the same Message-ID."""

    reason: str


Outcome = Sent | Retry | Failed | Fault | Uncertain


class Transport(Protocol):
    """A way out for mails. Opened once, used by many tasks at the same time, closed once."""

    async def open(self) -> None:
        """Makes ready. Raises OSError or ValueError for settings that cannot work."""

    async def close(self) -> None:
        """Ends what is open. Deliveries under way are ended first by their callers."""

    async def deliver(
        self,
        envelope_from: str,
        recipient: str,
        raw: bytes,
        message_id: str,
        *,
        attempt: int = 1,
        jitter: float = 0.0,
    ) -> Outcome:
        """Tries once to deliver the stored bytes of one mail to one recipient.

        `attempt` counts from 1 and `jitter` lies in -1 to 1: both only decide the wait of a `Retry`.
        Never raises for what a server or a disk does; raises ValueError for an address that is not one.
        """


def wait(attempt: int, jitter: float = 0.0) -> timedelta:
    """How long to wait after the `attempt`-th attempt (from 1), `jitter` from -1 to 1 spreading it by a tenth."""
    return WAITS[min(max(attempt, 1), len(WAITS)) - 1] * (1 + SPREAD * max(-1.0, min(1.0, jitter)))


def next_try(retry: Retry, *, now: datetime, first: datetime, not_after: datetime | None = None) -> datetime | None:
    """When to try again, or None to give up: after 48 hours since the `first` attempt, or once it is `not_after`.

    `not_after` is the start of the session that the mail is about: an invitation to a meeting that began helps nobody.
    """
    at = now + retry.after
    last = first + GIVE_UP_AFTER
    if not_after is not None and not_after < last:
        last = not_after
    return at if at <= last else None
