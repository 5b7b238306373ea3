"""
How much may be kept for a person of what anybody may send.

Nothing that is kept is thrown away for what comes later: who writes most finds no room, and the mail server keeps what
that sender has to say. What is about a mail of ours has room that strangers cannot take.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Literal, NamedTuple, get_args

from services.chassis import metrics
from services.notifications import store
from services.notifications.store import Unread

MOST_UNREAD = 500_000_000
"""Octets of all mails together that are kept for a person."""

MOST_UNREAD_MAILS = 5_000

Share = Literal["all", "strangers", "sender"]

_PARTS_OF_STRANGERS = 3, 4
_PARTS_OF_ONE = 1, 10
_REMEMBERED = timedelta(hours=1)
_MOST_REMEMBERED = 10_000

_REFUSED = metrics.counter(
    "deelname_inbox_refused_mails",
    "Mails that a person would have had to look at, and that there was no room for, by whose room was taken.",
    ["share"],
)
for _share in get_args(Share):
    # A number that is first seen when it is 1 has not grown, says Prometheus.
    _REFUSED.labels(_share)


class Room(NamedTuple):
    """The most mails, and octets of them, that are kept for a person."""

    mails: int = MOST_UNREAD_MAILS
    octets: int = MOST_UNREAD

    def lacking(self, connection: Connection, whose: str, size: int, *, stranger: bool) -> Share | None:
        """
        Whose room does not suffice for one more; None where it is kept.

        Args:
            whose: the person that it is about, or else the fingerprint of its sender's address, "" where it has none.
            size: octets.
            stranger: it is about no mail of ours.
        """
        shares: tuple[tuple[Share, Unread, tuple[int, int]], ...] = (
            ("sender", store.unread_of(connection, whose), _PARTS_OF_ONE),
            ("strangers", store.unread_of_strangers(connection) if stranger else Unread(0, 0), _PARTS_OF_STRANGERS),
            ("all", store.unread(connection), (1, 1)),
        )
        return next((share for share, held, parts in shares if not self._takes(held, size, parts)), None)

    def _takes(self, held: Unread, size: int, parts: tuple[int, int]) -> bool:
        """Whether a share takes one more; one that is empty takes one of any size."""
        some, of = parts
        fits = (held.mails + 1) * of <= self.mails * some and (held.octets + size) * of <= self.octets * some
        return fits or (not held.mails and some < of)


class Refusals:
    """What was refused within the last hour because there was no room for it."""

    def __init__(self) -> None:
        self._moments: deque[tuple[datetime, Share]] = deque(maxlen=_MOST_REMEMBERED)

    def note(self, share: Share, now: datetime) -> None:
        """One was refused."""
        _REFUSED.labels(share).inc()
        self._moments.append((now, share))

    def told(self, now: datetime) -> str:
        """What was refused, in words for staff; "" where nothing was."""
        while self._moments and self._moments[0][0] <= now - _REMEMBERED:
            self._moments.popleft()
        if not self._moments:
            return ""
        shares = {share for _, share in self._moments}
        whose = "for all mails" if "all" in shares else "for strangers" if "strangers" in shares else "for one sender"
        return (
            f"how many mails that a person has to look at were not taken within the last hour: {len(self._moments)};"
            f" there is no more room {whose}"
        )
