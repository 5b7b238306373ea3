"""
How a programme and its enrolments stand: the fold of its facts.

Named tuples, not frozen dataclasses: both are immutable, and these are made and copied in a quarter of the time, which
is what an enrolment does most.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from rpds import HashTrieMap

from contracts.base import Text
from contracts.enrolment import Channel, EnrolmentStatus, MissingSeat, Participant, Reason
from contracts.moments import start_of
from contracts.programme import Programme, TeamRule
from contracts.session import Session


class Enrolment(NamedTuple):
    """One enrolment: a person, a group or a team that came in together and moves together."""

    id: str
    number: int
    """The order in which enrolments were made: the version of the programme at which this one was."""
    status: EnrolmentStatus
    organisation: str | None
    units: int
    participants: tuple[Participant, ...]
    channel: Channel
    source: str
    missing: tuple[MissingSeat, ...] = ()
    complete_by: datetime | None = None
    price: Decimal | None = None
    team: TeamRule | None = None
    """What it has to fill: the team rule of when it was asked for, less what later ones no longer ask."""
    reasons: tuple[Reason, ...] = ()
    """Why it stands so: the failed rules of a refusal, or the last promotion or pass-over."""
    awaited: tuple[Participant, ...] = ()
    """Those who have yet to confirm: they are not in yet."""
    held: int = 0
    """Units that are kept free for them."""
    confirm_by: datetime | None = None
    """Until when."""

    @property
    def active(self) -> bool:
        """Whether it has a place or waits for one."""
        return self.status in ("confirmed", "waiting")

    def participant(self, person: str) -> Participant | None:
        """The part that a person has in it."""
        return next((participant for participant in self.participants if participant.person == person), None)


class ProgrammeState(NamedTuple):
    """
    A programme as its facts have made it; ``version`` counts them.

    The maps are persistent (rpds), so that a new state shares all but what changed with the one before it. They have no
    order of their own: whoever shows them sorts.
    """

    id: str
    version: int = 0
    definition: Programme | None = None
    withdrawn: bool = False
    why_withdrawn: Text | None = None
    cancelled: tuple[Session, ...] = ()
    """Sessions that do not take place, as they were when they were cancelled."""
    confirmed: int = 0
    """Units that have a place."""
    enrolments: HashTrieMap[str, Enrolment] = HashTrieMap()
    persons: HashTrieMap[str, str] = HashTrieMap()
    """Who is in an active enrolment, and in which."""
    waiting: HashTrieMap[int, str] = HashTrieMap()
    """The waiting list: enrolment ids by their number."""
    organisations: HashTrieMap[str, int] = HashTrieMap()
    """Units in active enrolments by organisation."""
    deadlines: HashTrieMap[str, datetime] = HashTrieMap()
    """Enrolments in which something must have happened by a moment: a team be complete, somebody have confirmed."""
    awaited: HashTrieMap[str, str] = HashTrieMap()
    """Who has yet to confirm, and in which enrolment."""
    held: int = 0
    """Units that are kept free for them."""
    closed: datetime | None = None
    """Since when the staff have let it be over."""

    @property
    def free(self) -> int | None:
        """Units that are neither given out nor held; None without a limit."""
        if self.definition is None or self.definition.enrolment.capacity is None:
            return None
        return max(0, self.definition.enrolment.capacity - self.confirmed - self.held)

    def fits(self, units: int) -> bool:
        """Whether so many units are free."""
        return self.free is None or units <= self.free

    def queue(self) -> list[Enrolment]:
        """Who waits, in order."""
        return [self.enrolments[self.waiting[number]] for number in sorted(self.waiting)]

    def place(self, enrolment: str) -> int | None:
        """The place of an enrolment in the waiting list, from 1; None if it does not wait."""
        entry = self.enrolments.get(enrolment)
        if entry is None or entry.status != "waiting":
            return None
        return sum(1 for number in self.waiting if number <= entry.number)

    def awaiting(self) -> list[Enrolment]:
        """The enrolments in which somebody has yet to confirm, in order."""
        return sorted((self.enrolments[id_] for id_ in set(self.awaited.values())), key=lambda one: one.number)

    @property
    def next_lapse(self) -> datetime | None:
        """When the first of those who have yet to confirm must have done so; None where nobody is awaited."""
        return min((one.confirm_by for one in self.awaiting() if one.confirm_by is not None), default=None)

    def is_over(self, now: datetime) -> bool:
        """Whether its last session has ended, or the staff closed it."""
        return self.over_since is not None and self.over_since <= now

    @property
    def over_since(self) -> datetime | None:
        """The end of the last session; while one has no date, or there is none, when the staff closed it, or None."""
        ends = [session.finishes for session in self.definition.sessions] if self.definition else []
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else self.closed

    def has_begun(self, now: datetime) -> bool:
        """Whether its first dated session has started."""
        starts = [session.begins for session in self.definition.sessions] if self.definition else []
        return any(start is not None and start <= now for start in starts)

    @property
    def freeze(self) -> datetime | None:
        """
        The moment from which nobody is promoted automatically.

        The waiting list's own freeze, or else the start of the first dated session: a place that comes free while the
        others sit at the table helps nobody.
        """
        if self.definition is None:
            return None
        waiting_list = self.definition.enrolment.waiting_list
        if waiting_list and waiting_list.freeze:
            return start_of(waiting_list.freeze)
        return min((start for session in self.definition.sessions if (start := session.begins)), default=None)
