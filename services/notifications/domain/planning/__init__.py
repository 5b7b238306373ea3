"""
One fact's consequences: the state after it and the mails that it calls for.

Calendars are kept by reconciliation. After a fact, the items that should stand (the sessions that a confirmed person's
seat attends, with a date, not over) are compared with those that do stand, and the difference is told. So it does not
matter by which of many ways somebody came to attend a session or not to.
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.facts import Fact
from services.chassis.state import State
from services.notifications.domain.mails import Planned
from services.notifications.domain.planning.rules import RULES
from services.notifications.domain.planning.work import Work

__all__ = ["Step", "evolve", "plan", "step"]


class Step(NamedTuple):
    """The state after a fact, and the mails that it calls for, in the order in which they should go out."""

    state: State
    mails: tuple[Planned, ...]


def step(state: State, fact: Fact) -> Step:
    """What ``evolve`` and ``plan`` say, in one go. A fact of an unknown type changes nothing."""
    rule = RULES.get(type(fact.data))
    if rule is None:
        return Step(state, ())
    work = Work(state, fact)
    rule(work, fact.data)
    return Step(work.state, tuple(work.mails))


def evolve(state: State, fact: Fact) -> State:
    """The state after a fact."""
    return step(state, fact).state


def plan(state: State, fact: Fact) -> tuple[Planned, ...]:
    """The mails that a fact calls for; ``state`` is the one before it."""
    return step(state, fact).mails
