"""What publishing a definition again changes: one fact for each thing, never one big 'updated'."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.enrolment import Participant, Reason
from contracts.facts import (
    ProgrammeCapacityLowered,
    ProgrammeCapacityRaised,
    ProgrammeClassified,
    ProgrammeDescribed,
    ProgrammeOrganised,
    ProgrammeRulesChanged,
    ProgrammeTeamRuleChanged,
    RegistrationFact,
    SessionAdded,
    SessionCancelled,
    SessionDescribed,
    SessionMoved,
)
from contracts.programme import EnrolmentRules, Programme, Seat
from services.registration.domain import reasons
from services.registration.domain.registry import Registry
from services.registration.domain.state import ProgrammeState


def broken_by_definition(state: ProgrammeState, definition: Programme, registry: Registry) -> list[Reason]:
    """Every reason why a definition can't be published now."""
    broken = [reasons.unknown_organiser(id_) for id_ in definition.organisers if id_ not in registry.organisations]
    for reference in definition.themes:
        theme = registry.themes.get(reference.theme)
        if theme is None:
            broken.append(reasons.unknown_theme(reference.theme))
            continue
        goals = {goal.id for goal in theme.goals}
        broken += [reasons.unknown_goal(theme.id, goal) for goal in reference.goals if goal not in goals]
    if state.withdrawn:
        broken.append(reasons.withdrawn_for_good())
    if state.closed is not None and state.definition is not None:
        before, after = ({one.id: one.occasion for one in each.sessions} for each in (state.definition, definition))
        if before != after:
            broken.append(reasons.closed_for_good())
    if state.definition is not None and state.definition.enrolment.per != definition.enrolment.per:
        broken.append(reasons.per_changed())
    capacity = definition.enrolment.capacity
    if capacity is not None and capacity < state.confirmed:
        broken.append(reasons.capacity_below_confirmed(capacity, state.confirmed))
    return broken


def with_taken_seats(state: ProgrammeState, definition: Programme) -> Programme:
    """A new definition, with the seats that it leaves out although somebody sits in them, closed."""
    before, team = state.definition, definition.team
    if before is None or before.team is None or team is None:
        return definition
    kept = {seat.id for seat in team.seats}
    gone = [seat for seat in before.team.seats if seat.id not in kept]
    if not gone:
        return definition
    taken = {participant.seat for participant in _named(state)}
    closed = (_closed(seat, definition) for seat in gone if seat.id in taken)
    return definition.model_copy(update={"team": team.model_copy(update={"seats": (*team.seats, *closed)})})


def _named(state: ProgrammeState) -> Iterable[Participant]:
    """Everybody who is in an enrolment that stands, or is still to confirm one."""
    for enrolment in state.enrolments.values():
        yield from (*enrolment.participants, *enrolment.awaited) if enrolment.active else enrolment.awaited


def _closed(seat: Seat, definition: Programme) -> Seat:
    sessions = seat.sessions
    if sessions is not None:
        sessions = tuple(id_ for id_ in sessions if definition.session(id_) is not None)
    return seat.model_copy(update={"closed": True, "sessions": sessions})


def changes(old: Programme, new: Programme) -> tuple[RegistrationFact, ...]:
    """The facts that lead from one definition to another; none where they are the same."""
    return (
        *_changed_words(old, new),
        *_changed_sessions(old, new),
        *_changed_team(old, new),
        *_changed_rules(old.enrolment, new.enrolment),
    )


def _changed_words(old: Programme, new: Programme) -> list[RegistrationFact]:
    facts: list[RegistrationFact] = []
    if (old.title, old.description, old.kind, old.page) != (new.title, new.description, new.kind, new.page):
        facts.append(ProgrammeDescribed(title=new.title, description=new.description, kind=new.kind, page=new.page))
    organised = (new.organisers, new.content_contact, new.enrolment_contact)
    if (old.organisers, old.content_contact, old.enrolment_contact) != organised:
        facts.append(
            ProgrammeOrganised(
                organisers=new.organisers,
                content_contact=new.content_contact,
                enrolment_contact=new.enrolment_contact,
            )
        )
    if old.themes != new.themes:
        facts.append(ProgrammeClassified(themes=new.themes))
    return facts


def _changed_sessions(old: Programme, new: Programme) -> list[RegistrationFact]:
    facts: list[RegistrationFact] = []
    for session in old.sessions:
        if new.session(session.id) is None:
            facts.append(SessionCancelled(session=session.id))
    for session in new.sessions:
        before = old.session(session.id)
        if before is None:
            facts.append(SessionAdded(session=session))
            continue
        if before.occasion != session.occasion:
            facts.append(SessionMoved(session=session.id, before=before.occasion, after=session.occasion))
        words = (session.title, session.description, session.lunch)
        if (before.title, before.description, before.lunch) != words:
            facts.append(
                SessionDescribed(
                    session=session.id, title=session.title, description=session.description, lunch=session.lunch
                )
            )
    return facts


def _changed_team(old: Programme, new: Programme) -> list[RegistrationFact]:
    if new.team is None or old.team == new.team:
        return []
    return [ProgrammeTeamRuleChanged(team=new.team)]


def _changed_rules(old: EnrolmentRules, new: EnrolmentRules) -> list[RegistrationFact]:
    facts: list[RegistrationFact] = []
    changed = tuple(
        name for name in EnrolmentRules.model_fields if name != "capacity" and getattr(old, name) != getattr(new, name)
    )
    if changed:
        # The capacity has facts of its own; here it stays what it was, so that each fact is true by itself.
        rules = new.model_copy(update={"capacity": old.capacity})
        facts.append(ProgrammeRulesChanged(rules=rules, changed=changed))
    if old.capacity is not None and (new.capacity is None or new.capacity > old.capacity):
        facts.append(ProgrammeCapacityRaised(before=old.capacity, after=new.capacity))
    elif new.capacity is not None and new.capacity != old.capacity:
        facts.append(ProgrammeCapacityLowered(before=old.capacity, after=new.capacity))
    return facts
