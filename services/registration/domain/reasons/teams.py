"""What is wrong with a team."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from contracts import dates
from contracts.enrolment import Reason
from services.registration.domain.reasons.words import either, in_both


def seat_required(seats: Iterable[str]) -> Reason:
    """A participant of a team has no seat."""
    allowed = list(seats)
    return Reason(
        rule="seat-required",
        nl=f"Geef voor elke deelnemer een plek in het team op: {either(allowed, 'nl')}.",
        en=f"Give each participant a seat in the team: {either(allowed, 'en_GB')}.",
    )


def seat_unknown(seat: str, seats: Iterable[str]) -> Reason:
    """The team has no such seat, or the programme has no teams."""
    allowed = list(seats)
    if not allowed:
        return Reason(
            rule="seat-unknown",
            nl=f"Dit programma kent geen teams; laat de plek '{seat}' weg.",
            en=f"This programme has no teams; leave out the seat '{seat}'.",
        )
    return Reason(
        rule="seat-unknown",
        nl=f"De plek '{seat}' bestaat niet in het team; kies {either(allowed, 'nl')}.",
        en=f"The team has no seat '{seat}'; choose {either(allowed, 'en_GB')}.",
    )


def seat_role(seat: str, role: str | None, roles: Iterable[str]) -> Reason:
    """A participant's role does not go with the seat."""
    allowed = list(roles)
    had_nl = f"niet voor '{role}'" if role else "en er is geen rol opgegeven"
    had_en = f"not '{role}'" if role else "and no role was given"
    return Reason(
        rule="seat-role",
        nl=f"De plek '{seat}' is voor de rol {either(allowed, 'nl')}, {had_nl}.",
        en=f"The seat '{seat}' is for the role {either(allowed, 'en_GB')}, {had_en}.",
    )


def seat_taken(seat: str, count: int) -> Reason:
    """More people in a seat than it has room for."""
    nl, en = ("1 deelnemer", "1 participant") if count == 1 else (f"{count} deelnemers", f"{count} participants")
    return Reason(
        rule="seat-taken",
        nl=f"Op de plek '{seat}' is ruimte voor {nl} per team.",
        en=f"The seat '{seat}' has room for {en} a team.",
    )


def team_incomplete(seats: Iterable[str]) -> Reason:
    """The team lacks somebody, and the programme takes complete teams only."""
    missing = sorted(seats)
    return Reason(
        rule="team-incomplete",
        nl=f"Het team is niet compleet; er ontbreekt: {', '.join(missing)}.",
        en=f"The team is not complete; missing: {', '.join(missing)}.",
    )


def deadline_passed(time: datetime) -> Reason:
    """The team stayed incomplete until its deadline."""
    nl, en = in_both(dates.ending, time)
    return Reason(
        rule="team-incomplete",
        nl=f"Het team was op {nl} nog niet compleet.",
        en=f"The team was still not complete on {en}.",
    )
