"""Confirming what a stranger asked for, being vouched for by the staff, and being too late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from contracts.enrolment import Participant
from contracts.facts import (
    EnrolmentLapsed,
    EnrolmentRefused,
    LapseCause,
    ParticipantAdded,
    ParticipantConfirmed,
    RegistrationFact,
)
from contracts.programme import Programme
from services.registration.domain import reasons, rules
from services.registration.domain.arriving import asked_for, come_in
from services.registration.domain.commands import ConfirmEnrolment, Decision, Rejected
from services.registration.domain.state import Enrolment, ProgrammeState
from services.registration.domain.strangers import complete_by


def confirmed(
    state: ProgrammeState, definition: Programme, enrolment: Enrolment, command: ConfirmEnrolment
) -> Decision:
    """The facts that come true when people confirm, or the staff vouch for them; none where they did before."""
    persons = command.persons
    people = [one for one in enrolment.awaited if persons is None or one.person in persons]
    if not people:
        if enrolment.active and (persons is None or any(enrolment.participant(person) for person in persons)):
            return ()
        return Rejected("rejected", (reasons.nobody_awaited(),))
    if state.withdrawn:
        return Rejected("rejected", (reasons.programme_withdrawn(),))
    if state.over_since is not None and state.is_over(command.now):
        return Rejected("rejected", (reasons.over(state.over_since),))
    if enrolment.confirm_by is not None and enrolment.confirm_by <= command.now:
        return Rejected("rejected", (reasons.confirmed_too_late(enrolment.confirm_by),))
    said = (
        [] if persons is None else [ParticipantConfirmed(enrolment=enrolment.id, person=one.person) for one in people]
    )
    newcomers = [one for one in people if one.person not in state.persons]
    if enrolment.active:
        return _join(definition, enrolment, newcomers, said)
    asked = asked_for(enrolment.id, enrolment.organisation, newcomers, enrolment.channel, enrolment.source)
    if not newcomers:
        # They came in by another way meanwhile.
        asked |= {"participants": tuple(people), "present": tuple(one.person for one in people)}
        return (*said, EnrolmentRefused(**asked, reasons=(reasons.already_enrolled(len(people)),)))
    units = rules.units_of(definition, newcomers)
    own = state._replace(held=state.held - enrolment.held)
    asked["units"] = units
    capacity = definition.enrolment.capacity
    # Who lowers the capacity to what was given out need not wait for those who may not exist.
    held = enrolment.held if capacity is None or state.confirmed + units <= capacity else 0
    broken = rules.broken_by_coming_in(own, definition, enrolment.organisation, units, held=held)
    if broken:
        return (*said, EnrolmentRefused(**asked, reasons=tuple(broken)))
    # A team has to fill what was asked when it enrolled.
    as_asked = definition.model_copy(update={"team": enrolment.team})
    asked["complete_by"] = _complete_by(state, as_asked, enrolment, newcomers, command)
    came = come_in(own, as_asked, asked, command.organisation, command.now, held=held)
    return (*said, *came)


def _complete_by(
    state: ProgrammeState,
    definition: Programme,
    enrolment: Enrolment,
    newcomers: Sequence[Participant],
    command: ConfirmEnrolment,
) -> datetime | None:
    """The day that whoever sent the request was told, unless that is over; None where a new one is to be found."""
    if enrolment.complete_by is not None and enrolment.complete_by > command.now:
        return enrolment.complete_by
    return complete_by(state, definition, newcomers, command.now) and enrolment.confirm_by


def _join(
    definition: Programme,
    enrolment: Enrolment,
    newcomers: Sequence[Participant],
    said: Sequence[RegistrationFact],
) -> Decision:
    """Into a team that stands: others of it confirmed before. A rule that came after the request closes it no seat."""
    everybody = (*enrolment.participants, *newcomers)
    seats = definition.team.seats if definition.team else ()
    broken = [reason for one in newcomers for reason in rules.broken_by_crowded_seats(seats, everybody, one)]
    if broken:
        return Rejected("rejected", tuple(dict.fromkeys(broken)))
    added = [
        ParticipantAdded(enrolment=enrolment.id, participant=one, units=enrolment.units, price=None)
        for one in newcomers
    ]
    return (*said, *added)


def lapsed(enrolment: Enrolment, cause: LapseCause) -> EnrolmentLapsed:
    """That whoever is still awaited in an enrolment will not come."""
    return EnrolmentLapsed(enrolment=enrolment.id, people=len(enrolment.awaited), units=enrolment.held, cause=cause)
