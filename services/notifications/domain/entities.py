"""What notifications remembers, per programme; what belongs to no programme stands under ``_``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from contracts.base import Text
from contracts.enrolment import EnrolmentStatus, MissingSeat, Participant, Reason
from contracts.facts import NO_PROGRAMME
from contracts.organisation import Organisation
from contracts.programme import Programme, readable
from contracts.session import Occasion, Session
from services.chassis.state import State


@dataclass(frozen=True, slots=True)
class Course:
    """
    A programme as it stands. ``former`` are its cancelled sessions: mails about them still name them.

    ``closed``: the staff let it be over, and nobody hears of it any more.
    """

    definition: Programme
    withdrawn: bool = False
    reason: Text | None = None
    former: tuple[Session, ...] = ()
    closed: bool = False

    def session(self, id_: str) -> Session | None:
        """The session with this id, also when it was cancelled."""
        return self.definition.session(id_) or next((each for each in self.former if each.id == id_), None)


@dataclass(frozen=True, slots=True)
class Awaited:
    """Somebody who has yet to confirm an enrolment: asked at the one moment, in time until the other."""

    participant: Participant
    asked_at: datetime
    confirm_by: datetime


@dataclass(frozen=True, slots=True)
class Enrolment:
    """
    An enrolment as it stands; ``reasons`` says why it was refused, ``price`` is in euro for all of it.

    ``awaited`` have yet to confirm and take no part: not one of ``participants``. From the addresses of ``unconfirmed``
    nobody had ever confirmed anything when they came in. ``public``: anybody may have asked for it. ``newest`` came
    into it last, and when: what the enrolment lacks at that moment, the mail that welcomes that person says.
    """

    id: str
    status: EnrolmentStatus
    participants: tuple[Participant, ...]
    organisation: str | None = None
    missing: tuple[MissingSeat, ...] = ()
    complete_by: datetime | None = None
    reasons: tuple[Reason, ...] = ()
    price: Decimal | None = None
    awaited: tuple[Awaited, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    public: bool = False
    newest: tuple[str, datetime] | None = None

    def waits_for(self, person: str) -> Awaited | None:
        """What the person has yet to confirm."""
        return next((each for each in self.awaited if each.participant.person == person), None)

    def participant(self, person: str) -> Participant | None:
        """The person's part in it."""
        for each in self.participants:
            if each.person == person:
                return each
        return None


@dataclass(frozen=True, slots=True)
class Invitation:
    """
    One person's calendar item for one session, as it should stand (RFC 5545 §3.8.4.7, §3.8.7.4).

    ``uid`` is made once and kept. ``number`` counts the items that this person had for this session: who comes back
    after a cancellation gets a new one, because calendars ignore a second life of the same UID. ``sequence`` and
    ``stamp`` rise with every change; several changes may be told as one, so a calendar may have seen fewer of them
    (:mod:`services.notifications.domain.saying`). ``standing`` is False once it was cancelled. ``announced``: the
    person knew of the session before it had a date. ``latest`` is, of all occasions that
    it had, the one that ends last, once it was moved: a calendar may still show it.
    """

    session: str
    uid: str
    number: int
    sequence: int
    occasion: Occasion
    stamp: datetime
    created: datetime
    enrolment: str
    standing: bool = True
    announced: bool = False
    latest: Occasion | None = None


