"""Who comes next when units come free, and why; who is passed over, and why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from contracts.enrolment import Reason
from contracts.facts import EnrolmentPassedOver, EnrolmentPromoted, RegistrationFact
from services.registration.domain import reasons
from services.registration.domain.state import Enrolment, ProgrammeState


def promotions(state: ProgrammeState, now: datetime, why: Callable[[int], Reason]) -> tuple[RegistrationFact, ...]:
    """
    Walk the waiting list once and give the free units away.

    ``why`` makes the reason of a promotion from the place that the enrolment had. Who would have had a turn but gets
    none is passed over with the reason, once: the same reason is not stored again. An enrolment moves as a whole.
    """
    definition = state.definition
    if definition is None or definition.enrolment.waiting_list is None or state.withdrawn or not state.waiting:
        return ()
    fill_gaps = definition.enrolment.waiting_list.policy == "fill-gaps"
    frozen = state.freeze is not None and now >= state.freeze
    free = state.free
    facts: list[RegistrationFact] = []
    for place, enrolment in enumerate(state.queue(), start=1):
        if free is not None and free <= 0:
            break
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
    """
    definition = state.definition
    if definition is None or not state.fits(units):
        return False, ()
    if not state.waiting:
        return True, ()
    waiting_list = definition.enrolment.waiting_list
    if waiting_list is None or waiting_list.policy != "fill-gaps":
        return False, ()
    passed: list[RegistrationFact] = []
    for enrolment in state.queue():
        if state.free is None or enrolment.units <= state.free:
            return False, ()
        passed += _passed_over(enrolment, reasons.does_not_fit(enrolment.units, state.free, passed=True))
    return True, tuple(passed)


def _passed_over(enrolment: Enrolment, reason: Reason) -> tuple[RegistrationFact, ...]:
    if enrolment.reasons == (reason,):
        return ()
    return (EnrolmentPassedOver(enrolment=enrolment.id, reason=reason),)
