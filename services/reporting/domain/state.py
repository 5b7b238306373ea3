"""
What reporting remembers: small frozen entities in a ``State``, those of a programme in the partition of its id.

Organisations and themes stand in the partition ``_``. An organisation is looked up when a report is made, never copied
into an enrolment: when the registry changes, so does every report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from contracts.access import Role
from contracts.base import Title
from contracts.enrolment import EnrolmentStatus, Participant
from contracts.facts import NO_PROGRAMME, InvitationAnswer
from contracts.organisation import Organisation
from contracts.programme import EnrolmentRules, ProgrammeKind, Seat
from contracts.theme import Theme, ThemeReference
from services.chassis.state import State

PROGRAMME = "programme"
ENROLMENT = "enrolment/"
REFUSALS = "refusals/"
MAILS = "mails/"
FAILED = "failed/"
BOUNCED = "bounced/"
ANSWER = "answer/"
ORGANISATION = "organisation/"
THEME = "theme/"
TOKENS = "token/"


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session, as far as reports speak of it; nobody is invited to one without a date."""

    id: str
    title: Title
    begins: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProgrammeEntry:
    """A programme, as far as reports speak of it. ``capacity`` is in units; None is without a limit."""

    title: Title
    kind: ProgrammeKind
    organisers: tuple[str, ...]
    themes: tuple[ThemeReference, ...]
    rules: EnrolmentRules
    capacity: int | None
    seats: tuple[Seat, ...]
    withdrawn: bool = False
    sessions: tuple[SessionEntry, ...] = ()
    closed: bool = False


class EnrolmentEntry(NamedTuple):
    """
    One enrolment. A tuple, because most facts make one, and as a frozen dataclass it would be eight times as dear.

    Attributes:
        status: what it is now; ``first`` is what was decided first: at once, or when it had been confirmed.
        units: what it takes now, or took when it was withdrawn; ``units_left`` were given back one by one before.
        participants: who is in it now, or was when it was withdrawn; ``left`` are those who withdrew alone.
        awaited: who has yet to confirm it; ``lapsed`` are those who did not. Of a team, others may be in it already.
        requested: the day in Amsterdam on which it came, as an ISO 8601 date; ``promoted`` and ``withdrawn`` likewise.
    """

    organisation: str | None
    status: EnrolmentStatus
    first: EnrolmentStatus
    units: int
    participants: tuple[Participant, ...]
    requested: str
    promoted: str | None = None
    withdrawn: str | None = None
    units_left: int = 0
    left: tuple[Participant, ...] = ()
    awaited: tuple[Participant, ...] = ()
    lapsed: tuple[Participant, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusalsEntry:
    """How many refusals named one rule, for how many units and people; the sentences are the first refusal's."""

    nl: str
    en: str
    refusals: int
    units: int
    people: int


@dataclass(frozen=True, slots=True)
class MailsEntry:
    """
    How many mails of one purpose were sent, how many failed or came back and were not sent since, and of how many
    nobody knows whether they arrived.
    """

    sent: int = 0
    failed: int = 0
    bounced: int = 0
    uncertain: int = 0


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token of the staff, who read reports with it. ``expires`` is an ISO 8601 instant."""

    digest: str
    role: Role
    organisations: tuple[str, ...] = ()
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class FailedMailEntry:
    """
    A mail that failed, or that may have (``uncertain``). It is forgotten when the mail is sent after all: staff may
    retry it.
    """

    purpose: str
    uncertain: bool = False


@dataclass(frozen=True, slots=True)
class BouncedMailEntry:
    """A mail that came back. It is forgotten when the mail is sent again, which counts it once only."""

    purpose: str


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """What one person last answered to the invitation to one session."""

    answer: InvitationAnswer


CODECS: Mapping[str, type[Any]] = {
    "programme": ProgrammeEntry,
    "enrolment": EnrolmentEntry,
    "refusals": RefusalsEntry,
    "mails": MailsEntry,
    "failed-mail": FailedMailEntry,
    "bounced-mail": BouncedMailEntry,
    "answer": AnswerEntry,
    "organisation": Organisation,
    "theme": Theme,
    "token": TokenEntry,
}
"""The names under which entities are stored; never renamed."""


def answer_key(session: str, person: str) -> str:
    """Where a person's answer about a session stands in its programme's partition."""
    return f"{ANSWER}{session}/{person}"


def ids_of_programmes(state: State) -> list[str]:
    """The ids of all programmes, sorted."""
    return sorted(partition for partition in state.partitions() if state.get(partition, PROGRAMME) is not None)


def organisations(state: State) -> dict[str, Organisation]:
    """The registry by id, in order of id."""
    return dict(sorted(_of_kind(state, NO_PROGRAMME, ORGANISATION)))


def themes(state: State) -> dict[str, Theme]:
    """All themes by id, in order of id."""
    return dict(sorted(_of_kind(state, NO_PROGRAMME, THEME)))


def organisation(state: State, id_: str) -> Organisation | None:
    """An organisation of the registry."""
    found: Organisation | None = state.get(NO_PROGRAMME, ORGANISATION + id_)
    return found


def token(state: State, account: str) -> TokenEntry | None:
    """The token of an account, unless it was revoked."""
    found: TokenEntry | None = state.get(NO_PROGRAMME, TOKENS + account)
    return found


def programme(state: State, id_: str) -> ProgrammeEntry | None:
    """A programme."""
    found: ProgrammeEntry | None = state.get(id_, PROGRAMME)
    return found


def _of_kind(state: State, partition: str, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, entity in state.partition(partition).items():
        if key.startswith(prefix):
            yield key[len(prefix) :], entity
