"""The enrolment form: which fields a programme asks for, and what was filled in as a request for a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError

from contracts.base import EmailAddress, Identity, Language, Line, Name, Slug
from contracts.characters import Unfit
from contracts.complaints import unfit_of
from contracts.enrolment import EnrolmentRequest, ParticipantRequest, Person
from contracts.organisation import Organisation
from contracts.problem import Problem
from contracts.programme import Eligibility, Programme, Seat

MOST_FIELDS: Final = 5000
"""Fields of a form, those left empty among them."""
MOST_PEOPLE: Final = 100
"""People whom a request may name (contracts.enrolment.EnrolmentRequest)."""
KEY: Final = "key"

_LINE: TypeAdapter[str] = TypeAdapter(Line)
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)
_LANGUAGE: TypeAdapter[Language] = TypeAdapter(Language)
_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_IDENTITY: TypeAdapter[str] = TypeAdapter(Identity)


class Unreadable(ValueError):  # noqa: N818 - it reads as what happened
    """What was sent is no form."""


Fault = str | Unfit
"""What is wrong with a field: the name of the words for it, or what the text in it says itself."""


class Faulty(ValueError):  # noqa: N818 - likewise
    """What was filled in can't be a request; ``faults`` are by names of fields, in the form's order."""

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        super().__init__(", ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Place:
    """The fields for one person; ``prefix`` parts their names from those of others."""

    prefix: str = ""
    seat: Seat | None = None
    number: int = 1
    roles: tuple[str, ...] = ()
    """What there is to choose from; a seat's only role is no choice."""

    @property
    def chooses(self) -> bool:
        """Whether the role is asked for."""
        return len(self.roles) > (1 if self.seat else 0)


@dataclass(frozen=True, slots=True)
class Form:
    """What a programme asks, and what was typed."""

    programme: str
    places: tuple[Place, ...]
    organisations: tuple[Organisation, ...]
    """Those that may take part, by name."""
    without_organisation: bool
    complete: bool
    """Whether every place must be taken."""
    lunch: bool = False
    """Whether there is something to eat."""
    typed: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """The id that makes sending the form again harmless, if it came with one."""
        key = self.typed.get(KEY, "")
        return key if _fits(_IDENTITY, key) else None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The e-mail addresses that were typed, each once."""
        typed = (self.typed.get(f"{place.prefix}email", "").strip() for place in self.places)
        return tuple(dict.fromkeys(address for address in typed if address))


def form_of(definition: Programme, registry: Iterable[Organisation], typed: Mapping[str, str] | None = None) -> Form:
    """The form of a programme, empty or as it was typed."""
    eligible, team = definition.enrolment.eligible, definition.team
    may_come = [one for one in registry if _may_come(one, eligible)]
    if team is None:
        places: tuple[Place, ...] = (Place(roles=eligible.roles),)
    else:
        places = tuple(
            Place(f"{seat.id}-{number}-", seat, number, _roles(seat, eligible))
            for seat in team.open_seats
            for number in range(1, seat.count + 1)
        )
    return Form(
        programme=definition.id,
        places=places,
        organisations=tuple(sorted(may_come, key=lambda one: (one.name.casefold(), one.id))),
        without_organisation=eligible.without_organisation,
        complete=team is None or team.complete_within_days is None,
        lunch=any(session.lunch for session in definition.sessions),
        typed=typed or {},
    )


def _may_come(organisation: Organisation, eligible: Eligibility) -> bool:
    return (not eligible.kinds or organisation.kind in eligible.kinds) and (
        not eligible.provinces or organisation.province in eligible.provinces
    )


def _roles(seat: Seat, eligible: Eligibility) -> tuple[str, ...]:
    if not seat.roles:
        return eligible.roles
    return tuple(role for role in seat.roles if not eligible.roles or role in eligible.roles)


def read(body: bytes) -> dict[str, str]:
    """
    The fields of a body of ``application/x-www-form-urlencoded``; of a field that comes twice, the first.

    Raises:
        Unreadable: it is none, or has more fields than any form of ours.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise Unreadable from error
    typed: dict[str, str] = {}
    for name, value in pairs:
        typed.setdefault(name, value.strip())
    return typed


