"""
How many mails may go out: caps by the hour against mail bombs, and a pace that mail servers put up with.

Mails that anybody may have caused share none of this with the others: they have caps of their own, and a share of the
pace that is reserved for them and that they cannot exceed (:mod:`services.notifications.sender.strangers`).

Pure but for what the objects remember; no clock. Nothing here loses a mail: whoever may not go now is told when.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.base import same_mailbox

HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
LARGEST_SHARE = 50
"""Percent that mails which anybody may have caused can have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What may go out; 0 means no limit.

    Attributes:
        person: mails to one mailbox within an hour.
        programme: mails of one programme within an hour.
        relay: mails a minute to the mail server.
        domain: mails a minute to addresses of one domain.
        domains: other numbers for some domains.
        strangers_percent: what mails that anybody may have caused may come to: as much of the pace, which is taken from
            that of the others, and as much of each number by the hour besides.
        strangers_domain: such mails to addresses of one domain within an hour.
    """

    person: int = 0
    programme: int = 0
    relay: int = 0
    domain: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    strangers_percent: int = 20
    strangers_domain: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.strangers_percent <= LARGEST_SHARE:
            raise ValueError(f"strangers have a share of 1 to {LARGEST_SHARE} percent")

    def of_domain(self, domain: str) -> int:
        """How many mails a minute this domain takes."""
        return self.domains.get(domain, self.domain)


class Window:
    """When things happened within the last hour, by key; and until when a key that is full has to wait."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def full_until(self, key: str, now: datetime) -> datetime | None:
        """When the next one may happen; None for now."""
        if not self._most:
            return None
        times = self._times.get(key)
        while times and times[0] + HOUR <= now:
            times.popleft()
        if not times:
            self._times.pop(key, None)
            return None
        return times[-self._most] + HOUR if len(times) >= self._most else None

    def add(self, key: str, at: datetime) -> None:
        """One happened."""
        if self._most:
            self._times[key].append(at)


class Bucket:
    """
    A token bucket that holds one minute's worth and gives out turns: who comes when it is empty is told a moment.

    Kept as the moment at which the bucket is full again, which is the same thing (virtual scheduling, ITU-T I.371).
    A turn once given is kept, so that who waited is not overtaken and waits once.
    """

    def __init__(self, a_minute: float) -> None:
        self._each = _MINUTE / a_minute
        self._full = max(_MINUTE, self._each)
        self._full_at: datetime | None = None
        self._turns: dict[int, datetime] = {}

    def turn(self, ordinal: int, now: datetime, before: datetime | None = None) -> datetime | None:
        """When this mail may go; None for now. A turn too late to be of use is named and not given."""
        if (turn := self._turns.get(ordinal)) is not None:
            return turn if turn > now else None
        full_at = max(self._full_at or now, now) + self._each
        turn = full_at - self._full
        if before is not None and turn >= before:
            return turn
        self._full_at = full_at
        # Also who may go now keeps the turn, until it went: another limit may stop it.
        self._turns[ordinal] = turn
        return turn if turn > now else None

    def went(self, ordinal: int) -> None:
        """The mail went out: a further attempt needs a turn of its own."""
        self._turns.pop(ordinal, None)

    def tidy(self, now: datetime) -> bool:
        """Forget turns of mails that were dropped meanwhile. Returns whether there is anything left to remember."""
        if self._turns:
            self._turns = {ordinal: turn for ordinal, turn in self._turns.items() if turn + HOUR > now}
        return bool(self._turns) or (self._full_at is not None and self._full_at > now)


@dataclass(frozen=True, slots=True)
class Wait:
    """A mail may not go out yet: until when, and why, in English for staff."""

    until: datetime
    reason: str


class Passenger(NamedTuple):
    """
    A mail that may have to wait.

    Attributes:
        address: to which it goes.
        again: it was tried before. The caps are about mails, so a further attempt at one does not count.
        before: it is of no use to anybody from then on.
    """

    ordinal: int
    person: str
    programme: str
    address: str
    again: bool = False
    before: datetime | None = None

    @property
    def mailbox(self) -> str:
        """Where it ends up, whatever tags the address has."""
        return same_mailbox(self.address)

    @property
    def domain(self) -> str:
        """Whose mail server takes it."""
        return domain_of(self.mailbox)


