"""
Whom a change of a programme would be mailed to, so that nobody mails hundreds of people by a slip.

Mails are planned by notifications, which knows them exactly. This counts whom they could go to, by the same rules: who
has a place in a session whose date or place changes or that is cancelled, who is in what does not take place, who gets
a place, whose team lacks somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.enrolment import Participant
from contracts.facts import (
    EnrolmentIncomplete,
    EnrolmentPromoted,
    ProgrammePublished,
    ProgrammeTeamRuleChanged,
    ProgrammeWithdrawn,
    RegistrationFact,
    SessionAdded,
    SessionCancelled,
    SessionMoved,
)
from contracts.programme import Programme
from services.registration.domain.evolution import evolve
from services.registration.domain.state import Enrolment, ProgrammeState


@dataclass(frozen=True, slots=True)
class Told:
    """One fact that would be mailed about, and to whom: person ids, and the enrolments that these are in."""

    fact: RegistrationFact
    people: frozenset[str]
    enrolments: frozenset[str]


def told(state: ProgrammeState, facts: Sequence[RegistrationFact], now: datetime) -> tuple[Told, ...]:
    """Whom these facts would be mailed to, for those that would; ``state`` is the one before them."""
    found = []
    for fact in facts:
        if not isinstance(fact, ProgrammePublished) and not state.is_over(now):
            hearing = _hearing(state, fact, now)
            if hearing:
                people = frozenset(person for _, person in hearing)
                found.append(Told(fact, people, frozenset(enrolment for enrolment, _ in hearing)))
        state = evolve(state, fact)
    return tuple(found)


def _hearing(state: ProgrammeState, fact: RegistrationFact, now: datetime) -> set[tuple[str, str]]:
    definition = state.definition
    if definition is None:
        return set()
    match fact:
        case ProgrammeWithdrawn():
            return _everybody(one for one in state.enrolments.values() if one.active)
        case SessionAdded(session=session) if session.is_to_come(now) or (
            session.start is None and any(one.id == session.id for one in state.cancelled)
        ):
            return _attending(state, definition, session.id)
        case SessionMoved(session=id_, before=before, after=after) if before.is_to_come(now) or after.is_to_come(now):
            return _attending(state, definition, id_)
        case SessionCancelled(session=id_) if (gone := definition.session(id_)) and not gone.is_over(now):
            return _attending(state, definition, id_)
        case ProgrammeTeamRuleChanged(team=team):
            changed = definition.model_copy(update={"team": team})
            to_come = [session.id for session in definition.sessions if session.is_to_come(now)]
            return {
                (one.id, participant.person)
                for one in _confirmed(state)
                for participant in one.participants
                for seat in [participant.seat]
                if any(definition.attends(seat, id_) != changed.attends(seat, id_) for id_ in to_come)
            }
        case EnrolmentPromoted(enrolment=id_):
            return _everybody([state.enrolments[id_]])
        case EnrolmentIncomplete(enrolment=id_) if state.enrolments[id_].status == "confirmed":
            return _everybody([state.enrolments[id_]])
        case _:
            return set()


def _confirmed(state: ProgrammeState) -> Iterable[Enrolment]:
    return (one for one in state.enrolments.values() if one.status == "confirmed")


def _everybody(enrolments: Iterable[Enrolment]) -> set[tuple[str, str]]:
    return {(one.id, participant.person) for one in enrolments for participant in one.participants}


def _attending(state: ProgrammeState, definition: Programme, session: str) -> set[tuple[str, str]]:
    return {(one.id, participant.person) for one, participant in attending(state, definition, session)}


def attending(state: ProgrammeState, definition: Programme, session: str) -> Iterable[tuple[Enrolment, Participant]]:
    """Who has a place in a session, and by which enrolment."""
    return (
        (one, participant)
        for one in _confirmed(state)
        for participant in one.participants
        if definition.attends(participant.seat, session)
    )
