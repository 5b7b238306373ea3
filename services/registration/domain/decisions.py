"""Which facts come true when a programme is asked something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import assert_never

from contracts.enrolment import MissingSeat, Participant, Reason
from contracts.facts import (
    EnrolmentCompleted,
    EnrolmentIncomplete,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    ParticipantAdded,
    ParticipantChanged,
    ParticipantReplaced,
    ParticipantWithdrawn,
    ProgrammeCapacityRaised,
    ProgrammeClosed,
    ProgrammePublished,
    ProgrammeWithdrawn,
    RegistrationFact,
)
from contracts.programme import Programme, TeamRule
from contracts.session import in_order_of_time
from services.registration.domain import confirming, reasons, rules, strangers, waiting
from services.registration.domain.arriving import asked_for, come_in
from services.registration.domain.commands import (
    AboutEnrolment,
    AddParticipant,
    ChangeParticipant,
    CloseProgramme,
    Command,
    ConfirmEnrolment,
    Decision,
    LetDeadlinesPass,
    Moment,
    PromoteEnrolment,
    PublishProgramme,
    Rejected,
    ReplaceParticipant,
    RequestEnrolment,
    WithdrawEnrolment,
    WithdrawParticipant,
    WithdrawProgramme,
)
from services.registration.domain.evolution import evolve, relieved
from services.registration.domain.publishing import broken_by_definition, changes, with_taken_seats
from services.registration.domain.state import Enrolment, ProgrammeState


def decide(state: ProgrammeState, command: Command, decided: datetime | None = None) -> Decision:
    """
    The facts that a command makes true, none if nothing changes; or why it has no effect.

    It was asked at the command's ``now`` and is decided at the same moment, or later.
    """
    moment = Moment(command.now, decided or command.now)
    if isinstance(command, PublishProgramme):
        return _publish(state, command)
    definition = state.definition
    if definition is None:
        return Rejected("not-found", (reasons.no_such_programme(state.id),))
    match command:
        case WithdrawProgramme():
            return () if state.withdrawn else (*_given_up(state), ProgrammeWithdrawn(reason=command.reason))
        case CloseProgramme():
            return _close(state, definition, command.now)
        case RequestEnrolment():
            return _request(state, definition, command, moment)
        case LetDeadlinesPass():
            return _let_deadlines_pass(state, command, moment)
        case _:
            return _about_enrolment(state, definition, command, moment)


def _close(state: ProgrammeState, definition: Programme, now: datetime) -> Decision:
    if state.withdrawn or state.closed is not None:
        return ()
    to_come = [one for one in definition.sessions if one.is_to_come(now)]
    if to_come:
        return Rejected("rejected", (reasons.sessions_to_come(in_order_of_time(to_come)),))
    return (*_given_up(state), ProgrammeClosed(since=now))


def _given_up(state: ProgrammeState) -> tuple[RegistrationFact, ...]:
    """That nobody who has yet to confirm will come."""
    return tuple(confirming.lapsed(one, "withdrawn") for one in state.awaiting())


def _about_enrolment(state: ProgrammeState, definition: Programme, command: AboutEnrolment, moment: Moment) -> Decision:
    enrolment = state.enrolments.get(command.enrolment)
    if enrolment is None:
        return Rejected("not-found", (reasons.no_such_enrolment(),))
    if isinstance(command, ConfirmEnrolment):
        return _confirm(state, definition, enrolment, command)
    if isinstance(command, WithdrawEnrolment):
        if enrolment.status in ("withdrawn", "lapsed"):
            return ()
        if enrolment.status == "pending":
            return _with_promotions(state, [confirming.lapsed(enrolment, "withdrawn")], moment, reasons.unit_free)
    if not enrolment.active:
        return Rejected("rejected", (reasons.not_active(),))
    if state.withdrawn and not isinstance(command, WithdrawEnrolment | WithdrawParticipant):
        # Nobody is invited to what does not take place.
        return Rejected("rejected", (reasons.programme_withdrawn(),))
    match command:
        case WithdrawEnrolment():
            return _withdraw(state, enrolment, reasons.withdrawn_on_request(), moment)
        case PromoteEnrolment():
            return _promote(state, enrolment)
        case AddParticipant():
            return _add(state, definition, enrolment, command, moment)
        case ChangeParticipant():
            return _change(definition, enrolment, command, moment)
        case ReplaceParticipant():
            return _replace(state, definition, enrolment, command)
        case WithdrawParticipant():
            return _withdraw_participant(state, definition, enrolment, command, moment)
        case _:
            assert_never(command)


def _after(state: ProgrammeState, facts: Sequence[RegistrationFact]) -> ProgrammeState:
    for fact in facts:
        state = evolve(state, fact)
    return state


def _with_promotions(
    state: ProgrammeState, facts: Sequence[RegistrationFact], moment: Moment, why: Callable[[int], Reason]
) -> tuple[RegistrationFact, ...]:
    return (*facts, *waiting.promotions(_after(state, facts), moment, why))


def _publish(state: ProgrammeState, command: PublishProgramme) -> Decision:
    new = with_taken_seats(state, command.definition)
    broken = broken_by_definition(state, new, command.registry)
    if broken:
        return Rejected("rejected", tuple(broken))
    if state.definition is None:
        return (ProgrammePublished(programme=new),)
    facts = changes(state.definition, new)
    if not facts:
        return ()
    measured = _measured_anew(state, new.team) if new.team is not None and state.definition.team != new.team else ()
    raised = any(isinstance(fact, ProgrammeCapacityRaised) for fact in facts)
    why = reasons.capacity_raised if raised else reasons.rules_changed
    return _with_promotions(state, (*facts, *measured), Moment.at(command.now), why)


def _measured_anew(state: ProgrammeState, rule: TeamRule) -> tuple[RegistrationFact, ...]:
    """What a new team rule relieves teams of. It asks nothing more of them, and starts and moves no deadline."""
    facts: list[RegistrationFact] = []
    for enrolment in sorted(state.enrolments.values(), key=lambda one: one.number):
        if enrolment.active and enrolment.team is not None:
            missing = rules.missing_seats(relieved(enrolment.team, rule), enrolment.participants)
            facts += _lacking(enrolment, missing, enrolment.complete_by)
    return tuple(facts)


def _measured(
    definition: Programme, before: Enrolment, people: Sequence[Participant], now: datetime
) -> tuple[RegistrationFact, ...]:
    """Whether the team became complete, or lacks other seats than before. A running deadline stays as it is."""
    missing = rules.missing_seats(before.team, people)
    deadline = before.complete_by
    if deadline is None and rules.lacks_more(before.missing, missing):
        deadline = rules.complete_by(definition.team, missing, now)
    return _lacking(before, missing, deadline)


def _lacking(
    before: Enrolment, missing: tuple[MissingSeat, ...], deadline: datetime | None
) -> tuple[RegistrationFact, ...]:
    if missing == before.missing:
        return ()
    if not missing:
        return (EnrolmentCompleted(enrolment=before.id),)
    return (EnrolmentIncomplete(enrolment=before.id, missing=missing, complete_by=deadline),)


def _request(state: ProgrammeState, definition: Programme, command: RequestEnrolment, moment: Moment) -> Decision:
    if command.stranger is not None:
        return strangers.requested(state, definition, command, command.stranger)
    asked = asked_for(command.enrolment, command.organisation_id, command.participants, command.channel, command.source)
    broken = rules.broken_by_request(state, definition, command, moment)
    if broken:
        units = rules.units_of(definition, command.participants)
        return (EnrolmentRefused(**asked | {"units": units}, reasons=tuple(broken)),)
    return come_in(state, definition, asked, command.organisation, moment.decided)


def _confirm(state: ProgrammeState, definition: Programme, enrolment: Enrolment, command: ConfirmEnrolment) -> Decision:
    decision = confirming.confirmed(state, definition, enrolment, command)
    if isinstance(decision, Rejected) or not decision:
        return decision
    after = _after(state, decision).enrolments[enrolment.id]
    measured = _measured(definition, enrolment, after.participants, command.now) if enrolment.active else ()
    return _with_promotions(state, (*decision, *measured), Moment.at(command.now), reasons.unit_free)


def _withdraw(state: ProgrammeState, enrolment: Enrolment, reason: Reason, moment: Moment) -> Decision:
    before = "confirmed" if enrolment.status == "confirmed" else "waiting"
    withdrawn = EnrolmentWithdrawn(enrolment=enrolment.id, before=before, reason=reason)
    return _with_promotions(state, (withdrawn,), moment, reasons.unit_free)


def _promote(state: ProgrammeState, enrolment: Enrolment) -> Decision:
    if enrolment.status != "waiting":
        return Rejected("rejected", (reasons.not_waiting(),))
    if not state.fits(enrolment.units):
        return Rejected("rejected", (reasons.no_room(enrolment.units, state.free or 0),))
    place = state.place(enrolment.id) or 1
    promoted = EnrolmentPromoted(enrolment=enrolment.id, reason=reasons.promoted_by_staff(place))
    return (*waiting.jumped_by(state, enrolment), promoted)


def _add(
    state: ProgrammeState, definition: Programme, enrolment: Enrolment, command: AddParticipant, moment: Moment
) -> Decision:
    people = (*enrolment.participants, command.participant)
    units = rules.units_of(definition, people)
    more = units - enrolment.units
    broken = [
        *rules.broken_by_person(state, definition.enrolment, command.participant),
        *rules.broken_by_seats(definition, people, command.participant),
    ]
    if more > 0:
        # Who completes a team keeps to the team's deadline; a further unit keeps to the programme's.
        broken += rules.broken_by_time(state, definition.enrolment, moment)
        broken += rules.broken_by_maximum(
            state, definition.enrolment, enrolment.organisation, more, before=enrolment.units
        )
        if enrolment.status == "confirmed" and not state.fits(more):
            broken.append(reasons.no_room(more, state.free or 0))
        elif any(enrolment.status == "confirmed" or number > enrolment.number for number in state.waiting):
            broken.append(reasons.others_wait())
        capacity = definition.enrolment.capacity
        if capacity is not None and units > capacity:
            broken.append(reasons.larger_than_capacity(units, capacity))
    if broken:
        return Rejected("rejected", tuple(broken))
    added = ParticipantAdded(
        enrolment=enrolment.id,
        participant=command.participant,
        units=units,
        price=rules.price_after(enrolment, units),
    )
    return (added, *_measured(definition, enrolment, people, moment.decided))


def _change(definition: Programme, enrolment: Enrolment, command: ChangeParticipant, moment: Moment) -> Decision:
    new = command.participant
    old = enrolment.participant(new.person)
    if old is None:
        return Rejected("not-found", (reasons.no_such_participant(),))
    if old == new:
        return ()
    people = tuple(new if one.person == new.person else one for one in enrolment.participants)
    # Who stays where they are answers for no rule that came later.
    broken = (
        [
            *rules.broken_by_roles(definition.enrolment, [new]),
            *rules.broken_by_seats(definition, people, new),
        ]
        if (new.seat, new.role) != (old.seat, old.role)
        else []
    )
    if broken:
        return Rejected("rejected", tuple(broken))
    changed = ParticipantChanged(enrolment=enrolment.id, participant=new)
    return (changed, *_measured(definition, enrolment, people, moment.decided))


def _replace(
    state: ProgrammeState, definition: Programme, enrolment: Enrolment, command: ReplaceParticipant
) -> Decision:
    new = command.participant
    if enrolment.participant(command.person) is None:
        return Rejected("not-found", (reasons.no_such_participant(),))
    people = tuple(new if one.person == command.person else one for one in enrolment.participants)
    broken = [
        *rules.broken_by_person(state, definition.enrolment, new),
        *rules.broken_by_seats(definition, people, new),
    ]
    if broken:
        return Rejected("rejected", tuple(broken))
    replaced = ParticipantReplaced(enrolment=enrolment.id, person=command.person, participant=new)
    return (replaced, *_measured(definition, enrolment, people, command.now))


def _withdraw_participant(
    state: ProgrammeState, definition: Programme, enrolment: Enrolment, command: WithdrawParticipant, moment: Moment
) -> Decision:
    if enrolment.participant(command.person) is None:
        return Rejected("not-found", (reasons.no_such_participant(),))
    people = tuple(one for one in enrolment.participants if one.person != command.person)
    if not people:
        reason = reasons.person_erased() if command.erased else reasons.withdrawn_on_request()
        return _withdraw(state, enrolment, reason, moment)
    units = rules.units_of(definition, people)
    withdrawn = ParticipantWithdrawn(
        enrolment=enrolment.id, person=command.person, units=units, price=rules.price_after(enrolment, units)
    )
    measured = _measured(definition, enrolment, people, moment.decided)
    return _with_promotions(state, (withdrawn, *measured), moment, reasons.unit_free)


def _let_deadlines_pass(state: ProgrammeState, command: LetDeadlinesPass, moment: Moment) -> Decision:
    late = sorted(
        (deadline, state.enrolments[id_].number, id_)
        for id_, deadline in state.deadlines.items()
        if deadline <= _heard(command, state.enrolments[id_])
    )
    facts: list[RegistrationFact] = []
    for _deadline, _number, id_ in late:
        enrolment = state.enrolments[id_]
        until = _heard(command, enrolment)
        if enrolment.confirm_by is not None and enrolment.confirm_by <= until:
            facts.append(confirming.lapsed(enrolment, "expired"))
        if enrolment.active and enrolment.complete_by is not None and enrolment.complete_by <= until:
            before = "confirmed" if enrolment.status == "confirmed" else "waiting"
            reason = reasons.deadline_passed(enrolment.complete_by)
            facts.append(EnrolmentWithdrawn(enrolment=id_, before=before, reason=reason))
    if not facts:
        return ()
    # Places came free when the deadlines passed, however much later that is noticed.
    return _with_promotions(state, facts, moment._replace(asked=late[-1][0]), reasons.unit_free)


def _heard(command: LetDeadlinesPass, enrolment: Enrolment) -> datetime:
    """Up to when everything is known that anybody has asked about an enrolment."""
    if enrolment.channel != "intake" or command.heard is None:
        return command.now
    return min(command.now, command.heard.get(enrolment.source, _NEVER))


_NEVER = datetime.min.replace(tzinfo=UTC)
