"""Whom new rules would not let in again: they keep their place, and whoever publishes the rules is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from contracts.enrolment import Reason
from contracts.facts import ProgrammeClosed, ProgrammePublished, RegistrationFact, SessionAdded, SessionMoved
from contracts.programme import EnrolmentRules, Programme, TeamRule
from contracts.session import Session
from services.registration.domain import rules
from services.registration.domain.reasons import foresight
from services.registration.domain.registry import Registry
from services.registration.domain.state import Enrolment, ProgrammeState


def notes(
    before: ProgrammeState,
    after: ProgrammeState,
    facts: Sequence[RegistrationFact],
    registry: Registry,
    now: datetime,
) -> tuple[Reason, ...]:
    """What whoever publishes should know: who keeps a place by old rules, and which sessions are over already."""
    found = list(_past(facts, after.definition, now))
    if after.waiting and any(isinstance(fact, ProgrammeClosed) for fact in facts):
        found.append(foresight.still_waiting(len(after.waiting)))
    old, new = before.definition, after.definition
    if old is not None and new is not None:
        standing = [one for one in after.enrolments.values() if one.active]
        if old.team is not None and new.team is not None and old.team != new.team:
            found += _teams(standing, old.team, new.team)
        if old.enrolment != new.enrolment:
            found += _enrolments(after, standing, old.enrolment, new.enrolment, registry)
    return tuple(found)


def _past(facts: Iterable[RegistrationFact], definition: Programme | None, now: datetime) -> Iterator[Reason]:
    sessions: list[Session | None] = []
    for fact in facts:
        match fact:
            case ProgrammePublished(programme=programme):
                sessions += programme.sessions
            case SessionAdded(session=session):
                sessions.append(session)
            case SessionMoved(session=id_) if definition is not None:
                sessions.append(definition.session(id_))
    over = [one for one in sessions if one is not None and one.is_over(now)]
    if over:
        yield foresight.in_the_past(over)


def _teams(standing: Iterable[Enrolment], old: TeamRule, new: TeamRule) -> Iterator[Reason]:
    lacking: Counter[str] = Counter()
    unfit: Counter[str] = Counter()
    sitting: Counter[str] = Counter()
    waiting = 0
    for one in standing:
        waiting += one.complete_by is not None and bool(one.missing)
        asked = {seat.seat: seat.count for seat in one.missing}
        lacking.update(
            seat.seat for seat in rules.missing_seats(new, one.participants) if seat.count > asked.get(seat.seat, 0)
        )
        taken = Counter(participant.seat for participant in one.participants if participant.seat)
        sitting.update(taken)
        was, is_ = _unfit(one, old, taken), _unfit(one, new, taken)
        unfit.update({seat: count - was[seat] for seat, count in is_.items() if count > was[seat]})
    closed = {seat.id for seat in old.seats if seat.closed}
    for seat in new.seats:
        title = f"‘{seat.title.nl}’ ({seat.id})", f"‘{seat.title.en}’ ({seat.id})"
        if seat.closed and seat.id not in closed and sitting[seat.id]:
            yield foresight.seat_closed(title, sitting[seat.id])
        if lacking[seat.id]:
            yield foresight.teams_lack(title, lacking[seat.id])
        if unfit[seat.id]:
            yield foresight.seat_no_longer_theirs(title, unfit[seat.id])
    if waiting and old.complete_within_days != new.complete_within_days:
        yield foresight.deadlines_stay(waiting)


def _unfit(enrolment: Enrolment, rule: TeamRule, taken: Counter[str]) -> Counter[str]:
    """How many people of a team sit in a seat that takes their role not, or not so many of them."""
    found: Counter[str] = Counter()
    for seat in rule.open_seats:
        inside = [one for one in enrolment.participants if one.seat == seat.id]
        wrong = sum(bool(seat.roles) and one.role not in seat.roles for one in inside)
        found[seat.id] = max(wrong, taken[seat.id] - seat.count)
    return found


def _enrolments(
    state: ProgrammeState,
    standing: Iterable[Enrolment],
    old: EnrolmentRules,
    new: EnrolmentRules,
    registry: Registry,
) -> Iterator[Reason]:
    if old.eligible != new.eligible:
        refused = sum(_refused(one, new, registry) and not _refused(one, old, registry) for one in standing)
        if refused:
            yield foresight.not_eligible_any_more(refused)
    most, before = new.maximum_per_organisation, old.maximum_per_organisation
    if most is not None and (before is None or most < before):
        above = sum(units > most and (before is None or units <= before) for units in state.organisations.values())
        if above:
            yield foresight.above_maximum(most, above)


def _refused(enrolment: Enrolment, enrolled_by: EnrolmentRules, registry: Registry) -> bool:
    eligible = enrolled_by.eligible
    organisation = registry.organisations.get(enrolment.organisation or "")
    return bool(
        rules.broken_by_organisation(eligible, enrolment.organisation, organisation)
        or rules.broken_by_roles(enrolled_by, enrolment.participants)
    )
