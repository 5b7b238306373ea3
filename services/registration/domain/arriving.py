"""Coming in: how many people of one enrolment get their place, or one in the waiting list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from contracts.enrolment import Participant
from contracts.facts import EnrolmentConfirmed, EnrolmentWaitlisted, RegistrationFact
from contracts.organisation import Organisation
from contracts.programme import Programme
from services.registration.domain import rules, waiting
from services.registration.domain.state import ProgrammeState


def come_in(
    state: ProgrammeState,
    definition: Programme,
    asked: dict[str, Any],
    organisation: Organisation | None,
    now: datetime,
    *,
    held: int = 0,
) -> tuple[RegistrationFact, ...]:
    """
    The facts by which an enrolment that breaks no rule comes in.

    ``asked`` are the fields of the fact that were known before; ``held`` units, which ``state`` counts as free, have
    been kept for it and are nobody else's.
    """
    people: Sequence[Participant] = asked["participants"]
    units = rules.units_of(definition, people)
    missing = rules.missing_seats(definition.team, people)
    asked = asked | {
        "units": units,
        "missing": missing,
        "complete_by": (asked["complete_by"] or rules.complete_by(definition.team, missing, now)) if missing else None,
    }
    price = rules.price_of(definition.enrolment, organisation, units)
    at_once, passed_over = (True, ()) if units <= held else waiting.may_come_in_at_once(state, units)
    if at_once:
        return (*passed_over, EnrolmentConfirmed.made(**asked, price=price))
    return (EnrolmentWaitlisted.made(**asked, place=len(state.waiting) + 1, price=price),)


def asked_for(
    enrolment: str, organisation: str | None, people: Sequence[Participant], channel: str, source: str
) -> dict[str, Any]:
    """The fields that every fact about a request has, in the order of the model; units and seats follow."""
    return {
        "enrolment": enrolment,
        "organisation": organisation,
        "units": 1,
        "participants": tuple(people),
        "channel": channel,
        "source": source,
        "missing": (),
        "complete_by": None,
        "unconfirmed": (),
        "present": (),
    }
