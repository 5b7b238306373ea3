"""Which of two answers to an invitation holds, and what of them somebody is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.facts import InvitationAnswer
from services.chassis.state import State
from services.notifications.domain.entities import invitation_of

CLOCKS_DIFFER = timedelta(minutes=5)
"""A moment that lies further ahead of the arrival is a clock's mistake."""


class Given(NamedTuple):
    """
    When an answer was given.

    Attributes:
        sequence: of the invitation that it answers.
        stamp: when the answer was made.
        replied: when the person answered: the same, or what the calendar says besides.
        arrived: when it came in.
    """

    sequence: int
    stamp: datetime
    replied: datetime
    arrived: datetime

    @property
    def ahead(self) -> bool:
        """Whether it claims to be from a time that had not come yet."""
        return max(self.stamp, self.replied) > self.arrived + CLOCKS_DIFFER


def given(
    sequence: int, stamp: datetime | None, replied: datetime | None, *, invited: datetime | None, arrived: datetime
) -> Given:
    """
    When an answer was given, from what its calendar says.

    Some calendars repeat the invitation's DTSTAMP in every answer to it: that says nothing about when it was given.

    Args:
        stamp: the answer's DTSTAMP.
        replied: when the person answered, as the calendar or else the mail says.
        invited: the latest DTSTAMP of what was said about the item.
    """
    moment = replied or arrived
    own = stamp if stamp is not None and (invited is None or stamp > invited) else moment
    return Given(sequence, own, moment, arrived)


def overtakes(new: Given, old: Given) -> bool:
    """
    Whether an answer holds in place of the one that came in before it (RFC 5546 §2.1.5).

    Of two that are equally new the last one holds. Where one clock was ahead of the time and the other was not, they
    cannot be compared, and the last one holds too: else an answer from the year 2099 would be the last one ever.
    """
    if new.sequence != old.sequence:
        return new.sequence > old.sequence
    if new.ahead != old.ahead:
        return True
    return (new.stamp, new.replied) >= (old.stamp, old.replied)


@dataclass(frozen=True, slots=True)
class Intention:
    """
    What somebody last answered about a session.

    ``told`` is what the programme's contact was last told of it; ``told_by_this`` says that the mail in question is the
    one that told it. ``words`` came with the answer, as they were typed.
    """

    uid: str
    session: str
    answer: InvitationAnswer
    words: str = ""
    told: InvitationAnswer | None = None
    told_by_this: bool = False

    @property
    def news(self) -> bool:
        """Whether the contact should hear of it: who declines, and who comes after that was told."""
        if self.told_by_this:
            return self.told == self.answer
        return (self.answer == "declined") != (self.told == "declined")


def to_tell(
    state: State, programme: str, person: str, answers: Iterable[Intention], now: datetime
) -> tuple[Intention, ...]:
    """What of a person's answers the programme's contact should hear: about sessions that are still to come."""
    return tuple(each for each in answers if each.news and _stands(state, programme, person, each, now))


def _stands(state: State, programme: str, person: str, answer: Intention, now: datetime) -> bool:
    item = invitation_of(state, programme, person, answer.session)
    return item is not None and item.standing and item.uid == answer.uid and not item.occasion.is_over(now)
