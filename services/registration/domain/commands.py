"""What a programme can be asked. Time and ids come in with the command; who may ask has been settled before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from contracts.base import Text
from contracts.enrolment import Channel, Participant, Reason
from contracts.facts import RegistrationFact
from contracts.organisation import Organisation
from contracts.programme import Programme
from services.registration.domain.registry import Registry


@dataclass(frozen=True, slots=True)
class PublishProgramme:
    """Make a programme what ``definition`` says; the registry tells whether what it refers to exists."""

    definition: Programme
    registry: Registry
    now: datetime


@dataclass(frozen=True, slots=True)
class WithdrawProgramme:
    """Cancel the programme."""

    reason: Text | None
    now: datetime


@dataclass(frozen=True, slots=True)
class CloseProgramme:
    """Let the programme be over, without a word to anybody."""

    now: datetime


class Stranger(NamedTuple):
    """
    What is known of a request that anybody may have sent, and of those whom it names.

    Attributes:
        enrolments: an id for the enrolment of each participant, should they come in one by one.
        unknown: the people who have never confirmed anything from the address that they have.
        mailboxes: the mailbox of each person, by any name that is the same for the same mailbox.
        mails_left: how many mails that ask for a confirmation may still go to each mailbox.
        source_held: units that requests from the same source have come to hold in this programme within the last hour.
        source_free: when the oldest of these requests is an hour ago.
        source_mails_left: how many people requests from this source may still have mailed, or named in what comes to
            nothing, within this hour, in all programmes; None without a bound.
    """

    enrolments: tuple[str, ...]
    unknown: frozenset[str]
    mailboxes: Mapping[str, str]
    mails_left: Mapping[str, int]
    source_held: int = 0
    source_free: datetime | None = None
    source_mails_left: int | None = None


class RequestEnrolment(NamedTuple):
    """
    Ask for a place. ``enrolment`` is the new enrolment's id.

    ``organisation`` is the registry's entry; None with an ``organisation_id`` means that the registry has none.
    ``stranger`` where nobody vouches for the people: on the public channel.
    """

    enrolment: str
    organisation_id: str | None
    organisation: Organisation | None
    participants: tuple[Participant, ...]
    channel: Channel
    source: str
    now: datetime
    stranger: Stranger | None = None


@dataclass(frozen=True, slots=True)
class ConfirmEnrolment:
    """
    Let people in who have yet to confirm: those of them who did, or with None all, because the staff vouch for them.

    ``organisation`` is the registry's entry for the enrolment's organisation.
    """

    enrolment: str
    persons: frozenset[str] | None
    organisation: Organisation | None
    now: datetime


@dataclass(frozen=True, slots=True)
class WithdrawEnrolment:
    """Give a place back."""

    enrolment: str
    now: datetime


@dataclass(frozen=True, slots=True)
class PromoteEnrolment:
    """Give somebody who waits a place by hand."""

    enrolment: str
    now: datetime


@dataclass(frozen=True, slots=True)
class AddParticipant:
    """Add somebody to an enrolment."""

    enrolment: str
    participant: Participant
    now: datetime


@dataclass(frozen=True, slots=True)
class ChangeParticipant:
    """Give somebody another seat or role."""

    enrolment: str
    participant: Participant
    now: datetime


@dataclass(frozen=True, slots=True)
class ReplaceParticipant:
    """Let somebody else take a person's place."""

    enrolment: str
    person: str
    participant: Participant
    now: datetime


@dataclass(frozen=True, slots=True)
class WithdrawParticipant:
    """Take one person out of an enrolment; ``erased`` if nobody will know any more who it was."""

    enrolment: str
    person: str
    now: datetime
    erased: bool = False


class Moment(NamedTuple):
    """
    When something was asked, and when it is decided: what a partner sends may wait in between, however long.

    Who asks in time is in: whether it was too early or too late is judged by ``asked``. What people have yet to hear
    of begins when it is ``decided``: the time in which a team may become complete, a place in what is not over yet.
    """

    asked: datetime
    decided: datetime

    @classmethod
    def at(cls, now: datetime) -> Moment:
        """Decided as soon as it was asked."""
        return cls(now, now)


@dataclass(frozen=True, slots=True)
class LetDeadlinesPass:
    """
    Time has gone on: give back the places of teams that stayed incomplete.

    ``heard`` is, for each partner, the moment up to which everything that it has sent was decided: a deadline passes
    for its enrolments only up to there. Without it everything was; of a partner that is not named, nothing.
    """

    now: datetime
    heard: Mapping[str, datetime] | None = None


AboutEnrolment: TypeAlias = (
    ConfirmEnrolment
    | WithdrawEnrolment
    | PromoteEnrolment
    | AddParticipant
    | ChangeParticipant
    | ReplaceParticipant
    | WithdrawParticipant
)
"""What is asked of one enrolment that there is."""

Command: TypeAlias = (
    PublishProgramme | WithdrawProgramme | CloseProgramme | RequestEnrolment | AboutEnrolment | LetDeadlinesPass
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """
    The command has no effect and leaves no fact; every rule that failed is named.

    A request for a place is never rejected but refused, which is a fact that reports count; it is rejected only if the
    programme does not exist. ``refused`` is a request by a stranger whose source has caused too many facts within an
    hour: it is answered like any other.
    """

    kind: Literal["not-found", "rejected", "refused"]
    reasons: tuple[Reason, ...]


Facts: TypeAlias = tuple[RegistrationFact, ...]
Decision: TypeAlias = Facts | Rejected
