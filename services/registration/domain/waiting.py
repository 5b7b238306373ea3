"""Who comes next when units come free, and why; who is passed over, and why."""

from __future__ import annotations

from collections.abc import Callable

from contracts.enrolment import Reason
from contracts.facts import EnrolmentPassedOver, EnrolmentPromoted, RegistrationFact
from contracts.programme import Programme
from services.registration.domain import reasons
from services.registration.domain.commands import Moment
from services.registration.domain.state import Enrolment, ProgrammeState


def promotions(state: ProgrammeState, moment: Moment, why: Callable[[int], Reason]) -> tuple[RegistrationFact, ...]:
    """
    Walk the waiting list once and give the free units away.

    ``why`` makes the reason of a promotion from the place that the enrolment had. Who would have had a turn but gets
    none is passed over with the reason, once: the same reason is not stored again. An enrolment moves as a whole.
    """
    definition = state.definition
    if definition is None or state.withdrawn or state.closed is not None or not state.waiting:
        return ()
    capacity = definition.enrolment.capacity
    fill_gaps = _fills_gaps(definition)
    # What was asked before a freeze that was chosen is done; nobody is sent to what has begun.
    chosen = definition.enrolment.waiting_list is not None and definition.enrolment.waiting_list.freeze is not None
    frozen = state.freeze is not None and (moment.asked if chosen else moment.decided) >= state.freeze
    free = state.free
    facts: list[RegistrationFact] = []
    for place, enrolment in enumerate(state.queue(), start=1):
        if free is not None and free <= 0:
            break
        if capacity is not None and enrolment.units > capacity:
            # It could never come in: with the others behind it the programme would stay empty.
            facts += _passed_over(enrolment, reasons.larger_than_capacity(enrolment.units, capacity))
            continue
        if free is not None and enrolment.units > free:
            facts += _passed_over(enrolment, reasons.does_not_fit(enrolment.units, free, passed=fill_gaps))
            if fill_gaps:
                continue
            break
        if frozen and state.freeze is not None:
            facts += _passed_over(enrolment, reasons.frozen(state.freeze))
        else:
            facts.append(EnrolmentPromoted(enrolment=enrolment.id, reason=why(place)))
        free = None if free is None else free - enrolment.units
    return tuple(facts)


def may_come_in_at_once(state: ProgrammeState, units: int) -> tuple[bool, tuple[RegistrationFact, ...]]:
    """
    Whether a newcomer may take free units although others wait, and who is passed over by that.

    Only where the waiting list fills gaps, and only if nobody who waits would fit: nobody is jumped who could come.
    Who needs more than the whole capacity can never come, and holds nobody up.
    """
    definition = state.definition
    if definition is None or not state.fits(units):
        return False, ()
    if not state.waiting:
        return True, ()
    capacity = definition.enrolment.capacity
    fill_gaps = _fills_gaps(definition)
    passed: list[RegistrationFact] = []
    for enrolment in state.queue():
        if capacity is not None and enrolment.units > capacity:
            passed += _passed_over(enrolment, reasons.larger_than_capacity(enrolment.units, capacity))
        elif state.free is None or enrolment.units <= state.free or not fill_gaps:
            return False, ()
        else:
            passed += _passed_over(enrolment, reasons.does_not_fit(enrolment.units, state.free, passed=True))
    return True, tuple(passed)


def jumped_by(state: ProgrammeState, promoted: Enrolment) -> tuple[RegistrationFact, ...]:
    """Who is passed over when staff give somebody further behind a place."""
    facts: list[RegistrationFact] = []
    for enrolment in state.queue():
        if enrolment.number >= promoted.number:
            break
        facts += _passed_over(enrolment, reasons.others_given_precedence())
    return tuple(facts)


def _fills_gaps(definition: Programme) -> bool:
    """Without a waiting list those who wait already do so in order: taking the list away closes it to newcomers."""
    waiting_list = definition.enrolment.waiting_list
    return waiting_list is not None and waiting_list.policy == "fill-gaps"


def _passed_over(enrolment: Enrolment, reason: Reason) -> tuple[RegistrationFact, ...]:
    if enrolment.reasons == (reason,):
        return ()
    return (EnrolmentPassedOver(enrolment=enrolment.id, reason=reason),)
