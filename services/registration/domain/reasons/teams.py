"""What is wrong with a team."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from contracts import dates
from contracts.base import Title
from contracts.enrolment import Reason
from contracts.parameters import parameters
from contracts.programme import Role, Seat
from services.registration.domain.reasons.words import either, in_both, listed


def seat_required(seats: Iterable[Seat]) -> Reason:
    """A participant of a team has no seat."""
    nl, en = either(seat.title for seat in seats)
    return Reason(
        rule="seat-required",
        nl=f"Van ieder teamlid moeten we weten wat die in het team is: {nl}.",
        en=f"We need to know of every member what they are in the team: {en}.",
    )


def seat_unknown(seat: str, seats: Iterable[Seat]) -> Reason:
    """The team has no such seat, or the programme has no teams."""
    open_ = tuple(seats)
    about = parameters(seat=seat)
    if not open_:
        return Reason(
            rule="seat-unknown",
            nl="Dit programma heeft geen teams. Niemand kan er een plek in een team hebben.",
            en="This programme has no teams. Nobody can have a seat in a team there.",
            parameters=about,
        )
    nl, en = either(each.title for each in open_)
    return Reason(
        rule="seat-unknown",
        nl=f"Iemand heeft een plek die niet in het team bestaat. Kies uit: {nl}.",
        en=f"Somebody has a seat that is not in the team. Choose from: {en}.",
        parameters=about,
    )


def seat_role(seat: Seat, role: Role | None, roles: Iterable[Role]) -> Reason:
    """A participant's role does not go with the seat."""
    nl, en = either(each.title for each in roles)
    had_nl, had_en = role_given(role)
    return Reason(
        rule="seat-role",
        nl=f"Als ‘{seat.title.nl}’ kan alleen iemand meedoen met de rol {nl}. {had_nl}",
        en=f"Only somebody with the role {en} can take part as ‘{seat.title.en}’. {had_en}",
        parameters=parameters(seat=seat.id, role=role.id if role else None),
    )


def role_given(role: Role | None) -> tuple[str, str]:
    """Which role it was that did not fit."""
    if role is None:
        return "Er is geen rol opgegeven.", "No role was given."
    return f"Opgegeven is de rol {role.title.nl}.", f"The role given is {role.title.en}."


def seat_taken(seat: Seat) -> Reason:
    """More people in a seat than it has room for."""
    one = seat.count == 1
    nl = "kan per team 1 persoon" if one else f"kunnen per team {seat.count} personen"
    en = "1 person" if one else f"{seat.count} people"
    return Reason(
        rule="seat-taken",
        nl=f"Als ‘{seat.title.nl}’ {nl} meedoen.",
        en=f"In each team, {en} can take part as ‘{seat.title.en}’.",
        parameters=parameters(seat=seat.id),
    )


def team_incomplete(seats: Iterable[Seat]) -> Reason:
    """The team lacks somebody, and the programme takes complete teams only."""
    missing = tuple(seats)
    nl, en = listed(Title(nl=f"‘{seat.title.nl}’", en=f"‘{seat.title.en}’") for seat in missing)
    verb = "ontbreekt" if len(missing) == 1 else "ontbreken"
    return Reason(
        rule="team-incomplete",
        nl=f"Het team is niet compleet. Er {verb} nog: {nl}.",
        en=f"The team is not complete. It still lacks: {en}.",
        parameters=parameters(seat=[seat.id for seat in missing]),
    )


def deadline_passed(time: datetime) -> Reason:
    """The team stayed incomplete until its deadline."""
    nl, en = in_both(dates.ending, time)
    return Reason(
        rule="team-incomplete",
        nl=f"Het team was op {nl} niet compleet.",
        en=f"The team was not complete on {en}.",
    )
