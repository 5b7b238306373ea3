"""What a mail says, before it has words: the input of :mod:`services.notifications.rendering`.

All values are frozen and complete. Texts (titles, roles, reasons) are already in the recipient's language; times are
aware and may be in any zone, they are shown in Europe/Amsterdam. Nothing here reads a clock or makes an id.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple

Language = Literal["nl", "en"]
Purpose = Literal[
    "confirmation-request",
    "already-enrolled",
    "confirmation",
    "invite",
    "waiting",
    "promotion",
    "refusal",
    "session-moved",
    "session-cancelled",
    "programme-cancelled",
    "withdrawn",
    "withdrawn-invite",
    "readdressed",
    "team-incomplete",
    "undeliverable",
    "declined",
]

WithdrawnBecause = Literal["asked", "lapsed", "replaced", "other"]

LONGEST_UID = 202
"""Octets. Outlook cannot tell two UIDs apart beyond this (MS-STANOICAL 2.1.10)."""

_UID = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""Printable ASCII without the space, the quotation mark, the comma, the semicolon and the backslash."""


class Address(NamedTuple):
    """A mailbox with the name of whoever reads it."""

    name: str
    mailbox: str


class Recipient(NamedTuple):
    """The one person a mail goes to; without a name where nobody has confirmed that it is theirs."""

    name: str
    mailbox: str
    language: Language = "nl"


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask. Without a mailbox the contact is named but no reply is directed there."""

    name: str
    mailbox: str | None = None
    telephone: str | None = None


@dataclass(frozen=True, slots=True)
class Online:
    """A session on the internet; the link may follow later. `platform` is where: "Teams"."""

    link: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Venue:
    """A session at a place. The address is one line: street, number, town."""

    name: str
    address: str = ""


Place = Online | Venue


@dataclass(frozen=True, slots=True)
class Slot:
    """A time and a place. Start and end are both aware, or both None while no date is known.

    `all_day`: the day is known and the time is not; start and end are the first moment of the first day, and the first
    after the last. `period` is what is known instead of a date, in the recipient's language: "januari 2024".

    Raises ValueError if one of the two is missing or naive, or if the end is not after the start.
    """

    start: datetime | None = None
    end: datetime | None = None
    place: Place | None = None
    period: str | None = None
    all_day: bool = False

    def __post_init__(self) -> None:
        if self.start is None or self.end is None:
            if self.start is not self.end:
                raise ValueError("a session has a start and an end, or neither while its date is not known")
            return
        if self.start.utcoffset() is None or self.end.utcoffset() is None:
            raise ValueError("the times of a session need a time zone")
        if self.end <= self.start:
            raise ValueError("a session ends after it starts")


@dataclass(frozen=True, slots=True)
class Session:
    """One meeting of a programme, as the recipient should find it in a calendar."""

    id: str
    title: str
    slot: Slot
    lunch: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Programme:
    """The programme a mail is about. `page` is its public address (https); `team`: it takes teams, not persons."""

    id: str
    title: str
    organisers: tuple[str, ...] = ()
    description: str = ""
    content: Contact | None = None
    enrolment: Contact | None = None
    page: str | None = None
    team: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """The stored identity of one person's calendar item for one session (RFC 5545 §3.8.4.7, §3.8.7).

    `sequence` rises by one with every change of time or place and with a cancellation, and never goes back; `stamp` is
    the time of this message and is later than that of the message before; `created` stays what it was in the first one.
    """

    uid: str
    sequence: int
    stamp: datetime
    created: datetime | None = None

    def __post_init__(self) -> None:
        if not _UID.fullmatch(self.uid):
            raise ValueError(f"not usable as a calendar UID: {self.uid!r}")
        if len(self.uid) > LONGEST_UID:
            raise ValueError(f"a calendar UID has at most {LONGEST_UID} characters")
        if self.sequence < 0:
            raise ValueError("a calendar SEQUENCE is never negative")
        if self.stamp.utcoffset() is None or (self.created is not None and self.created.utcoffset() is None):
            raise ValueError("the stamps of a calendar item need a time zone")


@dataclass(frozen=True, slots=True)
class ConfirmationRequest:
    """Somebody enrolled this address: whoever reads it is asked to confirm that, and reads nothing that was typed.

    `link` is for the recipient's eyes; None in all that others may see, which shows that there is one.
    """

    purpose: ClassVar[Purpose] = "confirmation-request"
    deadline: datetime
    link: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _needs_zone(self.deadline)


@dataclass(frozen=True, slots=True)
class AlreadyEnrolled:
    """Somebody enrolled you once more: you have a place, or wait for one, and that stays so."""

    purpose: ClassVar[Purpose] = "already-enrolled"
    waiting: bool = False
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Lacking:
    """
    Seats of a team that are still empty; they have to be filled before the deadline.

    `people` are missing in all, one for each seat that `missing` names where nothing else is said. `awaiting`: people
    may have been named for them who have yet to confirm. Whether any were, is told to nobody.
    """

    missing: tuple[str, ...]
    deadline: datetime
    awaiting: bool = False
    people: int | None = None

    def __post_init__(self) -> None:
        _needs_zone(self.deadline)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """You are in: one mail that lists every session, those without a date too, and what your team still lacks."""

    purpose: ClassVar[Purpose] = "confirmation"
    sessions: tuple[Session, ...]
    lacking: Lacking | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """A place came free and the waiting list moved up to you, and to your team, which may lack somebody."""

    purpose: ClassVar[Purpose] = "promotion"
    sessions: tuple[Session, ...]
    lacking: Lacking | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The programme is full; `place` counts from 1, or is None where it is not told."""

    purpose: ClassVar[Purpose] = "waiting"
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The enrolment was not accepted, and this is why: every rule that failed, one sentence each."""

    purpose: ClassVar[Purpose] = "refusal"
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invite:
    """
    The calendar invitation for one session. `again`: the recipient was told that it is off, and it is on after all.

    Without a `calendar` item that is said in words alone: the session has no date yet.
    """

    purpose: ClassVar[Purpose] = "invite"
    session: Session
    calendar: Calendar | None = None
    again: bool = False

    def __post_init__(self) -> None:
        if self.calendar is not None:
            _needs_date(self.session)
        elif not self.again:
            raise ValueError("an invitation needs a calendar item")


@dataclass(frozen=True, slots=True)
class SessionMoved:
    """A session has another time or place. Same UID as its invitation, SEQUENCE one higher."""

    purpose: ClassVar[Purpose] = "session-moved"
    session: Session
    before: Slot
    calendar: Calendar

    def __post_init__(self) -> None:
        _needs_date(self.session)


@dataclass(frozen=True, slots=True)
class SessionCancelled:
    """A session does not take place, for nobody. `postponed`: a new date is being sought.

    `session` holds the time and place that were last sent. Without a `calendar` item it is in words alone: nothing was
    sent yet, because the session had no date.
    """

    purpose: ClassVar[Purpose] = "session-cancelled"
    session: Session
    calendar: Calendar | None = None
    postponed: bool = False

    def __post_init__(self) -> None:
        if self.calendar is not None:
            _needs_date(self.session)
        elif self.postponed:
            raise ValueError("a session without a date cannot lose it")


@dataclass(frozen=True, slots=True)
class ProgrammeCancelled:
    """The programme does not take place: one mail in words; the calendar items go by `SessionCancelled`.

    `sessions` are those that are taken out of the recipient's calendar.
    """

    purpose: ClassVar[Purpose] = "programme-cancelled"
    sessions: tuple[Session, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """You no longer take part: one mail in words; the calendar items go by `WithdrawnInvite`.

    `cause` is why, and `reason` the sentence that says so; `waited`: you were on the waiting list and had no place.
    `sessions` are those that are taken out of the recipient's calendar.
    """

    purpose: ClassVar[Purpose] = "withdrawn"
    sessions: tuple[Session, ...] = ()
    cause: WithdrawnBecause = "other"
    reason: str = ""
    waited: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawnInvite:
    """Takes one session out of this person's calendar; for others it goes on (RFC 5546 §3.2.5: no STATUS)."""

    purpose: ClassVar[Purpose] = "withdrawn-invite"
    session: Session
    calendar: Calendar

    def __post_init__(self) -> None:
        _needs_date(self.session)


