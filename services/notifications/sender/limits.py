"""
How many mails may go out: caps by the hour against mail bombs, and a pace that mail servers put up with.

Pure but for what the objects remember; no clock. Nothing here loses a mail: whoever may not go now is told when.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What may go out; 0 means no limit.

    Attributes:
        person: mails to one person within an hour.
        programme: mails of one programme within an hour.
        relay: mails a minute to the mail server.
        domain: mails a minute to addresses of one domain.
        domains: other numbers for some domains.
    """

    person: int = 0
    programme: int = 0
    relay: int = 0
    domain: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)

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

    def __init__(self, a_minute: int) -> None:
        self._each = _MINUTE / a_minute
        self._full_at: datetime | None = None
        self._turns: dict[int, datetime] = {}

    def turn(self, ordinal: int, now: datetime) -> datetime | None:
        """When this mail may go; None for now."""
        if (turn := self._turns.get(ordinal)) is not None:
            return turn if turn > now else None
        full_at = max(self._full_at or now, now) + self._each
        self._full_at = full_at
        turn = full_at - _MINUTE
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


@dataclass(slots=True)
class _Episode:
    since: datetime
    until: datetime


class Gate:
    """
    What decides whether a mail may go out now.

    Args:
        paced: whether mails go to a server that wants them slowly.
    """

    def __init__(self, limits: Limits, *, paced: bool = True) -> None:
        self._limits = limits
        self._paced = paced
        self._people = Window(limits.person)
        self._programmes = Window(limits.programme)
        self._relay = Bucket(limits.relay) if limits.relay else None
        self._domains: dict[str, Bucket] = {}
        self._capped: dict[str, _Episode] = {}

    def remember(self, sent: Iterable[tuple[datetime, str, str]]) -> None:
        """What went out before this process began: when, to whom, of which programme; the oldest first."""
        for at, person, programme in sent:
            self._people.add(person, at)
            self._programmes.add(programme, at)

    def passes(
        self, ordinal: int, person: str, programme: str, domain: str, now: datetime, *, again: bool = False
    ) -> Wait | None:
        """
        Whether a mail may go now; then it is counted.

        ``again``: it was tried before. The caps are about mails, so a further attempt at one does not count.
        """
        if not again and (wait := self._over(person, programme, now)):
            return wait
        if wait := self._too_fast(ordinal, domain, now):
            return wait
        if not again:
            self._people.add(person, now)
            self._programmes.add(programme, now)
        return None

    def capped(self, now: datetime, longer_than: timedelta = timedelta()) -> list[str]:
        """Whose cap holds mails back, and has done so for longer than this: ``person:<id>`` or ``programme:<id>``."""
        self._capped = {key: each for key, each in self._capped.items() if each.until + _MINUTE > now}
        return sorted(key for key, each in self._capped.items() if now - each.since >= longer_than)

    def _over(self, person: str, programme: str, now: datetime) -> Wait | None:
        for kind, key, window, most in (
            ("person", person, self._people, self._limits.person),
            ("programme", programme, self._programmes, self._limits.programme),
        ):
            if (until := window.full_until(key, now)) is not None:
                self.capped(now)
                self._capped.setdefault(f"{kind}:{key}", _Episode(now, until)).until = until
                what = "to this person" if kind == "person" else "of this programme"
                return Wait(until, f"waits: {most} mails {what} went out within an hour, which is the most")
        return None

    def _too_fast(self, ordinal: int, domain: str, now: datetime) -> Wait | None:
        if not self._paced:
            return None
        buckets = []
        if a_minute := self._limits.of_domain(domain):
            bucket = self._domains.get(domain) or self._domains.setdefault(domain, Bucket(a_minute))
            buckets.append(bucket)
            if (turn := bucket.turn(ordinal, now)) is not None:
                return Wait(turn, f"waits for its turn: {a_minute} mails a minute to one domain")
        if self._relay is not None:
            buckets.append(self._relay)
            if (turn := self._relay.turn(ordinal, now)) is not None:
                return Wait(turn, f"waits for its turn: {self._limits.relay} mails a minute to the mail server")
        for each in buckets:
            each.went(ordinal)
        return None

    def tidy(self, now: datetime) -> None:
        """Forget what is of no use any more."""
        if self._relay is not None:
            self._relay.tidy(now)
        self._domains = {domain: each for domain, each in self._domains.items() if each.tidy(now)}
