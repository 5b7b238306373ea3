"""A planned mail: to whom, why, and what can't be read from the present state when it goes out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from contracts.enrolment import Reason
from contracts.session import Occasion
from services.notifications.letters import Purpose

REQUESTS: frozenset[Purpose] = frozenset({"invite", "session-moved"})
"""Purposes that put something into an agenda (METHOD:REQUEST)."""

CANCELS: frozenset[Purpose] = frozenset({"session-cancelled", "withdrawn-invite", "readdressed"})
"""Purposes that take something out of an agenda (METHOD:CANCEL)."""

PERSONAL: frozenset[Purpose] = frozenset({"confirmation-request"})
"""Purposes whose mails hold a link that is the recipient's alone: it is stored nowhere, and shown to nobody else."""

ABOUT_REQUESTS: frozenset[Purpose] = frozenset({"confirmation-request", "already-enrolled", "refusal"})
"""Purposes that say what became of a request, and that whoever may send requests may cause."""

TO_CONTACT: frozenset[Purpose] = frozenset({"undeliverable", "declined"})
"""Purposes of mails about a person that go to the programme's contact, and not to the person."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """
    What a calendar message says about one item: the identity and the time and place at that SEQUENCE.

    In a planned mail this is the item after the fact; what is told of it is settled when the mail is written, and then
    ``change`` says up to which of the item's changes that goes. ``announced``: the person knew of the session before it
    had a date, and so before anything was said of the item.
    """

    uid: str
    sequence: int
    stamp: datetime
    created: datetime
    occasion: Occasion
    before: Occasion | None = None
    postponed: bool = False
    change: int | None = None
    announced: bool = False

    @property
    def covers(self) -> int:
        """The number of the item's last change that this tells."""
        return self.sequence if self.change is None else self.change


@dataclass(frozen=True, slots=True)
class Taken:
    """A session that goes out of somebody's agenda, at its last time and place; ``uid`` is its item there."""

    session: str
    occasion: Occasion
    uid: str | None = None

    @property
    def begins(self) -> datetime | None:
        """When it was to begin."""
        return self.occasion.begins


@dataclass(frozen=True, slots=True)
class Detail:
    """
    What the moment of planning alone knows. No personal data: this is stored beside the mail for good.

    Of a withdrawal: the ``reason`` that the fact gives, whether somebody else took the seat (``replaced``), and whether
    it was the waiting list that the person left (``waited``). Of an invitation: whether the session was off and takes
    place after all (``again``), and the calendar item that was taken out then (``former``), by which is known whether
    the person was told.
    """

    appointment: Appointment | None = None
    taken: tuple[Taken, ...] = ()
    place: int | None = None
    reason: Reason | None = None
    replaced: bool = False
    waited: bool = False
    again: bool = False
    former: str | None = None


NO_DETAIL = Detail()


class Planned(NamedTuple):
    """
    One mail to one person, not yet written: who, why and since when.

    ``held``: it waits a little for further changes, so that several are told as one. ``by_stranger``: anybody may have
    caused it, so that it must not delay the mails of others. ``copy_of``: the mail of which somebody wants a new copy.
    """

    id: str
    purpose: Purpose
    person: str
    programme: str
    due_at: datetime
    enrolment: str | None = None
    session: str | None = None
    detail: Detail = NO_DETAIL
    held: bool = False
    by_stranger: bool = False
    copy_of: str | None = None


def mail_id(fact: str, purpose: Purpose, person: str, session: str | None) -> str:
    """The same for the same fact, purpose, person and session, whoever computes it and however often."""
    return _id(f"{fact}|{purpose}|{person}|{session or ''}")


def copy_id(mail: str, command: str) -> str:
    """The id of the copy that a command asks for: the same for the same command, however often it comes."""
    return _id(f"copy|{mail}|{command}")


def _id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def item_uid(programme: str, session: str, person: str, number: int) -> str:
    """A calendar UID of at most 202 octets that does not give the person's id away."""
    whose = hashlib.sha256(f"{programme}|{session}|{person}".encode()).hexdigest()[:20]
    return f"{programme}.{session}.{whose}.{number}@deelname"