@dataclass(frozen=True, slots=True)
class Readdressed:
    """Takes one session out of the calendar at an address where its person is not: the invitation goes to another."""

    purpose: ClassVar[Purpose] = "readdressed"
    session: Session
    calendar: Calendar

    def __post_init__(self) -> None:
        _needs_date(self.session)


@dataclass(frozen=True, slots=True)
class TeamIncomplete:
    """A team that has or had its place lacks somebody."""

    purpose: ClassVar[Purpose] = "team-incomplete"
    lacking: Lacking


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """To the programme's contact, of a participant: mails do not arrive, somebody should ask for another address."""

    purpose: ClassVar[Purpose] = "undeliverable"
    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Declined:
    """
    To the programme's contact, of a participant: what the calendar answered to invitations. The place stays.

    `sessions` are declined, `coming` were before and are not any more. `words` are the participant's own, as they were
    typed. `enrolment` and `person` are the ids by which staff take the participant out.
    """

    purpose: ClassVar[Purpose] = "declined"
    name: str
    enrolment: str
    person: str
    sessions: tuple[Session, ...]
    coming: tuple[Session, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sessions and not self.coming:
            raise ValueError("a mail about answers is about a session")


Occasion = (
    ConfirmationRequest
    | AlreadyEnrolled
    | Confirmation
    | Promotion
    | Waiting
    | Refusal
    | Invite
    | SessionMoved
    | SessionCancelled
    | ProgrammeCancelled
    | Withdrawn
    | WithdrawnInvite
    | Readdressed
    | TeamIncomplete
    | Undeliverable
    | Declined
)
ToContact = Undeliverable | Declined
"""What is told to the programme's contact, about somebody."""
CalendarOccasion = Invite | SessionMoved | SessionCancelled | WithdrawnInvite | Readdressed


class Price(NamedTuple):
    """What an enrolment costs, in euro: for all its people together, or for the team that it is."""

    amount: Decimal
    people: int = 1
    team: bool = False


class Letter(NamedTuple):
    """One mail to one person: who, about which programme, and on what occasion.

    `organisation`, `seat` and `role` say in which capacity the recipient takes part, in words to show, and `hours` how
    many are planned for that; `price` is None where nobody has named one. Days of the `year` in which it is read go
    without it in a subject.
    """

    recipient: Recipient
    programme: Programme
    occasion: Occasion
    organisation: str | None = None
    seat: str | None = None
    role: str | None = None
    price: Price | None = None
    hours: float | None = None
    year: int | None = None

    @property
    def purpose(self) -> Purpose:
        """The name of the occasion, as templates and stored rows know it."""
        return self.occasion.purpose


def _needs_zone(deadline: datetime) -> None:
    if deadline.utcoffset() is None:
        raise ValueError("a deadline needs a time zone")


def _needs_date(session: Session) -> None:
    if session.slot.start is None:
        raise ValueError("a calendar message is about a session that has a date")
