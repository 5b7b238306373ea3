"""How a programme stands after a fact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rpds import HashTrieMap

from contracts.base import Message
from contracts.enrolment import Enrolled, EnrolmentStatus, Participant
from contracts.facts import (
    EnrolmentCompleted,
    EnrolmentConfirmed,
    EnrolmentIncomplete,
    EnrolmentLapsed,
    EnrolmentPassedOver,
    EnrolmentPending,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    EnrolmentWithdrawn,
    ParticipantAdded,
    ParticipantChanged,
    ParticipantReplaced,
    ParticipantWithdrawn,
    ProgrammeCapacityLowered,
    ProgrammeCapacityRaised,
    ProgrammeClassified,
    ProgrammeClosed,
    ProgrammeDescribed,
    ProgrammeOrganised,
    ProgrammePublished,
    ProgrammeRulesChanged,
    ProgrammeTeamRuleChanged,
    ProgrammeWithdrawn,
    SessionAdded,
    SessionCancelled,
    SessionDescribed,
    SessionMoved,
)
from contracts.programme import Programme, TeamRule
from contracts.session import Session
from services.registration.domain.state import Enrolment, ProgrammeState


def evolve(state: ProgrammeState, fact: Message) -> ProgrammeState:
    """The state after one more fact. A fact of a type that it does not know counts, and changes nothing else."""
    version = state.version + 1
    if isinstance(fact, EnrolmentConfirmed):
        return _came_in(state, version, fact, "confirmed")
    if isinstance(fact, EnrolmentWaitlisted):
        return _came_in(state, version, fact, "waiting")
    state = state._replace(version=version)
    match fact:
        case EnrolmentRefused():
            state = _given_up(state, state.enrolments.get(fact.enrolment))
            return _changed(state, _made(version, fact, "refused", None)._replace(reasons=fact.reasons))
        case EnrolmentPending():
            return _pending(state, fact)
        case EnrolmentLapsed():
            before = state.enrolments[fact.enrolment]
            status = "lapsed" if before.status == "pending" else before.status
            return _changed(_given_up(state, before), _without_awaited(before)._replace(status=status))
        case EnrolmentPromoted():
            return _promoted(state, fact)
        case EnrolmentPassedOver():
            return _changed(state, state.enrolments[fact.enrolment]._replace(reasons=(fact.reason,)))
        case EnrolmentWithdrawn():
            return _withdrawn(state, fact)
        case EnrolmentCompleted():
            return _changed(state, state.enrolments[fact.enrolment]._replace(missing=(), complete_by=None))
        case EnrolmentIncomplete():
            enrolment = state.enrolments[fact.enrolment]
            return _changed(state, enrolment._replace(missing=fact.missing, complete_by=fact.complete_by))
        case ParticipantAdded() | ParticipantChanged() | ParticipantReplaced() | ParticipantWithdrawn():
            return _with_participants(state, fact)
        case ProgrammePublished():
            return state._replace(definition=fact.programme)
        case ProgrammeWithdrawn():
            # No team need become complete any more for what does not take place.
            return state._replace(withdrawn=True, why_withdrawn=fact.reason, deadlines=HashTrieMap())
        case ProgrammeClosed(since=since):
            # Who has a place keeps it: there is nothing to be complete for.
            return state._replace(closed=since, deadlines=HashTrieMap())
        case SessionCancelled(session=id_) if state.definition is not None:
            gone = tuple(session for session in state.definition.sessions if session.id == id_)
            return state._replace(
                definition=_redefined(state.definition, fact), cancelled=(*_others(state, id_), *gone)
            )
        case ProgrammeTeamRuleChanged(team=team) if state.definition is not None:
            definition = _redefined(state.definition, fact)
            return state._replace(definition=definition, enrolments=_relieved(state.enrolments, team))
        case SessionAdded(session=session) if state.definition is not None:
            definition = _redefined(state.definition, fact)
            return state._replace(definition=definition, cancelled=_others(state, session.id))
        case _ if state.definition is not None:
            return state._replace(definition=_redefined(state.definition, fact))
        case _:
            return state


def _others(state: ProgrammeState, session: str) -> tuple[Session, ...]:
    return tuple(one for one in state.cancelled if one.id != session)


def relieved(asked: TeamRule, rule: TeamRule) -> TeamRule:
    """What a team has to fill once there is another rule: never more than it was asked, and less if that asks less."""
    counts = {seat.id: seat.count for seat in rule.open_seats}
    seats = tuple(
        seat.model_copy(update={"count": min(seat.count, counts[seat.id])})
        for seat in asked.open_seats
        if seat.id in counts
    )
    return asked.model_copy(update={"seats": seats})


def _relieved(enrolments: HashTrieMap[str, Enrolment], rule: TeamRule) -> HashTrieMap[str, Enrolment]:
    # Most teams were asked the same: one new rule for all of them.
    shared: dict[int, TeamRule] = {}
    for enrolment in enrolments.values():
        asked = enrolment.team
        if asked is not None:
            less = shared.get(id(asked)) or shared.setdefault(id(asked), relieved(asked, rule))
            enrolments = enrolments.insert(enrolment.id, enrolment._replace(team=less))
    return enrolments


def _team(state: ProgrammeState) -> TeamRule | None:
    return state.definition.team if state.definition is not None else None


def _made(number: int, fact: Enrolled, status: EnrolmentStatus, team: TeamRule | None) -> Enrolment:
    return Enrolment(
        fact.enrolment,
        number,
        status,
        fact.organisation,
        fact.units,
        fact.participants,
        fact.channel,
        fact.source,
        fact.missing,
        fact.complete_by,
        fact.price if isinstance(fact, EnrolmentConfirmed | EnrolmentWaitlisted) else None,
        team,
    )


def _pending(state: ProgrammeState, fact: EnrolmentPending) -> ProgrammeState:
    awaited = state.awaited
    for participant in fact.participants:
        awaited = awaited.insert(participant.person, fact.enrolment)
    enrolment = _made(state.version, fact, "pending", _team(state))._replace(
        participants=(), awaited=fact.participants, held=fact.held, confirm_by=fact.confirm_by
    )
    return _changed(state._replace(awaited=awaited, held=state.held + fact.held), enrolment)


def _given_up(state: ProgrammeState, enrolment: Enrolment | None) -> ProgrammeState:
    """Nobody of an enrolment is awaited any more, and nothing is held for it."""
    if enrolment is None or not enrolment.awaited:
        return state
    return state._replace(awaited=_no_longer(state, enrolment), held=state.held - enrolment.held)


def _no_longer(
    state: ProgrammeState, enrolment: Enrolment, persons: Iterable[str] | None = None
) -> HashTrieMap[str, str]:
    """Who is awaited without these people of an enrolment, or without all of it."""
    awaited = state.awaited
    for person in [one.person for one in enrolment.awaited] if persons is None else persons:
        # Somebody may be awaited in a later enrolment as well, once an earlier one has lapsed.
        if awaited.get(person) == enrolment.id:
            awaited = awaited.remove(person)
    return awaited


def _without_awaited(enrolment: Enrolment) -> Enrolment:
    return enrolment._replace(awaited=(), held=0, confirm_by=None)


def _came_in(state: ProgrammeState, version: int, fact: Enrolled, status: EnrolmentStatus) -> ProgrammeState:
    # What happens most is one copy of the state, not one for each thing that changes in it.
    enrolment = _made(version, fact, status, _team(state))
    awaited, held = state.awaited, state.held
    before = state.enrolments.get(enrolment.id)
    if before is not None and before.awaited:
        # What was held is theirs now; of a team others may still be awaited.
        enrolment = enrolment._replace(team=before.team)
        came = {one.person for one in enrolment.participants}
        rest = tuple(one for one in before.awaited if one.person not in came)
        enrolment = enrolment._replace(awaited=rest, confirm_by=before.confirm_by if rest else None)
        awaited, held = _no_longer(state, before, came), held - before.held
    persons = state.persons
    for participant in enrolment.participants:
        persons = persons.insert(participant.person, enrolment.id)
    confirmed = status == "confirmed"
    # ``_replace`` takes three times as long.
    return ProgrammeState(
        state.id,
        version,
        state.definition,
        state.withdrawn,
        state.why_withdrawn,
        state.cancelled,
        state.confirmed + enrolment.units if confirmed else state.confirmed,
        state.enrolments.insert(enrolment.id, enrolment),
        persons,
        state.waiting if confirmed else state.waiting.insert(enrolment.number, enrolment.id),
        _counted(state.organisations, enrolment.organisation, enrolment.units),
        _deadlines(state, enrolment),
        awaited,
        held,
        state.closed,
    )


def _promoted(state: ProgrammeState, fact: EnrolmentPromoted) -> ProgrammeState:
    enrolment = state.enrolments[fact.enrolment]._replace(status="confirmed", reasons=(fact.reason,))
    return _changed(state, enrolment)._replace(
        waiting=state.waiting.discard(enrolment.number),
        confirmed=state.confirmed + enrolment.units,
    )


def _withdrawn(state: ProgrammeState, fact: EnrolmentWithdrawn) -> ProgrammeState:
    before = state.enrolments[fact.enrolment]
    persons = state.persons
    for participant in before.participants:
        persons = persons.discard(participant.person)
    withdrawn = _without_awaited(before)._replace(status="withdrawn", complete_by=None, reasons=(fact.reason,))
    return _changed(_given_up(state, before), withdrawn)._replace(
        persons=persons,
        waiting=state.waiting.discard(before.number),
        confirmed=state.confirmed - (before.units if before.status == "confirmed" else 0),
        organisations=_counted(state.organisations, before.organisation, -before.units),
    )


def _with_participants(
    state: ProgrammeState, fact: ParticipantAdded | ParticipantChanged | ParticipantReplaced | ParticipantWithdrawn
) -> ProgrammeState:
    before = state.enrolments[fact.enrolment]
    people = {participant.person: participant for participant in before.participants}
    units = before.units
    match fact:
        case ParticipantAdded():
            people[fact.participant.person] = fact.participant
            units = fact.units
        case ParticipantChanged():
            people[fact.participant.person] = fact.participant
        case ParticipantReplaced():
            people = {
                new.person: new
                for new in (fact.participant if old == fact.person else had for old, had in people.items())
            }
        case ParticipantWithdrawn():
            del people[fact.person]
            units = fact.units
    price = before.price
    if isinstance(fact, ParticipantAdded | ParticipantWithdrawn) and fact.price is not None:
        price = fact.price
    rest = tuple(one for one in before.awaited if one.person not in people)
    confirm_by = before.confirm_by if rest else None
    enrolment = before._replace(
        participants=tuple(people.values()), units=units, price=price, awaited=rest, confirm_by=confirm_by
    )
    persons = _moved(state.persons, before.participants, enrolment)
    state = state._replace(awaited=_no_longer(state, before, people)) if before.awaited else state
    return _changed(state, enrolment)._replace(
        persons=persons,
        confirmed=state.confirmed + (units - before.units if before.status == "confirmed" else 0),
        organisations=_counted(state.organisations, before.organisation, units - before.units),
    )


def _moved(
    persons: HashTrieMap[str, str], before: tuple[Participant, ...], enrolment: Enrolment
) -> HashTrieMap[str, str]:
    for participant in before:
        persons = persons.discard(participant.person)
    for participant in enrolment.participants:
        persons = persons.insert(participant.person, enrolment.id)
    return persons


def _changed(state: ProgrammeState, enrolment: Enrolment) -> ProgrammeState:
    enrolments = state.enrolments.insert(enrolment.id, enrolment)
    return state._replace(enrolments=enrolments, deadlines=_deadlines(state, enrolment))


def _deadlines(state: ProgrammeState, enrolment: Enrolment) -> HashTrieMap[str, datetime]:
    completes = enrolment.complete_by if enrolment.active else None
    moments = [moment for moment in (completes, enrolment.confirm_by) if moment is not None]
    if moments and not state.withdrawn and state.closed is None:
        return state.deadlines.insert(enrolment.id, min(moments))
    if enrolment.id in state.deadlines:
        return state.deadlines.remove(enrolment.id)
    return state.deadlines


def _counted(counts: HashTrieMap[str, int], organisation: str | None, units: int) -> HashTrieMap[str, int]:
    if organisation is None or units == 0:
        return counts
    total = (counts.get(organisation) or 0) + units
    return counts.insert(organisation, total) if total else counts.discard(organisation)


def _redefined(definition: Programme, fact: Message) -> Programme:
    match fact:
        case ProgrammeDescribed(title=title, description=description, kind=kind, page=page):
            return definition.model_copy(
                update={"title": title, "description": description, "kind": kind, "page": page}
            )
        case ProgrammeOrganised(organisers=organisers, content_contact=content, enrolment_contact=enrolment):
            return definition.model_copy(
                update={"organisers": organisers, "content_contact": content, "enrolment_contact": enrolment}
            )
        case ProgrammeClassified(themes=themes):
            return definition.model_copy(update={"themes": themes})
        case ProgrammeRulesChanged(rules=rules):
            return definition.model_copy(update={"enrolment": rules})
        case ProgrammeCapacityRaised(after=capacity) | ProgrammeCapacityLowered(after=capacity):
            rules = definition.enrolment.model_copy(update={"capacity": capacity})
            return definition.model_copy(update={"enrolment": rules})
        case ProgrammeTeamRuleChanged(team=team):
            return definition.model_copy(update={"team": team})
        case SessionAdded(session=session):
            return definition.model_copy(update={"sessions": (*definition.sessions, session)})
        case SessionMoved(session=id_, after=after):
            return _with_session(definition, id_, dict(after))
        case SessionDescribed(session=id_, title=title, description=description, lunch=lunch):
            return _with_session(definition, id_, {"title": title, "description": description, "lunch": lunch})
        case SessionCancelled(session=id_):
            return definition.without(id_)
        case _:
            return definition


def _with_session(definition: Programme, id_: str, update: dict[str, object]) -> Programme:
    sessions: tuple[Session, ...] = tuple(
        session.model_copy(update=update) if session.id == id_ else session for session in definition.sessions
    )
    return definition.model_copy(update={"sessions": sessions})
