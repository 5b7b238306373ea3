"""
What a calendar is told: settled when a mail is written, by comparing the item as it stands with what was told last.

Planning only notes that an item changed. So however many changes came together, whatever went out, failed or may have
arrived in between, one mail takes the calendar from what it was told last to what is so now (RFC 5546 §3.2.2.1).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.session import Occasion
from services.notifications.domain.entities import Invitation, same_for_an_agenda
from services.notifications.domain.mails import CANCELS, Appointment, Planned
from services.notifications.letters import Purpose


class Said(NamedTuple):
    """What one mail said about an item. ``perhaps``: an earlier attempt to send it may have arrived."""

    purpose: Purpose
    appointment: Appointment
    perhaps: bool = False


class History(NamedTuple):
    """
    What was written about one calendar item until now.

    Attributes:
        told: the last that may have arrived: sent, or nobody can know.
        before: what was told before that, as far as a calendar may still show it because the last may be lost.
        own: what an earlier attempt of the mail in question said.
        sequence: the highest SEQUENCE ever written, also into mails that certainly never arrived.
        stamp: the latest DTSTAMP ever written.
    """

    told: Said | None = None
    own: Said | None = None
    sequence: int | None = None
    stamp: datetime | None = None
    before: tuple[Said, ...] = ()

    @property
    def shown(self) -> list[Occasion]:
        """The times and places at which a calendar may show the item."""
        told = (self.told, *self.before) if self.told is not None else ()
        return [each.appointment.occasion for each in told if each.purpose not in CANCELS]


NOTHING = History()


@dataclass(frozen=True, slots=True)
class Pointless:
    """The mail should not go out; the reason is English for staff."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """The fold has not got as far as the fact that the mail follows from: look again in a moment."""


def settle(item: Invitation | None, mail: Planned, history: History, now: datetime) -> Planned | Pointless | Unread:
    """
    The mail with what it says about its calendar item, as of now.

    What an earlier attempt said is repeated while it is still so. A SEQUENCE never falls and a DTSTAMP always rises,
    also beyond what certainly never arrived; an item of which nothing was told begins with a plain invitation.

    Args:
        item: the newest item of this person and session in the fold.
        mail: one that is about a calendar item.
    """
    planned = mail.detail.appointment
    if planned is None:
        if mail.purpose == "invite" and not mail.detail.again:
            return Pointless("the person was never told that the session is off")
        return mail
    if item is None or (item.uid == planned.uid and item.sequence < planned.sequence):
        return Unread()
    told, own = history.told, history.own
    if _over(item, history, now, cancels=mail.purpose in CANCELS):
        return Pointless("the session is over")
    if mail.purpose in CANCELS:
        if own is not None:
            return _saying(mail, own.purpose, own.appointment)
        if told is None:
            if planned.announced and mail.purpose == "session-cancelled" and not planned.postponed:
                # The person waits for a date: there is something to say, and nothing to take out of a calendar.
                return mail._replace(detail=dataclasses.replace(mail.detail, appointment=None))
            return Pointless("the invitation that this takes back never went out")
        if told.purpose in CANCELS and mail.copy_of is not None:
            return _saying(mail, told.purpose, _once_more(told, history, now))
        if told.purpose in CANCELS:
            return Pointless("an earlier mail took the session out of the agenda already")
        return _saying(mail, mail.purpose, _next(planned, item, history, now, occasion=told.appointment.occasion))
    if item.uid != planned.uid or not item.standing:
        return Pointless("the person is not invited to this session any more")
    if mail.copy_of is not None and told is not None and same_for_an_agenda(told.appointment.occasion, item.occasion):
        return _saying(mail, "invite", own.appointment if own else _once_more(told, history, now))
    again = own is not None and same_for_an_agenda(own.appointment.occasion, item.occasion)
    if own is not None and own.perhaps and not again:
        # Other words under the same Message-ID would be dropped as a copy by whoever has the first.
        return Pointless("the session changed since; the mail about that change says what is so")
    if told is not None and (own is None or not own.perhaps):
        if told.appointment.covers >= planned.sequence:
            # What changed since has a mail of its own, which waits from then on.
            return Pointless("an earlier mail told this change already")
        if same_for_an_agenda(told.appointment.occasion, item.occasion):
            return Pointless("nothing differs from what the person was told last")
    if own is not None and again:
        # It tells whatever came back to this as well: the mails about that have nothing left to say, and what changes
        # from now on waits in its own.
        return _saying(mail, own.purpose, dataclasses.replace(own.appointment, change=item.sequence))
    if told is None:
        return _saying(mail, "invite", _next(planned, item, history, now, occasion=item.occasion))
    before = told.appointment.occasion
    return _saying(mail, "session-moved", _next(planned, item, history, now, occasion=item.occasion, before=before))


def _over(item: Invitation, history: History, now: datetime, *, cancels: bool) -> bool:
    """
    Whether nobody has any use for the mail any more, because the session is over.

    A calendar that may show a date to come must not keep it, though the session took place before: an item is over
    when every date that was told is over as well.
    """
    shown = history.shown
    if cancels and shown:
        return all(each.is_over(now) for each in shown)
    return item.occasion.is_over(now) and all(each.is_over(now) for each in shown)


def foretold(mail: Planned, history: History, now: datetime) -> Planned:
    """A mail that somebody looks at before there is reason for it, with what it would say of its calendar item now."""
    planned, told = mail.detail.appointment, history.told
    if planned is None:
        return mail
    last = told.appointment if told is not None and told.purpose not in CANCELS else None
    if last is not None and mail.purpose == "invite" and same_for_an_agenda(last.occasion, planned.occasion):
        return _saying(mail, mail.purpose, last)
    sequence, stamp = _numbers(history, now)
    appointment = dataclasses.replace(planned, sequence=sequence, stamp=stamp)
    if last is not None and mail.purpose in CANCELS:
        appointment = dataclasses.replace(appointment, occasion=last.occasion)
    elif last is not None and mail.purpose == "session-moved":
        appointment = dataclasses.replace(appointment, before=last.occasion)
    return _saying(mail, mail.purpose, appointment)


def with_told(mail: Planned, told: dict[str, History], now: datetime) -> Planned:
    """
    A mail that names the sessions which it takes away at the time and place last told, by UID of the item.

    Those that were over by then are not named. That a session takes place after all is news to who was told that it
    does not.
    """
    if mail.detail.former is not None:
        last = told.get(mail.detail.former, NOTHING).told
        off = last is not None and last.purpose == "session-cancelled" and not last.appointment.postponed
        return mail._replace(detail=dataclasses.replace(mail.detail, again=off))
    named = (
        dataclasses.replace(each, occasion=last.appointment.occasion)
        if each.uid in told and (last := told[each.uid].told) is not None
        else each
        for each in mail.detail.taken
    )
    taken = tuple(each for each in named if not each.occasion.is_over(now))
    return mail._replace(detail=dataclasses.replace(mail.detail, taken=taken))


def _next(
    planned: Appointment,
    item: Invitation,
    history: History,
    now: datetime,
    *,
    occasion: Occasion,
    before: Occasion | None = None,
) -> Appointment:
    sequence, stamp = _numbers(history, now)
    return Appointment(
        uid=planned.uid,
        sequence=sequence,
        stamp=stamp,
        created=planned.created,
        occasion=occasion,
        before=before,
        postponed=planned.postponed,
        change=item.sequence,
        announced=planned.announced,
    )


def _once_more(said: Said, history: History, now: datetime) -> Appointment:
    """What was said already, with a stamp of its own: a calendar has nothing to change by it (RFC 5546 §2.1.5)."""
    _, stamp = _numbers(history, now)
    return dataclasses.replace(said.appointment, stamp=stamp, before=None)


def _numbers(history: History, now: datetime) -> tuple[int, datetime]:
    """The SEQUENCE and DTSTAMP of what is written next about an item."""
    stamp = now.replace(microsecond=0)
    if history.stamp is not None:
        stamp = max(stamp, history.stamp + timedelta(seconds=1))
    return 0 if history.sequence is None else history.sequence + 1, stamp


def _saying(mail: Planned, purpose: Purpose, appointment: Appointment) -> Planned:
    return mail._replace(purpose=purpose, detail=dataclasses.replace(mail.detail, appointment=appointment))
