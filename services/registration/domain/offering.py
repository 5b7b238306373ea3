"""How a programme stands for somebody who would like to take part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.base import Text
from contracts.moments import end_of, start_of
from contracts.programme import Programme
from contracts.session import Session, in_order_of_time
from services.registration.domain import waiting
from services.registration.domain.state import ProgrammeState

Phase = Literal["withdrawn", "over", "opens-later", "closed", "open", "waiting", "full"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A programme, and what one more unit would meet: a person, or a team where the programme takes teams."""

    definition: Programme
    phase: Phase
    free: int | None
    """Units that are left; None without a limit."""
    waiting: int
    """Enrolments in the waiting list."""
    why_withdrawn: Text | None = None
    cancelled: tuple[Session, ...] = ()
    """Sessions that do not take place."""

    @property
    def takes_requests(self) -> bool:
        """Whether to ask makes sense."""
        return self.phase in ("open", "waiting")


def offer(state: ProgrammeState, definition: Programme, now: datetime) -> Offer:
    """What a programme offers now; ``definition`` is as it may be shown."""
    return Offer(
        definition,
        _phase(state, definition, now),
        state.free,
        len(state.waiting),
        state.why_withdrawn,
        in_order_of_time(state.cancelled),
    )


def _phase(state: ProgrammeState, definition: Programme, now: datetime) -> Phase:
    rules = definition.enrolment
    if state.withdrawn:
        return "withdrawn"
    if state.is_over(now):
        return "over"
    if rules.closes and now >= end_of(rules.closes):
        return "closed"
    if rules.opens and now < start_of(rules.opens):
        return "opens-later"
    if waiting.may_come_in_at_once(state, 1)[0]:
        return "open"
    return "waiting" if rules.waiting_list else "full"
