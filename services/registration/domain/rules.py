"""Who may come: every rule that a request can break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from contracts.enrolment import MissingSeat, Participant, Reason
from contracts.moments import day_of, end_of, start_of
from contracts.organisation import Organisation
from contracts.programme import Eligibility, EnrolmentRules, Programme, Seat, TeamRule
from services.registration.domain import reasons, waiting
from services.registration.domain.commands import Moment, RequestEnrolment
from services.registration.domain.state import Enrolment, ProgrammeState


def broken_by_request(
    state: ProgrammeState, definition: Programme, command: RequestEnrolment, moment: Moment
) -> list[Reason]:
    """Every rule that a request breaks, in the order in which people would check them; empty if it may come in."""
    rules = definition.enrolment
    people = command.participants
    units = units_of(definition, people)
    return [
        *_broken_by_crowd(definition, command),
        *broken_by_time(state, rules, moment),
        *broken_by_organisation(rules.eligible, command.organisation_id, command.organisation),
        *broken_by_roles(rules, people),
        # Of a stranger's request, whoever takes part already is told so, and nobody else.
        *(_broken_by_repetition(people) if command.stranger else _broken_by_persons(state, people)),
        *broken_by_seats(definition, people),
        *_broken_by_missing_seats(definition.team, people),
        *broken_by_maximum(state, rules, command.organisation_id, units),
        *_broken_by_capacity(state, rules, units),
    ]


MOST_IN_PUBLIC = 10
"""People whom a request on the public channel may name, where a team has no more seats."""


def _broken_by_crowd(definition: Programme, command: RequestEnrolment) -> list[Reason]:
    seats = sum(seat.count for seat in definition.team.open_seats) if definition.team else 0
    most = max(MOST_IN_PUBLIC, seats)
    return [reasons.crowd(most)] if command.stranger and len(command.participants) > most else []


def units_of(definition: Programme, people: Sequence[Participant]) -> int:
    """The units that an enrolment takes: one for a team, one a person elsewhere."""
    return 1 if definition.team else len(people)


def price_of(rules: EnrolmentRules, organisation: Organisation | None, units: int) -> Decimal | None:
    """The price in euro for all units by the first rule that fits; None where no rule speaks."""
    for rule in rules.prices:
        if rule.kinds and (organisation is None or organisation.kind not in rule.kinds):
            continue
        if rule.provinces and (organisation is None or organisation.province not in rule.provinces):
            continue
        return rule.amount * units
    return None


def price_after(enrolment: Enrolment, units: int) -> Decimal | None:
    """
    The price for another number of units, at what each of them cost when the enrolment was made.

    Rules that were changed since then do not change what was agreed. None where it has no price or none that changes.
    """
    if enrolment.price is None or units == enrolment.units:
        return None
    return (enrolment.price * units / enrolment.units).quantize(Decimal("0.01"))


def broken_by_time(state: ProgrammeState, rules: EnrolmentRules, moment: Moment) -> list[Reason]:
    """Whether the moment is a wrong one: that of asking, but for what is over by now and helps nobody."""
    broken = []
    if state.withdrawn:
        broken.append(reasons.programme_withdrawn())
    if rules.opens and moment.asked < start_of(rules.opens):
        broken.append(reasons.not_open_yet(rules.opens))
    if rules.closes and moment.asked >= end_of(rules.closes):
        broken.append(reasons.closed(rules.closes))
    elif state.over_since is not None and moment.decided >= state.over_since:
        broken.append(reasons.over(state.over_since))
    return broken


def broken_by_organisation(eligible: Eligibility, id_: str | None, organisation: Organisation | None) -> list[Reason]:
    """Whether an organisation may not come; ``organisation`` is the registry's entry, None where it has none."""
    if id_ is None:
        return [] if eligible.without_organisation else [reasons.organisation_required()]
    if organisation is None:
        return [reasons.organisation_unknown(id_)]
    broken = []
    if eligible.kinds and organisation.kind not in eligible.kinds:
        broken.append(reasons.kind_not_eligible(eligible.kinds))
    if eligible.provinces and organisation.province not in eligible.provinces:
        broken.append(reasons.province_not_eligible(eligible.provinces))
    return broken


def broken_by_roles(rules: EnrolmentRules, people: Sequence[Participant]) -> list[Reason]:
    """Whether somebody's role is not one that the programme is for."""
    eligible = rules.eligible
    if not eligible.roles:
        return []
    wrong = sorted({person.role or "" for person in people if person.role not in eligible.roles})
    allowed = [rules.role(role) for role in eligible.roles]
    return [reasons.role_not_eligible(rules.role(role) if role else None, allowed) for role in wrong]


def _broken_by_repetition(people: Sequence[Participant]) -> list[Reason]:
    return [reasons.named_twice()] if len({one.person for one in people}) != len(people) else []


def _broken_by_persons(state: ProgrammeState, people: Sequence[Participant]) -> list[Reason]:
    broken = _broken_by_repetition(people)
    for person in {participant.person for participant in people}:
        if person in state.persons:
            broken.append(reasons.already_enrolled(len(people)))
            break
    return broken


def broken_by_person(state: ProgrammeState, rules: EnrolmentRules, participant: Participant) -> list[Reason]:
    """What speaks against one newcomer in an enrolment that stands."""
    return [*broken_by_roles(rules, [participant]), *_broken_by_persons(state, [participant])]