def domain_of(address: str) -> str:
    """What stands behind the @."""
    return address.rpartition("@")[2]


class Pace:
    """
    The turns of some of the mails, at the mail server and at each domain.

    Args:
        percent: of what the mail server and each domain take.
    """

    def __init__(self, limits: Limits, percent: int) -> None:
        self._limits = limits
        self._percent = percent
        self._relay = Bucket(limits.relay * percent / 100) if limits.relay else None
        self._domains: dict[str, Bucket] = {}

    def turn(self, mail: Passenger, now: datetime) -> Wait | None:
        """When the mail may go; None for now."""
        buckets = []
        domain = mail.domain
        if a_minute := self._limits.of_domain(domain) * self._percent / 100:
            bucket = self._domains.get(domain) or self._domains.setdefault(domain, Bucket(a_minute))
            buckets.append(bucket)
            if (turn := bucket.turn(mail.ordinal, now, mail.before)) is not None:
                return Wait(turn, f"waits for its turn: {a_minute:g} mails a minute to one domain")
        if self._relay is not None:
            buckets.append(self._relay)
            if (turn := self._relay.turn(mail.ordinal, now, mail.before)) is not None:
                a_minute = self._limits.relay * self._percent / 100
                return Wait(turn, f"waits for its turn: {a_minute:g} mails a minute to the mail server")
        for each in buckets:
            each.went(mail.ordinal)
        return None

    def tidy(self, now: datetime) -> None:
        """Forget what is of no use any more."""
        if self._relay is not None:
            self._relay.tidy(now)
        self._domains = {domain: each for domain, each in self._domains.items() if each.tidy(now)}


@dataclass(slots=True)
class _Episode:
    since: datetime
    until: datetime
    person: str


class Gate:
    """
    What decides whether a mail may go out now that is no stranger's: those have a gate of their own.

    Args:
        paced: whether mails go to a server that wants them slowly.
    """

    def __init__(self, limits: Limits, *, paced: bool = True) -> None:
        self._limits = limits
        self._mailboxes = Window(limits.person)
        self._programmes = Window(limits.programme)
        self._pace = Pace(limits, 100 - limits.strangers_percent) if paced else None
        self._capped: dict[tuple[str, str], _Episode] = {}

    def remember(self, at: datetime, programme: str, address: str | None) -> None:
        """What went out before this process began: the oldest first."""
        if address is not None:
            self._mailboxes.add(same_mailbox(address), at)
        self._programmes.add(programme, at)

    def passes(self, mail: Passenger, now: datetime) -> Wait | None:
        """Whether a mail may go now; then it is counted."""
        if not mail.again and (wait := self._over(mail, now)):
            return wait
        if self._pace is not None and (wait := self._pace.turn(mail, now)):
            return wait
        if not mail.again:
            self._mailboxes.add(mail.mailbox, now)
            self._programmes.add(mail.programme, now)
        return None

    def capped(self, now: datetime, longer_than: timedelta = timedelta()) -> list[str]:
        """
        Whose cap holds mails back, and has done so for longer than this: ``person:<id>`` or ``programme:<id>``.

        Of the people who share a mailbox it is the one whose mail waits; addresses are told to nobody.
        """
        self._capped = {key: each for key, each in self._capped.items() if each.until + _MINUTE > now}
        return sorted(
            f"{kind}:{each.person if kind == 'person' else key}"
            for (kind, key), each in self._capped.items()
            if now - each.since >= longer_than
        )

    def _over(self, mail: Passenger, now: datetime) -> Wait | None:
        for kind, key, window, most in (
            ("person", mail.mailbox, self._mailboxes, self._limits.person),
            ("programme", mail.programme, self._programmes, self._limits.programme),
        ):
            if (until := window.full_until(key, now)) is not None:
                self.capped(now)
                self._capped.setdefault((kind, key), _Episode(now, until, mail.person)).until = until
                what = "to this mailbox" if kind == "person" else "of this programme"
                return Wait(until, f"waits: {most} mails {what} went out within an hour, which is the most")
        return None

    def tidy(self, now: datetime) -> None:
        """Forget what is of no use any more."""
        if self._pace is not None:
            self._pace.tidy(now)
