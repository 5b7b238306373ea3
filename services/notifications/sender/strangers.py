"""
What may go out of the mails that anybody may have caused, by typing addresses into a public page.

Pure but for what the object remembers; no clock. Each mail is given an hour as soon as it is looked at: of ten thousand
mails none is looked at again before it can go, and one that could not go while it is of use is known at once.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from contracts.base import same_mailbox
from services.notifications.sender.limits import HOUR, Limits, Pace, Passenger, Wait, domain_of

HORIZON = timedelta(hours=48)
"""How far ahead hours are given to mails that are of use for ever."""


class Hours:
    """How many mails were given each hour of the clock, by key."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._given: Counter[tuple[str, datetime]] = Counter()

    def full(self, key: str, hour: datetime) -> bool:
        """Whether the hour takes no more."""
        return bool(self.most) and self._given[key, hour] >= self.most

    def give(self, key: str, hour: datetime) -> None:
        """One more mail goes in this hour."""
        if self.most:
            self._given[key, hour] += 1

    def tidy(self, hour: datetime) -> None:
        """Forget the hours before this one."""
        self._given = Counter({key: number for key, number in self._given.items() if key[1] >= hour})


class Strangers:
    """
    What decides whether such a mail may go out now.

    Args:
        paced: whether mails go to a server that wants them slowly.
    """

    def __init__(self, limits: Limits, *, paced: bool = True) -> None:
        percent = limits.strangers_percent
        self._mailboxes = Hours(_share(limits.person, percent))
        self._domains = Hours(limits.strangers_domain)
        self._programmes = Hours(_share(limits.programme, percent))
        self._pace = Pace(limits, percent) if paced else None
        self._given: dict[int, datetime] = {}
        self._tidied: datetime | None = None

    def remember(self, at: datetime, programme: str, address: str | None) -> None:
        """What went out before this process began."""
        hour = _hour(at)
        if address is not None:
            mailbox = same_mailbox(address)
            self._mailboxes.give(mailbox, hour)
            self._domains.give(domain_of(mailbox), hour)
        self._programmes.give(programme, hour)

    def passes(self, mail: Passenger, now: datetime) -> Wait | None:
        """Whether a mail may go now; it is counted when its hour is given."""
        if not mail.again and (wait := self._not_yet(mail, now)):
            return wait
        if self._pace is not None and (wait := self._pace.turn(mail, now)):
            return wait
        self._given.pop(mail.ordinal, None)
        return None

    def _not_yet(self, mail: Passenger, now: datetime) -> Wait | None:
        this = _hour(now)
        given = self._given.get(mail.ordinal)
        if given is not None and given >= this:
            return Wait(given, "waits for the hour that it was given") if given > this else None
        limits = (
            (self._mailboxes, mail.mailbox, "to one mailbox"),
            (self._domains, mail.domain, "to one domain"),
            (self._programmes, mail.programme, "of one programme"),
        )
        end = now + HORIZON if mail.before is None else mail.before
        hour, reason = this, ""
        while hour < end:
            full = next((each for each in limits if each[0].full(each[1], hour)), None)
            if full is None:
                for hours, key, _ in limits:
                    hours.give(key, hour)
                self._given[mail.ordinal] = hour
                return Wait(hour, reason) if hour > this else None
            hours, _, what = full
            reason = f"waits: {hours.most} mails {what} an hour are the most that people who are not known may cause"
            hour += HOUR
        return Wait(end, reason)

    def tidy(self, now: datetime) -> None:
        """Forget what is of no use any more."""
        if self._pace is not None:
            self._pace.tidy(now)
        if (hour := _hour(now)) != self._tidied:
            self._tidied = hour
            self._given = {ordinal: given for ordinal, given in self._given.items() if given >= hour}
            for each in (self._mailboxes, self._domains, self._programmes):
                each.tidy(hour)


def _share(most: int, percent: int) -> int:
    return max(1, most * percent // 100) if most else 0


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