@dataclass(frozen=True, slots=True)
class Agenda:
    """
    One person in one programme: the live enrolments the person is in, and the calendar items made so far.

    ``off`` are the sessions of which the person was last told that they do not take place.
    """

    person: str
    enrolments: tuple[str, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    off: tuple[str, ...] = ()

    def invitation(self, session: str) -> Invitation | None:
        """The newest calendar item for a session."""
        for each in self.invitations:
            if each.session == session:
                return each
        return None


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whose address is known: whoever reads its mailbox has confirmed an enrolment of this person."""

    person: str


@dataclass(frozen=True, slots=True)
class Notice:
    """
    The day (in the Netherlands) on which somebody was last told that a request changed nothing.

    Anybody may send requests that name the person: one mail a day is enough of that.
    """

    person: str
    day: date


@dataclass(frozen=True, slots=True)
class Institution:
    """An organisation of the registry, for its name."""

    organisation: Organisation


KINDS: dict[str, type] = {
    "course": Course,
    "enrolment": Enrolment,
    "agenda": Agenda,
    "institution": Institution,
    "known": Known,
    "notice": Notice,
}
"""The kinds by the names that stored rows know them by."""

COURSE = "course"


def enrolment_key(enrolment: str) -> str:
    """Where an enrolment stands in its programme's partition."""
    return f"enrolment:{enrolment}"


def agenda_key(person: str) -> str:
    """Where a person's agenda stands in its programme's partition."""
    return f"agenda:{person}"


def known_key(person: str) -> str:
    """Where it stands, in the partition of what belongs to no programme, that a person's address is known."""
    return f"known:{person}"


def notice_key(person: str) -> str:
    """Where it stands in a programme's partition what a person was last told of requests that changed nothing."""
    return f"notice:{person}"


def institution_key(organisation: str) -> str:
    """Where an organisation stands in the partition of what belongs to no programme."""
    return f"institution:{organisation}"


def course_of(state: State, programme: str) -> Course | None:
    """The programme, if it is known."""
    course: Course | None = state.get(programme, COURSE)
    return course


def enrolment_of(state: State, programme: str, enrolment: str) -> Enrolment | None:
    """The enrolment, if it is known."""
    found: Enrolment | None = state.get(programme, enrolment_key(enrolment))
    return found


def is_unconfirmed(state: State, enrolment: Enrolment, person: str) -> bool:
    """Whether a stranger named the person, and nobody has confirmed anything from the person's address since."""
    return person in enrolment.unconfirmed and not is_known(state, person)


def is_known(state: State, person: str) -> bool:
    """Whether somebody has ever confirmed anything from the person's address."""
    return state.get(NO_PROGRAMME, known_key(person)) is not None


def present_enrolment(state: State, programme: str, person: str) -> Enrolment | None:
    """The enrolment by which a person takes part in a programme, or else waits for a place."""
    found = [enrolment_of(state, programme, id_) for id_ in agenda_of(state, programme, person).enrolments]
    live = [each for each in found if each is not None and each.participant(person) is not None]
    by_status = {each.status: each for each in reversed(live)}
    return by_status.get("confirmed") or by_status.get("waiting")


def agenda_of(state: State, programme: str, person: str) -> Agenda:
    """The person's agenda, empty for who has none."""
    agenda: Agenda | None = state.get(programme, agenda_key(person))
    return agenda or Agenda(person)


def invitation_of(state: State, programme: str, person: str, session: str) -> Invitation | None:
    """The person's newest calendar item for a session."""
    return agenda_of(state, programme, person).invitation(session)


def organisation_name(state: State, organisation: str) -> str:
    """The name people know it by; the words of its id for what the registry does not hold."""
    institution: Institution | None = state.get(NO_PROGRAMME, institution_key(organisation))
    return institution.organisation.name if institution else readable(organisation).nl


def programme_of(state: State, enrolment: str) -> str | None:
    """The programme that an enrolment belongs to."""
    key = enrolment_key(enrolment)
    return next((each for each in sorted(state.partitions()) if state.get(each, key) is not None), None)


def same_for_an_agenda(one: Occasion, other: Occasion) -> bool:
    """Whether an agenda would show the same; the words for a date that is not known yet don't matter to it."""
    return _in_an_agenda(one) == _in_an_agenda(other)


def _in_an_agenda(occasion: Occasion) -> tuple[object, ...]:
    return occasion.all_day, occasion.begins, occasion.finishes, occasion.online, occasion.venue


def all_over(course: Course, at: datetime) -> bool:
    """Whether the programme had sessions and all of them ended by ``at``, or was closed."""
    if course.closed:
        return True
    sessions = course.definition.sessions
    # From the last one: until that is over, it says so alone.
    for session in reversed(sessions):
        if not session.is_over(at):
            return False
    return bool(sessions)


def attended(course: Course, participant: Participant) -> Sequence[Session]:
    """The sessions that somebody in this seat attends, in the programme's order."""
    definition = course.definition
    return [each for each in definition.sessions if definition.attends(participant.seat, each.id)]