def broken_by_seats(
    definition: Programme, people: Sequence[Participant], only: Participant | None = None
) -> list[Reason]:
    """
    Whether everybody sits where the team rule lets them, or ``only`` this one of them.

    Who changes one seat answers for that one: after a change of the team rule the others may sit wrongly for a while,
    and each of them must be able to move.
    """
    team, rules = definition.team, definition.enrolment
    judged = people if only is None else (only,)
    if team is None:
        unknown = {person.seat for person in judged if person.seat}
        return [reasons.seat_unknown(seat, ()) for seat in sorted(unknown)] if unknown else []
    seats = {seat.id: seat for seat in team.open_seats}
    broken: dict[Reason, None] = {}
    for participant in judged:
        if participant.seat is None:
            broken[reasons.seat_required(team.open_seats)] = None
        elif (seat := seats.get(participant.seat)) is None:
            broken[reasons.seat_unknown(participant.seat, team.open_seats)] = None
        elif seat.roles and participant.role not in seat.roles:
            role = rules.role(participant.role) if participant.role else None
            broken[reasons.seat_role(seat, role, [rules.role(each) for each in seat.roles])] = None
    for reason in broken_by_crowded_seats(team.open_seats, people, only):
        broken[reason] = None
    return list(broken)


def broken_by_crowded_seats(
    seats: Sequence[Seat], people: Sequence[Participant], only: Participant | None = None
) -> list[Reason]:
    """Whether more people sit in a seat, or in that of ``only`` this one, than it has room for."""
    taken = Counter(participant.seat for participant in people)
    return [
        reasons.seat_taken(seat)
        for seat in seats
        if taken[seat.id] > seat.count and (only is None or only.seat == seat.id)
    ]


def missing_seats(team: TeamRule | None, people: Sequence[Participant]) -> tuple[MissingSeat, ...]:
    """What a team still lacks of a rule, in the order of its seats."""
    if team is None:
        return ()
    taken = Counter(participant.seat for participant in people)
    return tuple(
        MissingSeat(seat=seat.id, count=seat.count - taken[seat.id])
        for seat in team.open_seats
        if taken[seat.id] < seat.count
    )


def lacks_more(before: Sequence[MissingSeat], now: Sequence[MissingSeat]) -> bool:
    """Whether somebody is missing now who was not before."""
    had = {seat.seat: seat.count for seat in before}
    return any(seat.count > had.get(seat.seat, 0) for seat in now)


def complete_by(team: TeamRule | None, missing: Sequence[MissingSeat], now: datetime) -> datetime | None:
    """The moment by which a team that lacks somebody must be complete."""
    if team is None or not missing or team.complete_within_days is None:
        return None
    return deadline(team.complete_within_days, now)


def deadline(days: int, now: datetime) -> datetime:
    """The end of a day in the Netherlands, so many from now: people are told a day, and have all of it."""
    return end_of(day_of(now) + timedelta(days=days))


def _broken_by_missing_seats(team: TeamRule | None, people: Sequence[Participant]) -> list[Reason]:
    if team is None or team.complete_within_days is not None:
        return []
    missing = missing_seats(team, people)
    lacking = {seat.seat for seat in missing}
    return [reasons.team_incomplete(seat for seat in team.seats if seat.id in lacking)] if missing else []


def broken_by_maximum(
    state: ProgrammeState, rules: EnrolmentRules, organisation: str | None, units: int, *, before: int = 0
) -> list[Reason]:
    """
    Whether an organisation would have more units, confirmed and waiting together, than it may.

    Without an organisation nobody knows which requests belong together, and the maximum is that of each of them;
    ``before`` are the units that this one has already.
    """
    most = rules.maximum_per_organisation
    if most is None:
        return []
    if organisation is None:
        return [reasons.request_maximum(most, before + units)] if before + units > most else []
    taken = state.organisations.get(organisation) or 0
    return [reasons.organisation_maximum(most, taken, units)] if taken + units > most else []


def whole_minute(moment: datetime) -> datetime:
    """Not before `moment`: people are told minutes, and must not be too early at the one that they were told."""
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(minutes=1)


def broken_by_coming_in(
    state: ProgrammeState, definition: Programme, organisation: str | None, units: int, *, held: int
) -> list[Reason]:
    """What speaks against who waited to confirm; ``held`` units, which ``state`` counts as free, are kept for them."""
    broken = broken_by_maximum(state, definition.enrolment, organisation, units)
    return broken if units <= held else [*broken, *_broken_by_capacity(state, definition.enrolment, units)]


def _broken_by_capacity(state: ProgrammeState, rules: EnrolmentRules, units: int) -> list[Reason]:
    if rules.capacity is None:
        return []
    if units > rules.capacity:
        return [reasons.larger_than_capacity(units, rules.capacity)]
    if rules.waiting_list is None and not state.fits(units):
        next_lapse = state.next_lapse
        if state.confirmed + units <= rules.capacity and next_lapse is not None:
            return [reasons.full_for_now(whole_minute(next_lapse))]
        return [reasons.full(rules.capacity)]
    if rules.waiting_list is None and not waiting.may_come_in_at_once(state, units)[0]:
        return [reasons.reserved()]
    return []