def request_of(form: Form) -> EnrolmentRequest:
    """
    What was filled in, as a request.

    Only what the form itself shows to be missing or unreadable is wrong here. Whether the request may come in is
    decided by the rules, as for every other request.

    Raises:
        Faulty: something is missing or can't be what it should be.
    """
    faults: dict[str, Fault] = {}
    organisation = form.typed.get("organisation", "")
    if organisation or not form.without_organisation:
        _check(_SLUG, organisation, "organisation", "fault_organisation", faults)
    taken = [place for place in form.places if _is_taken(place, form.typed)]
    if not taken and not form.complete:
        faults[f"{form.places[0].prefix}name"] = "fault_team"
    if len(taken) > MOST_PEOPLE:
        faults[f"{taken[MOST_PEOPLE].prefix}name"] = "fault_many"
    for place in form.places if form.complete else taken:
        if place.seat and place not in taken:
            faults[f"{place.prefix}name"] = "fault_seat"
        elif _is_diet_alone(place, form.typed):
            faults[f"{place.prefix}diet"] = "fault_diet_alone"
        else:
            _check_place(place, form.typed, faults)
            diet = f"{place.prefix}diet"
            if form.lunch and form.typed.get(diet):
                _check(_LINE, form.typed[diet], diet, "fault_diet", faults)
    if faults:
        raise Faulty(faults)
    return EnrolmentRequest(
        programme=form.programme,
        organisation=organisation or None,
        participants=tuple(_participant(place, form) for place in taken),
    )


def addresses_at_fault(form: Form, problem: Problem) -> dict[str, Fault]:
    """The fields whose addresses ``problem`` names, and why: mail can't be sent to them."""
    taken = [place for place in form.places if _is_taken(place, form.typed)]
    at_fault = {fault.field: fault for fault in problem.errors}
    return {
        f"{place.prefix}email": Unfit(fault.detail, fault.detail_nl or fault.detail)
        for index, place in enumerate(taken)
        if (fault := at_fault.get(f"participants.{index}.person.email"))
    }


def _is_taken(place: Place, typed: Mapping[str, str]) -> bool:
    """A place that nobody was named for is empty; the one on a form for a single person can't be."""
    return place.seat is None or any(typed.get(f"{place.prefix}{name}") for name in ("name", "email", "diet"))


def _is_diet_alone(place: Place, typed: Mapping[str, str]) -> bool:
    """Whether a seat of a team has a diet and nobody who has it: thrown away, somebody would eat the wrong thing."""
    return place.seat is not None and not any(typed.get(f"{place.prefix}{name}") for name in ("name", "email"))


def _check_place(place: Place, typed: Mapping[str, str], faults: dict[str, Fault]) -> None:
    checks: list[tuple[str, TypeAdapter[str] | TypeAdapter[Language]]] = [
        ("name", _NAME),
        ("email", _ADDRESS),
        ("language", _LANGUAGE),
    ]
    if place.chooses:
        checks.append(("role", _SLUG))
    for name, adapter in checks:
        _check(adapter, typed.get(f"{place.prefix}{name}", ""), f"{place.prefix}{name}", f"fault_{name}", faults)


def _check(
    adapter: TypeAdapter[str] | TypeAdapter[Language], value: str, name: str, fault: str, faults: dict[str, Fault]
) -> None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        unfit = unfit_of(error.errors(include_url=False, include_input=False)[0])
        faults[name] = unfit if unfit and value else fault


def _fits(adapter: TypeAdapter[str], value: str) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def _participant(place: Place, form: Form) -> ParticipantRequest:
    typed = form.typed
    role = typed.get(f"{place.prefix}role") if place.chooses else next(iter(place.roles), None)
    return ParticipantRequest(
        person=Person(
            name=typed[f"{place.prefix}name"],
            email=typed[f"{place.prefix}email"],
            language=_LANGUAGE.validate_python(typed[f"{place.prefix}language"]),
        ),
        seat=place.seat.id if place.seat else None,
        role=role or None,
        diet=(typed.get(f"{place.prefix}diet") or None) if form.lunch else None,
    )
