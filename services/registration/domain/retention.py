"""
How long people are known: a term for each programme, a shorter one for who did not take part, one for each field.

Pure, as all of ``domain``: the time comes in, and what was folded of the log says where somebody appears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from contracts.moments import end_of, last_day
from services.registration.domain.state import ProgrammeState

Standing = Literal["pending", "confirmed", "waiting", "withdrawn", "refused"]

AT_ONCE: Final = datetime(1, 1, 1, tzinfo=UTC)
"""A moment that has passed: what is kept until then goes as soon as it is found."""


@dataclass(frozen=True, slots=True)
class Terms:
    """
    How long who has a place or waits for one is known after a programme's end, where it has no term of its own, and how
    long others are after they were refused or withdrew.
    """

    people: timedelta
    others: timedelta


@dataclass(frozen=True, slots=True)
class Ending:
    """When a programme ends, None while nobody knows, and its own term."""

    ends: datetime | None = None
    keep: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Appearance:
    """One enrolment that names a person, how it stands, and since when the person stands so in it."""

    programme: str
    standing: Standing
    since: datetime
    ending: Ending


def ending(state: ProgrammeState, withdrawn: datetime | None) -> Ending:
    """
    When a programme ends; ``withdrawn`` is when it was withdrawn, if it was.

    With the end of its last session. While one of them has no date, when the staff closed it; else with the closing of
    enrolment, and where that is not named either, nobody knows.
    """
    if state.definition is None:
        return Ending()
    rules = state.definition.enrolment
    keep = timedelta(days=rules.keep_people_days) if rules.keep_people_days is not None else None
    if state.withdrawn:
        return Ending(withdrawn, keep)
    if state.over_since is not None:
        return Ending(state.over_since, keep)
    if rules.closes is None:
        return Ending(None, keep)
    ends = [session.finishes for session in state.definition.sessions]
    return Ending(max([end_of(rules.closes), *(end for end in ends if end is not None)]), keep)


def known_until(appearances: Iterable[Appearance], terms: Terms) -> datetime | None:
    """
    The moment from which nobody need know any more who this is; None while an end is not known.

    The last of all enrolments counts: whoever comes again is known for longer.
    """
    latest = AT_ONCE
    for appearance in appearances:
        until = _until(appearance, terms)
        if until is None:
            return None
        latest = max(latest, until)
    return latest


def _until(appearance: Appearance, terms: Terms) -> datetime | None:
    ending = appearance.ending
    match appearance.standing:
        case "confirmed" | "waiting":
            return None if ending.ends is None else ending.ends + (ending.keep or terms.people)
        case _:
            return appearance.since + terms.others


def _diet_until(state: ProgrammeState) -> datetime | None:
    """The beginning of the day after the last lunch."""
    if state.definition is None or state.withdrawn or state.closed is not None:
        return AT_ONCE
    lunches = [session.finishes for session in state.definition.sessions if session.lunch]
    dated = [end for end in lunches if end is not None]
    if len(dated) < len(lunches):
        return None
    if not dated:
        return AT_ONCE
    return end_of(last_day(max(dated)))


FIELDS: Final[Mapping[str, Callable[[ProgrammeState], datetime | None]]] = {"diet": _diet_until}
"""What is asked for one programme alone, and until when each is kept; None while nobody knows."""

WITH_THE_PERSON: Final = frozenset({"name", "email"})
"""How somebody was written for a programme: kept as long as the person, whatever becomes of the enrolment."""


def field_known_until(field: str, person: str, state: ProgrammeState) -> datetime | None:
    """
    The moment from which nobody need know what somebody said for this programme; None while it is not known.

    Who has no place and waits for none said it in vain.
    """
    if field in WITH_THE_PERSON:
        return None
    rule = FIELDS.get(field)
    expected = person in state.persons or person in state.awaited
    return rule(state) if rule is not None and expected else AT_ONCE
